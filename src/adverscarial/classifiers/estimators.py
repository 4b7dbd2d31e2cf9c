"""scikit-learn estimators and pipelines, with the exact scorer that their inside allows.

Linear models get theirs also behind steps that treat each gene alone (scaling, selecting, a logarithm) and behind a
PCA; tree ensembles behind steps that select genes. Everything else gets the general scorer.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Self

import numpy as np
import pandas as pd
from anndata import AnnData

from adverscarial.classifiers._training import training_matrix
from adverscarial.classifiers.base import Classifier, Decision, Scorer
from adverscarial.classifiers.callables import call, check_scores
from adverscarial.classifiers.general import GeneralScorer
from adverscarial.classifiers.linear import LinearScorer, gradient_of, logits_of
from adverscarial.classifiers.random_forest import forest_arrays
from adverscarial.classifiers.tree_ensemble import TreeEnsemble
from adverscarial.classifiers.trees import TreeScorer
from adverscarial.cluster import Cluster
from adverscarial.errors import ClassifierError, DataError, ParameterError, some

logger = logging.getLogger(__name__)


class Estimator(Classifier):
    """A fitted scikit-learn classifier or pipeline.

    Parameters
    ----------
    estimator
        Anything with ``predict`` and ``classes_``; scores come from ``predict_proba``, else ``decision_function``.
        It is given float64: in float32 the same cell scores differently in every batch.
    classes
        Names for the estimator's classes, in the order of ``classes_``, where they are numbers.
    genes
        Names of its columns, in order; taken from ``feature_names_in_`` where it has them; the data's own genes
        otherwise.
    """

    def __init__(
        self, estimator: Any, *, classes: Sequence[str] | None = None, genes: Sequence[str] | None = None
    ) -> None:
        own = getattr(estimator, "classes_", None)
        if own is None:
            raise ParameterError(
                f"{type(estimator).__name__} has no classes_: it is not a fitted classifier. Call fit first."
            )
        if classes is not None and len(classes) != len(own):
            raise ParameterError(f"classes= names {len(classes)} classes, the estimator has {len(own)}: {some(own)}.")
        self.estimator = estimator
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

    def __repr__(self) -> str:
        return f"wrap({self.estimator!r})"

    @property
    def name(self) -> str:  # noqa: D102
        return type(_last(self.estimator)).__name__

    def fit(self, adata: AnnData, groupby: str, *, layer: str | None = None) -> Self:
        """Train a fresh clone of the estimator, with its settings, on labelled cells and all their genes.

        The estimator that was wrapped stays as it is. Give it a ``random_state`` where training draws numbers.

        Raises
        ------
        DataError, ClassifierError
        """
        from sklearn.base import clone

        X, labels, genes = training_matrix(adata, groupby, layer, None, 0)
        values = X.astype(np.float64)  # as decide gives them
        given = pd.DataFrame(values, columns=genes) if self._frame else values
        Estimator.__init__(self, call(self.name, clone(self.estimator).fit, given, labels), genes=list(genes))
        return self

    def align(self, genes: pd.Index) -> np.ndarray:  # noqa: D102
        if self.genes is None and self._n_features not in (None, len(genes)):
            raise DataError(
                f"{self.name} was fitted on {self._n_features:,} unnamed columns, the data have {len(genes):,} genes. "
                "Name its columns with wrap(model, genes=[...]) (command line: --genes)."
            )
        return super().align(genes)

    def decide(self, X: np.ndarray) -> Decision:  # noqa: D102
        X = np.asarray(X, dtype=np.float64)
        given = pd.DataFrame(X, columns=self.genes) if self._frame else X
        labels = np.asarray(call(self.name, self.estimator.predict, given))
        if labels.shape != (len(X),):
            raise ClassifierError(
                f"{self.name} returned shape {labels.shape} for {len(X)} cells; expected ({len(X)},)."
            )
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

    @property
    def differentiable(self) -> bool:
        """Whether :meth:`logits` and :meth:`gradient` work: for linear models, also behind steps that are taken in."""
        n_genes = self._n_features or len(() if self.genes is None else self.genes)
        return _is_linear(_last(self.estimator), len(self.classes)) and self._front(n_genes) is not None

    def logits(self, X: np.ndarray) -> np.ndarray:
        """Return a linear model's weighted sums, shape (cells, classes); their softmax is its probability.

        Raises
        ------
        ClassifierError
            If the estimator is not linear.
        """
        front, weights, bias = self._linear(X.shape[1])
        values = np.asarray(X, dtype=np.float64)
        values = values if front.elementwise is None else front.elementwise(np.arange(X.shape[1]), values)
        return logits_of(values @ weights + bias)

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
            If the estimator is not linear.
        """
        front, model_weights, _ = self._linear(X.shape[1])
        gradient = gradient_of(weights, model_weights)
        return gradient if front.elementwise is None else gradient * _slope(front.elementwise, X)

    def _front(self, n_genes: int) -> _Front | None:
        """Return the steps before the model; None where one has no known exact form."""
        front = _Front(n_genes)
        return front if all(front.add(step) for step in _steps(self.estimator)[:-1]) else None

    def _linear(self, n_genes: int) -> tuple[_Front, np.ndarray, np.ndarray]:
        """Return the steps before a linear model, and its weights and bias after them."""
        front, model = self._front(n_genes), _last(self.estimator)
        if front is None or not _is_linear(model, len(self.classes)):
            raise ClassifierError(f"{self.name} is no linear model behind simple steps, so it has no gradient here.")
        weights = np.atleast_2d(np.asarray(model.coef_, dtype=np.float64)).T  # one row of two classes may be flat
        return front, *front.fold(weights, np.ravel(model.intercept_))

    def scorer(self, cluster: Cluster) -> Scorer:
        """Return the exact scorer where there is one, checked on the cluster's own cells; else the general one."""
        general = GeneralScorer(self, cluster)
        exact = self._exact_scorer(cluster)
        return general if exact is None else exact_if_equal(self.name, exact, general)

    def _exact_scorer(self, cluster: Cluster) -> Scorer | None:
        columns = self.align(cluster.genes)
        front = self._front(len(columns))
        if front is None:
            return None
        model = _last(self.estimator)
        X, n_genes = cluster.values(columns), len(cluster.genes)
        if _is_linear(model, len(self.classes)):
            front, weights, bias = self._linear(len(columns))
            return LinearScorer(
                X, columns, n_genes, weights, bias, self.classes, transform=front.elementwise,
                checked=front.checked, link=_link(self._method), binary=weights.shape[1] == 1,
            )  # fmt: skip
        trees = tree_ensemble(model) if front.selects_only else None
        if trees is None:
            return None
        # scikit-learn's boosting calls a sum of exactly 0 the second class, unlike its linear models
        cut = -np.nextafter(0.0, 1.0)
        return TreeScorer(
            trees, X[:, front.kept], columns[front.kept], n_genes, self.classes,
            link=_tree_link(model, self._method, trees), cut=cut,
        )  # fmt: skip


