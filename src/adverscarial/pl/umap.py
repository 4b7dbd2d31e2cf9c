"""Where do the attacked cells stand among the others, before and after?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Unpack

import numpy as np
import pandas as pd
from anndata import AnnData

from adverscarial.cells.choice import Cells
from adverscarial.classifiers.base import Classifier
from adverscarial.classifiers.wrap import wrap
from adverscarial.errors import DataError, InputRejected, ParameterError, did_you_mean, some
from adverscarial.pl._figures import figure
from adverscarial.pl._names import Look, place_names
from adverscarial.pl._options import Options, size
from adverscarial.pl._pair import Pair, in_memory
from adverscarial.pl._style import ATTACKED, FONT, MUTED, PAGE, plain
from adverscarial.pl._types import colours_of_types

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from adverscarial.attacks import Result

_JOINT = "joint"  # the embedding that is made of all cells and the attacked copies
_DISTANCES = (3, 8, 14, 22, 32, 44, 60)  # points between the middle of a cluster and its name
_LISTED = 18  # types that are named beside a picture
_FEWEST = 10  # cells, below which neighbours mean nothing


@figure("Where do the attacked cells stand among the others, before and after?")
def umap(  # noqa: PLR0913
    adata: Cells, result: Result, *, classifier: object = None, gene: str | None = None, basis: str | None = None,
    n_genes: int = 2_000, n_components: int = 10, n_neighbors: int = 30, seed: int = 0,
    axes: tuple[Axes, Axes] | None = None, **options: Unpack[Options],
) -> tuple[Axes, Axes]:  # fmt: skip
    """Draw all cells before and after the attack, side by side in one embedding, the attacked ones on top.

    Parameters
    ----------
    %(attacked_and_drawn)s
    classifier
        The attacked classifier: every cell is coloured by what it is called, before and after, and the attacked ones
        are ringed. Without it, by its cluster, and the attacked ones stand out.
    basis
        An embedding of the data, such as ``"X_umap"``: the cells keep their places, so look at their colours.
        ``"joint"`` makes one in which the attacked cells move. Left out: with a classifier, the data's ``X_umap``
        where they have one; else ``"joint"``.
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
    The two Axes, with the same limits. In each, the last collection holds the attacked cells. Colours are those in
    ``uns["GROUPBY_colors"]``, where scanpy left them; no two types share one.

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
    adata = pair.adata
    if len(pair.labels) < _FEWEST:
        raise DataError(f"{len(pair.labels)} cells are too few for an embedding; at least {_FEWEST} are needed.")
    called = None if classifier is None else _called(adata, result, wrap(classifier), gene, pair)
    n, positions = len(pair.labels), _data_embedding(adata, pair, basis, called is not None)
    if positions is None:
        genes = np.union1d(_variable_genes(adata, pair, n_genes), pair.changed)
        positions = _embedding(pair, genes, n_components, n_neighbors, seed)
    now = positions[:n].copy()
    now[pair.rows] = positions[n:]
    shown = (pair.labels, pair.labels) if called is None else called
    names = sorted(
        {name for labels in shown for name in labels if name is not None}
        - ({result.target} if called is None else set())
    )
    colours = colours_of_types(adata, result.groupby, names)
    if called is None:
        colours[result.target] = ATTACKED
    before, after = _new_axes() if axes is None else axes
    margin = 0.04 * np.ptp(positions, axis=0)
    low, high = positions.min(axis=0) - margin, positions.max(axis=0) + margin
    for ax, where, labels, title in zip((before, after), (positions[:n], now), shown, pair.titles, strict=True):
        _draw(ax, where, pair.rows, pd.Series(labels).map(colours).fillna(MUTED).to_numpy(), ringed=called is not None)
        text = title if called is None else "\n(".join(title.rsplit(" (", 1))  # the list takes room
        ax.set_title(f"{'Before' if ax is before else 'After'}: {text}", fontsize=FONT + 1, loc="left")
        ax.set(xlim=(low[0], high[0]), ylim=(low[1], high[1]))
    if called is not None:
        _list_types(after, called, pair.rows, colours)
    else:
        for ax, where in ((before, positions[:n]), (after, now)):
            _name(ax, where, positions, pair, colours)
    return before, after


def _called(
    adata: AnnData, result: Result, model: Classifier, gene: str | None, pair: Pair
) -> tuple[np.ndarray, np.ndarray]:
    """Return what every cell is called, before and after.

    Raises
    ------
    ParameterError
        If the classifier labels whole clusters.
    """
    if model.of_clusters:
        raise ParameterError(f"{model.name} labels whole clusters, not cells: leave out classifier=.")
    before = model.predict(adata, layer=result.layer, progress=False).to_numpy().astype(object)
    changed = result.apply(adata, gene)
    after = before.copy()
    try:
        if model.needs_all_cells:
            after = model.predict(changed, layer=result.layer, progress=False).to_numpy().astype(object)
        else:
            after[pair.rows] = model.predict(changed[pair.rows], layer=result.layer, progress=False).to_numpy()
    except InputRejected:
        after[pair.rows] = "(refused)"
    return before, after


