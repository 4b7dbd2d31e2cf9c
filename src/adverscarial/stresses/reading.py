"""From the values that a classifier reads back to counts, and from changed counts to such values.

Values may be counts, log-normalised counts, or z-scores of these. Which of them they are is found out, and proven: the
values of unmodified cells must come out of their counts again, else the data are refused.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from anndata import AnnData

from adverscarial._types import Floats, Ints, Matrix
from adverscarial.cells.columns import positions_among
from adverscarial.cells.matrix import CellMatrix, is_sparse, layer_of, layers_of
from adverscarial.errors import DataError
from adverscarial.stresses.loops import fill
from adverscarial.stresses.molecules import sizes

TARGET_SUM = 1e4  # of cells without counts, and where z-scores do not tell
_CELLS, _GENES = 1024, 512  # made dense at a time
_SMALLEST = (1, 2, 3)  # counts that a cell's smallest value may stand for
_FEW, _NEAR = 10, 0.05  # counts below the one are recovered with an error up to the other
_OFF = 2e-3  # values may come out of counts with this error, relative to 1 + the value
_CAP = 10.0  # of z-scores, as Seurat and scanpy have it


@dataclass(frozen=True)
class Reading:
    """How a layer is made of counts."""

    #: ``"counts"``, ``"log-normalised"`` or ``"z-scores"``.
    kind: str
    #: Number type of the layer.
    dtype: np.dtype[np.generic]
    #: Sum of each cell's normalised values, before the logarithm: the library size after normalisation.
    size: Floats
    #: Of z-scores: each gene's value without a count, and what one unit of its logarithm adds.
    zero: Floats | None = None
    slope: Floats | None = None
    #: Of z-scores: their upper limit.
    most: float = np.inf

    def values(self, counts: sp.csr_array, rows: Ints, columns: Ints | None = None) -> np.ndarray:
        """Return what a classifier reads of cells with these counts, dense.

        Parameters
        ----------
        counts
            Cells x all genes.
        rows
            Positions of these cells in the data.
        columns
            Genes to return, each once; all, when left out.
        """
        return self.read(counts, rows).dense(np.arange(counts.shape[1]) if columns is None else columns)

    def read(self, counts: sp.csr_array, rows: Ints) -> Read:
        """Return the same for all genes, without making it dense; parameters as for :meth:`values`."""
        if self.kind == "counts":
            return Read(_filled(counts, counts.data.astype(self.dtype)), None)
        total = sizes(counts).astype(np.float64)
        factor = self.size[rows] / np.where(total > 0, total, 1.0)
        data = np.log1p(counts.data * np.repeat(factor, np.diff(counts.indptr)))
        if self.zero is None or self.slope is None:
            return Read(_filled(counts, data.astype(self.dtype)), None)
        z = np.minimum(self.zero[counts.indices] + self.slope[counts.indices] * data, self.most)
        return Read(_filled(counts, z.astype(self.dtype)), np.minimum(self.zero, self.most).astype(self.dtype))


@dataclass(frozen=True)
class Read:
    """What a classifier reads of some cells: values where there are counts, one value per gene where there are none."""

    #: Cells x all genes.
    values: sp.csr_array
    #: Of each gene; None where it is 0.
    zero: np.ndarray | None

    def rows(self, here: slice) -> Read:
        """Return some of the cells."""
        return Read(self.values[here], self.zero)

    def dense(self, columns: Ints) -> np.ndarray:
        """Return the values of some genes, each named once, cells x genes."""
        n_cells, n_genes = self.values.shape
        column_of = positions_among(columns, n_genes)
        if self.zero is None:
            out = np.zeros((n_cells, len(columns)), dtype=self.values.dtype)
        else:
            out = np.tile(self.zero[columns], (n_cells, 1))
        fill(out, self.values.indptr, self.values.indices, self.values.data, column_of)
        return out


def _filled(counts: sp.csr_array, data: np.ndarray) -> sp.csr_array:
    return sp.csr_array((data, counts.indices, counts.indptr), shape=counts.shape)


def counts_of(adata: AnnData, layer: str | None, counts: str | None) -> sp.csr_array:
    """Return the counts behind a layer: those of a layer of their own, the layer itself, or recovered ones.

    Parameters
    ----------
    adata
        Cells x genes.
    layer
        What the classifiers read; ``X`` when left out.
    counts
        Layer that holds the counts; when left out, the layer ``"counts"`` where there is one; of z-scores, the
        layer ``"lognorm"`` is read.

    Raises
    ------
    DataError
        If there are none, and they cannot be recovered.
    """
    if counts is None and "counts" in layers_of(adata):
        counts = "counts"
    if counts is not None:
        held = _csr(layer_of(adata, counts))
        if not _whole(held):
            raise DataError(
                f"The layer '{counts}' holds values that are negative or not whole, such as "
                f"{_strange(held):g}; counts are expected. Name the layer of counts with counts=."
            )
        return held.astype(np.int64)
    held = _csr(layer_of(adata, layer))
    if _whole(held):
        return held.astype(np.int64)
    if held.nnz and held.data.min() < 0:
        if layer != "lognorm" and "lognorm" in layers_of(adata):
            return counts_of(adata, "lognorm", None)
        raise DataError(
            "The values are z-scores (some are negative), from which counts cannot be recovered. Put the counts into "
            "adata.layers['counts'], as adverscarial.datasets.preprocess() does, or name their layer with counts=."
        )
    return _recovered(held, adata)


def _csr(X: Matrix) -> sp.csr_array:
    matrix = CellMatrix(X)
    matrix.check_finite()
    held = X if is_sparse(X) else matrix.part(np.arange(matrix.shape[0]))
    new = sp.csr_array(held.compute() if hasattr(held, "compute") else held, dtype=np.float64, copy=True)
    new.sum_duplicates()
    new.eliminate_zeros()
    return new


def _whole(X: sp.csr_array) -> bool:
    return bool((X.data >= 0).all() and (X.data == np.rint(X.data)).all())


def _strange(X: sp.csr_array) -> float:
    return float(X.data[(X.data < 0) | (X.data != np.rint(X.data))][0])


def _recovered(X: sp.csr_array, adata: AnnData) -> sp.csr_array:
    """Return the counts of log-normalised values: multiples of the cell's smallest."""
    plain, starts = np.expm1(X.data), X.indptr
    data = np.zeros(X.nnz, dtype=np.int64)
    for row in range(X.shape[0]):
        own = slice(starts[row], starts[row + 1])
        if own.start == own.stop:
            continue
        found = _multiples(plain[own])
        if found is None:
            raise DataError(
                "Counts cannot be recovered from these values: they are not the multiples of the smallest value of "
                f"their cell that log-normalised counts are (the first such cell: '{adata.obs_names[row]}'), so its "
                "size factor is not known. Give the counts as adata.layers['counts'], or name their layer with counts=."
            )
        data[own] = found
    return sp.csr_array((data, X.indices, starts), shape=X.shape)


