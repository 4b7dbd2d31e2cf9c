"""Preprocessing inside the classifier: counts are attacked, then normalised with the new library size."""

from __future__ import annotations

import copy
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pandas as pd
from anndata import AnnData

from adverscarial.cells.cluster import Cluster, check_genes
from adverscarial.cells.matrix import CellMatrix, layer_of
from adverscarial.cells.zscores import deviation, standardised
from adverscarial.classifiers.adapters.functions import CellFunction
from adverscarial.classifiers.answers import Answer, Ballot, Decision
from adverscarial.classifiers.base import Classifier
from adverscarial.classifiers.scorers.all_cells import AllCellsScorer, company_test
from adverscarial.classifiers.scorers.base import Scorer
from adverscarial.classifiers.scorers.counts import LogCountScorer
from adverscarial.classifiers.scorers.general import GeneralScorer
from adverscarial.classifiers.scorers.repredicting import RepredictingScorer
from adverscarial.errors import ClassifierError, InputRejected, ParameterError, did_you_mean

#: counts per cell after normalisation
TARGET_SUM = 1e4
#: largest z-score
MAX_VALUE = 10.0

_CELLS = 2048


def log1p(X: np.ndarray) -> np.ndarray:
    """Return ``log(1 + 10,000 x / library size)`` of counts, cells x all genes.

    A cell without any count stays zero.

    Raises
    ------
    InputRejected
        If a count is negative: such a cell has no library size.
    """
    X = np.asarray(X, dtype=np.float64)
    if X.size and X.min() < 0:
        raise InputRejected("a count is negative, so the cell cannot be normalised")
    size = X.sum(axis=1, keepdims=True)
    return np.log1p(X * (TARGET_SUM / np.where(size > 0, size, 1.0)))


class BehindPreprocessing(Classifier):
    """A classifier that gets preprocessed values."""

    number_type = np.dtype(np.float64)

    genes = None

    def __init__(self, classifier: Classifier, how: str) -> None:
        self.inner, self._how = classifier, how
        self.gives_scores = classifier.gives_scores
        self.needs_all_cells = isinstance(classifier, CellFunction) and classifier.needs_all_cells
        if classifier.needs_all_cells and not isinstance(classifier, CellFunction):
            raise ParameterError(
                f"{classifier.name} looks at all cells of the data, so no preprocessing can stand before it."
            )

    @property
    def classes(self) -> tuple[str, ...]:  # type: ignore[override]
        """Those of the classifier inside."""
        return self.inner.classes

    @property
    def name(self) -> str:  # noqa: D102
        return f"{self.inner.name} ({self._how})"


class Preprocessed(BehindPreprocessing):
    """A classifier behind a function of whole cells: ``"log1p"``, or your own.

    Parameters
    ----------
    classifier
        What gets the preprocessed values.
    function
        Cells x all genes of the data -> the same shape; each cell by itself.
    name
        Shown in tables.
    """

    def __init__(self, classifier: Classifier, function: Callable[[np.ndarray], np.ndarray], name: str) -> None:
        super().__init__(classifier, name)
        self.function = function
        self._columns: np.ndarray | None = None

    def bind(self, genes: pd.Index) -> Preprocessed:  # noqa: D102
        bound = copy.copy(self)
        bound.inner = self.inner.bind(genes)
        bound._columns = bound.inner.align(genes)
        bound.genes = genes
        return bound

    def decide(self, X: np.ndarray) -> Decision:  # noqa: D102
        if self._columns is None:
            raise ClassifierError("Preprocessing needs gene names: call bind(genes).decide(X), or predict(adata).")
        return self.inner.decide(checked(self.function(X), X.shape, self._how)[:, self._columns])

    def scorer(self, cluster: Cluster) -> Scorer:
        """Return the scorer of counts for ``"log1p"``, else the general one: one count moves all values of its cell."""
        bound = self.bind(cluster.genes)
        if bound.needs_all_cells:
            return AllCellsScorer(bound, cluster)
        if self.function is log1p and not isinstance(self.inner, CellFunction):
            scorer: GeneralScorer = LogCountScorer(bound, self.inner, cluster, TARGET_SUM)
        else:
            scorer = GeneralScorer(bound, cluster)
        scorer.company = company_test(bound, cluster, scorer.baseline)
        return scorer


def checked(values: npt.ArrayLike, shape: tuple[int, ...], how: str) -> np.ndarray:
    """Return preprocessed values; raise a ClassifierError when they are not as many finite numbers as went in."""
    array = np.asarray(values, dtype=np.float64)
    if array.shape != shape or not np.isfinite(array).all():
        raise ClassifierError(
            f"The preprocessing '{how}' returned shape {array.shape}, expected {shape}, with finite values only."
        )
    return array


