"""How many genes does a gradient descent test for each that it moves? The paper's Fig. 4A."""

from __future__ import annotations

from typing import TYPE_CHECKING, Unpack

import pandas as pd

from adverscarial.pl._figures import figure
from adverscarial.pl._options import Options
from adverscarial.pl._style import MUTED
from adverscarial.pl.sweep import Kind, by_strength, log_from_one

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@figure("How many genes does a gradient descent test for each that it moves?")
def ratio(table: pd.DataFrame, *, kind: Kind | None = None, ax: Axes | None = None, **options: Unpack[Options]) -> Axes:
    """Draw how many genes a gradient descent tests per gene that it moves, by alpha and epsilon.

    Near 1, nearly every gene has a slope to follow; far above, the classifier reads few of them.

    Parameters
    ----------
    %(sweep)s

    Returns
    -------
    The Axes, logarithmic, with a grey line at 1. Where no gene moved there is no point; where the label held, it is
    hollow.

    %(sweep_errors_and_example)s
    >>> ratio(table).get_ylabel()
    'Genes tested per gene modified'
    """
    ax = by_strength(table, "ratio", kind, ax)
    ax.axhline(1, color=MUTED, linewidth=0.8, zorder=0)
    ax.set_ylabel("Genes tested per gene modified")
    return log_from_one(ax, float(max(2, table["ratio"].max())))
