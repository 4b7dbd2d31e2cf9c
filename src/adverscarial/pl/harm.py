"""Which attacks do much and show little? Harm against visibility, one point per attack."""

from __future__ import annotations

from typing import TYPE_CHECKING, Unpack

import pandas as pd

from adverscarial.attacks.outcome import Outcome
from adverscarial.errors import ParameterError, some
from adverscarial.pl._figures import figure
from adverscarial.pl._lines import legend, look
from adverscarial.pl._names import Look, place_names
from adverscarial.pl._options import Options
from adverscarial.pl._style import COLUMN, FONT, new_axes, plain

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_LONGEST = 28  # letters of a name
_MOST = 4  # names on one point
_DISTANCES = (4, 14, 28)  # points between a dot and its name


@figure("Which attacks do much and show little?")
def harm(table: pd.DataFrame, *, ax: Axes | None = None, **options: Unpack[Options]) -> Axes:
    """Draw attacks by how visible they are and how many cells they relabel; dangerous ones stand top left.

    Parameters
    ----------
    table
        What :func:`adverscarial.evaluation.harm` returned; a column ``classifier``, added where several are put below
        each other, gives each its colour.
    %(ax)s

    Returns
    -------
    The Axes. The marker is filled where the attack flipped the cluster's label, hollow where the label held, and a
    cross where the classifier refused the changed cells. Attacks on too few cells to know their visibility are named
    below the axis.

    Raises
    ------
    ParameterError
        If the table is of something else, or no attack has a known visibility.

    %(example)s
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
    names = list(dict.fromkeys(groups))
    for number, group in enumerate(names):
        colour, marker, _ = look(number, names)
        shapes = {Outcome.FLIPPED: (marker, colour), Outcome.HELD: (marker, "none"), Outcome.REJECTED: ("x", colour)}
        for outcome, (shape, face) in shapes.items():
            part = known[(groups == group) & (_outcomes(known) == outcome.text)]
            x, y = part["visibility"], part["harm"]
            ax.plot(x, y, shape, color=colour, markerfacecolor=face, markersize=4.5, clip_on=False, zorder=3)
        ax.plot([], [], marker, color=colour, markersize=4.5, label=group)
    ax.set(xlabel="Visibility (0 hidden, 1 obvious)", ylabel="Harm: cells relabelled (share)")
    ax.set(xlim=(-0.04, 1.04), ylim=(-0.04, 1.04))
    if unknown := table.loc[table["visibility"].isna(), "attack"].tolist():
        ax.set_xlabel(f"{ax.get_xlabel()}\nunknown, too few cells: {some(map(_short, unknown), 3)}")
    if groups.nunique() > 1:
        legend(ax, loc="lower left", bbox_to_anchor=(0, 1), ncols=3)
    plain(ax)
    points = known[["visibility", "harm"]]
    one_place = [points[side].round(2) for side in points]  # closer, and the points cover each other
    names = known["attack"].groupby(one_place, sort=False).agg(_list)
    at = points.groupby(one_place, sort=False).first().to_numpy()
    looks: list[Look] = [{"fontsize": FONT - 1, "multialignment": "left"}] * len(at)
    place_names(ax, at, names, points.to_numpy(), distances=_DISTANCES, radius=3, looks=looks)
    return ax


def _outcomes(table: pd.DataFrame) -> pd.Series:
    """Return the outcome of each attack; a table of an earlier version says only which of them flipped."""
    return table.get("outcome", table["flipped"].map(lambda yes: (Outcome.FLIPPED if yes else Outcome.HELD).text))


def _list(names: pd.Series) -> str:
    """Write the names that share a point below each other, each once."""
    different = [_short(name) for name in dict.fromkeys(names)]
    more = [f"and {len(different) - _MOST:,} more"] if len(different) > _MOST else []
    return "\n".join(different[:_MOST] + more)


def _short(name: str) -> str:
    """Cut a long name in the middle: its end tells attacks of one kind apart."""
    return name if len(name) <= _LONGEST else f"{name[: _LONGEST - 12]}...{name[-9:]}"
