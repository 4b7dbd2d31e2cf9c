"""How many genes does a gradient descent test for each that it moves? The paper's Fig. 4A."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from adverscarial.pl._style import MUTED
from adverscarial.pl.sweep import Kind, by_strength, log_from_one

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def ratio(table: pd.DataFrame, *, kind: Kind | None = None, ax: Axes | None = None) -> Axes:
    """Draw how many genes a gradient descent tests per gene that it moves, by alpha and epsilon.

    Near 1, nearly every gene has a slope to follow; far above, the classifier reads few of them.

    Parameters
    ----------
    table
        What :func:`adverscarial.sweep` returned; those of several classifiers below each other (:func:`pandas.concat`).
    kind
        Draw ``"alpha"`` alone, ``"epsilon"`` alone, or ``"both"`` equal; all that there are, when left out.
    ax
        Where to draw; a new figure of one journal column (89 mm), when left out.

    Returns
    -------
    The Axes, logarithmic, with a grey line at 1. Where no gene moved there is no point; where the label held, it is
    hollow.

    Raises
    ------
    ParameterError
        If the table is of something else, or has no such kind.

    Examples
    --------
    >>> import adverscarial as adv
    >>> model = adv.classifiers.ScType(scaled=False)
    >>> table = adv.sweep(adv.datasets.embedded(), model, groupby="cell_type", target="CD19+ B",
    ...                   genes=["CD79A", "CD79B", "MS4A1"], strengths=[0.5, 2], kinds=["both"])
    >>> ratio(table).get_ylabel()
    'Genes tested per gene modified'
    """
    ax = by_strength(table, "ratio", kind, ax)
    ax.axhline(1, color=MUTED, linewidth=0.8, zorder=0)
    ax.set_ylabel("Genes tested per gene modified")
    return log_from_one(ax, float(max(2, table["ratio"].max())))
