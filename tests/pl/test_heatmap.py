from __future__ import annotations

import dataclasses
import sys

import matplotlib.pyplot as plt
import numpy as np
import pytest
from anndata import AnnData
from matplotlib.text import Annotation
from scipy.cluster.hierarchy import dendrogram, linkage
from scipy.spatial.distance import pdist

import adverscarial as adv
from adverscarial.attacks import ClusterGradientDescent, MaxChange, Result
from adverscarial.errors import DataError, MissingDependencyError, ParameterError
from adverscarial.pl import heatmap

GENES = ["CD3D", "CD79A", "LYZ", "NKG7", "CD79B", "IL7R", "GNLY", "MS4A1"]
MODEL = adv.classifiers.ScType(scaled=False)
TARGET = "Dendritic"


@pytest.fixture(scope="module")
def result(pbmc_small: AnnData) -> Result:
    attack = ClusterGradientDescent(2, 2, genes=["CD79A", "LYZ", "CST3", "NKG7"], stop_at_switch=False)
    found = attack(pbmc_small, MODEL, groupby="cell_type", target=TARGET)
    assert found.genes == ["CD79A", "LYZ", "CST3"]
    return found


@pytest.fixture(scope="module")
def dropped(pbmc_small: AnnData) -> Result:
    """Every gene moves."""
    attack = adv.attacks.FastGradientSign(epsilon=0.5)
    train, _ = adv.datasets.split(pbmc_small, "cell_type", seed=0)
    model = adv.classifiers.MLP(epochs=2, seed=0).fit(train, "cell_type")
    return attack(pbmc_small, model, groupby="cell_type", target=TARGET)


def drawn(ax: plt.Axes) -> np.ndarray:
    mesh = ax.collections[0]
    return np.asarray(mesh.get_array()).reshape(mesh.get_coordinates().shape[0] - 1, -1)


def clusters(ax: plt.Axes) -> list[str]:
    return [label.get_text() for label in ax.get_xticklabels()]


def note(figure: plt.Figure) -> str:
    return " ".join(text.get_text() for ax in figure.axes for text in ax.texts if "drawn" in text.get_text())


def names(figure: plt.Figure) -> set[str]:
    return {t.get_text() for ax in figure.axes for t in ax.findobj(Annotation) if "drawn" not in t.get_text()} - {""}


def dense(adata: AnnData, genes: list[str]) -> np.ndarray:
    return adata[:, genes].X.toarray().astype(float)


def test_both_panels_show_the_values_less_the_median(pbmc_small, result):
    before, after = heatmap(pbmc_small, result, genes=GENES, max_cells=1_000)
    genes = [*GENES, *(gene for gene in result.genes if gene not in GENES)]
    old, new = dense(pbmc_small, genes), dense(result.apply(pbmc_small), genes)
    centre = np.median(old, axis=0)
    for ax, values in ((before, old), (after, new)):
        image, start = drawn(ax), 0
        limit = ax.collections[0].get_clim()[1]
        tree = linkage(pdist((old - centre).T), "complete")
        rows = dendrogram(tree, no_plot=True)["leaves"]
        for cluster in clusters(ax):
            block = np.clip(
                (values - centre)[(pbmc_small.obs["cell_type"] == cluster).to_numpy()][:, rows], -limit, limit
            )
            part = image[:, start : start + len(block)].T
            start += len(block)
            np.testing.assert_allclose(part[np.lexsort(part.T)], block[np.lexsort(block.T)], atol=1e-6)
        assert start == image.shape[1] == pbmc_small.n_obs


def test_only_the_attack_differs_and_its_genes_have_ticks(pbmc_small, result):
    before, after = heatmap(pbmc_small, result, genes=GENES)
    assert clusters(before) == clusters(after)
    differs = drawn(before) != drawn(after)
    counts = pbmc_small.obs["cell_type"].value_counts().clip(upper=100)
    start = sum(counts[name] for name in clusters(before)[: clusters(before).index(TARGET)])
    columns = np.flatnonzero(differs.any(axis=0))
    assert start <= columns.min()
    assert columns.max() < start + counts[TARGET]
    assert [int(tick) for tick in after.get_yticks()] == np.flatnonzero(differs.any(axis=1)).tolist()
    assert len(after.get_yticks()) == len(result.genes)
    assert names(before.figure) == set(result.genes)
    frame = after.patches[0]
    assert (frame.get_x(), frame.get_width()) == (start, counts[TARGET])


@pytest.mark.slow
def test_many_changed_genes_are_cut_to_a_readable_number(pbmc_small, dropped):
    changed = dense(dropped.apply(pbmc_small), list(pbmc_small.var_names)) != pbmc_small.X.toarray()
    total = int(changed.any(axis=0).sum())
    assert total > 300
    before, after = heatmap(pbmc_small, dropped, genes=GENES, max_changed=50)
    assert drawn(after).shape[0] == len(GENES) + 50
    shown = len(after.get_yticks())
    assert 50 <= shown <= 58
    assert f"{shown} of the {total} changed genes are drawn" in note(before.figure)
    assert 0 < len(names(before.figure)) <= 35


