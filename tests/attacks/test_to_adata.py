"""Results in an AnnData: what is written is what the classifier says, and every format keeps it."""

from __future__ import annotations

from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest
import scanpy as sc
from anndata import AnnData

import adverscarial as adv
from adverscarial.attacks.annotating import margins
from adverscarial.errors import DataError, ParameterError

WHERE = {"groupby": "cell_type", "target": "CD56+ NK"}
MARKERS = {"NK": ["GNLY", "NKG7", "GZMB"], "B": ["CD79A", "CD79B", "MS4A1"], "T": ["CD3D", "CD3E", "IL32"]}
GENES = [gene for genes in MARKERS.values() for gene in genes] + ["LYZ"]


@pytest.fixture
def cells(pbmc_small: AnnData) -> AnnData:
    return pbmc_small[:, GENES].copy()


@pytest.fixture
def model() -> adv.classifiers.Markers:
    return adv.classifiers.Markers(MARKERS)


def stored_and_read(adata: AnnData, folder: Path) -> list[AnnData]:
    adata.write_h5ad(folder / "x.h5ad")
    adata.write_zarr(folder / "x.zarr")
    return [anndata.read_h5ad(folder / "x.h5ad"), anndata.read_zarr(folder / "x.zarr")]


def plain(value: object) -> object:
    """Return a value as both formats give it back."""
    if isinstance(value, dict):
        return {key: plain(inner) for key, inner in value.items()}
    if isinstance(value, pd.DataFrame):
        return {name: value[name].astype(str).tolist() for name in value}
    if isinstance(value, np.ndarray):
        return value.tolist()
    return value.item() if isinstance(value, np.generic) else value


def assert_same(first: AnnData, second: AnnData, key: str = "adverscarial") -> None:
    for side in ("obs", "var"):
        before, after = getattr(first, side), getattr(second, side)
        written = [name for name in before if name.startswith(key)]
        assert written
        for name in written:
            pd.testing.assert_series_equal(before[name], after[name], check_categorical=False)
    assert plain(first.uns[key]) == plain(second.uns[key])


def test_cells_have_the_labels_of_full_predictions(cells: AnnData, model: adv.classifiers.Markers) -> None:
    result = adv.attacks.SingleGene("positive_aberrant")(cells, model, **WHERE)
    assert result.genes
    changed = result.apply(cells)
    X = cells.X.copy()
    assert result.to_adata(cells, model) is None
    own = (cells.obs["cell_type"] == WHERE["target"]).to_numpy()
    written = cells.obs.filter(like="adverscarial_")
    assert written[~own].isna().all(axis=None)
    pd.testing.assert_series_equal(
        written.loc[own, "adverscarial_before"].astype(object), model.predict(cells)[own], check_names=False
    )
    pd.testing.assert_series_equal(
        written.loc[own, "adverscarial_after"].astype(object), model.predict(changed)[own], check_names=False
    )
    scores = np.sort(model.scores(cells)[own].to_numpy(), axis=1)
    np.testing.assert_allclose(written.loc[own, "adverscarial_margin"], scores[:, -1] - scores[:, -2], rtol=1e-6)
    assert set(written.loc[own, "adverscarial_cluster_before"]) == {result.baseline}
    assert set(written.loc[own, "adverscarial_cluster_after"]) == {result.label}
    assert (cells.X != X).nnz == 0


def test_genes_have_their_outcome_and_distance(cells: AnnData, model: adv.classifiers.Markers) -> None:
    result = adv.attacks.SingleGene("perc99", genes=GENES[:-1])(cells, model, **WHERE)
    out = result.to_adata(cells, key_added="up", copy=True)
    assert "up" not in cells.uns
    assert not cells.obs.filter(like="up_").size
    table = result.to_frame().set_index("gene")
    assert set(out.var_names[out.var["up_outcome"] == "flipped"]) == set(result.genes)
    assert out.var["up_outcome"].isna().tolist() == [False] * 9 + [True]  # LYZ was left out
    flipped, distance = out.var["up_outcome"] == "flipped", out.var["up_distance"]
    assert (distance[flipped] == 0).all()
    held = out.var_names[out.var["up_outcome"] == "held"]
    assert len(held)
    np.testing.assert_allclose(distance[held], np.maximum(0, 1 - table.loc[held, "lead"]))
    assert "up_before" not in out.obs  # nobody was asked


ATTACKS = [
    adv.attacks.SingleGene("perc99"),
    adv.attacks.MaxChange("perc1"),
    adv.attacks.MinChange("perc1"),
    adv.attacks.ClusterGradientDescent(1, 5, max_genes=5),
    adv.attacks.Grid(GENES[:3], ["perc1", "perc99"]),
    adv.attacks.RandomWalk(GENES[:4], ["random"], tries=5, steps=5),
    adv.attacks.FastGradientSign(0.5),
]


@pytest.mark.slow
@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.name)
def test_files_keep_what_every_attack_writes(
    attack: adv.attacks.Attack, cells: AnnData, model: adv.classifiers.Markers, tmp_path: Path
) -> None:
    result = attack(cells, model, **WHERE)
    result.to_adata(cells, model)
    assert {"adverscarial_before", "adverscarial_after"} <= set(cells.obs)
    for back in stored_and_read(cells, tmp_path):
        assert_same(cells, back)


