from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pytest
import scanpy as sc
from anndata import AnnData
from matplotlib.text import Text
from scipy.sparse import csr_matrix, issparse
from scipy.spatial.distance import cdist
from scipy.stats import f_oneway

import adverscarial as adv
from adverscarial.attacks import MaxChange, Result, SingleGene
from adverscarial.errors import DataError, ParameterError
from adverscarial.pl import umap
from adverscarial.pl._pair import Pair
from adverscarial.pl.umap import _graph, _variable_genes

pytestmark = pytest.mark.slow

MODEL = adv.classifiers.ScType(scaled=False)
TARGET = "Dendritic"


@pytest.fixture(scope="module")
def cells(pbmc_small: AnnData) -> AnnData:
    return pbmc_small[::3].copy()


def shift(adata: AnnData, layer: str | None = None) -> Result:
    """Return an attack on a gene that the classifier does not read."""
    found = MaxChange("positive_aberrant", genes=["ITGB2"])(
        adata, MODEL, groupby="cell_type", target=TARGET, layer=layer
    )
    assert found.genes == ["ITGB2"]
    return found


@pytest.fixture(scope="module")
def result(cells: AnnData) -> Result:
    found = SingleGene("positive_aberrant", genes=["CD79A"])(cells, MODEL, groupby="cell_type", target=TARGET)
    assert found.genes == ["CD79A"]
    return found


def places(ax: plt.Axes) -> tuple[np.ndarray, np.ndarray]:
    """Return where the other cells and the attacked ones stand."""
    rest, attacked = (np.asarray(collection.get_offsets()) for collection in ax.collections)
    return rest, attacked


def names(ax: plt.Axes) -> list[Text]:
    """Return the names of the clusters; lines that lead to them are annotations without a text."""
    return [text for text in ax.texts if text.get_text()]


def test_only_the_attacked_cells_move(cells, result):
    before, after = umap(cells, result)
    n = int((cells.obs["cell_type"] == TARGET).sum())
    (rest, old), (same, new) = places(before), places(after)
    assert len(old) == len(new) == n
    assert len(rest) == cells.n_obs - n
    assert np.array_equal(rest, same)
    assert not np.allclose(old, new)
    assert before.get_xlim() == after.get_xlim()
    assert before.get_ylim() == after.get_ylim()
    everything = np.concatenate([rest, old, new])
    assert (everything.min(axis=0) > (before.get_xlim()[0], before.get_ylim()[0])).all()
    assert (everything.max(axis=0) < (before.get_xlim()[1], before.get_ylim()[1])).all()
    for ax in (before, after):
        assert {text.get_text() for text in names(ax)} == set(cells.obs["cell_type"])


def test_cells_that_left_the_data_stand_apart(cells, result):
    before, after = umap(cells, result)
    (rest, old), (_, new) = places(before), places(after)
    assert np.median(cdist(new, rest).min(axis=1)) > 3 * np.median(cdist(old, rest).min(axis=1))
    assert np.median(cdist(new, old).min(axis=1)) > 3 * np.median(cdist(old, rest).min(axis=1))


def test_cells_that_hardly_changed_stay(cells):
    attack = MaxChange("decile+1", genes=["LYZ"])
    found = attack(cells, MODEL, groupby="cell_type", target=TARGET)
    before, after = umap(cells, found)
    (_, old), (_, new) = places(before), places(after)
    moved = np.linalg.norm(new - old, axis=1)
    assert np.median(moved) < 0.1 * np.ptp(np.concatenate(places(before)))


def test_the_same_seed_gives_the_same_picture(cells, result):
    def both(seed: int) -> np.ndarray:
        return np.concatenate([part for ax in umap(cells, result, seed=seed) for part in places(ax)])

    first = both(0)
    assert np.array_equal(first, both(0))
    assert not np.allclose(first, both(1))


def test_the_layer_of_the_result_is_drawn(cells, result):
    layered = cells.copy()
    layered.layers["here"] = layered.X.copy()
    layered.X = layered.X * 0
    drawn = umap(layered, shift(layered, "here"))
    for left, right in zip(drawn, umap(cells, shift(cells)), strict=True):
        assert np.array_equal(places(left)[1], places(right)[1])


def test_variable_genes_of_logarithms_are_scanpys(cells, result):
    table = sc.pp.highly_variable_genes(cells, n_top_genes=50, flavor="seurat", inplace=False)
    expected = np.flatnonzero(table["highly_variable"])
    assert np.array_equal(_variable_genes(cells, Pair(cells, result), 50), expected)


def test_variable_genes_of_z_scores(cells, result):
    scaled = adv.datasets.preprocess(cells, target_sum=None)
    pair = Pair(scaled, shift(scaled))
    found = _variable_genes(scaled, pair, 50)
    assert np.array_equal(found, _variable_genes(cells, Pair(cells, result), 50))
    del scaled.layers["lognorm"]
    groups = [scaled.X[(scaled.obs["cell_type"] == name).to_numpy()] for name in scaled.obs["cell_type"].unique()]
    with np.errstate(invalid="ignore", divide="ignore"):
        f = np.nan_to_num(f_oneway(*groups).statistic)
    assert set(_variable_genes(scaled, pair, 50)) == set(np.argsort(-f)[:50])


