"""The cluster under attack: its rows, and what the modifications need to know of all other cells."""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp
from anndata import AnnData

from adverscarial._matrix import CellMatrix, layer_of
from adverscarial.errors import DataError, ParameterError, did_you_mean, some
from adverscarial.statistics import GeneStatistics


class Cluster:
    """The cells of one cluster, beside per-gene statistics of the whole data set.

    Parameters
    ----------
    adata
        Cells x genes; read, never written.
    groupby
        Column of ``adata.obs`` that names each cell's cluster.
    target
        The cluster to attack.
    layer
        Layer to attack; ``X`` when left out.
    seed
        Start of every random draw about this cluster.
    statistics
        Statistics of the same layer, when they are at hand already.

    Attributes
    ----------
    X
        The cluster's values, dense, shape (cells of the cluster, genes of the data set); made when first asked for.
        Ask :meth:`values` for some genes only, where they are enough: sparse data then stay sparse.
    rows
        Positions of the cluster's cells in `adata`.

    Raises
    ------
    DataError
        If the column, the cluster or the layer is not there, gene names repeat, values are NaN or infinite, or the
        data set has one cluster only.
    ParameterError
        If the seed is no whole number, or negative.
    """

    def __init__(
        self,
        adata: AnnData,
        groupby: str,
        target: str,
        *,
        layer: str | None = None,
        seed: int = 0,
        statistics: GeneStatistics | None = None,
    ) -> None:
        if not isinstance(seed, int | np.integer) or seed < 0:
            raise ParameterError(f"seed must be a whole number and not negative, got {seed!r}.")
        check_genes(adata)
        self.labels = cluster_labels(adata, groupby)
        self.names = cluster_names(self.labels)
        self.groupby, self.target, self.layer, self.seed = groupby, str(target), layer, seed
        if self.target not in self.names:
            if isinstance(adata.obs[groupby].dtype, pd.CategoricalDtype) and self.target in map(
                str, adata.obs[groupby].cat.categories
            ):
                raise DataError(f"Cluster '{target}' of obs['{groupby}'] is empty: no cell carries that name.")
            raise DataError(
                f"There is no cluster '{target}' in obs['{groupby}'].{did_you_mean(target, self.names)} "
                f"There are {len(self.names)}: {some(self.names, 12)}."
            )
        if len(self.names) == 1:
            raise DataError(
                f"obs['{groupby}'] has one cluster only ('{self.target}'). An attack needs other cells to borrow "
                "values from: choose a column with at least two clusters."
            )
        self.rows = np.flatnonzero(self.labels == self.target)
        matrix = statistics.matrix if statistics is not None else CellMatrix(layer_of(adata, layer))
        matrix.check_finite(adata)
        self.statistics = statistics if statistics is not None else GeneStatistics(matrix)
        self.dtype = matrix.dtype
        self._cells: Any = (
            sp.csc_array(matrix.part(self.rows), dtype=self.dtype) if matrix.sparse else matrix.rows(self.rows)
        )
        if not np.isfinite(self._cells.data if sp.issparse(self._cells) else self._cells).all():
            raise DataError(
                f"Cluster '{target}' holds NaN or infinite values. Attacks need numbers: fill or drop them."
            )
        self.genes = pd.Index(adata.var_names.astype(str))
        self.gene_names = np.asarray(self.genes, dtype=str)
        self.cells = pd.Index(adata.obs_names[self.rows].astype(str))
        self._draw_order = np.argsort(np.asarray(self.cells), kind="stable")

    @property
    def n_cells(self) -> int:
        """Cells in the cluster."""
        return len(self.rows)

    @cached_property
    def X(self) -> np.ndarray:
        """All values of the cluster, dense."""
        return self._cells.toarray() if sp.issparse(self._cells) else self._cells

    def values(self, genes: np.ndarray) -> np.ndarray:
        """Return the values of some genes (positions), dense, a new array, shape (cells, len(genes))."""
        return self._cells[:, genes].toarray() if sp.issparse(self._cells) else self._cells[:, genes]

    def positions(self, genes: Iterable[object]) -> np.ndarray:
        """Return the positions of gene names.

        Raises
        ------
        DataError
            If a name is not in the data.
        """
        return gene_positions(self.genes, genes)

    def uniform(self, gene: int) -> np.ndarray:
        """Return one draw in [0, 1) per cell for this gene.

        It depends on the seed, the gene's name and the cells' names alone: never on their order, on which other
        genes are asked for, or on the number of processes.
        """
        draws = np.empty(self.n_cells)
        draws[self._draw_order] = self.generator(gene).random(self.n_cells)
        return draws

    def generator(self, gene: int) -> np.random.Generator:
        """Return the random generator of one gene."""
        return np.random.default_rng([self.seed, zlib.crc32(str(self.genes[gene]).encode())])


def cluster_labels(adata: AnnData, groupby: str) -> np.ndarray:
    """Return the cluster name of each cell as text; None where it is missing.

    Raises
    ------
    DataError
        If ``adata.obs`` has no such column.
    """
    if groupby not in adata.obs:
        known = list(adata.obs.columns)
        have = f"There are: {some(known, 10)}." if known else "There are none."
        raise DataError(f"adata.obs has no column '{groupby}'.{did_you_mean(groupby, known)} {have}")
    column = adata.obs[groupby]
    labels = column.astype(object).to_numpy(copy=True)
    missing = column.isna().to_numpy()
    labels[~missing] = [str(label) for label in labels[~missing]]
    labels[missing] = None
    return labels


def cluster_names(labels: np.ndarray) -> list[str]:
    """Return the names that occur, sorted."""
    return sorted({label for label in labels if label is not None})


def check_genes(adata: AnnData) -> None:
    """Raise a DataError when gene names repeat, or when it is no AnnData at all."""
    if not isinstance(adata, AnnData):
        raise DataError(
            f"Expected an AnnData, got a {type(adata).__name__}. Read files with adverscarial.datasets.load()."
        )
    if not adata.var_names.is_unique:
        repeated = adata.var_names[adata.var_names.duplicated()].unique()
        raise DataError(
            f"{len(repeated):,} gene names occur more than once: {some(repeated)}. "
            "Make them unique first, for example with adata.var_names_make_unique()."
        )


def gene_positions(known: pd.Index, genes: Iterable[object]) -> np.ndarray:
    """Return where each of `genes` (names) stands in `known`.

    Raises
    ------
    DataError
        If one is absent, or named twice.
    """
    names = pd.Index([genes] if isinstance(genes, str) else [str(gene) for gene in genes])
    found = known.get_indexer(names)
    if (found < 0).any():
        absent = names[found < 0]
        raise DataError(
            f"{len(absent):,} of {len(names):,} genes are not in the data: {some(absent)}."
            f"{did_you_mean(absent[0], list(known))} Gene names are case-sensitive."
        )
    if not names.is_unique:
        raise DataError(f"Genes are named more than once: {some(names[names.duplicated()].unique())}.")
    return found.astype(np.int64)