def _data_embedding(adata: AnnData, pair: Pair, basis: str | None, called: bool) -> np.ndarray | None:
    """Return the data's own positions of all cells, and of the attacked ones again; None for the joint embedding.

    Raises
    ------
    ParameterError
        If the data have no such embedding.
    """
    chosen = basis or ("X_umap" if called and "X_umap" in adata.obsm else _JOINT)
    if chosen == _JOINT:
        return None
    if chosen not in adata.obsm:
        known = [*adata.obsm, _JOINT]
        raise ParameterError(
            f"The data have no embedding '{chosen}' in obsm.{did_you_mean(chosen, known)} There are: {some(known)}."
        )
    own = np.asarray(adata.obsm[chosen], dtype=np.float64)[:, :2]
    return np.concatenate([own, own[pair.rows]])


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
    """Return positions of all cells, then of the attacked copies, shape (cells + attacked cells, 2)."""
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

    figure = plt.figure(figsize=size(PAGE, 0.5 * PAGE), layout="constrained")
    before, after = figure.subplots(1, 2)
    return before, after


def _draw(ax: Axes, positions: np.ndarray, rows: np.ndarray, fill: np.ndarray, *, ringed: bool) -> None:
    """Draw the cells, the attacked ones last."""
    size = float(np.clip(8_000 / len(positions), 1, 8))
    rest = np.setdiff1d(np.arange(len(positions)), rows)
    x, y = positions.T
    ax.scatter(x[rest], y[rest], s=size, c=fill[rest], linewidth=0, rasterized=True)
    ring = {"edgecolor": "#000000", "linewidth": 0.35} if ringed else {"linewidth": 0}
    ax.scatter(x[rows], y[rows], s=size * (1.6 if ringed else 1.2), c=fill[rows], rasterized=True, **ring)
    ax.set(xticks=[], yticks=[], xlabel="UMAP 1", ylabel="UMAP 2", aspect="auto")
    plain(ax)


def _list_types(ax: Axes, called: tuple[np.ndarray, np.ndarray], rows: np.ndarray, colours: dict[str, str]) -> None:
    """List beside the picture what cells are called, and how many of the attacked ones, before and after.

    As many types as there is room for: those of the attacked cells first, then the most frequent.
    """
    from matplotlib.lines import Line2D

    all_counts = {name: tuple(int((one[rows] == name).sum()) for one in called) for name in colours}
    frequent = sorted(colours, key=lambda name: (-sum(all_counts[name]), -int((called[0] == name).sum())))
    shown = set(frequent[:_LISTED])
    left, colours = len(colours) - len(shown), {name: one for name, one in colours.items() if name in shown}
    counts = [all_counts[name] for name in colours]
    marks = [
        Line2D([], [], marker="o", linestyle="", markersize=4, markeredgewidth=0, color=colour,
               label=f"{name}: {old:,} → {new:,}" if old or new else name)
        for (name, colour), (old, new) in zip(colours.items(), counts, strict=True)
    ]  # fmt: skip
    if left > 0:
        marks.append(Line2D([], [], linestyle="", label=f"and {left:,} more type{'s' if left > 1 else ''}"))
    ax.legend(handles=marks, loc="upper left", bbox_to_anchor=(1, 1), frameon=False, fontsize=FONT - 1,
              title="Called (ringed: attacked,\nbefore → after)", title_fontsize=FONT - 1, alignment="left",
              handletextpad=0.2)  # fmt: skip


def _name(ax: Axes, positions: np.ndarray, everywhere: np.ndarray, pair: Pair, colours: dict[str, str]) -> None:
    """Ring the cell in the middle of each cluster and name it, off the cells of both pictures: names stay in place."""
    from matplotlib.patheffects import withStroke

    middles = []
    for name, colour in colours.items():
        own = positions[pair.labels == name]
        middles.append(own[np.argmin(np.linalg.norm(own - np.median(own, axis=0), axis=1))])
        ax.plot(*middles[-1], "o", color=colour, markersize=3.2, markeredgecolor="#000000", markeredgewidth=0.5)
    look: Look = {"fontsize": FONT, "path_effects": [withStroke(linewidth=1.2, foreground="white")]}
    looks: list[Look] = [look] * (len(colours) - 1) + [{**look, "color": ATTACKED, "fontweight": "bold"}]
    place_names(ax, np.array(middles), list(colours), everywhere, distances=_DISTANCES, radius=1, looks=looks)