class Scaled(BehindPreprocessing):
    """A classifier behind log-normalisation and z-scores over all cells of the data (n - 1, capped at 10).

    Parameters
    ----------
    classifier
        What gets the z-scores.
    """

    def __init__(self, classifier: Classifier) -> None:
        super().__init__(classifier, "scale")
        self.needs_all_cells = True

    def bind(self, genes: pd.Index) -> Classifier:  # noqa: D102
        return self.inner.bind(genes)

    def decide(self, X: np.ndarray) -> Decision:
        """Not to be called: z-scores need all cells of the data."""
        raise ClassifierError("preprocess='scale' needs all cells of the data: call predict(adata).")

    def _decide_all(self, adata: AnnData, layer: str | None, progress: bool | None = False) -> Decision:
        check_genes(adata)
        genes = pd.Index(adata.var_names.astype(str))
        model = self.inner.bind(genes)
        columns = model.align(genes)
        matrix = CellMatrix(layer_of(adata, layer))
        logs = [log1p(rows)[:, columns] for rows in _chunks(matrix)]
        X = np.concatenate(logs)
        mean = X.mean(axis=0)
        return model.decide(_zscores(X, mean, ((X - mean) ** 2).sum(axis=0), len(X)))

    def scorer(self, cluster: Cluster) -> ScaledScorer:  # noqa: D102
        return ScaledScorer(self.inner.bind(cluster.genes), cluster)


class ScaledScorer(RepredictingScorer):
    """State: the cluster's counts, and per gene the mean and squared deviations of all other cells.

    A changed count moves its cell's library size, hence all of the cell's genes, hence every gene's mean and spread
    over the data set; the other cells enter through two numbers per gene.
    """

    def __init__(self, model: Classifier, cluster: Cluster) -> None:
        self._model = model
        self._columns = model.align(cluster.genes)
        outside = np.setdiff1d(np.arange(cluster.statistics.n_cells), cluster.rows)
        self._n_rest = len(outside)
        logs = [log1p(rows)[:, self._columns] for rows in _chunks(cluster.statistics.matrix, outside)]
        rest = np.concatenate(logs)
        self._mean = rest.mean(axis=0)
        self._squares = ((rest - self._mean) ** 2).sum(axis=0)
        self._start(cluster.X.astype(np.float64))

    def _answer(self, counts: np.ndarray) -> Answer:  # of the cluster's cells
        X = log1p(counts)[:, self._columns]
        n = self._n_rest + len(X)
        inside = X.mean(axis=0)
        mean = (self._n_rest * self._mean + len(X) * inside) / n
        # squared deviations of two groups, joined about their common mean
        squares = self._squares + self._n_rest * (self._mean - mean) ** 2 + ((X - mean) ** 2).sum(axis=0)
        decision = self._model.decide(_zscores(X, mean, squares, n))
        ballot = Ballot(sorted({str(label) for label in decision.labels}))
        return ballot.answer(np.searchsorted(ballot.labels, np.asarray(decision.labels, dtype=str)), decision.scores)

    def _changed(self, genes: np.ndarray, values: np.ndarray) -> np.ndarray:
        counts = self._X.copy()
        counts[:, genes] = values
        return counts


def _chunks(matrix: CellMatrix, rows: np.ndarray | None = None) -> list[np.ndarray]:
    rows = np.arange(matrix.shape[0]) if rows is None else rows
    return [matrix.rows(rows[start : start + _CELLS]) for start in range(0, len(rows), _CELLS)]


def _zscores(X: np.ndarray, mean: np.ndarray, squares: np.ndarray, n: int) -> np.ndarray:
    """Return z-scores of log values, capped above; 0 where a gene does not vary."""
    spread = deviation(squares, n)
    # a gene that is constant up to rounding does not vary
    varies = spread > 1e-12 * np.maximum(np.abs(mean), 1.0)
    return np.minimum(standardised(X, mean, spread, varies), MAX_VALUE)


def preprocessed(classifier: Classifier, how: str | Callable[[np.ndarray], np.ndarray]) -> Classifier:
    """Return `classifier` behind ``"log1p"``, ``"scale"`` or a function of cells x genes.

    Raises
    ------
    ParameterError
        If `how` is neither.
    """
    if how == "log1p":
        return Preprocessed(classifier, log1p, "log1p")
    if how == "scale":
        return Scaled(classifier)
    if callable(how):
        return Preprocessed(classifier, how, getattr(how, "__name__", type(how).__name__))
    raise ParameterError(
        f"preprocess must be 'log1p', 'scale' or a function, got {how!r}.{did_you_mean(how, ['log1p', 'scale'])}"
    )
