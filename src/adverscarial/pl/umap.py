"""Where do the attacked cells stand among the others, before and after?"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from anndata import AnnData

from adverscarial.errors import DataError, ParameterError
from adverscarial.pl._names import place_names
from adverscarial.pl._pair import Pair, in_memory
from adverscarial.pl._style import ATTACKED, FONT, MUTED, PAGE, plain

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from adverscarial.attacks import Result

#: Tol's "muted" colours without the two that come near the attacked cells', for the other clusters
_TINTS = ("#88ccee", "#ddcc77", "#44aa99", "#aa4499", "#999933", "#332288", "#117733", "#882255")
_STRENGTH = 0.8  # of the tints: the attacked cells stand out
_DISTANCES = (3, 8, 14, 22, 32, 44, 60)  # points between the middle of a cluster and its name
_FEWEST = 10  # cells, below which neighbours mean nothing


def umap(
    adata: AnnData,
    result: Result,
    *,
    gene: str | None = None,
    n_genes: int = 2_000,
    n_components: int = 10,
    n_neighbors: int = 30,
    seed: int = 0,
    axes: tuple[Axes, Axes] | None = None,
) -> tuple[Axes, Axes]:
    """Draw all cells before and after the attack, side by side in one embedding, the attacked ones on top.

    Parameters
    ----------
    adata
        The data that was attacked; not changed. The layer is the result's: log-normalised values or z-scores are used
        as they are, counts are normalised and logarithms taken.
    result
        What an attack returned; a :class:`~adverscarial.attacks.SingleGene` draws its strongest flip.
    gene
        Of a :class:`~adverscarial.attacks.SingleGene`: draw this gene's change instead, whether it flips or not.
    n_genes
        Most variable genes to use; the attacked ones come on top.
    n_components, n_neighbors
        Principal components, and neighbours (cosine) of the graph; fewer where there are not as many cells or genes.
    seed
        Of the PCA and the embedding.
    axes
        Where to draw, before and after; a new figure of the width of a page (183 mm) when left out.

    Returns
    -------
    The two Axes, with the same limits. In each, the last collection holds the attacked cells.

    Raises
    ------
    ParameterError
        If the attack changes nothing, did not test `gene`, or a setting is no positive number.
    DataError
        If the data are not those that were attacked, or are fewer than 10 cells.

    Notes
    -----
    The components are fitted to the cells before the attack, and the attacked cells projected on them: fitted to both,
    a few huge values would make a component of their own, and squeeze what is real into one point. The neighbour graph
    and the embedding are then made once of all cells *and* the attacked copies. Placing the copies into a finished
    embedding of the others (``UMAP.transform``) would put every one of them beside some real cell, however far away it
    is; in a common graph, cells that left the data stand apart. The left panel shows this embedding without the copies,
    the right one without the cells they were made of.

    Variable genes: scanpy's dispersion (flavour "seurat"). Z-scores no longer tell how variable a gene was; so
    ``layers["lognorm"]``, which :func:`adverscarial.datasets.preprocess` leaves, is asked where it is there, and
    without it the genes are taken that differ most between the clusters (F statistic).

    The paper: 2,000 variable genes and the attacked ones, 10 principal components, 30 neighbours by cosine, 500 epochs
    (scanpy's default up to 10,000 cells).

    Examples
    --------
    >>> import adverscarial as adv
    >>> adata = adv.datasets.embedded()
    >>> attack = adv.attacks.SingleGene("positive_aberrant", genes=["CD79A"])
    >>> result = attack(adata, adv.classifiers.ScType(scaled=False), groupby="cell_type", target="Dendritic")
    >>> before, after = umap(adata, result)
    >>> before.get_xlim() == after.get_xlim()
    True
    """
    for name, value in (("n_genes", n_genes), ("n_components", n_components), ("n_neighbors", n_neighbors)):
        if not isinstance(value, int | np.integer) or value < 1:
            raise ParameterError(f"{name} must be a whole number and at least 1, got {value!r}.")
    pair = Pair(adata, result, gene)
    if len(pair.labels) < _FEWEST:
        raise DataError(f"{len(pair.labels)} cells are too few for an embedding; at least {_FEWEST} are needed.")
    genes = np.union1d(_variable_genes(adata, pair, n_genes), pair.changed)
    places = _embedding(pair, genes, n_components, n_neighbors, seed)
    n = len(pair.labels)
    now = places[:n].copy()
    now[pair.rows] = places[n:]
    before, after = _new_axes() if axes is None else axes
    colours = _tints(places[:n], pair.labels, result.target)
    for ax, where, told in zip((before, after), (places[:n], now), pair.told, strict=True):
        _draw(ax, where, pair, colours)
        ax.set_title(f"{'Before' if ax is before else 'After'}: {told}", fontsize=FONT + 1, loc="left")
    margin = 0.04 * np.ptp(places, axis=0)
    low, high = places.min(axis=0) - margin, places.max(axis=0) + margin
    for ax in (before, after):
        ax.set(xlim=(low[0], high[0]), ylim=(low[1], high[1]))
    for ax, where in ((before, places[:n]), (after, now)):
        _name(ax, where, places, pair, {**colours, result.target: ATTACKED})
    return before, after


def _variable_genes(adata: AnnData, pair: Pair, n_genes: int) -> np.ndarray:
    """Return the positions of the genes that vary most."""
    everything = np.arange(len(pair.genes))
    if len(everything) <= n_genes:
        return everything
    import scanpy as sc
    from sklearn.feature_selection import f_classif

    X = pair.lognorm() if pair.counts else in_memory(pair.matrix)
    if X.min() < 0 and "lognorm" in adata.layers:
        X = adata.layers["lognorm"]
    elif X.min() < 0:
        X = pair.before(everything)
        named = np.flatnonzero([label is not None for label in pair.labels])
        varying = np.flatnonzero(np.ptp(X[named], axis=0))
        f = f_classif(X[np.ix_(named, varying)], pair.labels[named].astype(str))[0]
        return varying[np.argsort(-f, kind="stable")[:n_genes]]
    table = sc.pp.highly_variable_genes(AnnData(X), n_top_genes=n_genes, flavor="seurat", inplace=False)
    return np.flatnonzero(table["highly_variable"].to_numpy())


def _embedding(pair: Pair, genes: np.ndarray, n_components: int, n_neighbors: int, seed: int) -> np.ndarray:
    """Return places of all cells, then of the attacked copies, shape (cells + attacked cells, 2)."""
    import scanpy as sc
    from threadpoolctl import threadpool_limits

    clean = AnnData(pair.before(genes))
    with threadpool_limits(1):  # the same sums, and so the same picture, on any machine
        sc.pp.pca(clean, n_comps=min(n_components, *(size - 1 for size in clean.shape)), random_state=seed)
        moved = (pair.after(genes) - clean.X.mean(axis=0, dtype=np.float64)) @ clean.varm["PCs"]
        both = _graph(np.concatenate([clean.obsm["X_pca"], moved]), n_neighbors)
        sc.tl.umap(both, random_state=seed)
    return np.asarray(both.obsm["X_umap"], dtype=np.float64)


def _graph(components: np.ndarray, n_neighbors: int) -> AnnData:
    """Return the graph of nearest neighbours by cosine, as scanpy makes it of few cells: none is missed.

    The squared distance of vectors of length 1 is twice their cosine distance, and ten times as fast to search. For
    many cells scanpy takes pynndescent, and 1.11 cannot read what pynndescent 0.7 returns.
    """
    import scanpy as sc
    from sklearn.preprocessing import normalize

    cells = AnnData(obsm={"unit": normalize(components)})
    k = min(n_neighbors, cells.n_obs - 1)
    sc.pp.neighbors(cells, k, use_rep="unit", metric="sqeuclidean", transformer="sklearn")
    return cells


def _new_axes() -> tuple[Axes, Axes]:
    import matplotlib.pyplot as plt

    figure = plt.figure(figsize=(PAGE, 0.5 * PAGE), layout="constrained")
    before, after = figure.subplots(1, 2)
    return before, after


def _tints(places: np.ndarray, labels: np.ndarray, target: str) -> pd.Series:
    """Return a colour for every other cluster; one that comes twice is as far from its like as can be."""
    from matplotlib.colors import LinearSegmentedColormap, to_hex

    tints = [to_hex(LinearSegmentedColormap.from_list("", ["white", tint])(_STRENGTH)) for tint in _TINTS]
    middles: dict[str, list[np.ndarray]] = {tint: [] for tint in tints}
    found = {}
    for name in sorted({label for label in labels if label not in (None, target)}):
        here = np.median(places[labels == name], axis=0)
        rarest = min(map(len, middles.values()))
        free = [tint for tint in tints if len(middles[tint]) == rarest]
        found[name] = max(
            free, key=lambda tint: min((np.linalg.norm(here - there) for there in middles[tint]), default=0)
        )
        middles[found[name]].append(here)
    return pd.Series(found, dtype=object)


def _draw(ax: Axes, places: np.ndarray, pair: Pair, colours: pd.Series) -> None:
    """Draw the cells, the attacked ones last."""
    size = float(np.clip(8_000 / len(places), 1, 8))
    rest = np.setdiff1d(np.arange(len(places)), pair.rows)
    fill = pd.Series(pair.labels[rest]).map(colours).fillna(MUTED)
    x, y = places.T
    ax.scatter(x[rest], y[rest], s=size, c=fill, linewidth=0, rasterized=True)
    ax.scatter(x[pair.rows], y[pair.rows], s=size * 1.2, c=ATTACKED, linewidth=0, rasterized=True)
    ax.set(xticks=[], yticks=[], xlabel="UMAP 1", ylabel="UMAP 2", aspect="auto")
    plain(ax)


def _name(ax: Axes, places: np.ndarray, everywhere: np.ndarray, pair: Pair, colours: dict[str, str]) -> None:
    """Ring the cell in the middle of each cluster and name it, off the cells of both pictures: names stay in place."""
    from matplotlib.patheffects import withStroke

    middles = []
    for name, colour in colours.items():
        own = places[pair.labels == name]
        middles.append(own[np.argmin(np.linalg.norm(own - np.median(own, axis=0), axis=1))])
        ax.plot(*middles[-1], "o", color=colour, markersize=3.2, markeredgecolor="#000000", markeredgewidth=0.5)
    look = {"fontsize": FONT, "path_effects": [withStroke(linewidth=1.2, foreground="white")]}
    looks = [look] * (len(colours) - 1) + [{**look, "color": ATTACKED, "fontweight": "bold"}]
    place_names(ax, np.array(middles), list(colours), everywhere, distances=_DISTANCES, radius=1, looks=looks)
