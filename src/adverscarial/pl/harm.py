"""Which attacks do much and show little? Harm against visibility, one point per attack."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from adverscarial.errors import ParameterError, some
from adverscarial.pl._lines import legend, look
from adverscarial.pl._style import COLUMN, FONT, MUTED, new_axes, plain

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.text import Annotation
    from matplotlib.transforms import Bbox

_WAYS = [(1, 0), (-1, 0), (0, 1), (0, -1), (1, 1), (-1, 1), (1, -1), (-1, -1)]
_LONGEST = 28  # letters of a name
_NEAR, _FAR = 4, 14  # points between a dot and its name; further away, a line leads there


def harm(table: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Draw attacks by how visible they are and how many cells they relabel; dangerous ones stand top left.

    Parameters
    ----------
    table
        What :func:`adverscarial.evaluation.harm` returned; a column ``classifier``, added where several are put below
        each other, gives each its colour.
    ax
        Where to draw; a new figure of one journal column (89 mm), when left out.

    Returns
    -------
    The Axes. Filled points flipped the cluster's label, hollow ones did not. Attacks on too few cells to know their
    visibility are named below the axis.

    Raises
    ------
    ParameterError
        If the table is of something else, or no attack has a known visibility.

    Examples
    --------
    >>> import adverscarial as adv
    >>> cells, model = adv.datasets.embedded(), adv.classifiers.ScType(scaled=False)
    >>> attack = adv.attacks.ClusterGradientDescent(genes=["CD79A", "CD79B", "MS4A1"])
    >>> result = attack(cells, model, groupby="cell_type", target="CD19+ B")
    >>> harm(adv.evaluation.harm(cells, model, {"CGD": result})).get_ylabel()
    'Harm: cells relabelled (share)'
    """
    if not isinstance(table, pd.DataFrame) or not {"attack", "harm", "flipped", "visibility"} <= set(table.columns):
        raise ParameterError("Expected the table that adverscarial.evaluation.harm() returns.")
    known = table[table["visibility"].notna()]
    if not len(known):
        raise ParameterError("No attack here has a known visibility: each changed fewer than 4 cells.")
    ax = new_axes(COLUMN, 0.85 * COLUMN) if ax is None else ax
    groups = known["classifier"] if "classifier" in known else pd.Series("", index=known.index)
    for number, group in enumerate(dict.fromkeys(groups)):
        colour, marker, _ = look(number)
        for flipped, face in ((True, colour), (False, "#ffffff")):
            part = known[(groups == group) & (known["flipped"].astype(bool) == flipped)]
            x, y = part["visibility"], part["harm"]
            ax.plot(x, y, marker, color=colour, markerfacecolor=face, markersize=4.5, clip_on=False, zorder=3)
        ax.plot([], [], marker, color=colour, markersize=4.5, label=group)
    ax.set(xlabel="Visibility (0 hidden, 1 obvious)", ylabel="Harm: cells relabelled (share)")
    ax.set(xlim=(-0.04, 1.04), ylim=(-0.04, 1.04))
    if unknown := table.loc[table["visibility"].isna(), "attack"].tolist():
        ax.set_xlabel(f"{ax.get_xlabel()}\nunknown, too few cells: {some(map(_short, unknown), 3)}")
    if groups.nunique() > 1:
        legend(ax, loc="lower left", bbox_to_anchor=(0, 1), ncols=3)
    plain(ax)
    _name_points(ax, known["visibility"].to_numpy(), known["harm"].to_numpy(), known["attack"].tolist())
    return ax


def _short(name: str) -> str:
    """Cut a long name in the middle: its end tells attacks of one kind apart."""
    return name if len(name) <= _LONGEST else f"{name[: _LONGEST - 12]}...{name[-9:]}"


def _name_points(ax: Axes, x: np.ndarray, y: np.ndarray, names: list[str]) -> None:
    """Write each name beside its point, where it covers least of the points and of the names before it."""
    from matplotlib.transforms import Bbox

    figure = ax.figure.get_figure(root=True)
    assert figure is not None
    figure.draw_without_rendering()  # lays out the axes, so that texts can be measured
    inside = ax.get_window_extent()
    dots = ax.transData.transform(np.column_stack([x, y]))
    size = 3 * figure.dpi / 72
    taken = [Bbox([dot - size, dot + size]) for dot in dots]
    for at, name in zip(zip(x, y, strict=True), names, strict=True):
        text = ax.annotate(
            _short(name), at, (0, 0), textcoords="offset points", fontsize=FONT - 1, annotation_clip=False
        )
        text.set_in_layout(False)  # beside the axes it would squeeze them
        best, least = (0.0, 0.0), np.inf
        for distance, (across, up) in product((_NEAR, _FAR, 2 * _FAR), _WAYS):
            _place(text, across * distance, up * distance)
            cost = _cost(text.get_window_extent(), taken, inside) + distance
            if cost < least:
                best, least = (across * distance, up * distance), cost
        _place(text, *best)
        if max(map(abs, best)) > _NEAR:
            ax.annotate(
                "", at, best, textcoords="offset points", arrowprops={"arrowstyle": "-", "color": MUTED, "lw": 0.6}
            )
        taken.append(text.get_window_extent())


def _place(text: Annotation, across: float, up: float) -> None:
    """Put a name to one side of its point, growing away from it."""
    text.set_position((across, up))
    text.set(
        ha={1: "left", -1: "right", 0: "center"}[int(np.sign(across))],
        va={1: "bottom", -1: "top", 0: "center"}[int(np.sign(up))],
    )


def _cost(box: Bbox, taken: list[Bbox], inside: Bbox) -> float:
    """Return how much a name would cover, in square pixels, and how far it would stand out of the axes."""
    covered = 0.0
    for other in taken:
        width = min(box.x1, other.x1) - max(box.x0, other.x0)
        height = min(box.y1, other.y1) - max(box.y0, other.y0)
        covered += max(width, 0) * max(height, 0)
    out = max(inside.x0 - box.x0, 0) + max(box.x1 - inside.x1, 0) + max(box.y1 - inside.y1, 0)
    return 10 * covered + 100 * (out + max(inside.y0 - box.y0, 0))
