"""Does what fools one classifier fool the others? A heat map of shares."""

from __future__ import annotations

from typing import TYPE_CHECKING, Unpack

import numpy as np
import pandas as pd

from adverscarial.errors import ParameterError
from adverscarial.pl._figures import figure
from adverscarial.pl._options import Options, colour_map
from adverscarial.pl._style import COLUMN, FONT, new_axes, plain

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_DARK = 0.6  # share above which the number is written in white


@figure("Does what flips one classifier flip the others?")
def transfer(table: pd.DataFrame, *, ax: Axes | None = None, **options: Unpack[Options]) -> Axes:
    """Draw what :func:`adverscarial.transfer` returned: attacked classifiers below each other, tried ones beside.

    Parameters
    ----------
    table
        What :func:`adverscarial.transfer` returned, without ``counts=True``.
    %(ax)s

    Returns
    -------
    The Axes. Each square holds the percentage of the row's flips that carry over; a dash where there are none.

    Raises
    ------
    ParameterError
        If the table is of something else.

    Examples
    --------
    >>> import pandas as pd
    >>> table = pd.DataFrame({"n": [10, 0], "A": [1, None], "B": [0.25, None]}, index=["A", "B"])
    >>> [text.get_text() for text in transfer(table).texts]
    ['100', '25', '–', '–']
    """
    if not isinstance(table, pd.DataFrame) or "n" not in table or len(table.columns) < 2 or not len(table):
        raise ParameterError("Expected the table that adverscarial.transfer() returns.")
    shares = table.drop(columns="n").astype(float)
    known = shares.to_numpy()[~np.isnan(shares.to_numpy())]
    if ((known < 0) | (known > 1)).any():
        raise ParameterError("This table holds counts: draw the shares, of transfer() without counts=True.")
    height = 0.28 * COLUMN + 0.08 * COLUMN * len(shares)
    ax = new_axes(COLUMN, height) if ax is None else ax
    ax.imshow(np.nan_to_num(shares.to_numpy()), cmap=colour_map("Blues"), vmin=0, vmax=1, aspect="auto")
    for i, j in np.ndindex(shares.shape):
        share = float(shares.iat[i, j])
        text = "–" if np.isnan(share) else "<1" if 0 < share < 0.005 else f"{100 * share:.0f}"
        ax.text(j, i, text, ha="center", va="center", fontsize=FONT, color="white" if share > _DARK else "black")
    ax.set_xticks(range(shares.shape[1]), [str(name) for name in shares.columns], rotation=30, ha="right")
    ax.set_yticks(range(len(shares)), [f"{name} ({n:,})" for name, n in zip(shares.index, table["n"], strict=True)])
    ax.set(xlabel="Tried on (percent that carry over)", ylabel="Found on\n(flips)")
    plain(ax)
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    return ax
