"""Draws of cells: stratified halves, and training sets with as many cells of each type."""

from __future__ import annotations

import logging
import zlib
from collections.abc import Iterable

import numpy as np
import pandas as pd
import scipy.sparse as sp
from anndata import AnnData

from adverscarial._docs import documented
from adverscarial._types import Matrix
from adverscarial.cells.choice import Cells, meant
from adverscarial.cells.cluster import cluster_labels, cluster_names
from adverscarial.cells.matrix import is_sparse, layers_of
from adverscarial.errors import DataError, ParameterError, did_you_mean, some

logger = logging.getLogger(__name__)

_MANY = 20  # types of one cell each that make no column of types


@documented
def split(
    adata: Cells, groupby: str, *, seed: int, exclude: Iterable[str] = (), mod: str | None = None
) -> tuple[AnnData, AnnData]:
    """Cut a data set into two halves, type by type, as the paper does.

    Parameters
    ----------
    adata
        Cells x genes, or a MuData; not changed. May be backed.
    groupby
        Column of ``adata.obs`` with the types. Cells without a value go to neither half.
    seed
        Start of the draw. Which cells of a type are drawn depends on the seed, the type's name and the names of its
        cells alone, never on the order of the cells or on the other types.
    exclude
        Types that go to neither half, for example ``["UNDETERMINED"]``.
    %(modality)s

    Returns
    -------
    ``(train, test)``, copies in memory, cells in their old order. Of an odd number of cells the extra one is in train.
    Of a MuData, each half is an AnnData of the modality.

    Raises
    ------
    DataError
        If the column is not there, or no cell is labelled.
    ParameterError
        If the seed is no non-negative whole number, or a type to exclude is not there.

    Examples
    --------
    >>> import adverscarial as adv
    >>> train, test = split(adv.datasets.embedded(), "cell_type", seed=0)
    >>> train.n_obs, test.n_obs
    (353, 347)
    """
    adata = meant(adata, mod=mod)
    labels = cluster_labels(adata, groupby)
    names = _names(labels, groupby)
    left_out = {exclude} if isinstance(exclude, str) else {str(name) for name in exclude}
    for name in sorted(left_out - set(names)):
        raise ParameterError(
            f"exclude: there is no '{name}' in obs['{groupby}'].{did_you_mean(name, names)} "
            f"There are: {some(names, 12)}."
        )
    order = np.asarray(adata.obs_names, dtype=str)
    halves: tuple[list[np.ndarray], list[np.ndarray]] = ([], [])
    for name in names:
        if name in left_out:
            continue
        rows = np.flatnonzero(labels == name)
        rows = rows[np.argsort(order[rows], kind="stable")]
        rows = _generator(seed, name).permutation(rows)
        middle = (len(rows) + 1) // 2
        halves[0].append(rows[:middle])
        halves[1].append(rows[middle:])
        if len(rows) == 1:
            logger.info("Type '%s' has one cell only; it is in train, test has none.", name)
    if not halves[0]:
        raise DataError(f"No cell is left: every type of obs['{groupby}'] is excluded.")
    if len(halves[0]) > _MANY and not any(map(len, halves[1])):
        raise DataError(
            f"obs['{groupby}'] has {len(names):,} different values in {len(labels):,} cells, no two of them the same: "
            "it holds measurements or names of cells. Expected a column of clusters or cell types."
        )
    train, test = (_take(adata, np.sort(np.concatenate(half))) for half in halves)
    return train, test


