"""scikit-learn estimators and pipelines, with the exact scorer that their inside allows.

Linear models and tree ensembles get theirs, also behind steps that treat each gene alone (scaling, selecting) and, for
linear models, behind a PCA. Everything else gets the general scorer.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from adverscarial.classifiers.base import Classifier, Decision, Scorer
from adverscarial.classifiers.callables import call, check_scores
from adverscarial.classifiers.general import GeneralScorer
from adverscarial.classifiers.linear import LinearScorer
from adverscarial.classifiers.random_forest import forest_arrays
from adverscarial.classifiers.trees import TreeEnsemble, TreeScorer
from adverscarial.cluster import Cluster
from adverscarial.errors import ClassifierError, DataError, ParameterError, some

logger = logging.getLogger(__name__)


class Estimator(Classifier):
    """A fitted scikit-learn classifier or pipeline.

    Parameters
    ----------
    estimator
        Anything with ``predict`` and ``classes_``; scores come from ``predict_proba``, else ``decision_function``.
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
        self._method = next((m for m in ("predict_proba", "decision_function") if hasattr(estimator, m)), None)
        self.gives_scores = self._method is not None

    @property
    def name(self) -> str:  # noqa: D102
        return type(_last(self.estimator)).__name__

    def align(self, genes: pd.Index) -> np.ndarray:  # noqa: D102
        if self.genes is None and self._n_features not in (None, len(genes)):
            raise DataError(
                f"{self.name} was fitted on {self._n_features:,} unnamed columns, the data have {len(genes):,} genes. "
                "Name its columns with wrap(model, genes=[...])."
            )
        return super().align(genes)

    def decide(self, X: np.ndarray) -> Decision:  # noqa: D102
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
        return Decision(names, check_scores(self.name, two_columns(scores)))

    def scorer(self, cluster: Cluster) -> Scorer:
        """Return the exact scorer where there is one, checked on the cluster's own cells; else the general one."""
        general = GeneralScorer(self, cluster)
        exact = self._exact_scorer(cluster)
        if exact is None:
            return general
        same = general.baseline.labels is not None and exact.baseline.labels is not None
        same = same and bool(np.all(general.baseline.labels == exact.baseline.labels))
        ours, theirs = exact.baseline.scores, general.baseline.scores
        if ours is not None and theirs is not None:
            same = same and ours.shape == theirs.shape and np.allclose(ours, theirs, rtol=1e-5, atol=1e-8)
        if not same:
            logger.warning("%s does not score as its parts say; every question re-predicts the cluster.", self.name)
            return general
        return exact

    def _exact_scorer(self, cluster: Cluster) -> Scorer | None:
        columns = self.align(cluster.genes)
        front = _Front(len(columns))
        for step in _steps(self.estimator)[:-1]:
            if not front.add(step):
                return None
        model = _last(self.estimator)
        linear = hasattr(model, "coef_") and hasattr(model, "intercept_") and hasattr(model, "decision_function")
        X, n_genes = cluster.X[:, columns], len(cluster.genes)
        if linear and np.ndim(model.coef_) == 2:
            weights, bias = front.fold(np.asarray(model.coef_, dtype=np.float64).T, np.ravel(model.intercept_))
            return LinearScorer(
                X, columns, n_genes, weights, bias, self.classes,
                transform=front.elementwise, link=_link(model, self._method), binary=weights.shape[1] == 1,
            )  # fmt: skip
        trees = tree_ensemble(model) if front.is_plain else None
        if trees is None:
            return None
        return TreeScorer(trees, X, columns, n_genes, self.classes, link=_link(model, self._method, trees))


def two_columns(scores: np.ndarray) -> np.ndarray:
    """Return one decision column as two, one per class."""
    scores = scores[:, None] if scores.ndim == 1 else scores
    return np.hstack([-scores, scores]) if scores.shape[1] == 1 else scores


def _steps(estimator: Any) -> list[Any]:
    return [step for _, step in estimator.steps] if hasattr(estimator, "steps") else [estimator]


def _last(estimator: Any) -> Any:
    return _steps(estimator)[-1]


