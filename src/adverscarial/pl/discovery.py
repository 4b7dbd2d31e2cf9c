"""What do attacks find that statistics miss, and is it the same in other clusters, classifiers and data sets?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Unpack

import numpy as np
import pandas as pd

from adverscarial.errors import ParameterError
from adverscarial.evaluation import Discovery
from adverscarial.pl._figures import figure
from adverscarial.pl._lines import legend
from adverscarial.pl._options import Options, colours, size
from adverscarial.pl._style import ATTACKED, FONT, MUTED, PAGE, PALETTE, plain

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_SURE = 0.05  # q-value of pairs that share more than by chance
_SPREAD = 0.28  # of the dots of one row, up and down
_ROWS = 12  # rows that fit into the usual height


@figure("What do attacks find that statistics miss, and is it the same elsewhere?")
def discovery(
    found: Discovery, *, seed: int = 0, axes: tuple[Axes, Axes] | None = None, **options: Unpack[Options]
) -> tuple[Axes, Axes]:
    """Draw how many genes of each attack statistics miss, and how much gene sets have in common.

    Parameters
    ----------
    found
        What :func:`adverscarial.evaluation.discover` returned.
    seed
        Of the dots' places across their row, so that they do not hide each other.
    axes
        Where to draw, genes and overlaps; a new figure of the width of a page (183 mm) when left out.

    Returns
    -------
    The two Axes. Left: one bar for each attack and classifier (all data sets together), split into genes that differ
    between the types and, in orange, those that do not; the number of the latter stands behind. Right: a dot for each
    pair of gene sets, the further right the more they share; orange dots share more than by chance (FDR 5%).

    Raises
    ------
    ParameterError
        If there is nothing to draw, or `found` is something else.

    Examples
    --------
    >>> import adverscarial as adv
    >>> cells, model = adv.datasets.embedded(), adv.classifiers.ScType(scaled=False)
    >>> result = adv.attacks.SingleGene("perc99")(cells, model, groupby="cell_type", target="Dendritic")
    >>> genes, overlaps = discovery(adv.evaluation.discover(result, cells))
    >>> genes.get_xlabel(), overlaps.get_xlabel()
    ('Genes singled out', 'Shared genes (Jaccard)')
    """
    if not isinstance(found, Discovery):
        raise ParameterError("pl.discovery draws what adverscarial.evaluation.discover returned.")
    bars = found.summary().groupby(["attack", "classifier"], sort=True)[["genes", "missed"]].sum()
    if not len(bars):
        raise ParameterError("There is nothing to draw: no attack singled out a gene whose statistics are known.")
    genes, overlaps = _new_axes(len(bars)) if axes is None else axes
    _draw_bars(genes, bars)
    _draw_dots(overlaps, found.overlaps, np.random.default_rng(seed))
    return genes, overlaps


def _new_axes(rows: int) -> tuple[Axes, Axes]:
    import matplotlib.pyplot as plt

    height = 0.42 * PAGE * max(1.0, rows / _ROWS)
    left, right = plt.figure(figsize=size(PAGE, height), layout="constrained").subplots(1, 2)
    return left, right


def _draw_bars(ax: Axes, bars: pd.DataFrame) -> None:
    """Draw one bar for each attack and classifier, the missed genes first."""
    at = np.arange(len(bars))[::-1]
    missed, rest = bars["missed"].to_numpy(), (bars["genes"] - bars["missed"]).to_numpy()
    found, lost = (*colours((PALETTE[0], ATTACKED)), ATTACKED)[:2]
    ax.barh(at, missed, color=lost, label="statistics miss them")
    ax.barh(at, rest, left=missed, color=found, label="statistics find them, too")
    for place, n, whole in zip(at, missed, bars["genes"], strict=True):
        ax.text(whole, place, f" {n:,} of {whole:,}", va="center", fontsize=FONT - 1)
    ax.set_yticks(at, [f"{classifier}, {attack}" for attack, classifier in bars.index])
    ax.set_xlim(0, 1.3 * bars["genes"].max())
    ax.set_xlabel("Genes singled out")
    legend(ax, loc="lower left", bbox_to_anchor=(0, 1), ncols=2)
    plain(ax)


def _draw_dots(ax: Axes, pairs: pd.DataFrame, rng: np.random.Generator) -> None:
    """Draw one row for each attack and kind of pair, one dot per pair."""
    rows = list(pairs.groupby(["attack", "across"], sort=True))
    names = [f"{attack}, across {across}" for (attack, across), _ in rows]
    for place, (_, part) in zip(range(len(rows))[::-1], rows, strict=True):
        sure = part["q_value"].to_numpy() < _SURE
        height = place + rng.uniform(-_SPREAD, _SPREAD, len(part))
        for chosen, colour in ((~sure, MUTED), (sure, ATTACKED)):
            ax.scatter(part["jaccard"][chosen], height[chosen], s=6, color=colour, linewidth=0, alpha=0.8)
    ax.scatter([], [], s=9, color=ATTACKED, label="more than by chance (FDR 5%)")
    ax.scatter([], [], s=9, color=MUTED, label="not")
    ax.set_yticks(range(len(rows))[::-1], names)
    ax.set_xlim(-0.03, 1.03)
    ax.set_ylim(-0.6, max(len(rows), 1) - 0.4)
    ax.set_xlabel("Shared genes (Jaccard)")
    legend(ax, loc="lower left", bbox_to_anchor=(0, 1), ncols=2)
    plain(ax)
