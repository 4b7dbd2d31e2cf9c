"""How many genes does each single cell need before its label changes? By type, and in an embedding."""

from __future__ import annotations

from typing import TYPE_CHECKING, Unpack

import numpy as np

from adverscarial.cells.choice import Cells, meant
from adverscarial.cells.cluster import cluster_labels, cluster_names
from adverscarial.errors import ParameterError
from adverscarial.pl._figures import figure
from adverscarial.pl._fragile import log_ticks, needed
from adverscarial.pl._options import Options, colour_map, colours
from adverscarial.pl._style import COLUMN, FONT, MUTED, PAGE, PALETTE, new_axes, plain

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_FEWEST = 5  # cells, below which a violin would invent a shape
_WHAT = "Genes a cell needs at least (proven)"


@figure("How many genes does each single cell need before its label changes?")
def fragility(
    adata: Cells, groupby: str, *, key: str = "fragility", mod: str | None = None, ax: Axes | None = None,
    **options: Unpack[Options],
) -> Axes:  # fmt: skip
    """Draw a violin per cell type: how many genes its cells need at least before their label changes.

    Parameters
    ----------
    %(cells_with_fragility)s
    groupby
        Column of ``obs`` that holds the types.
    key
        The ``key_added`` of :func:`adverscarial.fragility`.
    %(modality)s
    %(ax)s

    Returns
    -------
    The Axes, with a logarithmic vertical axis. The line in each violin is the median; types of fewer than 5 such cells
    are drawn as points. Cells that no number of genes flips are in no violin: their share stands above it.

    Raises
    ------
    ParameterError
        If the columns are not there, or no cell can be flipped.

    %(cells_example)s
    >>> adv.fragility(cells, adv.classifiers.ScType(), modification="perc99")
    >>> fragility(cells, "cell_type").get_ylabel().splitlines()
    ['Genes a cell needs', 'at least (proven)']
    """
    adata = meant(adata, mod=mod)
    numbers, labels = needed(adata, key), cluster_labels(adata, groupby)
    _some_flip(numbers, key)
    parts = {name: numbers[labels == name] for name in cluster_names(labels)}
    order = sorted(parts, key=lambda name: float(np.median(parts[name])))
    if ax is None:
        ax = new_axes(min(PAGE, max(COLUMN, 0.6 + 0.32 * len(order))), 0.95 * COLUMN)
    fill, edge = (*colours((PALETTE[5], PALETTE[0])), PALETTE[0])[:2]
    for x, name in enumerate(order):
        finite = np.log10(parts[name][np.isfinite(parts[name])])
        if len(finite) >= _FEWEST and np.ptp(finite) > 0:
            drawn = ax.violinplot([finite], [x], widths=0.85, showextrema=False)
            for body in drawn["bodies"]:  # type: ignore[attr-defined]
                body.set(facecolor=fill, edgecolor=edge, linewidth=0.6, alpha=1)
        else:
            ax.plot(np.full(len(finite), x), finite, "o", color=edge, markersize=2.5)
        if len(finite):
            ax.plot([x - 0.25, x + 0.25], [np.median(finite)] * 2, color="#000000", linewidth=1.2)
        if never := 1 - len(finite) / len(parts[name]):
            ax.text(x, 1.0, f"never\n{never:.0%}", transform=ax.get_xaxis_transform(), ha="center", va="bottom",
                    fontsize=FONT - 2)  # fmt: skip
    ticks, texts, top = log_ticks(numbers)
    ax.set_yticks(ticks, texts)
    ax.set_xticks(range(len(order)), order, rotation=40, ha="right", rotation_mode="anchor")
    ax.set(xlim=(-0.6, len(order) - 0.4), ylim=(-0.08, np.log10(top) + 0.08), ylabel=_WHAT.replace("needs ", "needs\n"))
    return plain(ax)


@figure("Where in an embedding are the cells whose labels change with few genes?")
def fragility_umap(
    adata: Cells, *, key: str = "fragility", basis: str = "X_umap", mod: str | None = None, ax: Axes | None = None,
    **options: Unpack[Options],
) -> Axes:  # fmt: skip
    """Draw every cell where an embedding puts it, coloured by how many genes it needs before its label changes.

    Parameters
    ----------
    adata
        Cells to which :func:`adverscarial.fragility` has written its columns, with an embedding in ``obsm``.
    key
        The ``key_added`` of :func:`adverscarial.fragility`.
    basis
        Name of the embedding in ``obsm``; its first two columns are drawn.
    %(modality)s
    %(ax)s

    Returns
    -------
    The Axes. Bright cells need few genes, dark ones many, on a logarithmic scale; grey ones are flipped by no number of
    genes. The most fragile cells are drawn last.

    Raises
    ------
    ParameterError
        If the columns or the embedding are not there, or no cell can be flipped.

    %(cells_example)s
    >>> adv.fragility(cells, adv.classifiers.ScType(), modification="perc99")
    >>> cells.obsm["X_genes"] = cells.to_df()[["CD79A", "LYZ"]].to_numpy()
    >>> fragility_umap(cells, basis="X_genes").get_xlabel()
    'genes 1'
    """
    from matplotlib.colors import LogNorm

    adata = meant(adata, mod=mod)
    numbers = needed(adata, key)
    _some_flip(numbers, key)
    if basis not in adata.obsm or np.ndim(adata.obsm[basis]) != 2 or np.shape(adata.obsm[basis])[1] < 2:
        raise ParameterError(
            f"obsm has no embedding '{basis}' with two columns. Compute one first, for example with scanpy.tl.umap, or "
            f"name one of: {', '.join(map(str, adata.obsm)) or 'none is there'}."
        )
    x, y = np.asarray(adata.obsm[basis], dtype=np.float64)[:, :2].T
    ax = new_axes(COLUMN, 0.8 * COLUMN) if ax is None else ax
    size = float(np.clip(8_000 / len(x), 1, 8))
    never = ~np.isfinite(numbers)
    ax.scatter(x[never], y[never], s=size, c=MUTED, linewidth=0, rasterized=True)
    shown = np.flatnonzero(~never)
    shown = shown[np.argsort(-numbers[shown], kind="stable")]
    top = max(2.0, numbers[shown].max())
    drawn = ax.scatter(
        x[shown], y[shown], s=size, c=numbers[shown], cmap=colour_map("viridis_r"), norm=LogNorm(1, top), linewidth=0,
        rasterized=True,
    )  # fmt: skip
    bar = ax.figure.colorbar(drawn, ax=ax, pad=0.02, fraction=0.05)
    ticks, texts, _ = log_ticks(numbers)
    bar.set_ticks((10**ticks).tolist(), labels=texts)
    bar.ax.minorticks_off()
    bar.ax.tick_params(labelsize=FONT, length=2)
    bar.set_label(_WHAT, fontsize=FONT)
    name = basis.removeprefix("X_")
    name = "UMAP" if name == "umap" else name
    ax.set(xticks=[], yticks=[], xlabel=f"{name} 1", ylabel=f"{name} 2")
    if never.any():
        ax.set_title(f"grey: never ({never.mean():.0%} of the cells)", fontsize=FONT, loc="right")
    return plain(ax)


def _some_flip(numbers: np.ndarray, key: str) -> None:
    if not np.isfinite(numbers).any():
        raise ParameterError(f"No number of genes flips any cell by obs['{key}_lower'], so there is nothing to draw.")
