"""scikit-learn estimators and pipelines, with the exact scorer that their inside allows.

Linear models get theirs also behind steps that treat each gene alone (scaling, selecting, a logarithm) and behind a
PCA; neural networks with ReLU behind scaling, selecting and a PCA; tree ensembles behind steps that select genes.
Everything else gets the general scorer.
"""

from __future__ import annotations

import copy
import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal, Self

import numpy as np
import pandas as pd
import scipy.sparse as sp
from anndata import AnnData

from adverscarial.cells.choice import Cells, meant
from adverscarial.cells.cluster import Cluster
from adverscarial.cells.matrix import CellMatrix, layer_of
from adverscarial.classifiers.adapters.containers import check_sparse, readings_differ, rows_in_parts, whole
from adverscarial.classifiers.adapters.functions import call, check_scores
from adverscarial.classifiers.adapters.linear_parts import dense_coefficients, is_linear, sums_link, two_columns
from adverscarial.classifiers.adapters.pipeline_steps import (
    StepsBefore,
    holds_others,
    is_smooth,
    last_of,
    slope,
    steps_of,
)
from adverscarial.classifiers.adapters.scikit_network import DenseLayers, PerceptronScorer, layers_of
from adverscarial.classifiers.adapters.scikit_trees import cut, tree_ensemble, tree_link
from adverscarial.classifiers.answers import Answer, Decision
from adverscarial.classifiers.base import Classifier
from adverscarial.classifiers.families.training import training_matrix
from adverscarial.classifiers.plain import PlainNetwork, PlainTrees
from adverscarial.classifiers.scorers.all_cells import company_test
from adverscarial.classifiers.scorers.base import Scorer
from adverscarial.classifiers.scorers.dense_layers import backward, forward
from adverscarial.classifiers.scorers.general import GeneralScorer
from adverscarial.classifiers.scorers.linear import LinearScorer, gradient_of, logits_of
from adverscarial.classifiers.scorers.tree_ensemble import TreeEnsemble
from adverscarial.classifiers.scorers.trees import TreeScorer
from adverscarial.errors import ClassifierError, DataError, ParameterError, some

if TYPE_CHECKING:
    from sklearn.base import BaseEstimator

logger = logging.getLogger(__name__)

_CHECKED = 32  # cells by which a linear model is seen to decide by its weights