def test_fragility_of_cells_is_that_of_the_result(cells: AnnData, model: adv.classifiers.Markers) -> None:
    result = adv.attacks.MinChange("perc1")(cells, model, **WHERE)
    result.to_adata(cells)
    told = result.cells.set_index("cell")
    pd.testing.assert_series_equal(
        cells.obs.loc[told.index, "adverscarial_fragility_lower"], told["lower"], check_names=False, check_dtype=False
    )
    shuffled = cells[::-1].copy()
    result.to_adata(shuffled)
    assert (
        shuffled.obs["adverscarial_fragility_lower"]
        .reindex(cells.obs_names)
        .equals(cells.obs["adverscarial_fragility_lower"])
    )


def test_other_cells_are_refused(cells: AnnData, model: adv.classifiers.Markers) -> None:
    result = adv.attacks.SingleGene("perc99")(cells, model, **WHERE)
    with pytest.raises(DataError, match="Pass the data that were attacked"):
        result.to_adata(cells[::2].copy())
    with pytest.raises(DataError, match="genes of the result are not in the data"):
        result.to_adata(cells[:, GENES[:5]].copy())
    with pytest.raises(ParameterError, match="key_added"):
        result.to_adata(cells, key_added="a/b")


def test_a_label_that_is_no_class_has_no_margin() -> None:
    found = margins(np.array(["B", "T", "x"]), np.array([[3.0, 1.0], [1.0, 0.5], [0.0, 0.0]]), ["B", "T"])
    np.testing.assert_array_equal(found, [2.0, -0.5, np.nan])


@pytest.mark.slow
def test_from_a_file_to_a_coloured_embedding(
    pbmc_small: AnnData, model: adv.classifiers.Markers, tmp_path: Path
) -> None:
    import matplotlib

    matplotlib.use("Agg")
    pbmc_small[:, GENES].copy().write_h5ad(tmp_path / "cells.h5ad")
    cells = adv.datasets.load(tmp_path / "cells.h5ad")
    attacks = [adv.attacks.SingleGene("perc99"), adv.attacks.MinChange("perc1")]
    survey = adv.survey(cells, {"rule/1": model}, attacks=attacks, groupby="cell_type", progress=False)
    survey.to_adata(cells, {"rule/1": model})
    start = "adverscarial_rule_1_"
    assert {f"{start}{name}" for name in ("before", "after", "margin", "verdict", "flipping_genes")} <= set(cells.obs)
    assert {f"{start}{name}" for name in ("outcome", "distance", "clusters_flipped")} <= set(cells.var)
    said = model.predict(cells)
    assert (cells.obs[f"{start}before"].astype(object) == said).all()
    verdicts = survey.verdicts().set_index("cluster")
    for cluster, verdict in verdicts["verdict"].items():
        assert set(cells.obs.loc[cells.obs["cell_type"] == cluster, f"{start}verdict"]) == {verdict}
    flips = survey.flipping().groupby("gene")["cluster"].nunique()
    written = cells.var[f"{start}clusters_flipped"]
    assert written[written > 0].astype(int).to_dict() == flips.to_dict()
    for back in stored_and_read(cells, tmp_path):
        assert_same(cells, back)
        pd.testing.assert_index_equal(
            back.uns["adverscarial"]["table"].index, pd.Index(survey.to_frame().index.astype(str))
        )
    sc.pp.pca(cells, n_comps=5)
    sc.pp.neighbors(cells, n_neighbors=5, transformer="sklearn")
    sc.tl.umap(cells, maxiter=5)
    axes = sc.pl.umap(cells, color=[f"{start}verdict", f"{start}margin", f"{start}after"], show=False)
    assert [ax.get_title() for ax in axes] == [f"{start}verdict", f"{start}margin", f"{start}after"]


def test_a_survey_knows_its_classifiers(cells: AnnData, model: adv.classifiers.Markers) -> None:
    survey = adv.survey(
        cells, {"rule": model}, attacks=adv.attacks.SingleGene("perc1"), groupby="cell_type", progress=False
    )
    with pytest.raises(ParameterError, match="no classifier 'rules'"):
        survey.to_adata(cells, {"rules": model})
    out = survey.to_adata(cells, copy=True)
    assert out is not None
    assert "adverscarial_rule_verdict" in out.obs
    assert "adverscarial_rule_before" not in out.obs


def test_modify_in_place_is_the_copy(cells: AnnData) -> None:
    cells.layers["twice"] = cells.X * 2
    for layer in (None, "twice"):
        expected = adv.modify(cells, ["GNLY"], "perc1", layer=layer, **WHERE)
        assert adv.modify(cells, ["GNLY"], "perc1", layer=layer, inplace=True, **WHERE) is None
        for found in ("X", "twice"):
            a, b = (x.X if found == "X" else x.layers[found] for x in (cells, expected))
            assert (a != b).nnz == 0


def test_other_values_than_those_attacked_are_told(
    cells: AnnData, model: adv.classifiers.Markers, caplog: pytest.LogCaptureFixture
) -> None:
    attack = adv.attacks.SingleGene("perc99")
    result = attack(cells, model, **WHERE)
    survey = adv.survey(cells, {"m": model}, attacks=attack, groupby="cell_type", targets=[WHERE["target"]])
    result.to_adata(cells.copy(), model)
    survey.to_adata(cells.copy())
    assert not caplog.records
    other = cells.copy()
    other.X = cells.X[:, ::-1].copy()
    result.to_adata(other, model)
    assert "called those that were attacked" in caplog.text
    caplog.clear()
    survey.to_adata(other)
    assert "not exactly the data that were attacked" in caplog.text
