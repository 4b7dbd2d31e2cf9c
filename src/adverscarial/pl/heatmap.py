"""What did the attack change, beside the genes that tell the clusters apart?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from textwrap import fill
from typing import TYPE_CHECKING, Unpack

import numpy as np
import pandas as pd
from scipy.cluster.hierarchy import leaves_list, linkage

from adverscarial._types import Floats, Untyped
from adverscarial.attacks.ranking import rank_genes
from adverscarial.cells.choice import Cells
from adverscarial.cells.cluster import cluster_names, gene_positions
from adverscarial.cells.kinds import kind_of
from adverscarial.cells.matrix import is_sparse
from adverscarial.errors import MissingDependencyError, ParameterError
from adverscarial.pl._figures import figure
from adverscarial.pl._options import Options, colour_map, size
from adverscarial.pl._pair import Pair
from adverscarial.pl._style import ATTACKED, FONT, MM, PAGE
from adverscarial.pl._types import colours_of_types

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap
    from matplotlib.figure import Figure

    from adverscarial.attacks import Result

_COLOURS = "PuOr_r"  # orange is high, violet is low: both kinds of colour blindness tell them apart
_WITHIN = 0.98  # this share of the original values lies within the colour scale
_NAMED = 35  # names of genes that fit beside the picture
_HEIGHT, _GAP, _TREE, _NAMES, _MARGIN = 95 * MM, 3 * MM, 9.5 * MM, 33 * MM, 1 * MM
_SIDE = (PAGE - _TREE - _GAP - _NAMES - 2 * _MARGIN) / 2  # width of one panel
_LETTERS = int(_SIDE * 72 / (0.55 * FONT))  # of a title that fit above a panel
_LINE = 1.25 * FONT / 72  # height of one more line of a title
_LONG = 13  # letters of a cluster's name, from which on it stands upright, so as not to leave the picture aslant
_STRIP = 0.025  # height of the bar of clusters, in units of a panel
_BAR = (1.06, -0.11, 0.36, 0.02)  # colour scale, in units of the right panel


@figure("What did the attack change, beside the genes that tell the clusters apart?")
def heatmap(
    adata: Cells,
    result: Result,
    *,
    gene: str | None = None,
    n_genes: int = 100,
    genes: Sequence[str] | None = None,
    max_changed: int = 40,
    max_cells: int = 100,
    seed: int = 0,
    figure: Figure | None = None,
    **options: Unpack[Options],
) -> tuple[Axes, Axes]:
    """Draw genes x cells before and after the attack, side by side, and mark the genes that were changed.

    Parameters
    ----------
    %(attacked_and_drawn)s
    n_genes
        Most discriminating genes to draw, of :func:`adverscarial.rank_genes`.
    genes
        Names of the genes to draw in their place, best first; for several pictures of the same data, rank once.
    max_changed
        Of the changed genes that are not among these, draw those that changed most, up to this number.
    max_cells
        Most cells of each cluster to draw, so that small clusters stay visible.
    seed
        Of the draw of cells.
    figure
        Where to draw; a new figure of the width of a page (183 mm) when left out. The rest of the figure (gene tree,
        names, colour scale) is in ``figure.axes``.

    Returns
    -------
    The Axes before and after. Rows are genes, columns are cells, in the same order in both. The right one has a tick
    for every changed gene, with names for the 35 that changed most; the attacked cluster is framed. Below the left
    one stands what is not shown.

    Raises
    ------
    ParameterError
        If the attack changes nothing, did not test `gene`, or a number is not a positive whole one.
    DataError
        If the data are not those that were attacked.
    MissingDependencyError
        If marsilea is not installed.

    Notes
    -----
    Each gene is centred on its median over the drawn cells before the attack, in both panels. Genes are clustered on
    these values (Euclidean distance, complete linkage), and so are the cells within each cluster and the clusters, by
    their medians. The order is that before the attack in both panels, so that a difference between them is the attack
    and nothing else. The colour scale covers 98% of the values before the attack; values beyond have its end colours.

    The paper's heatmaps: the 100 first genes of the ranking and those attacked.

    Examples
    --------
    >>> import adverscarial as adv
    >>> adata = adv.datasets.embedded()
    >>> attack = adv.attacks.SingleGene("perc99", genes=["LYZ", "CD79A"])
    >>> result = attack(adata, adv.classifiers.ScType(scaled=False), groupby="cell_type", target="Dendritic")
    >>> before, after = heatmap(adata, result, genes=["CD3D", "CD79A", "LYZ", "NKG7"])
    >>> len(before.get_yticks()), len(after.get_yticks())  # a tick for each changed gene
    (0, 1)
    """
    for name, value, least in (("n_genes", n_genes, 1), ("max_changed", max_changed, 0), ("max_cells", max_cells, 1)):
        if not isinstance(value, int | np.integer) or value < least:
            raise ParameterError(f"{name} must be a whole number and at least {least}, got {value!r}.")
    ma = _marsilea()
    import matplotlib.pyplot as plt

    pair = Pair(adata, result, gene)
    if genes is None:
        genes = rank_genes(pair.adata, result.groupby, layer=result.layer)[:n_genes]
    shown = _arrange(pair, genes, max_changed, max_cells, seed)
    longest = max(map(len, shown.ends))
    rotation, letter = (45, 1.0 * MM) if longest < _LONG else (90, 1.4 * MM)
    below = max(24 * MM, 8 * MM + longest * letter)  # for the names, and the notes below them
    titles = [
        fill(f"{when}: {called}", _LETTERS) for when, called in zip(("Before", "After"), pair.titles, strict=True)
    ]
    above = 5 * MM + _LINE * max(title.count("\n") for title in titles)
    board = plt.figure() if figure is None else figure
    before, after = _panels(ma, shown, board, (above, below), colour_map(_COLOURS))
    if figure is None:  # as large as its parts, unless asked for otherwise
        board.set_size_inches(*size(*board.get_size_inches()))
    bar = colours_of_types(pair.adata, result.groupby, list(shown.ends))
    for ax, title in zip((before, after), titles, strict=True):
        ax.set_title(title, fontsize=FONT, loc="left")
        _mark_clusters(ax, shown, result.target, rotation, bar)
    after.set_yticks(np.flatnonzero(np.isin(shown.rows, shown.changed)) + 0.5, [])
    after.yaxis.tick_right()
    after.tick_params(axis="y", length=2)
    _name_genes(after, shown)
    _add_colour_scale(after, _unit(pair))
    before.annotate("; ".join(shown.notes), (4, 4), xycoords="figure points", fontsize=FONT - 1)
    return before, after


def _name_genes(ax: Axes, shown: _Shown) -> None:
    """Name the genes that changed most beside their rows, each on a line of its own."""
    place = {int(gene): row + 0.5 for row, gene in enumerate(shown.rows)}
    named = sorted((int(gene) for gene in shown.changed[:_NAMED]), key=place.__getitem__)
    line = 1.05 * (FONT - 1) / 72 / _HEIGHT * len(shown.names)
    at = _lines(np.array([place[gene] for gene in named]), line, len(shown.names))
    rows = ax.get_yaxis_transform()
    for gene, y in zip(named, at, strict=True):
        ax.plot([1.02, 1.05, 1.12, 1.14], [place[gene], place[gene], y, y], transform=rows, color="#000000",
                linewidth=0.5, clip_on=False)  # fmt: skip
        ax.annotate(str(shown.names[gene]), (1.15, y), xycoords=rows, va="center", fontsize=FONT - 1,
                    annotation_clip=False)  # fmt: skip


def _lines(middles: Floats, line: float, whole: float) -> Floats:
    """Return where names stand, in order: near the middles of their rows, a line apart, within `whole` if they fit."""
    steps = line * np.arange(len(middles))
    room = max(whole - line * len(middles), 0.0)
    # names that would overlap form a block, whose middle is that of its rows
    blocks: list[list[float]] = []  # of each: the sum of its middles without steps, and how many
    for free in middles - steps - line / 2:
        blocks.append([free, 1])
        while len(blocks) > 1 and blocks[-2][0] / blocks[-2][1] >= blocks[-1][0] / blocks[-1][1]:
            total, n = blocks.pop()
            blocks[-1][0] += total
            blocks[-1][1] += n
    starts = np.concatenate([np.full(int(n), total / n) for total, n in blocks]) if blocks else middles
    found: Floats = np.clip(starts, 0, room) + steps + line / 2
    return found


def _mark_clusters(ax: Axes, shown: _Shown, target: str, rotation: float, bar: dict[str, str]) -> None:
    """Part the clusters by lines, name them below a bar of their colours, and frame the attacked one."""
    from matplotlib.patches import Rectangle

    ends = np.array(list(shown.ends.values()))
    starts = np.append(0, ends[:-1])
    attacked = list(shown.ends).index(target)
    ax.set_axis_on()  # marsilea hides ticks and names
    ax.spines[:].set_visible(False)
    ax.vlines(ends[:-1], 0, len(shown.names), color="#ffffff", linewidth=0.5)
    ax.add_patch(Rectangle((starts[attacked], 0), ends[attacked] - starts[attacked], len(shown.names), fill=False,
                           edgecolor=ATTACKED, linewidth=1, clip_on=False, zorder=5))  # fmt: skip
    for start, end, name in zip(starts, ends, shown.ends, strict=True):
        ax.add_patch(Rectangle((start, -_STRIP), end - start, 0.7 * _STRIP, transform=ax.get_xaxis_transform(),
                               facecolor=bar[name], linewidth=0, clip_on=False))  # fmt: skip
    ax.set_yticks([])
    ax.set_xticks(_apart((starts + ends) / 2, ends[-1], rotation), list(shown.ends), rotation=rotation, ha="right",
                  va="center" if rotation == 90 else "baseline", rotation_mode="anchor", fontsize=FONT)  # fmt: skip
    ax.get_xticklabels()[attacked].set(color=ATTACKED, fontweight="bold")
    ax.tick_params(axis="x", length=0, pad=2 + _STRIP * _HEIGHT * 72)


def _unit(pair: Pair) -> str:
    """Return what the values are."""
    if pair.counts:
        return "log of counts per 10,000"
    X = pair.matrix.X
    return kind_of(X) if isinstance(X, np.ndarray) or is_sparse(X) else ""


def _add_colour_scale(ax: Axes, unit: str) -> None:
    bar = ax.figure.colorbar(ax.collections[0], cax=ax.inset_axes(_BAR), orientation="horizontal", extend="both")
    bar.set_label("Difference from\nthe gene's median" + (f"\n({unit})" if unit else ""), fontsize=FONT - 1)
    bar.ax.tick_params(labelsize=FONT - 1, length=2)


def _marsilea() -> Untyped:
    try:
        import marsilea
    except ImportError as error:
        raise MissingDependencyError("marsilea", "figures", "A heatmap") from error
    return marsilea


@dataclass(frozen=True)
class _Shown:
    """What is drawn, genes x cells, centred; columns as they stand, rows still to be ordered by the tree."""

    before: np.ndarray
    after: np.ndarray
    names: np.ndarray  # of the genes
    changed: np.ndarray  # positions among them, the largest shift first
    tree: np.ndarray | None  # of the genes; None for one gene
    ends: dict[str, int]  # cluster -> where its columns end
    notes: list[str]

    @property
    def rows(self) -> np.ndarray:
        """Return the genes from top to bottom."""
        return np.arange(len(self.names)) if self.tree is None else leaves_list(self.tree)


def _arrange(pair: Pair, genes: Sequence[str], max_changed: int, max_cells: int, seed: int) -> _Shown:
    listed = gene_positions(pd.Index(pair.genes), genes)
    others = pair.changed[~np.isin(pair.changed, listed)]
    drawn = np.concatenate([listed, others[:max_changed]])
    changed = pair.changed[np.isin(pair.changed, drawn)]
    groups, notes = _draw_cells(pair, max_cells, seed)
    if len(changed) < len(pair.changed):
        notes.insert(0, f"{len(changed):,} of the {len(pair.changed):,} changed genes are drawn")
    values = {name: pair.before(drawn, cells) for name, cells in groups.items()}
    centre = np.median(np.concatenate(list(values.values())), axis=0)
    order = {name: _by_tree(block) for name, block in values.items()}
    names = list(groups)
    clusters = [names[i] for i in _by_tree(np.stack([np.median(values[name], axis=0) for name in names]))]
    cells = np.concatenate([groups[name][order[name]] for name in clusters])
    before = np.concatenate([values[name][order[name]] for name in clusters]) - centre
    after = before.copy()
    attacked = np.flatnonzero(np.isin(cells, pair.rows))
    after[attacked] = pair.after(drawn)[np.searchsorted(pair.rows, cells[attacked])] - centre
    return _Shown(
        before.T, after.T, pair.genes[drawn], pd.Index(drawn).get_indexer(changed),
        linkage(before.T, "complete") if len(drawn) > 1 else None,
        dict(zip(clusters, np.cumsum([len(groups[name]) for name in clusters]).tolist(), strict=True)), notes,
    )  # fmt: skip


def _draw_cells(pair: Pair, max_cells: int, seed: int) -> tuple[dict[str, np.ndarray], list[str]]:
    """Return the positions of the drawn cells of each cluster, sorted, and what to say if they are not all."""
    rng = np.random.default_rng(seed)
    groups, fewer = {}, False
    for name in cluster_names(pair.labels):
        cells = np.flatnonzero(pair.labels == name)
        if len(cells) > max_cells:
            cells, fewer = np.sort(rng.choice(cells, max_cells, replace=False)), True
        groups[name] = cells
    return groups, [f"at most {max_cells:,} cells of each cluster, drawn at random"] if fewer else []


def _by_tree(rows: np.ndarray) -> np.ndarray:
    """Return the order of rows in their tree: Euclidean distance, complete linkage."""
    return leaves_list(linkage(rows, "complete")) if len(rows) > 1 else np.arange(len(rows))


def _apart(centres: np.ndarray, n_cells: int, rotation: float) -> Floats:
    """Return where the names of clusters stand: at their centres, but never closer than a line is high."""
    height = 1.1 * FONT / 72 / np.sin(np.deg2rad(rotation))
    line = min(height / _SIDE, 1 / len(centres)) * n_cells
    steps = line * np.arange(len(centres))
    apart: Floats = np.minimum(np.maximum.accumulate(centres - steps), n_cells - steps[-1]) + steps
    return apart


def _panels(
    ma: Untyped, shown: _Shown, figure: Figure, room: tuple[float, float], cmap: str | Colormap
) -> tuple[Axes, Axes]:
    """Draw both panels, the tree and the names of the genes that changed most; room is inches above and below."""
    limit = float(np.quantile(np.abs(shown.before), _WITHIN)) or float(np.abs(shown.after).max())
    boards: list[Untyped] = []
    for side, values in (("before", shown.before), ("after", shown.after)):
        board = ma.Heatmap(np.clip(values, -limit, limit), vmin=-limit, vmax=limit, cmap=cmap, name=side,
                           width=_SIDE, height=_HEIGHT, legend=False, rasterized=True)  # fmt: skip
        if shown.tree is not None:
            board.add_dendrogram(
                "left", linkage=shown.tree, size=_TREE - 0.5 * MM, pad=0.5 * MM, linewidth=0.4, show=not boards
            )
        boards.append(board)
    boards[1].add_pad("right", _NAMES)
    both = boards[0] + _GAP + boards[1]
    both.set_margin((room[0], _MARGIN, room[1], _MARGIN))
    both.render(figure)
    return both.get_main_ax("before"), both.get_main_ax("after")
