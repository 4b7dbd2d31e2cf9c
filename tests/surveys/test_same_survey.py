"""A folder belongs to exactly one survey: whatever else changed, its numbers are never taken for the new survey's."""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from anndata import AnnData

import adverscarial as adv
from adverscarial.errors import DataError, ParameterError, StorageError
from adverscarial.surveys.plan import data_identity, make_plan
from surveys.small import ATTACK, above, cells, labels, run

SMALL = {"targets": ["B", "T"]}


def dask_array(X: np.ndarray) -> Any:
    return pytest.importorskip("dask.array").from_array(X, chunks=(7, X.shape[1]))


CONTAINERS: dict[str, Callable[[np.ndarray], Any]] = {
    "dense": lambda X: X,
    "column after column": np.asfortranarray,
    "csr": sp.csr_matrix,
    "csc": sp.csc_array,
    "coo": lambda X: sp.csr_matrix(sp.coo_matrix(X)),
    "dask": dask_array,
}


@pytest.mark.parametrize("container", CONTAINERS)
@pytest.mark.parametrize("layer", [None, "log"])
def test_one_changed_value_is_noticed_in_any_container(container: str, layer: str | None) -> None:
    one, other = cells(), cells()
    X = other.X.copy()
    X[17, 3] += 1
    for adata, values in ((one, one.X), (other, X)):
        held = CONTAINERS[container](values)
        if layer is None:
            adata.X = held
        else:
            adata.layers[layer] = held
    assert data_identity(one, "cell_type", layer) == data_identity(cells(), "cell_type", None)
    assert data_identity(other, "cell_type", layer) != data_identity(one, "cell_type", layer)


@pytest.mark.parametrize("container", CONTAINERS)
def test_values_without_any_0_are_known_in_any_container(container: str) -> None:
    one, other = cells(), cells()
    one.X = other.X = one.X - 0.5
    other.X = CONTAINERS[container](other.X)
    assert data_identity(one, "cell_type", None) == data_identity(other, "cell_type", None)


def test_data_of_several_plans_are_looked_through_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = {"groupby": "cell_type", "targets": None, "layer": None, "seed": 0, "budget": None}
    first, other = (make_plan(cells(), {name: labels}, ATTACK, **asked) for name in ("one", "other"))
    wanted = other.description["data"]
    assert first.description["data"] == wanted
    monkeypatch.setattr("adverscarial.surveys.plan.data_identity", None)
    assert replace(other, beside=first).description["data"] == wanted


@pytest.mark.fast(1)
@pytest.mark.parametrize("form", ["dense", "csr", "csc"])
@pytest.mark.parametrize("ending", ["h5ad", "zarr"])
def test_a_file_is_known_by_its_values(tmp_path: Path, form: str, ending: str) -> None:
    found = []
    for name, changed in (("one", 0), ("copy", 0), ("other", 1)):
        adata = cells()
        adata.X[17, 3] += changed
        adata.X = {"dense": np.asarray, "csr": sp.csr_matrix, "csc": sp.csc_matrix}[form](adata.X)
        path = tmp_path / f"{name}.{ending}"
        (adata.write_h5ad if ending == "h5ad" else adata.write_zarr)(path)
        found.append(data_identity(adv.datasets.load(path, backed=True), "cell_type", None))
    assert found[0] == found[1] != found[2]
    if form != "csc":  # which is read gene after gene
        assert found[0] == data_identity(cells(), "cell_type", None)


def moved(adata: AnnData) -> None:
    adata.X[[0, 1]] = adata.X[[1, 0]]


def renamed_cell(adata: AnnData) -> None:
    adata.obs_names = ["other", *adata.obs_names[1:]]


def shifted_names(adata: AnnData) -> None:
    adata.obs_names = ["cell", "0cell1", *adata.obs_names[2:]]


def renamed_gene(adata: AnnData) -> None:
    adata.var_names = ["other", *adata.var_names[1:]]


def another_cluster(adata: AnnData) -> None:
    adata.obs.iloc[0, 0] = "T"


def missing_cluster(adata: AnnData) -> None:
    adata.obs.iloc[0, 0] = None


def wider(adata: AnnData) -> None:
    adata.X = adata.X.astype(np.float64)


CHANGES = [moved, renamed_cell, shifted_names, renamed_gene, another_cluster, missing_cluster, wider]