def exact_if_equal(name: str, exact: Scorer, general: GeneralScorer) -> Scorer:
    """Return `exact` if it says of the unmodified cluster what the classifier says itself; else `general`."""
    ours, theirs = exact.baseline, general.baseline
    same = ours.labels is not None and theirs.labels is not None and bool(np.all(ours.labels == theirs.labels))
    if ours.scores is not None and theirs.scores is not None:
        same = same and ours.scores.shape == theirs.scores.shape
        # beside the cell's largest score: a small probability is as uncertain as the large ones in float32
        size = np.abs(theirs.scores).max(axis=1, keepdims=True)
        same = same and bool(np.all(np.abs(ours.scores - theirs.scores) <= 1e-5 * size + 1e-8))
    if not same:
        logger.warning("%s does not score as its parts say; every question re-predicts the cluster.", name)
        return general
    return exact


def two_columns(scores: np.ndarray) -> np.ndarray:
    """Return one decision column as two, one per class."""
    scores = scores[:, None] if scores.ndim == 1 else scores
    return np.hstack([-scores, scores]) if scores.shape[1] == 1 else scores


def _steps(estimator: Any) -> list[Any]:
    return [step for _, step in estimator.steps] if hasattr(estimator, "steps") else [estimator]


def _last(estimator: Any) -> Any:
    return _steps(estimator)[-1]