class Estimator(Classifier, wraps=50):
    """A fitted scikit-learn classifier or pipeline.

    Parameters
    ----------
    estimator
        Anything with ``classes_`` and ``predict`` or ``predict_proba``; scores come from ``predict_proba``, else
        ``decision_function``. Without ``predict``, the label is the class with the largest probability.
    classes
        Names for the estimator's classes, in the order of ``classes_``, where they are numbers.
    genes
        Names of its columns, in order; taken from ``feature_names_in_`` where it has them; the data's own genes
        otherwise.
    sparse
        What entries are to the estimator that a sparse matrix leaves out: ``"zero"``, and it is given dense arrays, or
        ``"missing"``, and sparse cells are given to it sparse. It must be said only where the data are sparse and the
        two give other answers: where XGBoost is inside, for instance.

    Attributes
    ----------
    scores_are
        The estimator's method that scores of a query come from. :meth:`scores` always gives ``predict_proba``, where
        there is one; but a query takes ``decision_function`` where the probabilities of a far-out cell are 0 / 0.

    Notes
    -----
    The estimator gets values in the number type of the data (integers as float64), as its own ``predict`` would.
    Smooth models (linear ones, support vectors, neural networks) behind smooth steps always get float64: their answers
    are the same up to rounding, and in float32 one cell would score differently in every batch.

    :meth:`fit` trains a fresh clone of the estimator, with its settings, on all genes; the estimator that was wrapped
    stays as it is. Give it a ``random_state`` where training draws numbers.
    """

    number_type = np.dtype(np.float64)

    def __init__(
        self,
        estimator: BaseEstimator,
        *,
        classes: Sequence[str] | None = None,
        genes: Sequence[str] | None = None,
        sparse: Literal["zero", "missing"] | None = None,
    ) -> None:
        own = getattr(estimator, "classes_", None)
        if own is None:
            raise ParameterError(
                f"{type(estimator).__name__} has no classes_: it is not a fitted classifier. Call fit first."
            )
        if classes is not None and len(classes) != len(own):
            raise ParameterError(f"classes= names {len(classes)} classes, the estimator has {len(own)}: {some(own)}.")
        check_sparse(sparse)
        self.estimator, self.sparse = estimator, sparse
        self._given_sparse, self._smooth = False, is_smooth(estimator)
        self._own_classes = np.asarray(own)
        self.classes = tuple(str(name) for name in (own if classes is None else classes))
        named = getattr(estimator, "feature_names_in_", None)
        chosen = named if genes is None else genes
        self.genes = None if chosen is None else pd.Index([str(gene) for gene in chosen])
        self._n_features = getattr(estimator, "n_features_in_", None)
        if self.genes is not None and self._n_features not in (None, len(self.genes)):
            raise ParameterError(
                f"genes= names {len(self.genes):,} genes, the estimator was fitted on {self._n_features:,}."
            )
        self._frame = named is not None
        self._method = _score_method(estimator, len(self.classes))
        self.gives_scores = self._method is not None

    @property
    def scores_are(self) -> str | None:
        """Name of the estimator's method that scores come from; None where it gives labels only."""
        return self._method

    @classmethod
    def recognises(cls, obj: object) -> bool:
        """Return whether an object labels as scikit-learn's estimators do, wherever it comes from."""
        fitted = hasattr(obj, "classes_") and hasattr(obj, "predict_proba")
        return fitted or (hasattr(obj, "predict") and (hasattr(obj, "get_params") or hasattr(obj, "classes_")))

    def __sklearn_clone__(self) -> Self:
        """Return a copy: the estimator inside is cloned when it is trained."""
        return copy.copy(self)

    def __repr__(self) -> str:
        return f"wrap({self.estimator!r})"

    @property
    def name(self) -> str:  # noqa: D102
        return type(last_of(self.estimator)).__name__

    def _train(self, adata: AnnData, groupby: str, layer: str | None) -> None:
        """Train a fresh clone of the estimator; the one that was wrapped stays as it is."""
        from sklearn.base import clone

        if not hasattr(self.estimator, "fit") or not hasattr(self.estimator, "get_params"):
            raise ClassifierError(f"{self.name} cannot be trained here: it is no estimator of scikit-learn's form.")
        X, labels, genes = training_matrix(adata, groupby, layer, None, 0)
        values = self._as_asked(X)
        given = pd.DataFrame(values, columns=genes) if self._frame else values
        fitted = call(self.name, clone(self.estimator).fit, given, labels)
        Estimator.__init__(self, fitted, genes=list(genes), sparse="zero")  # it was given dense values

    def _as_asked(self, X: np.ndarray) -> np.ndarray:
        """Return values in the number type that the estimator is asked in."""
        kept = np.float32 if X.dtype == np.float32 and not self._smooth else np.float64
        return np.asarray(X, dtype=kept)

    def gene_means(self) -> np.ndarray | None:  # noqa: D102
        steps = getattr(self.estimator, "steps", [])
        means = getattr(steps[0][1], "mean_", None) if steps else None  # of a StandardScaler, or a PCA
        return None if means is None or self.genes is None else np.asarray(means, dtype=np.float64)

    def align(self, genes: pd.Index) -> np.ndarray:  # noqa: D102
        if self.genes is None and self._n_features not in (None, len(genes)):
            raise DataError(
                f"{self.name} was fitted on {self._n_features:,} unnamed columns, the data have {len(genes):,} genes. "
                "Name its columns with wrap(model, genes=[...]) (command line: --genes)."
            )
        return super().align(genes)

    def decide(self, X: np.ndarray) -> Decision:  # noqa: D102
        values = self._as_asked(X)
        if self._given_sparse:
            return self._own(sp.csr_matrix(values))
        return self._own(pd.DataFrame(values, columns=self.genes) if self._frame else values)

    def _own(self, given: np.ndarray | pd.DataFrame | sp.csr_matrix) -> Decision:
        """Return the estimator's own answer for cells in any container that it takes."""
        n = given.shape[0]
        labels = self._labels(given)
        labels = labels[:, 0] if labels.shape == (n, 1) else labels  # as CatBoost gives them
        if labels.shape != (n,):
            raise ClassifierError(f"{self.name} returned shape {labels.shape} for {n} cells; expected ({n},).")
        codes = {own: name for own, name in zip(self._own_classes.tolist(), self.classes, strict=True)}
        try:
            names = np.array([codes[label] for label in labels.tolist()], dtype=object)
        except KeyError as error:
            raise ClassifierError(
                f"{self.name} answered {error}, which is not among its classes {some(codes)}."
            ) from error
        if self._method is None:
            return Decision(names, None)
        scores = np.asarray(call(self.name, getattr(self.estimator, self._method), given), dtype=np.float64)
        return Decision(names, check_scores(self.name, two_columns(scores), self.classes))

    def _labels(self, given: np.ndarray | pd.DataFrame | sp.csr_matrix) -> np.ndarray:
        if hasattr(self.estimator, "predict"):
            return np.asarray(call(self.name, self.estimator.predict, given))
        probable = np.asarray(call(self.name, self.estimator.predict_proba, given), dtype=np.float64)
        expected = (given.shape[0], len(self._own_classes))
        if probable.shape != expected:
            raise ClassifierError(f"{self.name} returned shape {probable.shape} for its scores; expected {expected}.")
        labels: np.ndarray = self._own_classes[probable.argmax(axis=1)]
        return labels

    def scores(
        self, adata: Cells, *, mod: str | None = None, use_raw: bool = False, layer: str | None = None,
        progress: bool | None = None,
    ) -> pd.DataFrame:  # fmt: skip
        """Return ``predict_proba`` of each cell, cells x classes; ``decision_function`` where there is none."""
        adata = meant(adata, mod=mod, use_raw=use_raw, layer=layer)
        if self._method != "decision_function" or not hasattr(self.estimator, "predict_proba"):
            return super().scores(adata, layer=layer, progress=progress)
        probable = copy.copy(self)
        probable._method = "predict_proba"
        return super(Estimator, probable).scores(adata, layer=layer, progress=progress)

    def _reading(self, matrix: CellMatrix, rows: np.ndarray, genes: pd.Index) -> Self:
        """Return the classifier as it reads this matrix: given dense, or sparse where its gaps are missing values.

        Raises
        ------
        ClassifierError
            If the two give other answers for these cells, and nothing says which is meant.
        """
        if not matrix.sparse or self._frame or self.sparse == "zero" or not holds_others(self.estimator):
            return self
        if self.sparse == "missing":
            reading = copy.copy(self)
            reading._given_sparse = True
            return reading
        parts = rows_in_parts(matrix, rows, self.align(genes))
        try:
            readings_differ(self.name, parts, self._own_sparse, self.decide)
        except _TakesNoSparse:
            logger.debug("%s takes no sparse matrix, so there is one reading only.", self.name)
        return self

    def check_cluster(self, cluster: Cluster) -> None:  # noqa: D102
        self._reading(cluster.statistics.matrix, cluster.rows, cluster.genes)

    def _own_sparse(self, given: np.ndarray | pd.DataFrame | sp.csr_matrix) -> Decision:
        try:
            return self._own(given)
        except ClassifierError as error:
            raise _TakesNoSparse from error

    def _decide_all(self, adata: AnnData, layer: str | None, progress: bool | None = False) -> Decision:
        return super(Estimator, self._reading(*whole(adata, layer)))._decide_all(adata, layer, progress)

    @property
    def differentiable(self) -> bool:
        """Whether :meth:`logits` and :meth:`gradient` work: for linear models, also behind steps that are taken in.

        And for neural networks with ReLU, behind scaling, selecting and a PCA.
        """
        n_genes = self._n_features or len(() if self.genes is None else self.genes)
        if self._network(n_genes) is not None:
            return True
        return is_linear(last_of(self.estimator), len(self.classes)) and self._front(n_genes) is not None

    def logits(self, X: np.ndarray) -> np.ndarray:
        """Return the weighted sums of the last layer, shape (cells, classes); their softmax is the probability.

        Raises
        ------
        ClassifierError
            If the estimator is neither linear nor a neural network with ReLU.
        """
        front, layers = self._layers(X.shape[1])
        return logits_of(forward(layers, front.through(X)))

    def gradient(self, X: np.ndarray, weights: np.ndarray) -> np.ndarray:
        """Return the gradient of ``sum_k weights[c, k] * logit_k(c)`` with respect to each value of `X`.

        Parameters
        ----------
        X
            Cells x genes of the estimator.
        weights
            Shape (cells, classes).

        Returns
        -------
        float64, shape of `X`.

        Raises
        ------
        ClassifierError
            If the estimator is neither linear nor a neural network with ReLU.
        """
        front, layers = self._layers(X.shape[1])
        if len(layers) == 1:
            gradient = gradient_of(weights, layers[0][0])
        else:
            gradient = backward(layers, front.through(X), weights)
        return gradient if front.elementwise is None else gradient * slope(front.elementwise, X)

    def _front(self, n_genes: int) -> StepsBefore | None:
        """Return the steps before the model; None where one has no known exact form."""
        front = StepsBefore(n_genes)
        return front if all(front.add(step) for step in steps_of(self.estimator)[:-1]) else None

    def _network(self, n_genes: int) -> tuple[StepsBefore, DenseLayers] | None:
        """Return the steps before a network of dense layers with ReLU, and its layers after them; None for others."""
        layers, front = layers_of(last_of(self.estimator), len(self.classes)), self._front(n_genes)
        if layers is None or front is None or front.checked.any():
            return None
        return front, [front.fold(*layers[0]), *layers[1:]]

    def _layers(self, n_genes: int) -> tuple[StepsBefore, DenseLayers]:
        """Return the steps before a network or a linear model, and its layers: one, if it is linear."""
        found = self._network(n_genes)
        if found is not None:
            return found
        front, weights, bias = self._linear(n_genes)
        return front, [(weights, bias)]

    def _linear(self, n_genes: int) -> tuple[StepsBefore, np.ndarray, np.ndarray]:
        """Return the steps before a linear model, and its weights and bias after them."""
        front, model = self._front(n_genes), last_of(self.estimator)
        if front is None or not is_linear(model, len(self.classes)):
            raise ClassifierError(
                f"{self.name} is neither linear nor a network with ReLU behind simple steps, so it has no gradient."
            )
        return front, *front.fold(dense_coefficients(model).T, np.ravel(model.intercept_))

    def own_answer(self, adata: AnnData, *, layer: str | None = None) -> Decision:  # noqa: D102
        matrix, columns = CellMatrix(layer_of(adata, layer)), self.align(pd.Index(adata.var_names.astype(str)))
        rows = np.arange(matrix.shape[0])
        if matrix.sparse and not self._frame and self.sparse != "zero":
            try:
                return self._own_sparse(sp.vstack(list(rows_in_parts(matrix, rows, columns)), format="csr"))
            except _TakesNoSparse:
                logger.debug("%s takes no sparse matrix.", self.name)
        values = matrix.rows(rows)[:, columns]
        return self._own(pd.DataFrame(values, columns=self.genes) if self._frame else values)

    def plain(self, cluster: Cluster) -> PlainTrees | PlainNetwork | None:  # noqa: D102
        reading = self._reading(cluster.statistics.matrix, cluster.rows, cluster.genes)
        columns = self.align(cluster.genes)
        if (network := self._network(len(columns))) is not None:
            front, (first, *upper) = network
            W, b = front.scaled_in(*first)
            read = W.any(axis=1)  # a step may have left some out
            names = [str(name) for name in cluster.gene_names[columns[read]]]
            return PlainNetwork(names, list(self.classes), [(W[read], b), *upper], single=False)
        found = None if reading._given_sparse else self._trees(len(columns))
        if found is None:
            return None
        trees, kept = found
        return trees.plain(cluster.gene_names[columns[kept]], self.classes, cut=cut(last_of(self.estimator)))

    def _trees(self, n_genes: int) -> tuple[TreeEnsemble, np.ndarray] | None:
        """Return the trees that values reach as they are, and which genes do; None for other models."""
        front = self._front(n_genes)
        trees = tree_ensemble(last_of(self.estimator)) if front is not None and front.selects_only else None
        return None if front is None or trees is None else (trees, front.kept)

    def scorer(self, cluster: Cluster) -> Scorer:
        """Return the exact scorer where there is one, checked on the cluster's own cells; else the general one.

        Raises
        ------
        ClassifierError
            If the data are sparse, and nothing says what the entries are to the estimator that are left out.
        """
        reading = self._reading(cluster.statistics.matrix, cluster.rows, cluster.genes)
        if not reading._given_sparse and (linear := self._linear_by_itself(cluster)) is not None:
            return linear
        general = GeneralScorer(reading, cluster)
        exact = None if reading._given_sparse else self._exact_scorer(cluster)
        if exact is not None:
            return exact_if_equal(self.name, exact, general)
        if holds_others(self.estimator):
            general.company = company_test(reading, cluster, general.baseline)
        return general

    def _linear_by_itself(self, cluster: Cluster) -> LinearScorer | None:
        """Return the scorer of a linear model of scikit-learn's own, without steps, checked on some of the cells.

        Weights that are not those that the model decides by show in any cell. A class of somebody else may label a few
        cells by a rule of its own, and a step may refuse a few: these are checked on all cells, as small clusters are.
        """
        model, n = self.estimator, cluster.n_cells
        if n <= _CHECKED or hasattr(model, "steps") or holds_others(model) or not is_linear(model, len(self.classes)):
            return None
        columns = self.align(cluster.genes)
        X, (_, weights, bias) = cluster.held(columns), self._linear(len(columns))
        exact = LinearScorer(
            X, columns, len(cluster.genes), weights, bias, self.classes, link=sums_link(self._method),
            ranges=lambda: cluster.ranges(columns),
        )  # fmt: skip
        some = np.linspace(0, n - 1, _CHECKED).astype(np.int64)
        ours, theirs = exact.baseline, self.decide(X[some])
        assert ours.labels is not None
        assert ours.scores is not None
        return exact if _same(Decision(ours.labels[some], ours.scores[some]), theirs) else None

    def _exact_scorer(self, cluster: Cluster) -> Scorer | None:
        columns = self.align(cluster.genes)
        front = self._front(len(columns))
        if front is None:
            return None
        model = last_of(self.estimator)
        X, n_genes = cluster.values(columns), len(cluster.genes)
        if is_linear(model, len(self.classes)):
            front, weights, bias = self._linear(len(columns))
            return LinearScorer(
                X, columns, n_genes, weights, bias, self.classes, transform=front.elementwise,
                checked=front.checked, link=sums_link(self._method),
            )  # fmt: skip
        if (network := self._network(len(columns))) is not None:
            front, layers = network
            return PerceptronScorer(cluster, columns, layers, self.classes, front.elementwise)
        found = self._trees(len(columns))
        if found is None:
            return None
        trees, kept = found
        return TreeScorer(
            trees, X[:, kept], columns[kept], n_genes, self.classes,
            link=tree_link(model, self._method, trees), cut=cut(model),
            refuses_overflow=trees.single and cluster.dtype != np.float32,
        )  # fmt: skip


