"""Which modification does most harm, whatever the cluster? The paper's Fig. 2C."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np

from adverscarial.pl._grids import TITLES, chosen_grids, footnote
from adverscarial.pl._style import COLUMN, FONT, PAGE, PALETTE, new_axes, plain, ticks_of_counts

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from adverscarial.evaluation.survey import Survey
    from adverscarial.report.grid import Grid

_GAP = 1.0  # between two classifiers, in boxes


def impact(
    survey: Survey, *, kind: Literal["single", "max"] = "single", classifier: str | None = None, ax: Axes | None = None
) -> Axes:
    """Draw one box per classifier and modification, and in it one point per cluster.

    Parameters
    ----------
    survey
        What :func:`adverscarial.survey` returned.
    kind
        ``"single"``: how many genes flip the label alone. ``"max"``: how many genes must stay (the signature) while all
        others are rewritten at once.
    classifier
        Draw this one only; all beside each other, when left out.
    ax
        Where to draw; a new figure of one journal column (89 mm), or wider for many boxes, when left out.

    Returns
    -------
    The Axes. The vertical axis is logarithmic from 1 upwards and linear below, so that 0 has its place. Boxes reach
    from the lower to the upper quartile, whiskers as far as 1.5 times that; within each, the clusters stand from left
    to right in the survey's order. Failed attacks have no point, and a note says how many there are.

    Raises
    ------
    ParameterError
        If `kind` is something else, the survey had no such attack, or no such classifier.

    Notes
    -----
    Fig. 2C of the paper: modifications, by classifier, over all clusters.

    Examples
    --------
    >>> import adverscarial as adv
    >>> model, attack = adv.classifiers.ScType(scaled=False), adv.attacks.SingleGene("perc99")
    >>> found = adv.survey(adv.datasets.embedded(), model, attacks=attack, groupby="cell_type", targets=["Dendritic"])
    >>> impact(found).get_ylabel().splitlines()
    ['Genes that flip the label alone', 'per cluster']
    """
    grids = chosen_grids(survey, kind, classifier)
    headings = list(dict.fromkeys(heading for grid in grids for heading in grid.headings))
    colours = {heading: PALETTE[i % len(PALETTE)] for i, heading in enumerate(headings)}
    if ax is None:
        ax = new_axes(min(PAGE, max(COLUMN, 0.6 + 0.26 * sum(len(grid.headings) + _GAP for grid in grids))))
    ax.set_yscale("symlog", linthresh=1, linscale=0.4)
    ticks: list[float] = []
    start = 0.0
    for grid in grids:
        places = start + np.arange(len(grid.headings))
        for place, heading in zip(places, grid.headings, strict=True):
            counts = [entry.value for entry in grid.done if entry.heading == heading]
            _box(ax, float(place), np.array(counts, dtype=float), colours[heading])
        ticks += places.tolist()
        ax.text(float(places.mean()), 1.01, grid.classifier, transform=ax.get_xaxis_transform(), ha="center",
                va="bottom", fontsize=FONT, fontweight="bold")  # fmt: skip
        start = float(places[-1]) + 1 + _GAP
    ax.set_xticks(ticks, [heading for grid in grids for heading in grid.headings], rotation=40, ha="right",
                  rotation_mode="anchor")  # fmt: skip
    ax.set(xlim=(-0.5 - _GAP / 2, start - 0.5 - _GAP / 2), ylabel=f"{TITLES[kind]}\nper cluster")
    _count_axis(ax, max((entry.value or 0 for grid in grids for entry in grid.done), default=0))
    plain(ax)
    ax.set_xlabel(_note(grids), fontsize=FONT - 1, loc="left")
    return ax


def _box(ax: Axes, place: float, counts: np.ndarray, colour: str) -> None:
    """Draw the box of one modification, and its clusters as points beside each other."""
    if not len(counts):
        return
    line = {"color": colour, "linewidth": 0.8}
    ax.boxplot([counts], positions=[place], widths=0.7, showfliers=False, patch_artist=True,
               boxprops={"facecolor": colour + "40", "edgecolor": colour, "linewidth": 0.8},
               medianprops={"color": colour, "linewidth": 1.6}, whiskerprops=line, capprops=line)  # fmt: skip
    ax.scatter(
        place + 0.6 * ((np.arange(len(counts)) + 0.5) / len(counts) - 0.5),
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