def _multiples(values: Floats) -> Ints | None:
    """Return whole numbers in the same proportions, the smallest 1, 2 or 3; None where there are none."""
    for smallest in _SMALLEST:
        times = values * (smallest / values.min())
        whole = np.rint(times)
        # of large counts every number is near a whole one; whether they are right, reading_of sees
        if (np.abs(times - whole)[times < _FEW] <= _NEAR).all():
            return np.asarray(whole, dtype=np.int64)
    return None


def reading_of(adata: AnnData, layer: str | None, counts: sp.csr_array) -> Reading:
    """Return how a layer is made of counts, once it is proven on all cells.

    Raises
    ------
    DataError
        If the layer is not counts, log-normalised counts, or z-scores of log-normalised counts.
    """
    matrix = CellMatrix(layer_of(adata, layer))
    matrix.check_finite(adata)
    kinds = _kinds(matrix, layer, counts, adata)
    worst = 0.0
    for start in range(0, matrix.shape[0], _CELLS):
        rows = np.arange(start, min(start + _CELLS, matrix.shape[0]))
        there = matrix.rows(rows)
        off = np.abs(kinds.values(counts[rows], rows) - there) / (1 + np.abs(there))
        worst = max(worst, float(off.max(initial=0.0)))
        if worst > _OFF:
            cell, gene = np.unravel_index(int(off.argmax()), off.shape)
            where = "X" if layer is None else f"The layer '{layer}'"
            raise DataError(
                f"{where} was taken for {kinds.kind}, but does not come out of the counts: cell "
                f"'{adata.obs_names[rows[cell]]}', gene '{adata.var_names[gene]}' is {there[cell, gene]:g}. Expected "
                "counts, log(1 + count / total * size), or z-scores of these, made of the counts that are given; see "
                "adverscarial.datasets.preprocess()."
            )
    return kinds