@pytest.mark.parametrize("form", [np.asarray, csr_matrix])
def test_counts_need_no_preparation(cells, form):
    counted = cells.copy()
    counted.X = form(np.expm1(cells.X.toarray()).round().astype(int))
    pair = Pair(counted, shift(counted))
    assert pair.counts
    normalised = AnnData(np.expm1(cells.X.toarray()).round())
    sc.pp.normalize_total(normalised, target_sum=1e4)
    sc.pp.log1p(normalised)
    some = np.array([3, 1, 700])
    np.testing.assert_allclose(pair.before(some), normalised.X[:, some], rtol=1e-5)
    every = pair.lognorm()
    assert issparse(every) == issparse(counted.X)
    np.testing.assert_allclose(every.toarray() if issparse(every) else every, normalised.X, rtol=1e-5)
    assert np.isfinite(pair.after(some)).all()
    table = sc.pp.highly_variable_genes(normalised, n_top_genes=20, flavor="seurat", inplace=False)
    assert np.array_equal(_variable_genes(counted, pair, 20), np.flatnonzero(table["highly_variable"]))


def test_names_do_not_cover_each_other_and_stay_inside(cells, result):
    before, after = umap(cells, result)
    before.figure.canvas.draw()
    assert before.figure.get_figwidth() * 25.4 == pytest.approx(183)
    for ax in (before, after):
        boxes = [text.get_window_extent() for text in names(ax)]
        overlaps = [(a, b) for i, a in enumerate(boxes) for b in boxes[:i] if a.overlaps(b)]
        assert not overlaps
        frame = ax.get_window_extent()
        assert all(frame.x0 - 1 <= box.x0 and box.x1 <= frame.x1 + 1 for box in boxes)


def test_names_of_clusters_that_stay_stand_where_they_stood(cells, result):
    before, after = umap(cells, result)
    old, new = ({text.get_text(): text.xyann for text in names(ax)} for ax in (before, after))
    for name in old.keys() - {TARGET}:
        assert new[name] == pytest.approx(old[name]), name


@pytest.mark.parametrize("n", [300, 4_200])  # scanpy's own way from 4,096 cells on fails with pynndescent 0.7
def test_the_graph_is_that_of_cosine_distances(n):
    components = np.random.default_rng(0).normal(size=(n, 3))
    graph = AnnData(obsm={"X_pca": components})
    sc.pp.neighbors(graph, 15, use_rep="X_pca", metric="cosine", transformer="sklearn")
    found = _graph(components, 15)
    assert abs(found.obsp["distances"] / 2 - graph.obsp["distances"]).max() < 1e-6
    assert abs(found.obsp["connectivities"] - graph.obsp["connectivities"]).max() < 1e-4


def test_the_data_stay_as_they_are_and_the_axes_are_those_given(cells, result):
    adata = cells.copy()
    figure, axes = plt.subplots(1, 2)
    assert umap(adata, result, axes=tuple(axes)) == tuple(axes)
    assert plt.get_fignums() == [figure.number]
    assert (adata.X != cells.X).nnz == 0
    assert not adata.uns
    assert not adata.obsm
    assert not adata.obsp


def test_few_cells_are_enough_and_too_few_are_refused(cells):
    own = (cells.obs["cell_type"] == TARGET).to_numpy()
    few = cells[np.concatenate([np.flatnonzero(own)[:8], np.flatnonzero(~own)[:12]])].copy()
    before, _ = umap(few, shift(few))
    assert sum(map(len, places(before))) == 20
    tiny = few[3:12].copy()
    with pytest.raises(DataError, match="9 cells are too few"):
        umap(tiny, shift(tiny))


@pytest.mark.parametrize("draw", [umap, adv.pl.heatmap])
def test_a_gene_that_is_named_is_drawn(cells, draw):
    attack = SingleGene("positive_aberrant", genes=["CD79A", "CD79B", "ITGB2"])
    found = attack(cells, MODEL, groupby="cell_type", target=TARGET)
    assert found.genes
    row = found.to_frame().set_index("gene").loc["ITGB2"]
    assert row["outcome"] == "held"
    _, after = draw(cells, found, gene="ITGB2")
    assert after.get_title("left") == f"After: called {found.baseline} ({row['share']:.0%} of the cells)"
    pair = Pair(cells, found, "ITGB2")
    assert pair.genes[pair.changed].tolist() == ["ITGB2"]
    with pytest.raises(ParameterError, match="did not test 'LYZ'"):
        draw(cells, found, gene="LYZ")
    with pytest.raises(ParameterError, match="gene= chooses among genes that were changed one at a time"):
        draw(cells, shift(cells), gene="ITGB2")


def test_bad_requests_are_refused_in_words(cells, result):
    with pytest.raises(ParameterError, match="n_neighbors must be a whole number and at least 1, got 0"):
        umap(cells, result, n_neighbors=0)
    with pytest.raises(ParameterError, match="Expected the result of an attack, got a str"):
        umap(cells, "result")
    with pytest.raises(ParameterError, match=r"arguments are swapped.*pl.umap\(adata, result\)"):
        umap(result, cells)
    nothing = SingleGene("perc1", genes=["LYZ"])(cells, MODEL, groupby="cell_type", target=TARGET)
    assert not nothing.genes
    with pytest.raises(ParameterError, match="No single gene flips the label"):
        umap(cells, nothing)
