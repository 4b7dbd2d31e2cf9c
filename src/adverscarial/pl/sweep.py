"""How many genes does a gradient descent need at each strength? The paper's Fig. 4B."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Unpack

import pandas as pd

from adverscarial.errors import ParameterError, some
from adverscarial.pl._figures import figure
from adverscarial.pl._lines import DASHES, legend, look
from adverscarial.pl._options import Options
from adverscarial.pl._style import COLUMN, FONT, new_axes, plain, ticks_of_counts

if TYPE_CHECKING:
    from matplotlib.axes import Axes

KINDS = {"alpha": "alpha alone", "epsilon": "epsilon alone", "both": "alpha = epsilon"}
Kind = Literal["alpha", "epsilon", "both"]


@figure("How many genes does a gradient descent need at each strength?")
def sweep(table: pd.DataFrame, *, kind: Kind | None = None, ax: Axes | None = None, **options: Unpack[Options]) -> Axes:
    """Draw how many genes a gradient descent tests until the label switches, by alpha and epsilon.

    Parameters
    ----------
    %(sweep)s

    Returns
    -------
    The Axes, genes on a logarithmic scale. Where the label held to the last gene, the marker is hollow.

    %(sweep_errors_and_example)s
    >>> sweep(table).get_ylabel()
    'Genes tested until the switch'
    """
    ax = by_strength(table, "tested", kind, ax)
    ax.set_ylabel("Genes tested until the switch")
    return log_from_one(ax, float(table["available"].max()))


def log_from_one(ax: Axes, top: float) -> Axes:
    """Give the y axis a logarithmic scale from 1 to `top`, with ticks in plain numbers."""
    ax.set_yscale("log")
    ax.set_yticks(*ticks_of_counts(top))
    ax.minorticks_off()
    ax.set_ylim(0.85, 1.25 * top)
    return ax


def by_strength(table: pd.DataFrame, y: str, kind: Kind | None, ax: Axes | None) -> Axes:
    """Draw a column of a sweep by strength; colours tell runs apart (kinds, where there is one run), dashes kinds."""
    needed = ["classifier", "cluster", "kind", "strength", "available", "success", y]
    if not isinstance(table, pd.DataFrame) or not set(needed) <= set(table.columns):
        raise ParameterError("Expected the table that adverscarial.sweep() returns, or several of them concatenated.")
    kinds = [name for name in KINDS if name in set(table["kind"])]
    if kind is not None and kind not in kinds:
        raise ParameterError(f"The sweep has no kind '{kind}' to draw. There are: {some(kinds)}.")
    drawn = [kind] if kind else kinds
    tried = table[table["tested"] > 0]
    ax = new_axes(COLUMN, 0.78 * COLUMN) if ax is None else ax
    several = [name for name in ("classifier", "cluster") if table[name].nunique() > 1]
    runs = list(dict.fromkeys(zip(table["classifier"], table["cluster"], strict=True)))
    about = [", ".join(run[("classifier", "cluster").index(name)] for name in several) for run in runs]
    about = about if several else [KINDS[which] for which in drawn]
    for number, run in enumerate(runs):
        for k, which in enumerate(drawn):
            one = tried[(tried["classifier"] == run[0]) & (tried["cluster"] == run[1]) & (tried["kind"] == which)]
            colour, marker, dash = look(number if several else k, about)
            names = [run[("classifier", "cluster").index(name)] for name in several]
            names += [KINDS[which]] if not several or len(drawn) > 1 else []
            x, values, success = one["strength"], one[y].astype(float), one["success"].astype(bool)
            style = dash if len(drawn) == 1 else DASHES[k]
            ax.plot(
                x, values, color=colour, marker=marker, markersize=3.2, linewidth=1, linestyle=style,
                label=", ".join(names),
            )  # fmt: skip
            ax.plot(
                x[~success], values[~success], color=colour, marker=marker, markersize=3.2, markerfacecolor="#ffffff",
                linestyle="", zorder=3,
            )  # fmt: skip
    if not tried["success"].all():
        ax.plot([], [], "o", markerfacecolor="#ffffff", markeredgecolor="#000000", markersize=3.2, label="label held")
    ax.set_xlabel("Strength" if len(drawn) > 1 else KINDS[drawn[0]].capitalize())
    if "cluster" not in several:
        ax.set_title(table["cluster"].iloc[0], loc="left", fontsize=FONT + 1)
    legend(ax, loc="best")
    return plain(ax)