def _score_method(estimator: Any, n_classes: int) -> str | None:
    model = _last(estimator)
    # probabilities of one class against the rest, divided by their sum: 0 / 0 far out
    one_vs_rest = type(model).__name__ == "SGDClassifier" or getattr(model, "solver", "") == "liblinear"
    by_decision = (one_vs_rest and n_classes > 2) or getattr(model, "loss", "") == "modified_huber"
    methods = ("decision_function",) if by_decision else ("predict_proba", "decision_function")
    return next((method for method in methods if hasattr(estimator, method)), None)


def _is_linear(model: Any, n_classes: int) -> bool:
    """Return whether a model decides by one weighted sum per class, or by the sign of a single one."""
    if not all(hasattr(model, name) for name in ("coef_", "intercept_", "decision_function")):
        return False
    one_vs_one = hasattr(model, "n_support_") and n_classes > 2  # SVC: one sum per pair of classes
    return len(np.atleast_2d(model.coef_)) == (1 if n_classes == 2 else n_classes) and not one_vs_one


class _Front:
    """The steps of a pipeline before its model: per-gene functions first, then at most linear mixing (a PCA)."""

    def __init__(self, n: int) -> None:
        self._chain: list[Callable[[np.ndarray, np.ndarray], np.ndarray]] = []
        self.kept = np.arange(n)
        self._n = n
        self.checked = np.zeros(n, dtype=bool)  # genes that can become NaN on the way
        self._mix: list[tuple[np.ndarray, np.ndarray]] = []

    @property
    def selects_only(self) -> bool:
        return not self._chain and not self._mix

    def add(self, step: Any) -> bool:
        """Take in one fitted step; False where it is of no known exact form."""
        kind = type(step).__name__
        if step in (None, "passthrough"):
            return True
        if kind in ("PCA", "TruncatedSVD") and not getattr(step, "whiten", False):
            center = getattr(step, "mean_", np.zeros(step.components_.shape[1]))
            self._mix.append((np.asarray(center), step.components_.T))
            return True
        if self._mix:
            return False
        if kind == "FunctionTransformer" and step.func is None:
            return True
        if kind == "FunctionTransformer" and isinstance(step.func, np.ufunc) and not step.kw_args:
            self._chain.append(_on(step.func, self._mask()))
            self.checked |= self._mask()
            return True
        if hasattr(step, "get_support"):
            self.kept = self.kept[step.get_support(indices=True)]
            return True
        affine = _affine(step, kind)
        if affine is None or len(affine[0]) != len(self.kept):
            return False
        offset, factor = np.zeros(self._n), np.ones(self._n)
        offset[self.kept], factor[self.kept] = affine
        self._chain.append(lambda places, values: (values - offset[places]) * factor[places])
        return True

    def _mask(self) -> np.ndarray:
        mask = np.zeros(self._n, dtype=bool)
        mask[self.kept] = True
        return mask

    @property
    def elementwise(self) -> Callable[[np.ndarray, np.ndarray], np.ndarray] | None:
        if not self._chain:
            return None

        def apply(places: np.ndarray, values: np.ndarray) -> np.ndarray:
            for function in self._chain:
                values = function(places, values)
            return values

        return apply

    def fold(self, weights: np.ndarray, bias: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return weights and bias of the mixing steps and the model together, for all genes in front."""
        for center, components in reversed(self._mix):
            weights = components @ weights
            bias = bias - center @ weights
        spread = np.zeros((self._n, weights.shape[1]))
        spread[self.kept] = weights
        return spread, bias


def _slope(function: Callable[[np.ndarray, np.ndarray], np.ndarray], X: np.ndarray) -> np.ndarray:
    """Return the derivative of a per-gene function at each value of `X`, by central differences.

    Exact to rounding for scaling, and to about 1e-8 for a logarithm; one-sided where a function ends (a root at 0).
    """
    values = np.asarray(X, dtype=np.float64)
    step = 1e-4 * np.maximum(np.abs(values), 1.0)
    places = np.arange(X.shape[1])
    above, below = function(places, values + step), function(places, values - step)
    ends = ~np.isfinite(below)
    if ends.any():
        below = np.where(ends, function(places, values), below)
    return (above - below) / np.where(ends, step, 2 * step)


def _on(function: np.ufunc, mask: np.ndarray) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    """Return `function` for the genes in `mask`; genes that an earlier step left out stay as they are."""

    def apply(places: np.ndarray, values: np.ndarray) -> np.ndarray:
        with np.errstate(all="ignore"):  # a NaN is no accident here: the scorer calls it a refusal
            return np.where(mask[places], function(values), values)

    return apply


def _affine(step: Any, kind: str) -> tuple[np.ndarray, np.ndarray] | None:
    """Return (offset, factor) of a step that computes ``(x - offset) * factor`` gene by gene."""
    if kind in ("StandardScaler", "RobustScaler"):
        n = step.n_features_in_
        # a StandardScaler that does not centre has a mean_ all the same
        centred = kind == "RobustScaler" or step.with_mean
        center = getattr(step, "mean_" if kind == "StandardScaler" else "center_") if centred else None
        scale = step.scale_
        return np.zeros(n) if center is None else center, np.ones(n) if scale is None else 1 / scale
    if kind == "MaxAbsScaler" and not getattr(step, "clip", False):
        return np.zeros(step.n_features_in_), 1 / step.scale_
    if kind == "MinMaxScaler" and not step.clip:
        return -step.min_ / step.scale_, step.scale_
    return None


def _link(method: str | None) -> Callable[[np.ndarray], np.ndarray] | None:
    """Return how a linear model's sums become the reported scores."""
    from scipy.special import expit, softmax

    if method != "predict_proba":
        return two_columns
    return lambda sums: np.hstack([1 - expit(sums), expit(sums)]) if sums.shape[1] == 1 else softmax(sums, axis=1)


def _tree_link(model: Any, method: str | None, trees: TreeEnsemble) -> Callable[[np.ndarray], np.ndarray] | None:
    """Return how summed leaves become the reported scores: their mean, or for boosting a probability."""
    return (
        _link(method) if type(model).__name__ == "GradientBoostingClassifier" else lambda sums: sums / len(trees.roots)
    )


def tree_ensemble(model: Any) -> TreeEnsemble | None:
    """Return a fitted scikit-learn tree model as arrays; None for other models."""
    kind = type(model).__name__
    if kind in ("DecisionTreeClassifier", "ExtraTreeClassifier") and model.n_outputs_ == 1:
        return forest_arrays([model])
    if kind in ("RandomForestClassifier", "ExtraTreesClassifier") and model.n_outputs_ == 1:
        return forest_arrays(model.estimators_)
    if kind == "GradientBoostingClassifier" and model.init in (None, "zero"):
        flat = forest_arrays(list(model.estimators_.ravel()))
        n_scores = model.estimators_.shape[1]
        tree = np.repeat(np.arange(len(flat.roots)), np.diff(np.r_[flat.roots, len(flat.feature)]))
        value = np.zeros((len(flat.feature), n_scores))
        value[np.arange(len(value)), tree % n_scores] = model.learning_rate * flat.value[:, 0]
        nothing = np.zeros((1, model.n_features_in_), dtype=np.float32)
        start = model._raw_predict_init(nothing)[0]
        return replace(flat, value=value, bias=np.asarray(start, dtype=np.float64))
    return None
