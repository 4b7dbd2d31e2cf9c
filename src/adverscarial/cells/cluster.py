"""The cluster under attack: its rows, and what the modifications need to know of all other cells."""

from __future__ import annotations

import copy
import zlib
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from typing import Self

import numpy as np
import pandas as pd
import scipy.sparse as sp
from anndata import AnnData

from adverscarial._docs import documented
from adverscarial._types import Floats, Ints, Matrix
from adverscarial.cells.choice import chosen_of
from adverscarial.cells.columns import as_slice, dense_columns
from adverscarial.cells.matrix import CellMatrix, is_sparse, layer_of, replace
from adverscarial.cells.ranges import Ranges
from adverscarial.cells.remembered import as_array, as_text
from adverscarial.cells.statistics import GeneStatistics
from adverscarial.errors import DataError, ParameterError, did_you_mean, some

_AT_ONCE = 12  # cells that are laid out anew at a time; their values fit into the cache
_FEW = 8  # one in so many genes, up to which only these are read from an array in memory


@documented
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
    %(layer_attacked)s
    seed
        Start of every random draw about this cluster.
    %(statistics)s

    Attributes
    ----------
    adata
        The data set.
    X
        The cluster's values, dense, shape (cells of the cluster, genes of the data set); made when first asked for.
        Ask :meth:`values` for some genes only, where they are enough: sparse data then stay sparse.
    rows
        Positions of the cluster's cells in `adata`.
    cells, all_cells
        Names of the cluster's cells, and of all cells of the data set.

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
        self.adata = adata
        self.labels = cluster_labels(adata, groupby)
        self.names = cluster_names(self.labels)
        self.groupby, self.target, self.layer, self.seed = groupby, str(target), layer, seed
        _check_target(adata, groupby, self.target, self.names)
        self.rows = np.flatnonzero(self.labels == self.target)
        matrix = statistics.matrix if statistics is not None else CellMatrix(layer_of(adata, layer))
        matrix.check_finite(adata, once=True)
        self.statistics = statistics if statistics is not None else GeneStatistics(matrix)
        self.dtype = matrix.dtype
        self._dense = not matrix.sparse
        self._at_hand = isinstance(matrix.X, np.ndarray) and matrix.X.dtype.kind in "fiub" and matrix.X.itemsize <= 8
        # what lies in memory is looked through when it is read
        if (
            not matrix.numbers_in_memory
            and not np.isfinite(self._cells.data if sp.issparse(self._cells) else self._cells).all()
        ):
            raise DataError(
                f"Cluster '{target}' holds NaN or infinite values. Attacks need numbers: fill or drop them."
            )
        self.genes = as_text(adata.var_names)
        self._read: tuple[np.ndarray, np.ndarray] | None = None  # a few genes, and their values

    @property
    def gene_names(self) -> np.ndarray:
        """Names of the genes, as an array."""
        return as_array(self.genes)

    @property
    def all_cells(self) -> pd.Index:
        """Names of all cells of the data set."""
        return as_text(self.adata.obs_names)

    @cached_property
    def cells(self) -> pd.Index:
        """Names of the cluster's cells."""
        return self.all_cells[self.rows]

    @cached_property
    def _draw_order(self) -> Ints:
        order: Ints = np.argsort(np.asarray(self.cells), kind="stable")
        return order

    @property
    def n_cells(self) -> int:
        """Cells in the cluster."""
        return len(self.rows)

    @cached_property
    def _cells(self) -> Matrix:
        """The cluster's rows; of arrays in memory they are taken when something needs all of their genes."""
        matrix = self.statistics.matrix
        return sp.csc_array(matrix.part(self.rows), dtype=self.dtype) if matrix.sparse else matrix.rows(self.rows)

    @cached_property
    def X(self) -> np.ndarray:
        """All values of the cluster, dense."""
        cells = self._cells
        return dense_columns(cells, np.arange(len(self.genes))) if is_sparse(cells) else np.asarray(cells)

    @property
    def counts(self) -> bool:
        """Whether the data hold counts, in which case what possible modifications and steps write is whole, too."""
        return self.statistics.matrix.counts

    def values(self, genes: np.ndarray) -> np.ndarray:
        """Return the values of some genes (positions), dense, a new array, shape (cells, len(genes)).

        It lies in memory as the cells of a prediction do, gene after gene: sums are then added up in the same order, so
        that exact ties are answered alike.
        """
        if self._few_at_hand(genes):
            if self._read is None or not np.array_equal(genes, self._read[0]):  # a scan asks for the same genes twice
                block = self.statistics.matrix.block(self.rows, genes)
                self._read = genes.copy(), np.asfortranarray(block, dtype=self.dtype)
            return self._read[1].copy(order="F")
        if not self._dense and is_sparse(cells := self._cells):
            return dense_columns(cells, genes)
        held = self.held(genes)
        return held.copy(order="F") if isinstance(as_slice(genes), slice) else held  # what is gathered is new

    def held(self, genes: np.ndarray) -> np.ndarray:
        """Return the same as :meth:`values`, perhaps as it is kept here: only to be read."""
        if self._few_at_hand(genes) or not self._dense:
            return self.values(genes)
        run = as_slice(genes)
        if isinstance(run, slice) and _FEW * len(genes) > len(self.genes):
            return self._by_gene[0][:, run]
        return np.asfortranarray(np.asarray(self._cells)[:, run])

    def ranges(self, genes: np.ndarray) -> Ranges:
        """Return the smallest and largest value and the mean of some genes (positions) over the cluster's cells."""
        if self._few_at_hand(genes):
            return Ranges.of(self.values(genes))
        return self._ranges.some(as_slice(genes))

    @cached_property
    def _ranges(self) -> Ranges:
        return Ranges.of(self._cells) if "_cells" in self.__dict__ or not self._dense else self._by_gene[1]

    @cached_property
    def _by_gene(self) -> tuple[np.ndarray, Ranges]:
        """The cluster's values, gene after gene in memory, and their ranges; read a few cells at a time."""
        values = np.empty((self.n_cells, len(self.genes)), dtype=self.dtype, order="F")
        held = self.__dict__.get("_cells")

        def parts() -> Iterator[np.ndarray]:
            for start in range(0, self.n_cells, _AT_ONCE):
                some = slice(start, start + _AT_ONCE)
                part = self.statistics.matrix.rows(self.rows[some]) if held is None else np.asarray(held[some])
                values[some] = part
                yield part

        ranges = Ranges.over(parts())  # which fills the values
        return values, ranges

    def _few_at_hand(self, genes: np.ndarray) -> bool:
        """Whether some genes are read by themselves, since the rest of the cluster's rows has not been."""
        return self._at_hand and "_cells" not in self.__dict__ and _FEW * len(genes) <= len(self.genes)

    def with_values(self, rows: np.ndarray, genes: np.ndarray, values: np.ndarray) -> Self:
        """Return the same cluster of data with other values; this one stays as it is.

        Parameters
        ----------
        rows, genes
            Positions in the data set, of cells inside or outside the cluster.
        values
            Shape (len(rows), len(genes)).
        """
        other = copy.copy(self)
        for name in ("X", "_cells", "_ranges", "_by_gene"):
            other.__dict__.pop(name, None)
        matrix = CellMatrix(replace(self.statistics.matrix.X, rows, genes, values))
        other.statistics, other.dtype = GeneStatistics(matrix), matrix.dtype
        other._at_hand, other._read = False, None
        return other

    def positions(self, genes: Iterable[object]) -> Ints:
        """Return the positions of gene names.

        Raises
        ------
        DataError
            If a name is not in the data.
        """
        return gene_positions(self.genes, genes)

    def uniform(self, gene: int) -> Floats:
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


