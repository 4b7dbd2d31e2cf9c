"""A data set before and after an attack, gene by gene: what the figures of a result look at."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
from anndata import AnnData

from adverscarial._types import Floats, Matrix
from adverscarial.attacks import Result
from adverscarial.cells.choice import Cells, attacked
from adverscarial.cells.cluster import Cluster
from adverscarial.cells.matrix import CellMatrix, layer_of
from adverscarial.classifiers.answers import of_the_cells
from adverscarial.errors import ParameterError

_TOTAL = 1e4  # counts of a cell, once normalised


class Pair:
    """The cells as they are, and the attacked cluster as it became.

    Parameters
    ----------
    adata
        The data that was attacked; read, never written.
    result
        Of the attack; its layer is the one that is looked at.
    gene
        Of a :class:`~adverscarial.attacks.SingleGene`: the gene that is changed; its strongest flip when left out.

    Attributes
    ----------
    titles
        What the classifier calls the cluster before and after.
    labels
        Cluster of each cell, None where it is missing, shape (cells,).
    rows
        Positions of the attacked cells.
    shift
        Mean absolute change of each gene over the attacked cells, shape (genes,).
    adata, matrix
        The cells, and all their original values of the layer.
    changed
        Positions of the genes with any change, the largest shift first.
    counts
        Whether the layer holds counts; :meth:`before` and :meth:`after` normalise them and take logarithms.

    Raises
    ------
    ParameterError
        If `result` is none, or changes nothing, or did not test `gene`.
    DataError
        If the data are not those that were attacked.
    """

    def __init__(self, adata: Cells, result: Result, gene: str | None = None) -> None:
        if isinstance(adata, Result) and isinstance(result, AnnData):
            raise ParameterError("The arguments are swapped: the data come first, as in pl.umap(adata, result).")
        if not isinstance(result, Result):
            raise ParameterError(
                f"Expected the result of an attack, got a {type(result).__name__}. For example: "
                "result = adv.attacks.SingleGene('perc99')(adata, classifier, groupby=..., target=...)."
            )
        after = _called(result.label, result.share) if gene is None else _called_with(result, gene)
        self.titles = (_called(result.baseline, result.baseline_share), after)
        self.adata = adata = attacked(adata, result.source)
        cluster = Cluster(adata, result.groupby, result.target, layer=result.layer)
        self.labels, self.rows, self.genes = cluster.labels, cluster.rows, cluster.gene_names
        self.matrix, self._old = cluster.statistics.matrix, cluster.X
        changed = result.apply(adata, gene)
        self._new = CellMatrix(layer_of(changed, result.layer)).rows(self.rows)
        self.shift = np.abs(self._new.astype(np.float64) - self._old).mean(axis=0)
        self.changed = np.argsort(-self.shift, kind="stable")[: int((self.shift > 0).sum())]
        if not len(self.changed):
            raise ParameterError(
                f"{result.attack!r} changes no value of cluster '{result.target}': before and after are the same."
            )
        self.counts = bool((self._old >= 0).all() and (self._old == np.rint(self._old)).all())

    def before(self, genes: np.ndarray, cells: np.ndarray | None = None) -> np.ndarray:
        """Return the original values of `cells` (positions; all when left out), shape (cells, len(genes))."""
        values = self.matrix.columns(genes)
        values = values if cells is None else values[cells]
        if not self.counts:
            return values
        totals = np.asarray(in_memory(self.matrix).sum(axis=1)).ravel()
        return _log_normalised(values, totals if cells is None else totals[cells])

    def lognorm(self) -> Matrix:
        """Return all counts normalised, as logarithms; sparse where the counts are sparse."""
        import scanpy as sc

        work = AnnData(in_memory(self.matrix).astype(np.float32))
        sc.pp.normalize_total(work, target_sum=_TOTAL)
        sc.pp.log1p(work)
        return work.X

    def after(self, genes: np.ndarray) -> np.ndarray:
        """Return the new values of the attacked cells, shape (attacked cells, len(genes))."""
        values = self._new[:, genes]
        return _log_normalised(values, np.maximum(self._new, 0).sum(axis=1)) if self.counts else values


def in_memory(matrix: CellMatrix) -> Matrix:
    """Return a matrix as numpy array, or scipy's sparse *matrix*: scanpy 1.10 and 1.11 refuse sparse arrays."""
    return sp.csr_matrix(matrix.csc()) if matrix.sparse else matrix.columns(np.arange(matrix.shape[1]))


def _log_normalised(counts: np.ndarray, totals: np.ndarray) -> Floats:
    """Return log(1 + counts per 10,000); an attack can make counts negative, which are taken for 0."""
    return np.asarray(np.log1p(np.maximum(counts, 0) * (_TOTAL / np.maximum(totals, 1))[:, None]))


def _called(label: str, share: float) -> str:
    """Return what the classifier calls the cluster, for a title."""
    return f"called {label} ({of_the_cells(share)})"


def _called_with(result: Result, gene: str) -> str:
    """Return what the classifier calls the cluster when `gene` alone is changed, for a title."""
    answer = result.answer_to(gene)
    if answer is None:
        return "only tested with other genes"
    return "the classifier refuses the input" if answer.rejected else _called(answer.label, answer.share)
