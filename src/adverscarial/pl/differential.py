"""Genes that flip a label, in the plane of statistics: those that attacks find and statistics do not stand out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Unpack

import numpy as np
import pandas as pd

from adverscarial.errors import ParameterError
from adverscarial.pl._figures import figure
from adverscarial.pl._lines import legend
from adverscarial.pl._names import Look, place_names
from adverscarial.pl._options import Options, colours
from adverscarial.pl._style import ATTACKED, COLUMN, FONT, PALETTE, new_axes, plain

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_SMALLEST = 1e-300  # p-values below it are drawn at it
_EDGE = 10.0  # fold changes beyond it are drawn at it: one of the groups does not express the gene at all


@figure("Which genes do attacks find and statistics not?")
def differential(table: pd.DataFrame, *, n: int = 8, ax: Axes | None = None, **options: Unpack[Options]) -> Axes:
    """Draw the differential expression of genes that flip a label.

    Parameters
    ----------
    table
        What :func:`adverscarial.evaluation.differential` returned.
    n
        Names of genes to write, of those that are not significant, the most complete flip first.
    ax
        Where to draw; a new figure of one journal column (89 mm) when left out.

    Returns
    -------
    The Axes: the fold change across (to the right: the attacked cluster expresses more; beyond 10 it is drawn at 10,
    since one of the two does not express the gene at all), and up how small the adjusted p-value is. Orange: not
    significant, so attacks find these genes and statistics do not.

    Raises
    ------
    ParameterError
        If the table has no row, or other columns.

    Examples
    --------
    >>> import adverscarial as adv
    >>> cells, model = adv.datasets.embedded(), adv.classifiers.ScType(scaled=False)
    >>> result = adv.attacks.SingleGene("perc99")(cells, model, groupby="cell_type", target="Dendritic")
    >>> differential(adv.evaluation.differential(result, cells)).get_ylabel()
    'Adjusted p-value, −log10'
    """
    if not {"gene", "share", "log_fold_change", "p_adjusted", "significant"} <= set(table.columns):
        raise ParameterError("pl.differential draws the table of adverscarial.evaluation.differential.")
    drawn = table.dropna(subset=["log_fold_change", "p_adjusted"])
    if not len(drawn):
        raise ParameterError(
            "There is no flip to draw: none was found, or the values are not log-normalised and have no fold change."
        )
    ax = new_axes(COLUMN, 0.8 * COLUMN) if ax is None else ax
    height = -np.log10(np.maximum(drawn["p_adjusted"].to_numpy(dtype=float), _SMALLEST)) + 0.0
    change = np.clip(drawn["log_fold_change"].to_numpy(dtype=float), -_EDGE, _EDGE)
    found = drawn["significant"].to_numpy(dtype=bool)
    both = (*colours((PALETTE[0], ATTACKED)), ATTACKED)
    for chosen, colour, name in (
        (found, both[0], "statistics find them, too"),
        (~found, both[1], "attacks find them, statistics do not"),
    ):
        ax.scatter(change[chosen], height[chosen], s=9, color=colour, linewidth=0, alpha=0.8, zorder=3,
                   label=f"{name} ({int(chosen.sum()):,})")  # fmt: skip
    ax.axvline(0, color="#bbbbbb", linewidth=0.6)
    ax.margins(0.1)
    ax.set(xlabel="Log2 fold change, attacked cluster over the other type", ylabel="Adjusted p-value, −log10")
    legend(ax, loc="lower left", bbox_to_anchor=(0, 1))
    plain(ax)
    _write_names(ax, drawn, np.column_stack([change, height]), n)
    return ax


def _write_names(ax: Axes, drawn: pd.DataFrame, dots: np.ndarray, n: int) -> None:
    """Write the names of the genes that statistics miss, each once, the most complete flip first."""
    missed = np.flatnonzero(~drawn["significant"].to_numpy(dtype=bool))
    shares, genes = drawn["share"].to_numpy(dtype=float), drawn["gene"].astype(str).to_numpy()
    chosen: dict[str, int] = {}
    for place in missed[np.argsort(-shares[missed], kind="stable")]:
        chosen.setdefault(genes[place], int(place))
    names = list(chosen)[:n]
    if names:
        at = dots[[chosen[name] for name in names]]
        looks: list[Look] = [{"fontsize": FONT - 1}] * len(names)
        place_names(ax, at, names, dots, distances=(4, 12, 24), radius=1.5, looks=looks)