def _check_target(adata: AnnData, groupby: str, target: str, names: list[str]) -> None:
    """Raise a DataError when the cluster has no cells, or when there is no other cluster."""
    if target not in names:
        column = adata.obs[groupby]
        if isinstance(column.dtype, pd.CategoricalDtype) and target in map(str, column.cat.categories):
            raise DataError(f"Cluster '{target}' of obs['{groupby}'] is empty: no cell carries that name.")
        raise DataError(
            f"There is no cluster '{target}' in obs['{groupby}'].{did_you_mean(target, names)} "
            f"There are {len(names)}: {some(names, 12)}."
        )
    if len(names) == 1:
        raise DataError(
            f"obs['{groupby}'] has one cluster only ('{target}'). An attack needs other cells to borrow "
            "values from: choose a column with at least two clusters."
        )


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
    if isinstance(column.dtype, pd.CategoricalDtype):
        names = np.array([*map(str, column.cat.categories), None], dtype=object)
        named: np.ndarray = names[column.cat.codes.to_numpy()]  # the code of a missing name is -1
        return named
    labels: np.ndarray = column.astype(object).to_numpy(copy=True)
    missing = column.isna().to_numpy()
    labels[~missing] = [str(label) for label in labels[~missing]]
    labels[missing] = None
    return labels


