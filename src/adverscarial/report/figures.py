"""Figures of a report: drawn by ``adverscarial.pl``, carried inside the page, each with words for what it shows."""

from __future__ import annotations

from base64 import b64encode
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from io import BytesIO
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from adverscarial.attacks import ClusterGradientDescentResult
from adverscarial.evaluation.survey import Survey
from adverscarial.report.grid import Grid, Kind, grids
from adverscarial.report.words import count, percent

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_ROOM = 3_000_000  # letters that all figures may take
_PATHS = 12  # most descents drawn
_DPI = 200  # of pictures with thousands of points
_COUNTED: dict[Kind, str] = {"single": "genes that flip the label alone", "max": "genes of the signature"}


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
        figure: Any = ax.figure.get_figure(root=True)
        page = BytesIO()
        metadata: dict[str, Any] = {"Software": None} if points else {"Date": None}
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


def counts(survey: Survey, kind: Kind) -> list[Figure]:
    """Return the figures of one kind of grid; none where every attack failed or there was none."""
    found = [grid for grid in grids(survey, kind) if grid.done]
    if not found:
        return []
    from adverscarial import pl

    what = _COUNTED[kind]
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
        counted = sorted(grid.done, key=lambda entry: entry.value or 0)
        least, most = counted[0], counted[-1]
        if most.value == least.value:
            said.append(f"{grid.classifier}: {most.value:,} everywhere.")
        else:
            said.append(
                f"{grid.classifier}: from {least.value:,} ({least.cluster}, {least.heading}) "
                f"to {most.value:,} ({most.cluster}, {most.heading})."
            )
    return " ".join(said)


def descents(paths: Iterable[tuple[str, ClusterGradientDescentResult]]) -> tuple[list[Figure], int]:
    """Return figures of descents, given with their classifier's name, and how many are not drawn.

    Classifiers take turns; of each, those that switch come first, with fewest genes on top.
    """
    from adverscarial import pl

    drawable = sorted(
        ((name, result) for name, result in paths if len(result.gene)),
        key=lambda pair: (not pair[1].success, len(pair[1].modified_genes)),
    )
    turn: Counter[str] = Counter()
    order = []
    for name, result in drawable:
        order.append((turn[name], name, result))
        turn[name] += 1
    chosen = sorted(order, key=lambda entry: entry[0])[:_PATHS]
    drawn = [
        embed(partial(pl.trajectory, result), alt=_path(result), caption=f"{name}, {result.target}")
        for _, name, result in chosen
    ]
    return drawn, len(drawable) - len(drawn)


def _path(result: ClusterGradientDescentResult) -> str:
    """Return what the path of a descent shows."""
    start, last = result.start, result.steps.iloc[-1]
    text = (
        f"Line plot over {count(len(result.gene), 'tested gene')}, {len(result.modified_genes):,} of them modified. "
        f"Cells labelled {result.baseline}: from {percent(start['original_share'])} to "
        f"{percent(last['original_share'])}; cells with the runner-up's label: from {percent(start['new_share'])} "
        f"({start['new_label']}) to {percent(last['new_share'])} ({last['new_label']}). "
    )
    return text + (f"The cluster's label becomes {result.label}." if result.success else "The cluster's label stays.")
