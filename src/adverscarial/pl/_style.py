"""What the figures share: sizes of a journal page, colours that colour-blind readers can tell apart, new axes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from adverscarial.pl._options import size

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MM = 1 / 25.4  # inches
COLUMN, PAGE = 89 * MM, 183 * MM  # widths of one and of two journal columns
FONT = 7  # points, legible at these widths

#: Okabe and Ito's colours, black last; at most eight things can be told apart by colour
PALETTE = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#f0e442", "#000000")
MUTED, ATTACKED = "#d0d0d0", "#d55e00"  # cells that are not meant, and those that are


def new_axes(width: float = COLUMN, height: float = 0.7 * COLUMN) -> Axes:
    """Return the Axes of a new figure, sizes in inches, unless the user chose others."""
    import matplotlib.pyplot as plt  # here and not above: importing the package stays quick

    return plt.figure(figsize=size(width, height), layout="constrained").add_subplot()


def plain(ax: Axes) -> Axes:
    """Give the Axes the house's look: small letters, no box."""
    ax.tick_params(labelsize=FONT, length=2)
    ax.spines[["top", "right"]].set_visible(False)
    for text in (ax.xaxis.label, ax.yaxis.label):
        text.set_fontsize(FONT)
    ax.title.set_fontsize(FONT + 1)
    return ax


def ticks_of_counts(top: float, digits: tuple[int, ...] = (1, 2, 5)) -> tuple[list[int], list[str]]:
    """Return 1, 2, 5, 10, 20, ... as far as `top`, and how they are written: ticks of a logarithmic axis.

    >>> ticks_of_counts(2_300)[1][-3:]
    ['500', '1,000', '2,000']
    """
    ticks = [digit * 10**power for power in range(len(str(int(top)))) for digit in digits]
    ticks = [tick for tick in ticks if tick <= 1.05 * top]
    return ticks, [f"{tick:,}" for tick in ticks]
