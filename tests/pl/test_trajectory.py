from __future__ import annotations

from dataclasses import replace

import matplotlib.pyplot as plt
import numpy as np
import pytest
from anndata import AnnData

import adverscarial as adv
from adverscarial.attacks import ClusterGradientDescent, ClusterGradientDescentResult, SingleGene
from adverscarial.errors import ParameterError
from adverscarial.pl import trajectory
from pl.fits import fits_a_column

GENES = ["CD79A", "CD79B", "MS4A1", "LYZ", "CST3", "NKG7", "GNLY", "CD3D", "IL7R"]


@pytest.fixture(scope="module")
def result(pbmc_small: AnnData) -> ClusterGradientDescentResult:
    attack = ClusterGradientDescent(2, 2, genes=GENES, stop_at_switch=False)
    model = adv.classifiers.ScType(scaled=False)
    found = attack(pbmc_small, model, groupby="cell_type", target="CD19+ B")
    assert found.success
    assert 0 < len(found.modified_genes) < len(GENES)
    return found


def texts(ax: plt.Axes) -> list[str]:
    return [text.get_text() for text in ax.texts]


def upright(ax: plt.Axes) -> list[float]:
    """Return where the vertical lines stand that cross the whole picture."""
    return [float(line.get_xdata()[0]) for line in ax.get_lines() if len(set(line.get_xdata())) == 1]


def test_lines_are_the_steps(result):
    share = trajectory(result)
    score = share.figure.axes[1]
    for ax, kind in ((share, "share"), (score, "score")):
        for line, side in zip(ax.get_lines()[:2], ("original", "new"), strict=True):
            name = f"{side}_{kind}"
            assert line.get_xdata().tolist() == list(range(len(GENES) + 1))
            assert line.get_ydata().tolist() == [result.start[name], *result.steps[name]]
    legend = [text.get_text() for text in share.get_legend().get_texts()]
    assert legend[0] == f"original: {result.baseline}"
    assert result.steps["new_label"].iloc[-1] in legend[1]


def test_lines_differ_without_colour(result):
    original, new = trajectory(result).get_lines()[:2]
    assert original.is_dashed()
    assert not new.is_dashed()


def test_the_switch_is_the_first_step_with_another_label(result):
    steps = result.steps
    first = steps[steps["label"] != result.baseline].iloc[0]
    ax = trajectory(result)
    assert upright(ax) == upright(ax.figure.axes[1]) == [first["order"]]
    assert f"switch: {first['gene']}" in texts(ax)


def test_no_switch_is_marked_where_the_label_held(pbmc_small):
    attack = ClusterGradientDescent(0.1, 0, genes=["CD79A", "CD79B"])
    held = attack(pbmc_small, adv.classifiers.ScType(scaled=False), groupby="cell_type", target="CD19+ B")
    assert not held.success
    ax = trajectory(held)
    assert upright(ax) == []
    assert not any("switch" in text for text in texts(ax))


def test_ticks_are_the_genes_that_moved(result):
    segments = trajectory(result).collections[0].get_segments()
    expected = result.steps.query("n_cells_changed > 0")["order"]
    assert [segment[0][0] for segment in segments] == expected.tolist()


def test_a_changing_runner_up_is_named_along_the_path(result):
    others = np.array(["A"] * 4 + ["Another name"] * 5)
    several = replace(result, start={**result.start, "new_label": "A"}, step_new_label=others)
    ax = trajectory(several)
    assert {"A", "Another name"} <= set(texts(ax))
    spans = [(patch.get_x(), patch.get_x() + patch.get_width()) for patch in ax.patches]
    assert spans == [(0, 5), (5, 9)]
    assert "runner-up, at last Another name" in ax.get_legend().get_texts()[1].get_text()
    assert not trajectory(replace(several, step_new_label=np.full(9, "A"))).patches


def test_it_fits_a_column_and_nothing_is_cut(result):
    fits_a_column(trajectory(result).figure)


def test_given_axes_show_the_shares_only(result):
    figure, axes = plt.subplots(1, 2)
    assert trajectory(result, ax=axes[0]) is axes[0]
    assert figure.axes == list(axes)
    assert not axes[1].lines
    assert axes[0].get_xlabel() == "Genes tested"


def test_other_results_are_refused(result, pbmc_small):
    by_step = [name for name in result.arrays() if name in ("gene", "n_changed", "outcome") or name.startswith("step_")]
    model = adv.classifiers.ScType(scaled=False)
    other = SingleGene("perc1", genes=["LYZ"])(pbmc_small, model, groupby="cell_type", target="Dendritic")
    with pytest.raises(ParameterError, match=r"got a SingleGeneResult\. Run that attack, or draw"):
        trajectory(other)
    with pytest.raises(ParameterError, match="No gene was tested"):
        trajectory(replace(result, **{name: values[:0] for name, values in result.arrays().items() if name in by_step}))