def _kinds(matrix: CellMatrix, layer: str | None, counts: sp.csr_array, adata: AnnData) -> Reading:
    size = np.zeros(matrix.shape[0])
    lowest, whole = np.inf, True
    for start in range(0, matrix.shape[0], _CELLS):
        rows = np.arange(start, min(start + _CELLS, matrix.shape[0]))
        part = matrix.rows(rows)
        lowest, whole = min(lowest, float(part.min(initial=0))), whole and bool((part == np.rint(part)).all())
        with np.errstate(over="ignore"):  # z-scores or counts, whose sums are not used
            size[rows] = np.expm1(part.astype(np.float64)).sum(axis=1)
    if whole and lowest >= 0:
        return Reading("counts", matrix.dtype, size)
    if lowest >= 0:
        return Reading("log-normalised", matrix.dtype, np.where(size > 0, size, TARGET_SUM))
    logs = Reading("log-normalised", np.dtype(np.float64), _sizes_behind(adata, matrix.shape[0]))
    zero, slope, most = _lines(matrix, logs, counts)
    return Reading("z-scores", matrix.dtype, logs.size, zero, slope, most)


def _sizes_behind(adata: AnnData, n_cells: int) -> Floats:
    """Return the size of each cell after normalisation, behind z-scores."""
    if "lognorm" not in layers_of(adata):
        return np.full(n_cells, TARGET_SUM)
    logs = _csr(adata.layers["lognorm"])
    logs.data = np.expm1(logs.data)
    total = np.asarray(logs.sum(axis=1))
    return np.where(total > 0, total, TARGET_SUM)


def _lines(matrix: CellMatrix, logs: Reading, counts: sp.csr_array) -> tuple[Floats, Floats, float]:
    """Return each gene's z-score without a count, its slope over the logarithm, and the upper limit of all.

    A gene's z-scores lie on a line over its logarithms, but for those at the limit.
    """
    n_genes = matrix.shape[1]
    total = sizes(counts).astype(np.float64)
    factor = logs.size / np.where(total > 0, total, 1.0)
    data = np.log1p(counts.data * np.repeat(factor, np.diff(counts.indptr)))
    by_gene = _filled(counts, data).tocsc()
    zero, slope = np.zeros(n_genes), np.zeros(n_genes)
    blocks = [np.arange(at, min(at + _GENES, n_genes)) for at in range(0, n_genes, _GENES)]
    top = max(float(matrix.columns(genes).max(initial=-np.inf)) for genes in blocks)
    for genes in blocks:
        x, z = by_gene[:, genes].toarray(), matrix.columns(genes).astype(np.float64)
        free = (z < top - 1e-6 * max(1.0, abs(top))).astype(np.float64)
        n = np.maximum(free.sum(axis=0), 1.0)
        mean_x, mean_z = (x * free).sum(axis=0) / n, (z * free).sum(axis=0) / n
        spread = (((x - mean_x) ** 2) * free).sum(axis=0)
        varies = spread > 1e-12
        rise = ((x - mean_x) * (z - mean_z) * free).sum(axis=0) / np.where(varies, spread, 1.0)
        # a gene of few cells, all at the limit: any line that is there by the smallest of their values
        least = np.where(free > 0, np.inf, x).min(axis=0, initial=np.inf)
        rise = np.where(varies, rise, np.where(np.isfinite(least) & (least > 0), (top - mean_z) / least, 0.0))
        slope[genes], zero[genes] = rise, mean_z - rise * mean_x
    return zero, slope, _CAP if abs(top - _CAP) < 1e-4 else np.inf
