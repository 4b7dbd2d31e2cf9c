"""Which genes come nearest to flipping a label, and what do they take?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Unpack

import numpy as np

from adverscarial.attacks import Result
from adverscarial.errors import ParameterError
from adverscarial.pl._figures import figure
from adverscarial.pl._lines import legend
from adverscarial.pl._options import Options, colours
from adverscarial.pl._style import COLUMN, FONT, PALETTE, new_axes, plain

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_ROW = 0.15  # inches for each gene


@figure("Which genes come nearest to flipping a label, and what do they take?")
def nearest(result: Result, *, n: int = 15, ax: Axes | None = None, **options: Unpack[Options]) -> Axes:
    """Draw what the nearest genes take from a label that they do not flip.

    Parameters
    ----------
    result
        Of :class:`~adverscarial.attacks.SingleGene`.
    n
        Most genes to draw.
    ax
        Where to draw; a new figure of one journal column (89 mm), as high as the genes need, when left out.

    Returns
    -------
    The Axes, the nearest gene on top. A bar is the share of the cluster's cells that leave the label; a dot, the share
    that is taken of the label's lead over the runner-up, where the classifier gives scores.

    Raises
    ------
    ParameterError
        If it is no such result, or no gene takes anything.

    Examples
    --------
    >>> import adverscarial as adv
    >>> cells, model = adv.datasets.embedded(), adv.classifiers.ScType(scaled=False)
    >>> result = adv.attacks.SingleGene("perc99")(cells, model, groupby="cell_type", target="CD19+ B")
    >>> [text.get_text() for text in nearest(result, n=1).get_yticklabels()]
    ['LYZ']
    """
    table = result.nearest(n) if isinstance(result, Result) else None
    if table is None:
        raise ParameterError(f"pl.nearest draws a result of SingleGene, got a {type(result).__name__}.")
    if not len(table):
        raise ParameterError("There is nothing to draw: no gene takes any cell or any lead from the label.")
    ax = new_axes(COLUMN, 0.7 + _ROW * len(table)) if ax is None else ax
    rows, lead = np.arange(len(table)), table["lead"].to_numpy(dtype=float)
    bar, dot = (*colours((PALETTE[5], PALETTE[0])), PALETTE[0])[:2]
    ax.barh(rows, table["votes"], height=0.6, color=bar, label="of the cells")
    if (lead > 0).any():
        shown = lead > 0
        ax.plot(lead[shown], rows[shown], "o", color=dot, markersize=3.5, label="of the lead")
        legend(ax, loc="lower left", bbox_to_anchor=(0, 1), ncols=2)
    ax.set_yticks(rows, table["gene"])
    ax.set(ylim=(len(table) - 0.5, -0.5), xlabel=f"Share that the gene takes from {result.baseline}")
    ax.set_xlim(left=0)
    ax.axvline(0, color="#bbbbbb", linewidth=0.6)
    plain(ax).set_title("")
    ax.tick_params(axis="y", labelsize=FONT)
    return ax