def balance(adata: AnnData, groupby: str, n: int = 100, *, seed: int) -> AnnData:
    """Return a training set with `n` cells of each type (the paper's preparation for scRF and scMLP).

    A type with at least `n` cells gives `n` of them, drawn without replacement. A smaller one gives all its cells,
    topped up with synthetic cells: each gene's value is drawn on its own, with replacement, from that type's values,
    so synthetic cells keep the type's values of each gene and lose what ties genes together.

    Parameters
    ----------
    adata
        Cells x genes; not changed. May be backed. Cells without a type are left out.
    groupby
        Column of ``adata.obs`` with the types.
    n
        Cells per type.
    seed
        Start of the draw; one type's draw does not depend on the others.

    Returns
    -------
    A new AnnData, types stacked in the order in which they first appear, sparse where the input is. Layers are drawn
    along with X (the same donor cell for each gene). ``obs`` holds `groupby` and ``synthetic`` (bool); ``var``,
    ``varm``, ``varp`` and ``uns`` are kept; what describes cells (``obsm``, ``obsp``, ``raw``) is not.

    Raises
    ------
    DataError
        If the column is not there, or no cell is labelled.
    ParameterError
        If `n` or the seed is no whole number, or too small.

    Examples
    --------
    >>> import adverscarial as adv
    >>> balance(adv.datasets.embedded(), "cell_type", seed=0).shape
    (1000, 765)
    """
    if not isinstance(n, int | np.integer) or n < 1:
        raise ParameterError(f"n must be a whole number of at least 1 cell per type, got {n!r}.")
    labels = cluster_labels(adata, groupby)
    _names(labels, groupby)
    matrices: dict[str | None, list[Matrix | None]] = {name: [] for name in [None, *layers_of(adata)]}
    cells: list[str] = []
    types: list[str] = []
    synthetic: list[bool] = []
    for name in pd.unique(labels[labels != None]):  # noqa: E711 - elementwise
        rows = np.flatnonzero(labels == name)
        generator = _generator(seed, name)
        if len(rows) >= n:
            rows = np.sort(generator.choice(rows, size=n, replace=False))
        part = _take(adata, rows)
        missing = n - len(rows)
        donors = generator.integers(len(rows), size=(missing, adata.n_vars))
        for layer, parts in matrices.items():
            parts.append(_topped_up(part.X if layer is None else part.layers[layer], donors))
        cells += [*part.obs_names.astype(str), *(f"{name}-synthetic-{i + 1}" for i in range(missing))]
        types += [str(name)] * n
        synthetic += [False] * len(rows) + [True] * missing
    obs = pd.DataFrame({groupby: pd.Categorical(types), "synthetic": synthetic}, index=pd.Index(cells))
    stacked = {layer: _stack(parts) for layer, parts in matrices.items()}
    balanced = AnnData(stacked.pop(None), obs=obs, var=adata.var.copy(), layers=stacked, uns=dict(adata.uns))
    for kept, source in ((balanced.varm, adata.varm), (balanced.varp, adata.varp)):
        kept.update({key: value.copy() for key, value in source.items()})
    balanced.obs_names_make_unique()
    return balanced


def _topped_up(X: Matrix | None, donors: np.ndarray) -> Matrix | None:
    """Return one type's rows, and below them one row per row of `donors`: which cell gives its value of each gene."""
    if X is None or len(donors) == 0:
        return X
    values = X.toarray() if is_sparse(X) else np.asarray(X)
    drawn = values[donors, np.arange(values.shape[1])]
    return sp.vstack([X, type(X)(drawn)], format=X.format) if is_sparse(X) else np.vstack([values, drawn])


def _stack(parts: list[Matrix | None]) -> Matrix | None:
    first = parts[0]
    if first is None:
        return None
    if is_sparse(first):
        return sp.vstack(parts, format=first.format)
    return np.vstack([np.asarray(part) for part in parts])


def _take(adata: AnnData, rows: np.ndarray) -> AnnData:
    part = adata[rows]
    return part.to_memory() if adata.isbacked else part.copy()


def _names(labels: np.ndarray, groupby: str) -> list[str]:
    names = cluster_names(labels)
    if not names:
        raise DataError(
            f"No cell has a value in obs['{groupby}']. Expected the type of each cell: choose another column."
        )
    return names


def _generator(seed: int, name: str) -> np.random.Generator:
    if not isinstance(seed, int | np.integer) or seed < 0:
        raise ParameterError(f"seed must be a non-negative whole number, got {seed!r}.")
    return np.random.default_rng([int(seed), zlib.crc32(name.encode())])
