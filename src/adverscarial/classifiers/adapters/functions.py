"""Any function as a classifier: of cells, or of a whole cluster (the form that the R package uses)."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import pandas as pd
from anndata import AnnData

from adverscarial.cells.cluster import Cluster
from adverscarial.cells.matrix import CellMatrix, layer_of
from adverscarial.classifiers.adapters.given import Takes, check_takes, in_form
from adverscarial.classifiers.answers import Answer, Decision, argmax_labels
from adverscarial.classifiers.base import Classifier
from adverscarial.classifiers.scorers.base import Scorer
from adverscarial.classifiers.scorers.general import GeneralScorer
from adverscarial.classifiers.scorers.repredicting import RepredictingScorer
from adverscarial.errors import ClassifierError, InputRejected, some

Answered = TypeVar("Answered")


class CellFunction(Classifier, wraps=90):
    """A function ``X -> labels`` or ``X -> scores`` of cells x genes.

    Parameters
    ----------
    function
        Given float values, shape (cells, genes), it returns one label per cell, or scores of shape (cells, classes).
        A ``ValueError`` on modified input counts as the outcome *rejected*; any other error stops the attack.
    classes
        Names of the score columns; for labels, all labels that are allowed (any, when left out).
    genes
        Columns that the function wants, in its order; all genes of the data when left out.
    needs_all_cells
        True where a cell's label depends on the cells beside it: the function is then always asked about all cells of
        the data at once. False says that it does not. Left out, this is tested on some cells before an attack, and a
        function that gives other labels beside other cells is refused.
    takes
        What the function is given: ``"array"``; ``"frame"``, a DataFrame with named genes; or ``"adata"``, an AnnData
        with the values as ``X`` and nothing else but the names of the genes.
    """

    def __init__(
        self,
        function: Callable[..., npt.ArrayLike],
        *,
        classes: Sequence[str] | None = None,
        genes: Sequence[str] | None = None,
        needs_all_cells: bool | None = None,
        takes: Takes = "array",
    ) -> None:
        check_takes(takes)
        self.function, self.takes = function, takes
        self._bound: CellFunction | None = None
        self.needs_all_cells, self._tested = bool(needs_all_cells), needs_all_cells is None
        self._given_classes = None if classes is None else tuple(str(name) for name in classes)
        self.classes = self._given_classes or ()
        self.genes = None if genes is None else pd.Index([str(gene) for gene in genes])
        self.gives_scores = True  # until an answer tells otherwise

    def __repr__(self) -> str:
        given = [self.name]
        given += [] if self._given_classes is None else [f"classes={list(self._given_classes)}"]
        given += [] if self.genes is None else [f"genes={list(self.genes)}"]
        given += ["needs_all_cells=True"] if self.needs_all_cells else []
        given += [] if self.takes == "array" else [f"takes={self.takes!r}"]
        return f"wrap({', '.join(given)})"

    @classmethod
    def recognises(cls, obj: object) -> bool:
        """Return whether an object can be called."""
        return callable(obj)

    @property
    def name(self) -> str:  # noqa: D102
        return getattr(self.function, "__name__", type(self.function).__name__)

    def bind(self, genes: pd.Index) -> CellFunction:
        """Return the function as it is asked about data with these genes, which it must know where it takes names."""
        if self.takes == "array" or self.genes is not None:
            return self
        if self._bound is None or not genes.equals(self._bound.genes):
            self._bound = copy.copy(self)
            self._bound.genes, self._bound._bound = genes, None
        return self._bound  # the same one again: it learns its classes from its answers

    def _decide_all(self, adata: AnnData, layer: str | None, progress: bool | None = False) -> Decision:
        said = super()._decide_all(adata, layer, progress)
        learned = self._bound or self
        self.gives_scores, self.classes = learned.gives_scores, learned.classes
        return said

    def scorer(self, cluster: Cluster) -> Scorer:
        """Return the scorer that asks the function about the cluster, or about all cells where it needs them."""
        bound = self.bind(cluster.genes)
        if self._tested or self.needs_all_cells:
            return super(CellFunction, bound).scorer(cluster)
        return GeneralScorer(bound, cluster)

    def _given(self, X: np.ndarray) -> np.ndarray | pd.DataFrame | AnnData:
        if self.takes == "array":
            return X
        if self.genes is None:
            raise ClassifierError(f"{self.name} takes named genes: call bind(genes).decide(X), or predict(adata).")
        return in_form(self.takes, X, self.genes)

    def decide(self, X: np.ndarray) -> Decision:  # noqa: D102
        answer = call(self.name, self.function, self._given(X))
        if answer is None:
            raise ClassifierError(f"{self.name} returned nothing; expected labels or scores: one for each cell.")
        try:
            values = np.asarray(answer)
        except ValueError as error:
            raise ClassifierError(f"{self.name} returned rows of different lengths: {error}") from error
        if values.ndim == 2 and values.shape[1] == 1 and values.dtype.kind not in "fiu":
            values = values[:, 0]
        if values.ndim == 1 and len(values) == len(X):
            self.gives_scores = False
            return Decision(self._checked_labels(values), None)
        if values.ndim != 2 or len(values) != len(X):
            raise ClassifierError(
                f"{self.name} returned shape {values.shape} for {len(X)} cells; expected ({len(X)},) labels "
                f"or ({len(X)}, classes) scores."
            )
        self.gives_scores = True
        names = [str(c) for c in answer.columns] if isinstance(answer, pd.DataFrame) else None
        if names is not None and set(names) == set(self.classes):  # columns count by name, whatever their order
            values = values[:, [names.index(name) for name in self.classes]]
        if not self.classes:
            if names is None:
                raise ClassifierError(
                    f"{self.name} returned {values.shape[1]} score columns; name them with wrap(f, classes=[...])."
                )
            self.classes = tuple(names)
        if values.shape[1] != len(self.classes):
            raise ClassifierError(
                f"{self.name} returned {values.shape[1]} score columns for {len(self.classes)} classes "
                f"({some(self.classes)})."
            )
        # float32 stays float32: who reads the scores then knows how far they are rounded
        kept = np.float32 if values.dtype in (np.float16, np.float32) else np.float64
        return Decision(argmax_labels(self.classes, check_scores(self.name, values, self.classes)), values.astype(kept))

    def _checked_labels(self, labels: np.ndarray) -> np.ndarray:
        labels = np.array([str(label) for label in labels], dtype=object)
        if self._given_classes is not None:
            strange = sorted(set(labels) - set(self._given_classes))
            if strange:
                raise ClassifierError(
                    f"{self.name} answered {some(strange)}, which is not among its classes "
                    f"({some(self._given_classes)})."
                )
        return labels


def call(name: str, function: Callable[..., Answered], *arguments: object) -> Answered:
    """Call a user's function; a ValueError becomes InputRejected, every other error a ClassifierError."""
    try:
        return function(*arguments)
    except (ClassifierError, KeyboardInterrupt):
        raise
    except ValueError as error:
        raise InputRejected(f"{name} refused the input: {error}") from error
    except Exception as error:
        raise ClassifierError(f"{name} failed with {type(error).__name__}: {error}") from error