def cluster_names(labels: np.ndarray) -> list[str]:
    """Return the names that occur, sorted."""
    return sorted(label for label in pd.unique(labels) if label is not None)


def named_clusters(names: list[str], groupby: str, targets: Sequence[str] | str | None) -> list[str]:
    """Return the clusters that are meant: those in `targets`, each once, or all of `names` when it is None.

    Raises
    ------
    DataError
        If a cluster is not there.

    Examples
    --------
    >>> named_clusters(["B", "NK", "T"], "cell_type", ["T", "B", "T"])
    ['T', 'B']
    """
    wanted = [targets] if isinstance(targets, str) else targets
    clusters = names if wanted is None else list(dict.fromkeys(map(str, wanted)))
    if strange := [name for name in clusters if name not in names]:
        raise DataError(
            f"There is no cluster '{strange[0]}' in obs['{groupby}'].{did_you_mean(strange[0], names)} "
            f"There are: {some(names, 12)}."
        )
    return clusters


def check_genes(adata: AnnData) -> None:
    """Raise a DataError when gene names repeat, or when it is no AnnData at all."""
    if not isinstance(adata, AnnData):
        raise DataError(
            f"Expected an AnnData, got a {type(adata).__name__}. Read files with adverscarial.datasets.load(), take a "
            "modality of a MuData with adverscarial.datasets.select()."
        )
    if not adata.var_names.is_unique:
        repeated = adata.var_names[adata.var_names.duplicated()].unique()
        raise DataError(
            f"{len(repeated):,} gene names occur more than once: {some(repeated)}. "
            "Make them unique first, for example with adata.var_names_make_unique()."
        )


def gene_positions(known: pd.Index, genes: Iterable[object]) -> Ints:
    """Return where each of `genes` (names) stands in `known`.

    Raises
    ------
    DataError
        If one is absent, or named twice.
    """
    names = pd.Index([genes] if isinstance(genes, str) else [str(gene) for gene in genes])
    found: Ints = known.get_indexer(names).astype(np.int64)
    if (found < 0).any():
        absent = names[found < 0]
        raise DataError(
            f"{len(absent):,} of {len(names):,} genes are not in the data: {some(absent)}."
            f"{did_you_mean(absent[0], list(known))} Gene names are case-sensitive."
        )
    if not names.is_unique:
        raise DataError(f"Genes are named more than once: {some(names[names.duplicated()].unique())}.")
    return found


def masked_genes(adata: AnnData, mask_var: str | Sequence[bool] | np.ndarray) -> list[str]:
    """Return the names of the genes that a mask keeps: a column of ``var``, or one bool per gene, as in scanpy.

    Raises
    ------
    DataError
        If there is no such column, or it holds something else than yes and no.
    ParameterError
        If an array has another length, or nothing is kept.
    """
    if isinstance(mask_var, str):
        if mask_var not in adata.var:
            known = list(adata.var.columns)
            where = "raw.var" if chosen_of(adata).get("use_raw") else "adata.var"
            raise DataError(
                f"{where} has no column '{mask_var}'.{did_you_mean(mask_var, known)} There are: {some(known, 10)}."
            )
        mask, what = adata.var[mask_var].to_numpy(), f"var['{mask_var}']"
    elif isinstance(mask_var, pd.Series):  # by the genes' names, in whatever order
        if not mask_var.index.is_unique or set(mask_var.index) != set(adata.var_names):
            raise ParameterError(
                "mask_var is a Series of other genes than those of the data; expected one bool for each."
            )
        mask, what = mask_var.reindex(adata.var_names).to_numpy(), "mask_var"
    else:
        mask, what = np.asarray(mask_var), "mask_var"
    if mask.dtype != bool:
        raise DataError(f"{what} holds {mask.dtype} values; a mask of genes is True or False for each.")
    if mask.shape != (adata.n_vars,) or not mask.any():
        kept = f"{what} keeps {int(mask.sum()):,} of {mask.size:,} genes"
        raise ParameterError(f"{kept}; expected some of the {adata.n_vars:,} genes of the data.")
    return [str(gene) for gene in adata.var_names[mask]]