class _Front:
    """The steps of a pipeline before its model: per-gene functions first, then at most linear mixing (a PCA)."""

    def __init__(self, n: int) -> None:
        self._chain: list[Callable[[np.ndarray, np.ndarray], np.ndarray]] = []
        self._kept = np.arange(n)
        self._n = n
        self._mix: list[tuple[np.ndarray, np.ndarray]] = []

    @property
    def is_plain(self) -> bool:
        return not self._chain and not self._mix and len(self._kept) == self._n

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
        if kind == "FunctionTransformer" and isinstance(step.func, np.ufunc) and not step.kw_args:
            func = step.func
            self._chain.append(lambda places, values: func(values))
            return True
        if hasattr(step, "get_support"):
            self._kept = self._kept[step.get_support(indices=True)]
            return True
        affine = _affine(step, kind)
        if affine is None or len(affine[0]) != len(self._kept):
            return False
        offset, factor = np.zeros(self._n), np.ones(self._n)
        offset[self._kept], factor[self._kept] = affine
        self._chain.append(lambda places, values: (values - offset[places]) * factor[places])
        return True

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
        spread[self._kept] = weights
        return spread, bias


def _affine(step: Any, kind: str) -> tuple[np.ndarray, np.ndarray] | None:
    """Return (offset, factor) of a step that computes ``(x - offset) * factor`` gene by gene."""
    if kind in ("StandardScaler", "RobustScaler"):
        n = step.n_features_in_
        center = getattr(step, "mean_" if kind == "StandardScaler" else "center_", None)
        scale = step.scale_
        return np.zeros(n) if center is None else center, np.ones(n) if scale is None else 1 / scale
    if kind == "MaxAbsScaler":
        return np.zeros(step.n_features_in_), 1 / step.scale_
    if kind == "MinMaxScaler" and not step.clip:
        return -step.min_ / step.scale_, step.scale_
    return None


def _link(
    model: Any, method: str | None, trees: TreeEnsemble | None = None
) -> Callable[[np.ndarray], np.ndarray] | None:
    """Return how sums become the reported scores."""
    from scipy.special import expit, softmax

    kind = type(model).__name__
    if trees is not None and trees.value.shape[1] > 1 and kind in _AVERAGED:
        return lambda sums: sums / len(trees.roots)
    if method != "predict_proba":
        return two_columns if method else None
    one_vs_rest = kind == "SGDClassifier" or getattr(model, "solver", "") == "liblinear"

    def probabilities(sums: np.ndarray) -> np.ndarray:
        if sums.shape[1] == 1:
            return np.hstack([1 - expit(sums), expit(sums)])
        if one_vs_rest:
            each = expit(sums)
            return each / each.sum(axis=1, keepdims=True)
        return softmax(sums, axis=1)

    return probabilities


_AVERAGED = ("RandomForestClassifier", "ExtraTreesClassifier", "DecisionTreeClassifier", "ExtraTreeClassifier")


def tree_ensemble(model: Any) -> TreeEnsemble | None:
    """Return a fitted scikit-learn tree model as arrays; None for other models."""
    kind = type(model).__name__
    if kind in ("DecisionTreeClassifier", "ExtraTreeClassifier") and model.n_outputs_ == 1:
        return forest_arrays([model])
    if kind in ("RandomForestClassifier", "ExtraTreesClassifier") and model.n_outputs_ == 1:
        return forest_arrays(model.estimators_)
    if kind == "GradientBoostingClassifier" and model.init_ is not None:
        flat = forest_arrays(list(model.estimators_.ravel()))
        n_scores = model.estimators_.shape[1]
        tree = np.repeat(np.arange(len(flat.roots)), np.diff(np.r_[flat.roots, len(flat.feature)]))
        value = np.zeros((len(flat.feature), n_scores))
        value[np.arange(len(value)), tree % n_scores] = model.learning_rate * flat.value[:, 0]
        nothing = np.zeros((1, model.n_features_in_), dtype=np.float32)
        start = model._raw_predict_init(nothing)[0]
        return replace(flat, value=value, bias=np.asarray(start, dtype=np.float64))
    return None