def check_scores(name: str, scores: np.ndarray, classes: Sequence[str]) -> np.ndarray:
    """Return `scores`, shape (cells, classes); raise a ClassifierError when they are not numbers."""
    if scores.dtype.kind not in "fiub":
        raise ClassifierError(f"{name} returned scores of type {scores.dtype}; expected numbers.")
    bad = np.argwhere(np.isnan(scores))
    if len(bad):
        cell, column = bad[0]
        raise ClassifierError(
            f"{name} returned NaN for {len(bad):,} of {scores.size:,} scores, first for cell {cell + 1:,} of the "
            f"{len(scores):,} asked about, class '{classes[column]}'; expected numbers."
        )
    return scores


class ClusterFunction(Classifier, wraps=80):
    """A function of the R package's form: ``f(expression, clusters, target) -> (label, share)``.

    Parameters
    ----------
    function
        It gets the whole data set as a DataFrame (cells x genes), a Series with each cell's cluster, and the target's
        name; it returns a label, a pair (label, share), or a mapping with ``prediction`` and, if any, ``odd``.

    Notes
    -----
    Every query makes the whole data set dense and asks about all of it: slow, and without scores. Prefer a function
    of cells.
    """

    gives_scores = False
    needs_all_cells = True
    of_clusters = True
    classes = ()
    genes = None

    def __init__(self, function: Callable[[pd.DataFrame, pd.Series, str], object]) -> None:
        self.function = function

    @classmethod
    def recognises(cls, obj: object) -> bool:
        """Return whether an object is called with three arguments that must be given: the form of the R package."""
        return callable(obj) and _wants_three(obj)

    def __repr__(self) -> str:
        return f"wrap({self.name})"

    @property
    def name(self) -> str:  # noqa: D102
        return getattr(self.function, "__name__", type(self.function).__name__)

    def ask(self, expression: pd.DataFrame, clusters: pd.Series, target: str) -> Answer:
        """Call the function, and read its answer."""
        answer = call(self.name, self.function, expression, clusters, target)
        share = 1.0
        if isinstance(answer, dict):
            if "prediction" not in answer:
                raise ClassifierError(f"{self.name} returned the keys {some(answer)}; expected 'prediction' and 'odd'.")
            answer, share = answer["prediction"], answer.get("odd", 1.0)
        elif isinstance(answer, tuple | list):
            if len(answer) != 2:
                raise ClassifierError(f"{self.name} returned {len(answer)} values; expected (label, share).")
            answer, share = answer
        if answer is None or (isinstance(answer, float) and np.isnan(answer)):
            answer = "NaN"
        if not isinstance(answer, str | np.str_):
            raise ClassifierError(
                f"{self.name} returned a {type(answer).__name__}; expected a label or (label, share)."
            )
        try:
            share = float(share)
        except (TypeError, ValueError) as error:
            raise ClassifierError(f"{self.name} returned the share {share!r}; expected a number.") from error
        if np.isnan(share):
            raise ClassifierError(f"{self.name} returned NaN as its share; expected a number.")
        return Answer(str(answer), share)

    def decide(self, X: np.ndarray) -> Decision:
        """Not to be called: the function labels clusters, not cells."""
        raise ClassifierError(f"{self.name} labels whole clusters; use adverscarial.predict(adata, ..., target=...).")

    def _decide_all(self, adata: AnnData, layer: str | None, progress: bool | None = False) -> Decision:
        return self.decide(np.empty((0, 0)))

    def predict_cluster(  # noqa: D102
        self, adata: AnnData, rows: np.ndarray, cluster: str, labels: np.ndarray, layer: str | None
    ) -> Answer:
        matrix = CellMatrix(layer_of(adata, layer))
        frame = pd.DataFrame(matrix.rows(np.arange(adata.n_obs)), index=adata.obs_names, columns=adata.var_names)
        return self.ask(frame, pd.Series(labels, index=adata.obs_names, copy=True), cluster)

    def scorer(self, cluster: Cluster) -> ClusterFunctionScorer:  # noqa: D102
        return ClusterFunctionScorer(self, cluster)


def _wants_three(function: Callable[..., object]) -> bool:
    """Return whether a function has three arguments that must be given."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return False
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return sum(p.kind in positional and p.default is p.empty for p in parameters) == 3


class ClusterFunctionScorer(RepredictingScorer):
    """Asks the function about the whole data set, one query at a time."""

    def __init__(self, classifier: ClusterFunction, cluster: Cluster) -> None:
        self._classifier, self._cluster = classifier, cluster
        self._clusters = pd.Series(cluster.labels)
        self._start(cluster.statistics.matrix.rows(np.arange(len(cluster.labels))))

    def _answer(self, X: np.ndarray) -> Answer:
        frame = pd.DataFrame(X, columns=self._cluster.genes)
        return self._classifier.ask(frame, self._clusters.copy(), self._cluster.target)

    def _changed(self, genes: np.ndarray, values: np.ndarray) -> np.ndarray:
        X = self._X.copy()
        X[np.ix_(self._cluster.rows, genes)] = values
        return X
