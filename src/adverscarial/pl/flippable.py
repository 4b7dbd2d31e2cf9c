"""Which share of the cells can k genes flip, and which share at most?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Unpack

import numpy as np

from adverscarial.cells.choice import Cells, meant
from adverscarial.errors import ParameterError
from adverscarial.pl._figures import figure
from adverscarial.pl._fragile import needed
from adverscarial.pl._lines import legend, look
from adverscarial.pl._options import Options
from adverscarial.pl._style import COLUMN, new_axes, plain, ticks_of_counts

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@figure("Which share of the cells can k genes flip, and which share at most?")
def flippable(
    adata: Cells, *, keys: str | Sequence[str] = "fragility", mod: str | None = None, ax: Axes | None = None,
    **options: Unpack[Options],
) -> Axes:  # fmt: skip
    """Draw which share of the cells has another label after k genes, each cell with the genes that are best for it.

    Parameters
    ----------
    %(cells_with_fragility)s
    keys
        The ``key_added`` of each line, for example one for each classifier.
    %(modality)s
    %(ax)s

    Returns
    -------
    The Axes. A solid line is proven: no more cells than this can be flipped. Where that many can be, as for weighted
    sums, nothing else is said. Elsewhere the legend says "at most"; a dashed line then shows how many were flipped by
    sets that were found, if any were looked for, and the truth lies in between.

    Raises
    ------
    ParameterError
        If the columns are not there.

    %(cells_example)s
    >>> adv.fragility(cells, adv.classifiers.ScType(), modification="perc99")
    >>> flippable(cells).get_ylabel()
    'Cells that k genes can flip (share)'
    """
    names = [keys] if isinstance(keys, str) else list(keys)
    if not names:
        raise ParameterError("keys= is empty: name the key_added of one call of adverscarial.fragility at least.")
    adata = meant(adata, mod=mod)
    ends = {name: (needed(adata, name), needed(adata, name, "upper")) for name in names}
    numbers = np.concatenate([both for pair in ends.values() for both in pair])
    top = float(numbers[np.isfinite(numbers)].max(initial=2.0))
    ax = new_axes(COLUMN, 0.75 * COLUMN) if ax is None else ax
    steps = np.unique(np.concatenate([[1.0, 1.1 * top], numbers[np.isfinite(numbers)]]))
    for number, (name, (lower, upper)) in enumerate(ends.items()):
        colour, _, _ = look(number, list(ends))
        most, least = _share(lower, steps), _share(upper, steps)
        exact = np.array_equal(most, least)
        ax.step(steps, most, where="post", color=colour, linewidth=1.2, label=name if exact else f"{name}: at most")
        if np.isfinite(upper).any() and not exact:
            ax.step(steps, least, where="post", color=colour, linewidth=0.9, linestyle=(0, (5, 2)))
            ax.fill_between(steps, least, most, step="post", color=colour, alpha=0.15, linewidth=0)
            ax.plot([], [], color=colour, linewidth=0.9, linestyle=(0, (5, 2)), label=f"{name}: found")
    ax.set_xscale("log")
    ax.set_xticks(*ticks_of_counts(top))
    ax.minorticks_off()
    ax.set(xlim=(0.95, 1.1 * top), ylim=(0, 1.02), xlabel="k, genes that change at once")
    ax.set_ylabel("Cells that k genes can flip (share)")
    if len(ax.get_legend_handles_labels()[0]) > 1:
        legend(ax, loc="best")
    return plain(ax)


def _share(numbers: np.ndarray, steps: np.ndarray) -> np.ndarray:
    """Return the share of the cells whose number is at most each step."""
    return np.searchsorted(np.sort(numbers[np.isfinite(numbers)]), steps, side="right") / max(1, len(numbers))
