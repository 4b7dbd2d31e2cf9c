"""Which modification does most harm, whatever the cluster? The paper's Fig. 2C."""

from __future__ import annotations

from typing import TYPE_CHECKING, Unpack

import numpy as np

from adverscarial.pl._figures import figure
from adverscarial.pl._grids import chosen_grids, footnote, title
from adverscarial.pl._options import Options, colours
from adverscarial.pl._style import COLUMN, FONT, PAGE, PALETTE, new_axes, plain, ticks_of_counts

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from adverscarial.surveys.grid import Grid
    from adverscarial.surveys.table import Survey

_GAP = 1.0  # between two classifiers, in boxes
_LETTER = 0.25  # width of a letter of a classifier's name, in boxes


@figure("Which modification does most harm, whatever the cluster?")
def impact(
    survey: Survey, *, kind: str = "single", classifier: str | None = None, ax: Axes | None = None,
    **options: Unpack[Options],
) -> Axes:  # fmt: skip
    """Draw one box per classifier and modification, and in it one point per cluster.

    Parameters
    ----------
    %(survey_counted)s

    Returns
    -------
    The Axes, classifiers beside each other. The vertical axis is logarithmic from 1 upwards and linear below, so that 0
    has its position. Boxes reach from the lower to the upper quartile, whiskers as far as 1.5 times that; within each,
    the clusters stand from left to right in the survey's order. Failed attacks have no point, and a note says how many
    there are.

    Raises
    ------
    %(no_such_attack)s

    Notes
    -----
    Fig. 2C of the paper: modifications, by classifier, over all clusters.

    %(survey_example)s
    >>> impact(found).get_ylabel().splitlines()
    ['Single genes that flip the label', 'per cluster']
    """
    grids = chosen_grids(survey, kind, classifier)
    headings = list(dict.fromkeys(heading for grid in grids for heading in grid.headings))
    own = colours(PALETTE, headings)
    fills = {heading: own[i % len(own)] for i, heading in enumerate(headings)}
    if ax is None:
        ax = new_axes(min(PAGE, max(COLUMN, 0.6 + 0.26 * sum(_room(grid) + _GAP for grid in grids))))
    ax.set_yscale("symlog", linthresh=1, linscale=0.4)
    ticks: list[float] = []
    start = 0.0
    for grid in grids:
        positions = start + (_room(grid) - len(grid.headings)) / 2 + np.arange(len(grid.headings))
        for position, heading in zip(positions, grid.headings, strict=True):
            counts = [entry.value for entry in grid.done if entry.heading == heading and entry.value is not None]
            _box(ax, float(position), np.array(counts, dtype=float), fills[heading])
        ticks += positions.tolist()
        ax.text(float(positions.mean()), 1.01, grid.classifier, transform=ax.get_xaxis_transform(), ha="center",
                va="bottom", fontsize=FONT, fontweight="bold")  # fmt: skip
        start += _room(grid) + _GAP
    ax.set_xticks(ticks, [heading for grid in grids for heading in grid.headings], rotation=40, ha="right",
                  rotation_mode="anchor")  # fmt: skip
    ax.set(xlim=(-0.5 - _GAP / 2, start - 0.5 - _GAP / 2), ylabel=f"{title(grids)}\nper cluster")
    _count_axis(ax, max((value for grid in grids for value in grid.values), default=0))
    plain(ax)
    ax.set_xlabel(_note(grids), fontsize=FONT - 1, loc="left")
    return ax


def _room(grid: Grid) -> float:
    """Return the width that a classifier takes, in boxes: that of its boxes, or of its name where that is longer."""
    return max(float(len(grid.headings)), _LETTER * len(grid.classifier))


def _box(ax: Axes, position: float, counts: np.ndarray, colour: str) -> None:
    """Draw the box of one modification, and its clusters as points beside each other."""
    if not len(counts):
        return
    line = {"color": colour, "linewidth": 0.8}
    ax.boxplot([counts], positions=[position], widths=0.7, showfliers=False, patch_artist=True,
               boxprops={"facecolor": colour + "40", "edgecolor": colour, "linewidth": 0.8},
               medianprops={"color": colour, "linewidth": 1.6}, whiskerprops=line, capprops=line)  # fmt: skip
    ax.scatter(
        position + 0.6 * ((np.arange(len(counts)) + 0.5) / len(counts) - 0.5),
        counts,
        s=5,
        color=colour,
        edgecolor="white",
        linewidth=0.3,
        zorder=3,
    )


def _count_axis(ax: Axes, largest: int) -> None:
    """Label 0, and 1, 2, 5, 10, ... up to the largest number."""
    top = max(largest, 1)
    ticks, texts = ticks_of_counts(top)
    ax.set_yticks([0, *ticks], ["0", *texts])
    ax.minorticks_off()
    ax.set_ylim(-0.25, 1.4 * top)


def _note(grids: list[Grid]) -> str:
    """Return what must be said below the picture."""
    failed = sum(len(grid.failed) for grid in grids)
    notes = [footnote(grids)] if footnote(grids) else []
    if failed:
        notes.append(f"{failed:,} failed attack{'s' if failed > 1 else ''} not drawn")
    return "\n".join(notes)