@pytest.mark.slow
def test_cells_are_drawn_by_seed(pbmc_small, result):
    def image(seed: int) -> np.ndarray:
        before, _ = heatmap(pbmc_small, result, genes=GENES, max_cells=20, seed=seed)
        assert "at most 20 cells of each cluster" in note(before.figure)
        return drawn(before)

    sizes = pbmc_small.obs["cell_type"].value_counts().clip(upper=20)
    first = image(0)
    assert first.shape[1] == sizes.sum()
    assert np.array_equal(first, image(0))
    assert not np.array_equal(first, image(1))


def test_genes_are_ranked_when_none_are_named(pbmc_small, result):
    before, _ = heatmap(pbmc_small, result, n_genes=12)
    ranked = adv.rank_genes(pbmc_small, "cell_type")[:12]
    assert drawn(before).shape[0] == len(set(ranked) | set(result.genes))


def test_counts_are_normalised_and_layers_are_read(pbmc_small, result):
    counted = pbmc_small.copy()
    counted.layers["counts"] = np.expm1(pbmc_small.X.toarray()).round()
    attack = MaxChange("perc99", genes=["ITGB2"])
    found = attack(counted, MODEL, groupby="cell_type", target=TARGET, layer="counts")
    before, _ = heatmap(counted, found, genes=GENES, max_cells=1_000)
    counts = counted.layers["counts"]
    expected = np.log1p(counts / counts.sum(axis=1, keepdims=True) * 1e4)
    expected = expected[:, counted.var_names.get_indexer([*GENES, "ITGB2"])]
    limit = before.collections[0].get_clim()[1]
    expected = np.clip(expected - np.median(expected, axis=0), -limit, limit)
    np.testing.assert_allclose(np.sort(drawn(before).sum(axis=1)), np.sort(expected.sum(axis=0)), rtol=1e-4)


@pytest.mark.slow
def test_it_is_a_page_wide_and_nothing_is_cut(pbmc_small, dropped):
    before, after = heatmap(pbmc_small, dropped, genes=GENES)
    figure = before.figure
    assert figure.get_figwidth() * 25.4 == pytest.approx(183, abs=0.5)
    figure.canvas.draw()
    for ax in figure.axes:
        box = ax.get_tightbbox()
        if box is not None and ax.axison:
            assert box.x0 >= -1
            assert box.y0 >= -1
            assert box.x1 <= figure.bbox.x1 + 1
            assert box.y1 <= figure.bbox.y1 + 1
    x = before.get_xticks()
    assert (np.diff(x) > 0).all()
    assert x[-1] <= drawn(before).shape[1]
    assert {text.get_fontsize() for ax in (before, after) for text in ax.get_xticklabels()} == {7}


def test_a_title_of_two_lines_is_not_cut(pbmc_small, result):
    long = dataclasses.replace(result, baseline="Natural killer cells of the blood, and some others of them")
    before, _ = heatmap(pbmc_small, long, genes=GENES)
    figure = before.figure
    figure.canvas.draw()
    title = before.get_title(loc="left")
    assert "\n" in title
    (drawn_title,) = [text for text in before.findobj(plt.Text) if text.get_text() == title]
    assert drawn_title.get_window_extent().y1 <= figure.bbox.y1


def test_the_data_stay_as_they_are_and_the_figure_is_the_one_given(pbmc_small, result):
    adata = pbmc_small.copy()
    figure = plt.figure()
    before, _ = heatmap(adata, result, genes=GENES, figure=figure)
    assert before.figure is figure
    assert plt.get_fignums() == [figure.number]
    assert (adata.X != pbmc_small.X).nnz == 0
    assert not adata.uns
    assert not adata.obsm


def test_it_says_what_to_install(pbmc_small, result, monkeypatch):
    monkeypatch.setitem(sys.modules, "marsilea", None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'adverscarial\[figures\]'"):
        heatmap(pbmc_small, result)


def test_bad_requests_are_refused_in_words(pbmc_small, result):
    with pytest.raises(ParameterError, match="n_genes must be a whole number and at least 1"):
        heatmap(pbmc_small, result, n_genes=0)
    with pytest.raises(ParameterError, match="Expected the result of an attack, got a DataFrame"):
        heatmap(pbmc_small, result.to_frame())
    with pytest.raises(DataError, match="not in the data: 'nothing'"):
        heatmap(pbmc_small, result, genes=["nothing"])
    still = MaxChange("decile+0", genes=["LYZ"])
    nothing = still(pbmc_small, MODEL, groupby="cell_type", target=TARGET)
    with pytest.raises(ParameterError, match=f"changes no value of cluster '{TARGET}'"):
        heatmap(pbmc_small, nothing)
