"""How a cluster changes sides, gene by gene: the path of a cluster gradient descent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Unpack

import numpy as np

from adverscarial.errors import ParameterError
from adverscarial.pl._figures import figure
from adverscarial.pl._lines import Dash
from adverscarial.pl._options import Options, colours, size
from adverscarial.pl._style import ATTACKED, COLUMN, FONT, PALETTE, plain

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

    from adverscarial.attacks import Result

#: colour and dashes, so that the lines differ without colour, too
_DASHES: dict[str, Dash] = {"original": (0, (4, 1)), "new": "-"}
_YLABEL = {"share": "Share of cells", "score": "Mean score"}
_ONE_LINE = 40  # letters of both names
_LETTER = 0.022  # width of a letter, in widths of a column


@figure("How does a cluster change sides, gene by gene?")
def trajectory(result: Result, *, ax: Axes | None = None, **options: Unpack[Options]) -> Axes:
    """Draw which share of the cells carries the original and the new label, and their mean scores, after each gene.

    Parameters
    ----------
    result
        What a :class:`~adverscarial.attacks.ClusterGradientDescent` returned, or another attack that moves one gene
        after the other.
    ax
        Where to draw the shares, without the scores; a new figure of one journal column (89 mm) with both, when left
        out.

    Returns
    -------
    The Axes with the shares; ``ax.figure.axes[1]`` is the one with the scores. 0 on their common axis is the cluster
    before the attack. "New" is the runner-up as it stands after each gene; where that is not always the same label, a
    strip on top names it. Ticks along the bottom are the genes that moved in at least one cell; a vertical line marks
    the gene at which the classifier's answer switched.

    Raises
    ------
    ParameterError
        If the result is of another attack, or no gene was tested.

    Notes
    -----
    The steps of equations (3) and (4) of the paper; the numbers are those of ``result.steps`` (R: the by-gene summary
    of ``advCGD``).

    Examples
    --------
    >>> import adverscarial as adv
    >>> model = adv.classifiers.ScType(scaled=False)
    >>> attack = adv.attacks.ClusterGradientDescent(genes=["CD79A", "CD79B", "MS4A1"])
    >>> result = attack(adv.datasets.embedded(), model, groupby="cell_type", target="Dendritic")
    >>> ax = trajectory(result)
    >>> ax.get_lines()[0].get_xdata().tolist()
    [0, 1, 2, 3]
    """
    from matplotlib.ticker import PercentFormatter

    path = _path(result)
    x = np.arange(len(path))
    panels = _new_panels() if ax is None else {"share": ax}
    own = colours((PALETTE[0], ATTACKED))
    for kind, panel in panels.items():
        for (side, dashes), colour in zip(_DASHES.items(), (*own, ATTACKED), strict=False):
            panel.plot(x, path[f"{side}_{kind}"].to_numpy(), color=colour, linestyle=dashes, linewidth=1.2, zorder=3)
        panel.set(xlim=(0, 1.01 * x[-1]), ylabel=_YLABEL[kind])
        plain(panel)
    panel.set_xlabel("Genes tested", fontsize=FONT)
    ax = panels["share"]
    ax.set_ylim(0, 1.02)
    ax.yaxis.set_major_formatter(PercentFormatter(1))
    moved = np.flatnonzero(path["n_cells_changed"] > 0)
    ax.vlines(moved, 0, 0.04, transform=ax.get_xaxis_transform(), color="#555555", linewidth=0.5)
    names = np.array(path["new_label"].tolist())
    top = _runner_ups(ax, names)
    # the runner-up is an allowed class and never the original one, so this is the first step with the new label
    switch = np.flatnonzero(path["label"][1:] == path["new_label"][1:])[:1] + 1
    for place in switch:
        for panel in panels.values():
            panel.axvline(place, color="#000000", linewidth=0.8, zorder=1)
        ax.text(place, top, f"switch: {path['gene'].iloc[place]}", transform=ax.get_xaxis_transform(),
                ha="right" if place > x[-1] / 2 else "left", va="bottom", fontsize=FONT)  # fmt: skip
    _name_lines(ax, result.baseline, names, top + 0.09 * len(switch))
    return ax


def _new_panels() -> dict[str, Axes]:
    """Return the Axes of a new figure, shares above scores."""
    import matplotlib.pyplot as plt

    figure = plt.figure(figsize=size(COLUMN, 0.9 * COLUMN), layout="constrained")
    share, score = figure.subplots(2, 1, sharex=True, height_ratios=(3, 2))
    return {"share": share, "score": score}


def _path(result: object) -> pd.DataFrame:
    """Return how the cluster stood before and after each gene."""
    from adverscarial.attacks import Result

    path = result.trajectory() if isinstance(result, Result) else None
    if path is None:
        raise ParameterError(
            f"A trajectory is the path of a ClusterGradientDescent, got a {type(result).__name__}. Run that attack, "
            "or draw this result with adv.pl.umap or adv.pl.heatmap."
        )
    if len(path) == 1:
        raise ParameterError("No gene was tested, so there is no path to draw. Give the attack a larger budget.")
    return path


def _runner_ups(ax: Axes, names: np.ndarray) -> float:
    """Draw above the picture which label is the runner-up where, if it is not always the same; return where that ends.

    Those with too few steps to write their name there stay empty.
    """
    starts = np.flatnonzero(np.append(True, names[1:] != names[:-1])).tolist()
    if len(starts) == 1:
        return 1.02
    for i, (first, last) in enumerate(zip(starts, [*starts[1:], len(names) - 1], strict=True)):
        ax.axvspan(first, last, 1.03, 1.11, clip_on=False, linewidth=0, color="#eeeeee" if i % 2 else "#d0d0d0")
        if (last - first) / len(names) > _LETTER * len(names[first]):
            ax.text((first + last) / 2, 1.07, names[first], transform=ax.get_xaxis_transform(), ha="center",
                    va="center", fontsize=FONT - 1)  # fmt: skip
    return 1.12


def _name_lines(ax: Axes, original: str, new: np.ndarray, bottom: float) -> None:
    """Say above the picture which line is which."""
    several = len(set(new.tolist())) > 1
    names = (f"original: {original}", f"new: {'runner-up, at last ' if several else ''}{new[-1]}")
    columns = 2 if sum(map(len, names)) < _ONE_LINE else 1
    ax.legend(ax.get_lines()[:2], names, loc="lower left", bbox_to_anchor=(0, bottom), ncols=columns, frameon=False,
              fontsize=FONT, borderaxespad=0, borderpad=0, handlelength=1.8, columnspacing=1.2)  # fmt: skip