class _TakesNoSparse(Exception):
    """The estimator cannot be given a sparse matrix."""


def exact_if_equal(name: str, exact: Scorer, general: GeneralScorer) -> Scorer:
    """Return `exact` if it says of the unmodified cluster what the classifier says itself; else `general`."""
    if not _same(exact.baseline, general.baseline):
        logger.warning("%s does not score as its parts say; every query re-predicts the cluster.", name)
        return general
    return exact


def _same(ours: Answer | Decision, theirs: Answer | Decision) -> bool:
    """Return whether labels of cells are equal, and scores up to rounding where both have some."""
    same = ours.labels is not None and theirs.labels is not None and bool(np.all(ours.labels == theirs.labels))
    if ours.scores is not None and theirs.scores is not None:
        same = same and ours.scores.shape == theirs.scores.shape
        # beside the cell's largest score: a small probability is as uncertain as the large ones in float32
        size = np.abs(theirs.scores).max(axis=1, keepdims=True)
        same = same and bool(np.all(np.abs(ours.scores - theirs.scores) <= 1e-5 * size + 1e-8))
    return same


def _score_method(estimator: BaseEstimator, n_classes: int) -> str | None:
    model = last_of(estimator)
    # probabilities of one class against the rest, divided by their sum: 0 / 0 far out
    one_vs_rest = type(model).__name__ == "SGDClassifier" or getattr(model, "solver", "") == "liblinear"
    by_decision = (one_vs_rest and n_classes > 2) or getattr(model, "loss", "") == "modified_huber"
    methods = ("decision_function",) if by_decision else ("predict_proba", "decision_function")
    return next((method for method in methods if hasattr(estimator, method)), None)
