"""Intervals of clusters, and single cells: what stands where in the figures is what was found."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from matplotlib.colors import to_rgba

import adverscarial as adv
from adverscarial import pl
from adverscarial.attacks import MinChange, SingleGene
from adverscarial.errors import ParameterError
from made_up import needing

TARGETS = ["CD19+ B", "Dendritic", "CD14+ Monocyte"]


@pytest.fixture(scope="module")
def survey(pbmc_small: AnnData) -> adv.Survey:
    models = {"scType": adv.classifiers.ScType(scaled=False), "constant": needing(100)}
    attacks = [MinChange("perc1", genes=list(pbmc_small.var_names[:300]))]
    return adv.survey(pbmc_small, models, attacks=attacks, groupby="cell_type", targets=TARGETS)


def row_of(ax, cluster: str) -> int:
    return [text.get_text() for text in ax.get_yticklabels()].index(cluster)


@pytest.mark.slow
def test_markers_and_lines_stand_where_the_intervals_end(survey) -> None:
    ax = pl.genes_needed(survey, classifier="scType")
    results = {
        task.target: r for task, r in zip(survey.tasks, survey.results, strict=True) if task.classifier == "scType"
    }
    assert any(result.upper is not None for result in results.values())
    drawn = [line.get_xydata().tolist() for line in ax.lines]
    for cluster, result in results.items():
        y = row_of(ax, cluster)
        if result.upper is not None:
            assert [[result.lower, y], [result.upper, y]] in drawn
            assert [[result.upper, y]] in drawn
        elif not result.impossible:
            assert [[result.lower, y]] in drawn
    lowers = [results[text.get_text()].lower for text in ax.get_yticklabels()]
    assert lowers == sorted(lowers)


def test_exact_ends_are_filled_and_others_hollow(survey) -> None:
    ax = pl.genes_needed(survey, classifier="scType")
    for result in survey.results:
        if isinstance(result, adv.attacks.MinChangeResult) and result.classifier == "ScType" and result.upper:
            y = row_of(ax, result.target)
            (marker,) = [
                line for line in ax.lines
                if line.get_xydata().tolist() == [[result.upper, y]] and line.get_marker() not in ("|", "None")
            ]  # fmt: skip
            filled = to_rgba(marker.get_markerfacecolor()) != to_rgba("white")
            assert filled == result.optimal


def test_failed_attacks_are_counted_and_other_surveys_refused(survey, pbmc_small) -> None:
    assert survey.errors
    assert "failed attack" in pl.genes_needed(survey).get_xlabel()
    with pytest.raises(ParameterError, match="no classifier 'scTipe'"):
        pl.genes_needed(survey, classifier="scTipe")
    model = adv.classifiers.ScType(scaled=False)
    other = adv.survey(pbmc_small, model, attacks=SingleGene("perc1"), groupby="cell_type", targets=TARGETS[:1])
    with pytest.raises(ParameterError, match="MinChange"):
        pl.genes_needed(other)


@pytest.fixture
def cells() -> AnnData:
    """Cells of two types with known numbers, two of which nothing flips."""
    lower = np.array([1, 2, 2, 4, 8, np.inf, 3, 3, 3, 10, 20, np.inf])
    upper = np.array([2, 2, 4, 4, np.nan, np.inf, 3, 5, 9, 10, np.nan, np.inf])
    obs = pd.DataFrame(
        {"type": list("aaaaaabbbbbb"), "f_lower": lower, "f_upper": upper}, index=[f"c{i}" for i in range(12)]
    )
    adata = AnnData(np.zeros((12, 2)), obs=obs)
    adata.obsm["X_umap"] = np.random.default_rng(0).normal(size=(12, 2))
    return adata


def test_violins_are_by_type_with_their_medians_and_say_never(cells) -> None:
    ax = pl.fragility(cells, "type", key="f")
    assert [text.get_text() for text in ax.get_xticklabels()] == ["a", "b"]
    medians = [line.get_ydata()[0] for line in ax.lines]
    assert medians == pytest.approx(np.log10([2, 3]))
    assert [text.get_text() for text in ax.texts] == ["never\n17%", "never\n17%"]
    assert len(ax.collections) == 2


def test_few_cells_are_points(cells) -> None:
    ax = pl.fragility(cells[:4], "type", key="f")
    points = [line for line in ax.lines if line.get_marker() == "o"]
    assert 10 ** points[0].get_ydata() == pytest.approx([1, 2, 2, 4])


def test_every_cell_is_coloured_by_its_number(cells) -> None:
    ax = pl.fragility_umap(cells, key="f")
    grey, coloured = ax.collections
    assert len(grey.get_offsets()) == 2
    places = {tuple(place): number for place, number in zip(cells.obsm["X_umap"], cells.obs["f_lower"], strict=True)}
    shown = [places[tuple(place)] for place in np.asarray(coloured.get_offsets())]
    assert coloured.get_array().tolist() == shown == sorted(shown, reverse=True)
    assert "17%" in ax.get_title("right")


def test_shares_of_cells_are_counted_at_every_step(cells) -> None:
    ax = pl.flippable(cells, keys="f")
    for line, end in zip(ax.lines[:2], ("f_lower", "f_upper"), strict=True):
        for k, share in zip(*line.get_data(), strict=True):
            assert share == pytest.approx((cells.obs[end] <= k).mean())
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["f: at most", "f: found"]
    cells.obs["f_upper"] = cells.obs["f_lower"]
    assert len(pl.flippable(cells, keys="f").lines) == 1


def test_what_is_missing_is_said(cells) -> None:
    for draw in (lambda key: pl.fragility(cells, "type", key=key), lambda key: pl.fragility_umap(cells, key=key)):
        with pytest.raises(ParameterError, match=r"adverscarial\.fragility"):
            draw("g")
    with pytest.raises(ParameterError, match=r"adverscarial\.fragility"):
        pl.flippable(cells, keys=["f", "g"])
    with pytest.raises(ParameterError, match="X_tsne"):
        pl.fragility_umap(cells, key="f", basis="X_tsne")
    cells.obs["f_lower"] = np.inf
    with pytest.raises(ParameterError, match="nothing to draw"):
        pl.fragility(cells, "type", key="f")


@pytest.mark.slow
def test_long_names_stand_below_each_other_in_the_legend_and_leave_room_for_the_lines(survey) -> None:
    names = [f"a classifier of many cells and genes, number {i}" for i in range(4)]
    kept = [
        (task, result)
        for task, result in zip(survey.tasks, survey.results, strict=True)
        if task.classifier == "scType" and result is not None
    ]
    tasks = tuple(task._replace(classifier=name) for name in names for task, _ in kept)
    many = adv.Survey(survey.plan, tasks, tuple(result for _ in names for _, result in kept), {})
    ax = pl.genes_needed(many)
    ax.figure.draw_without_rendering()
    legend = ax.get_legend()
    assert [text.get_text() for text in legend.get_texts()] == names
    tops = [text.get_window_extent().y0 for text in legend.get_texts()]
    assert tops == sorted(tops, reverse=True)
    assert len(set(tops)) == len(names)
    assert ax.get_window_extent().width > 0.4 * ax.figure.bbox.width
