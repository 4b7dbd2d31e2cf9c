"""Names in a picture, where they cover least of it and of each other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal, TypedDict

import numpy as np

from adverscarial._types import Bools, Floats

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.patheffects import AbstractPathEffect


class Look(TypedDict, total=False):
    """How a name is written: properties of a text, as matplotlib calls them."""

    fontsize: float
    color: str
    fontweight: str
    multialignment: Literal["left", "right", "center"]
    path_effects: Sequence[AbstractPathEffect]


_WAYS = (1, 0), (-1, 0), (0, 1), (0, -1), (1, 1), (-1, 1), (1, -1), (-1, -1)
_GRID = 2  # points; of dots that stand closer than this, one counts
_ALONG = np.linspace(0, 1, 30)  # where a line is looked at


def place_names(
    ax: Axes, at: np.ndarray, names: Sequence[str], dots: np.ndarray, *,
    distances: Sequence[float], radius: float, looks: Sequence[Look],
) -> None:  # fmt: skip
    """Write each name on its place, or beside it where that covers less; a thin line leads to those further away.

    Parameters
    ----------
    ax
        With its final limits.
    at
        Places of the names in units of the data, shape (names, 2).
    names
        What to write, the most important first.
    dots
        What the names should not cover, in units of the data, shape (dots, 2).
    distances
        Between a place and its name, in points; beyond the first, a line leads there.
    radius
        Of a dot, in points.
    looks
        How each name looks: properties of a text.
    """
    figure = ax.figure.get_figure(root=True)
    assert figure is not None
    figure.draw_without_rendering()  # lays out the axes, so that texts can be measured
    point = figure.dpi / 72
    frame = ax.get_window_extent()
    spots, dots = ((ax.transData.transform(where) - frame.min) / point for where in (at, dots))
    dots = np.unique(np.round(dots / _GRID), axis=0) * _GRID
    toward = np.array([(0, 0), *(_WAYS * len(distances))])
    distance = np.array([0.0, *np.repeat(distances, len(_WAYS))])
    ends = toward * distance[:, None]
    taken = _Taken(dots, radius, np.array(frame.size) / point)
    for place, spot, name, look in zip(at, spots, names, looks, strict=True):
        text = ax.annotate(
            name, tuple(place), (0, 0), textcoords="offset points", ha="center", va="center", annotation_clip=False,
            **look,
        )  # fmt: skip
        text.set_in_layout(False)  # beside the axes it would squeeze them
        half = np.array(text.get_window_extent().size) / point / 2
        centres = ends + toward * half
        boxes = spot + np.stack([centres - half, centres + half], axis=1)
        lines = spot + ends[:, None] * _ALONG[:, None]
        best = int(np.argmin(np.linalg.norm(ends, axis=1) + taken.cost(boxes, lines)))
        text.set_position(centres[best])
        taken.add(boxes[best], lines[best])
        if distance[best] > distances[0]:
            line = {"arrowstyle": "-", "color": "#606060", "lw": 0.6, "shrinkA": 0, "shrinkB": 0}
            leader = ax.annotate("", tuple(place), tuple(ends[best]), textcoords="offset points", arrowprops=line)
            leader.set_in_layout(False)


class _Taken:
    """What names should not cover, in points from the lower left corner of the axes."""

    def __init__(self, dots: np.ndarray, radius: float, size: np.ndarray) -> None:
        self._dots, self._radius, self._size = dots, radius, size
        self._boxes, self._lines = np.empty((0, 2, 2)), np.empty((0, 2))

    def add(self, box: np.ndarray, line: np.ndarray) -> None:
        """Note a name, corners (2, 2), and the points along the line to it, shape (points, 2)."""
        self._boxes = np.append(self._boxes, [box], axis=0)
        self._lines = np.append(self._lines, line, axis=0)

    def cost(self, boxes: Floats, lines: Floats) -> Floats:
        """Return how much each choice covers, in square points; what makes it unreadable counts ten times."""
        low, high = boxes[:, None, 0], boxes[:, None, 1]
        dots = _inside(self._dots, low - self._radius, high + self._radius).sum(axis=1)
        names = np.maximum(np.minimum(high, self._boxes[:, 1]) - np.maximum(low, self._boxes[:, 0]), 0)
        crossed = _inside(self._lines, low, high).sum(axis=1)
        crossing = _inside(lines[:, :, None], self._boxes[:, 0], self._boxes[:, 1]).sum(axis=(1, 2))
        outside = (np.maximum(-boxes[:, 0], 0) + np.maximum(boxes[:, 1] - self._size, 0)).sum(axis=1)
        covered: Floats = (2 * self._radius) ** 2 * dots + 10 * (
            names.prod(axis=2).sum(axis=1) + crossed + crossing + outside
        )
        return covered


def _inside(points: Floats, low: Floats, high: Floats) -> Bools:
    """Return which points lie between two corners."""
    inside: Bools = np.all((low < points) & (points < high), axis=-1)
    return inside
