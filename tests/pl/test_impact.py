from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pytest

from adverscarial.pl import impact
from pl.fits import fits_a_column


def boxes(ax: plt.Axes) -> dict[tuple[str, str], list[float]]:
    """Return the heights of the points as they stand in the picture, by classifier and modification."""
    heads = {text.get_position()[0]: text.get_text() for text in ax.texts}
    ticks = {x: label.get_text() for x, label in zip(ax.get_xticks(), ax.get_xticklabels(), strict=True)}
    found = {}
    for points in ax.collections:
        x, y = np.asarray(points.get_offsets()).T
        place = min(ticks, key=lambda tick: abs(tick - x.mean()))
        assert np.abs(x - place).max() < 0.5
        assert (np.diff(x) > 0).all()
        found[heads[min(heads, key=lambda head: abs(head - place))], ticks[place]] = y.tolist()
    return found


@pytest.mark.fast(1)
@pytest.mark.parametrize(
    ("kind", "attack", "column"), [("single", "SingleGene", "flipped"), ("max", "MaxChange", "signature")]
)
def test_points_are_the_numbers_of_the_frame(survey, kind, attack, column):
    frame = survey.to_frame().query("attack == @attack and error.isna()")
    drawn = boxes(impact(survey, kind=kind))
    expected = frame.groupby(["classifier", "modification"], sort=False)[column].apply(list).to_dict()
    assert drawn == expected
    assert any(count > 0 for counts in drawn.values() for count in counts)


def test_boxes_show_medians(survey):
    ax = impact(survey, classifier="scType")
    drawn = boxes(ax)
    thick = [line.get_ydata()[0] for line in ax.get_lines() if line.get_linewidth() == 1.6]
    assert thick == [np.median(counts) for counts in drawn.values()]


def test_zeros_are_on_the_axis(survey):
    ax = impact(survey)
    assert any(0 in counts for counts in boxes(ax).values())
    assert ax.get_yscale() == "symlog"
    assert ax.get_ylim()[0] < 0
    labels = [label.get_text() for label in ax.get_yticklabels()]
    assert labels[:2] == ["0", "1"]
    inside = ax.transData.inverted().transform(ax.transAxes.transform([(0, 0), (0, 1)]))[:, 1]
    assert all(inside[0] < count < inside[1] for counts in boxes(ax).values() for count in counts)


@pytest.mark.slow
def test_failures_and_bounds_are_said(survey):
    failed = survey.to_frame().query("attack == 'SingleGene'")["error"].notna().sum()
    note = impact(survey).get_xlabel()
    assert f"{failed} failed attacks not drawn" in note
    assert "not every gene was tested alone" in note
    assert impact(survey, classifier="scType").get_xlabel() == ""


def test_it_fits_a_column_and_nothing_is_cut(survey):
    fits_a_column(impact(survey).figure)


def test_it_draws_on_given_axes(survey):
    figure, axes = plt.subplots(1, 2)
    assert impact(survey, ax=axes[1]) is axes[1]
    assert plt.get_fignums() == [figure.number]
    assert not axes[0].collections
