"""Figures of a report: drawn by ``adverscarial.pl``, carried inside the page, each with words for what it shows."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING, Literal

import numpy as np

from adverscarial.surveys.grid import Grid, grids
from adverscarial.surveys.table import Survey

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_ROOM = 3_000_000  # letters that all figures may take
_DPI = 200  # of pictures with thousands of points


@dataclass(frozen=True)
class Figure:
    """One picture as a link that holds it whole; `width` in CSS pixels."""

    link: str
    alt: str
    caption: str
    width: int


def embed(draw: Callable[[], Axes | tuple[Axes, ...]], *, alt: str, caption: str, points: bool = False) -> Figure:
    """Draw a figure and return it embedded: SVG, or PNG where it has thousands of `points`.

    The same drawing gives the same bytes, whatever the user's settings of matplotlib are.
    """
    import matplotlib.pyplot as plt

    with plt.style.context("default"), plt.rc_context({"svg.hashsalt": "adverscarial"}):
        drawn = draw()
        ax = drawn[0] if isinstance(drawn, tuple) else drawn
        figure = ax.get_figure(root=True)
        assert figure is not None
        page = BytesIO()
        metadata = {"Software": None} if points else {"Date": None}
        kind: Literal["png", "svg"] = "png" if points else "svg"
        figure.savefig(page, format=kind, dpi=_DPI, metadata=metadata)
        width = round(96 * figure.get_size_inches()[0] * 1.35)  # letters of 7 points are small on a screen
        plt.close(figure)
    mime = "png" if points else "svg+xml"
    return Figure(f"data:image/{mime};base64,{b64encode(page.getvalue()).decode()}", alt, caption, width)


class Album:
    """Takes figures as long as there is room in the page; `left` counts the others."""

    def __init__(self) -> None:
        self.room, self.left = _ROOM, 0

    def take(self, figures: Iterable[Figure]) -> list[Figure]:
        """Return the figures that fit."""
        kept = []
        for figure in figures:
            if len(figure.link) <= self.room:
                self.room -= len(figure.link)
                kept.append(figure)
            else:
                self.left += 1
        return kept


def counts(survey: Survey, kind: str) -> list[Figure]:
    """Return the figures of one kind of grid; none where there is no number, or only 0."""
    found = [grid for grid in grids(survey, kind) if grid.values]
    if not any(any(grid.values) for grid in found):
        return []
    from adverscarial import pl

    what = found[0].count.title
    return [
        embed(
            lambda: pl.impact(survey, kind=kind),
            alt=f"Box plot, {what} per cluster, by classifier and modification. {_medians(found)}",
            caption=f"Which modification does most: {what}, one point per cluster, one box per modification.",
        ),
        embed(
            lambda: pl.vulnerability(survey, kind=kind),
            alt=f"Coloured table, {what}, clusters down and modifications across. {_extremes(found)}",
            caption=f"All {what}, as one picture for a talk or a paper; the numbers are those of the tables.",
        ),
    ]


def _medians(found: list[Grid]) -> str:
    """Return the median and range of every box, as a text."""
    said = []
    for grid in found:
        boxes = []
        for heading in grid.headings:
            values = [entry.value for entry in grid.done if entry.heading == heading and entry.value is not None]
            if values:
                spread = f" ({min(values):,} to {max(values):,})" if min(values) < max(values) else ""
                boxes.append(f"{heading} {np.median(values):,g}{spread}")
        said.append(f"{grid.classifier}: median {', '.join(boxes)}.")
    return " ".join(said)


def _extremes(found: list[Grid]) -> str:
    """Return the largest and the smallest number of every grid, as a text."""
    said = []
    for grid in found:
        counted = sorted(((e.value, e) for e in grid.done if e.value is not None), key=lambda pair: pair[0])
        (low, least), (high, most) = counted[0], counted[-1]
        if low == high:
            said.append(f"{grid.classifier}: {high:,} everywhere.")
        else:
            said.append(
                f"{grid.classifier}: from {low:,} ({least.cluster}, {least.heading}) "
                f"to {high:,} ({most.cluster}, {most.heading})."
            )
    return " ".join(said)