@pytest.mark.parametrize("change", CHANGES)
def test_names_clusters_places_and_number_types_count(change: Callable[[AnnData], None]) -> None:
    one, other = cells(), cells()
    one.obs_names = other.obs_names = ["cell0", "cell1", *one.obs_names[2:]]
    change(other)
    assert data_identity(one, "cell_type", None) != data_identity(other, "cell_type", None)


def test_a_missing_cluster_is_not_one_called_none() -> None:
    one, other = cells(), cells()
    one.obs.iloc[0, 0], other.obs.iloc[0, 0] = None, "None"
    assert data_identity(one, "cell_type", None) != data_identity(other, "cell_type", None)


PAIRS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "function": ({"model": above(1.5)}, {"model": above(0.6)}),
    "modification": (
        {"attacks": adv.attacks.SingleGene(adv.Custom(lambda values: values))},
        {"attacks": adv.attacks.SingleGene(adv.Custom(lambda values: values + 9))},
    ),
    "data": ({"adata": cells()}, {"adata": cells(seed=1)}),
    "seed": ({"seed": 0}, {"seed": 1}),
    "budget": ({"budget": None}, {"budget": 3}),
}


@pytest.mark.fast(2)
@pytest.mark.parametrize("what", PAIRS)
@pytest.mark.parametrize("resume", ["check", "trust"])
def test_another_survey_is_refused_and_changes_nothing(tmp_path: Path, what: str, resume: str) -> None:
    first, second = PAIRS[what]
    run(**SMALL | first, out=tmp_path)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    with pytest.raises(StorageError, match="belongs to another survey, which differs in"):
        run(**SMALL | second, out=tmp_path, resume=resume)
    assert before == {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    again = run(**SMALL | first, out=tmp_path)  # and the first goes on
    assert again.to_frame().equals(adv.Survey.load(tmp_path).to_frame())


def test_other_versions_are_another_survey(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run(**SMALL, out=tmp_path)
    from adverscarial.attacks import result

    newer = {**result.versions(), "scipy": "99.0"}  # the last of a long list
    monkeypatch.setattr("adverscarial.surveys.plan.versions", lambda: newer)
    with pytest.raises(StorageError, match=r'differs in versions.*there \.\.\..*, here \.\.\..*"scipy": "99\.0"'):
        run(**SMALL, out=tmp_path)


class Service:
    """Stands in for a connection, whose content nobody can read."""

    def __init__(self) -> None:
        self.connection, self.calls = threading.Lock(), 0

    def __call__(self, X: np.ndarray) -> np.ndarray:
        self.calls += 1
        return labels(X)


def test_what_cannot_be_identified_is_not_taken_for_the_same(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    first = run(Service(), **SMALL, out=tmp_path)
    assert "Service cannot be identified" in caplog.text
    (tmp_path / "results" / "00000.npz").unlink()
    with pytest.raises(StorageError, match=r"cannot be told whether 'Service' is the same .*lock.*resume='trust'"):
        run(Service(), **SMALL, out=tmp_path)
    again = Service()
    found = run(again, **SMALL, out=tmp_path, resume="trust")
    assert again.calls > 0  # for the result that was missing
    assert found.to_frame().equals(first.to_frame())
    assert adv.Survey.load(tmp_path).to_frame().equals(first.to_frame())
    with pytest.raises(StorageError, match="differs in seed"):
        run(Service(), **SMALL, out=tmp_path, resume="trust", seed=1)


def test_a_modification_that_cannot_be_identified(tmp_path: Path) -> None:
    lock = threading.Lock()

    def change(values: np.ndarray) -> np.ndarray:
        with lock:
            return values + 1

    attack = adv.attacks.SingleGene(adv.Custom(change))
    first = run(**SMALL, attacks=attack, out=tmp_path)
    with pytest.raises(StorageError, match=r"cannot be told whether 'SingleGene' is the same"):
        run(**SMALL, attacks=attack, out=tmp_path)
    assert run(**SMALL, attacks=attack, out=tmp_path, resume="trust").to_frame().equals(first.to_frame())


def test_resume_has_two_values() -> None:
    with pytest.raises(ParameterError, match="resume must be 'check' or 'trust', got 'yes'"):
        run(resume="yes")


def test_results_of_two_classifiers_that_were_exchanged(tmp_path: Path) -> None:
    two = {"one": above(0.5), "two": above(1.5)}
    before = run(two, targets=["B"], out=tmp_path).to_frame()
    first, second = sorted((tmp_path / "results").iterdir())
    shutil.move(first, tmp_path / "aside")
    shutil.move(second, first)
    shutil.move(tmp_path / "aside", second)
    with pytest.raises(StorageError, match=r"00000\.npz' belongs to another survey, .*'classifier' differ"):
        adv.Survey.load(tmp_path)
    assert run(two, targets=["B"], out=tmp_path).to_frame().equals(before)  # computed again
    assert adv.Survey.load(tmp_path).to_frame().equals(before)


@pytest.mark.parametrize("other", [{"seed": 1}, {"adata": cells(seed=1)}, {"budget": 3}])
def test_a_result_from_another_folder_is_not_taken(tmp_path: Path, other: dict[str, Any]) -> None:
    before = run(targets=["B"], out=tmp_path / "one").to_frame()
    run(targets=["B"], out=tmp_path / "two", **other)
    shutil.copy(tmp_path / "two" / "results" / "00000.npz", tmp_path / "one" / "results" / "00000.npz")
    with pytest.raises(StorageError, match="belongs to another survey, or to another row"):
        adv.Survey.load(tmp_path / "one")
    assert run(targets=["B"], out=tmp_path / "one").to_frame().equals(before)


@pytest.mark.parametrize("names", [["A #2", "A"], ["A", "A #2"], ["A", "A #2", "A #3"]])
def test_names_of_a_dict_stay_as_they_are(names: list[str]) -> None:
    models = {name: (lambda X, name=name: np.repeat(f"said by {name}", len(X))) for name in names}
    table = run(models, targets=["B"]).to_frame()
    assert dict(zip(table["classifier"], table["baseline"], strict=True)) == {n: f"said by {n}" for n in names}


def test_names_that_repeat_are_numbered_beside_those_that_are_there() -> None:
    from adverscarial.surveys.plan import named_classifiers

    assert list(named_classifiers({1: labels, "1": labels, "1 #2": labels})) == ["1", "1 #3", "1 #2"]


def test_settings_that_numpy_made(tmp_path: Path) -> None:
    options = {"seed": np.int64(3), "budget": np.int32(50), "targets": np.array(["B"])}
    attack = adv.attacks.SingleGene("perc99", genes=tuple(cells().var_names[:3]))
    found = run(attacks=attack, out=tmp_path, **options)
    assert adv.Survey.load(tmp_path).to_frame().equals(found.to_frame())
    assert run(attacks=attack, out=tmp_path, seed=3, budget=50, targets=["B"]).to_frame().equals(found.to_frame())


def test_a_column_of_measurements_is_refused_by_its_name() -> None:
    adata = cells()
    adata.obs["score"] = np.random.default_rng(0).random(adata.n_obs)
    with pytest.raises(DataError, match=r"obs\['score'\] has 60 clusters, 60 of which are a single cell"):
        run(adata=adata, groupby="score")
    one = str(adata.obs["score"].iloc[3])
    assert not run(adata=adata, groupby="score", targets=[one]).errors


@pytest.mark.slow
def test_many_clusters_of_few_cells(tmp_path: Path) -> None:
    adata = cells(600, types=tuple(f"type {k}" for k in range(200)))
    table = run(adata=adata, attacks=adv.attacks.SingleGene("perc99", genes=["g0"]), out=tmp_path).to_frame()
    assert len(table) == 200
    assert (table["n_cells"] == 3).all()
    assert "error" not in table


def test_the_table_is_safe_in_a_spreadsheet(tmp_path: Path) -> None:
    adata = cells(types=("=1+1", " @x", "T"))
    run({"+A": lambda X: np.where(X[:, 0] > 1, "@T", "-5")}, adata=adata, out=tmp_path)
    written = pd.read_csv(tmp_path / "table.csv", dtype=str, keep_default_na=False)
    texts = [text for column in ("classifier", "cluster", "baseline") for text in written[column]]
    assert {text[:2] for text in texts} == {"'+", "'=", "' ", "T", "'@", "'-"} - {"T"} | {"T"}
    assert adv.Survey.load(tmp_path).to_frame()["cluster"].tolist() == [" @x", "=1+1", "T"]


def test_a_plan_says_what_it_is_about(tmp_path: Path) -> None:
    run(out=tmp_path, attacks=[ATTACK, adv.attacks.MaxChange("perc1", restarts=1)])
    plan = json.loads((tmp_path / "run.json").read_text())
    assert plan["data"]["fingerprint"] == data_identity(cells(), "cell_type", None)
    assert len(plan["attacks"]) == len(set(plan["attack_identities"])) == 2
