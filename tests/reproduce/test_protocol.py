"""The protocol: values, halves, who is trained on what, and who is left out."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData

import adverscarial as adv
from adverscarial.errors import DataError
from adverscarial.reproduce import Setting, setting
from adverscarial.reproduce.cells import prepared, value_kind
from adverscarial.reproduce.protocol import accuracy


@pytest.fixture
def counted() -> AnnData:
    """Two types of 12 cells, one of 3, two cells without a type; counts of 30 genes."""
    rng = np.random.default_rng(0)
    types = ["a"] * 12 + ["b"] * 12 + ["c"] * 3 + [None] * 2
    means = np.where(np.array([t == "a" for t in types])[:, None], 5, 1) * np.ones(30)
    obs = pd.DataFrame({"type": types}, index=[f"cell{i}" for i in range(29)])
    return AnnData(rng.poisson(means).astype(np.float32), obs=obs, var=pd.DataFrame(index=[f"g{i}" for i in range(30)]))


@pytest.mark.slow
def test_all_cells_are_scaled_together_and_then_split(few: Setting, few_cells: AnnData) -> None:
    scaled = adv.datasets.preprocess(few_cells, target_sum=None)
    train, test = adv.datasets.split(scaled, "cell_type", seed=0)
    assert np.array_equal(few.train.X, train.X)
    assert np.array_equal(few.test.X, test.X)
    assert few.clusters == sorted(test.obs["cell_type"].astype(str).unique())


@pytest.mark.slow
def test_each_is_attacked_on_the_papers_values(few: Setting) -> None:
    assert few.layers == {"scType": None, "CHETAH": "lognorm", "scAnnotatR": None, "scRF": None, "scMLP": None}
    assert any("no counts" in note for note in few.all_notes())
    table = accuracy(few)
    assert len(table) == 5 * len(few.clusters)
    trained = table[table["classifier"] != "scType"]
    assert trained.groupby("classifier")["accuracy"].mean().min() > 0.6
    model = few.models["scAnnotatR"]
    said = model.predict(few.test)
    cluster = few.clusters[0]
    inside = (few.test.obs["cell_type"] == cluster).to_numpy()
    row = table[(table["classifier"] == "scAnnotatR") & (table["cluster"] == cluster)].iloc[0]
    assert row["accuracy"] == pytest.approx((said[inside] == cluster.replace("_", " ")).mean())


def test_counts_are_attacked_by_chetah_where_there_are_any(counted: AnnData) -> None:
    found = setting(counted, groupby="type", name="counted", quick=True, only=["CHETAH"])
    assert found.layers == {"CHETAH": "counts"}
    assert np.array_equal(found.test.layers["counts"].toarray(), counted[found.test.obs_names].X)


def test_few_cells_and_unwanted_types_are_left_out_and_said(counted: AnnData) -> None:
    cells, notes = prepared(counted, "type", exclude=["b", "no such type"], min_cells=1)
    assert sorted(set(cells.obs["type"])) == ["a", "c"]
    assert "Left out as asked: 'b'." in notes
    cells, notes = prepared(counted, "type", min_cells=10)
    assert cells.n_obs == 24
    assert any("c (3)" in note for note in notes)
    assert any(note.startswith("2 cells have no type") for note in notes)
    assert np.allclose(np.asarray(cells.X).mean(axis=0), 0, atol=1e-5)  # scaled without the cells that do not count


def test_one_type_is_not_enough(counted: AnnData) -> None:
    with pytest.raises(DataError, match="two are needed"):
        prepared(counted, "type", min_cells=13)


@pytest.mark.parametrize(
    ("X", "kind"),
    [([[0, 3], [1, 100_000]], "counts"), ([[0.5, 3], [1, 8.1]], "lognorm")],
)
def test_values_are_told_apart(X: list[list[float]], kind: str) -> None:
    assert value_kind(AnnData(np.array(X, dtype=np.float32))) == kind


@pytest.mark.parametrize(
    ("X", "message"),
    [
        ([[-1.0, 3], [1, 2]], "scaled"),
        ([[0.5, 3], [1, 812.5]], "neither counts nor logarithms"),
        ([[np.nan, 3], [1, 2]], "NaN"),
    ],
)
def test_other_values_are_refused(X: list[list[float]], message: str) -> None:
    with pytest.raises(DataError, match=message):
        value_kind(AnnData(np.array(X, dtype=np.float32)))


def test_markers_of_other_genes_leave_sctype_out(few_cells: AnnData) -> None:
    markers = pd.DataFrame({"cell_type": ["x", "y"], "positive": ["NOSUCHGENE1", "NOSUCHGENE2"]})
    lines: list[str] = []
    found = setting(
        few_cells, groupby="cell_type", name="few", markers=markers, quick=True, only=["scType", "scRF"],
        say=lines.append,
    )  # fmt: skip
    assert list(found.models) == ["scRF"]
    assert "none of the 2 positive markers" in found.left_out["scType"]
    assert any("scType is left out" in line for line in [*lines, *found.all_notes()])
    with pytest.raises(DataError, match="None of the classifiers"):
        setting(few_cells, groupby="cell_type", name="few", markers=markers, only=["scType"])


@pytest.mark.slow
def test_mouse_symbols_are_read_in_upper_case(few_cells: AnnData) -> None:
    mouse = few_cells.copy()
    mouse.var_names = mouse.var_names.str.capitalize()
    one, other = (setting(cells, groupby="cell_type", name="x", only=["scType"]) for cells in (few_cells, mouse))
    same = [found.models["scType"].predict(found.test) for found in (one, other)]
    assert same[0].equals(same[1])
    assert one.all_notes()[-1] == other.all_notes()[-1]


def test_the_papers_tissue_is_chosen_where_a_table_has_it(few_cells: AnnData) -> None:
    markers = pd.DataFrame(
        {"tissue": ["Immune system", "Immune system", "Skin"], "cell_type": ["B", "NK", "K"],
         "positive": ["CD79A", "GNLY", "KRT5"]}
    )  # fmt: skip
    found = setting(few_cells, groupby="cell_type", name="x", markers=markers, only=["scType"])
    assert set(found.models["scType"].predict(found.test)) == {"B", "NK"}
    assert "2 types of Immune system, 2 of their markers found." in found.all_notes()[-1]
