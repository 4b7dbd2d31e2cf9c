"""The steps of a scikit-learn pipeline before its model, where they have an exact form."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from sklearn.base import BaseEstimator

#: what happens to single genes: called with their positions and values, cells x those genes
GeneByGene = Callable[[np.ndarray, np.ndarray], np.ndarray]


#: scikit-learn's steps that make a small difference of a value a large one
_BREAKS = ("Binarizer", "KBinsDiscretizer", "OneHotEncoder", "OrdinalEncoder", "SimpleImputer", "MissingIndicator")
#: what fitted models hold that answer smoothly: linear ones, neural networks, support vectors, discriminants, Bayes
_SMOOTH = ("coef_", "coefs_", "support_vectors_", "scalings_", "theta_", "feature_log_prob_")


def steps_of(estimator: BaseEstimator) -> list[BaseEstimator]:
    """Return the steps of a pipeline, its model last; of any other estimator, itself alone."""
    return [step for _, step in estimator.steps] if hasattr(estimator, "steps") else [estimator]


def last_of(estimator: BaseEstimator) -> BaseEstimator:
    """Return the model behind all steps."""
    return steps_of(estimator)[-1]


def is_smooth(estimator: BaseEstimator) -> bool:
    """Return whether a fitted estimator certainly has no threshold, so that rounding of its input cannot show."""
    if holds_others(estimator) or not any(hasattr(last_of(estimator), name) for name in _SMOOTH):
        return False
    return not any(type(part).__name__ in _BREAKS for part in estimator.get_params(deep=True).values())


def holds_others(estimator: BaseEstimator) -> bool:
    """Return whether some part of an estimator is not scikit-learn's own: of another package, or a user's function."""
    try:
        parts = [estimator, *estimator.get_params(deep=True).values()]
    except (TypeError, AttributeError):  # no estimator of scikit-learn's form
        return True
    return any(_is_foreign(part) for part in parts)


def _is_foreign(part: object) -> bool:
    if isinstance(part, type) or not (hasattr(part, "predict") or hasattr(part, "transform")):
        return False
    if type(part).__module__.split(".")[0] != "sklearn":
        return True
    function = getattr(part, "func", None)
    return type(part).__name__ == "FunctionTransformer" and not (function is None or isinstance(function, np.ufunc))


class StepsBefore:
    """The steps of a pipeline before its model: per-gene functions first, then at most linear mixing (a PCA)."""

    def __init__(self, n: int) -> None:
        self._chain: list[GeneByGene] = []
        self.kept = np.arange(n)
        self._n = n
        self.checked = np.zeros(n, dtype=bool)  # genes that can become NaN on the way
        self._mix: list[tuple[np.ndarray, np.ndarray]] = []

    @property
    def selects_only(self) -> bool:
        """Whether values reach the model as they are."""
        return not self._chain and not self._mix

    def add(self, step: BaseEstimator) -> bool:
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
        self._chain.append(lambda columns, values: (values - offset[columns]) * factor[columns])
        return True

    def _mask(self) -> np.ndarray:
        mask = np.zeros(self._n, dtype=bool)
        mask[self.kept] = True
        return mask

    @property
    def elementwise(self) -> GeneByGene | None:
        """What happens to each gene by itself; None where nothing does."""
        if not self._chain:
            return None

        def apply(columns: np.ndarray, values: np.ndarray) -> np.ndarray:
            values = np.asarray(values, dtype=np.float64)
            for function in self._chain:
                values = function(columns, values)
            return values

        return apply

    def through(self, X: np.ndarray) -> np.ndarray:
        """Return values of all genes in front, float64, after what happens to each gene by itself."""
        values = np.asarray(X, dtype=np.float64)
        return values if self.elementwise is None else self.elementwise(np.arange(X.shape[1]), values)

    def scaled_in(self, weights: np.ndarray, bias: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return weights and bias that do to values of genes what these do after scaling, which moves and stretches."""
        shift = self.through(np.zeros((1, self._n)))[0]
        stretch = self.through(np.ones((1, self._n)))[0] - shift
        return stretch[:, None] * weights, bias + shift @ weights

    def fold(self, weights: np.ndarray, bias: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return weights and bias of the mixing steps and the model together, for all genes in front."""
        for center, components in reversed(self._mix):
            weights = components @ weights
            bias = bias - center @ weights
        spread = np.zeros((self._n, weights.shape[1]))
        spread[self.kept] = weights
        return spread, bias


def slope(function: GeneByGene, X: np.ndarray) -> np.ndarray:
    """Return the derivative of a per-gene function at each value of `X`, by central differences.

    Exact to rounding for scaling, and to about 1e-8 for a logarithm; one-sided where a function ends (a root at 0).
    """
    values = np.asarray(X, dtype=np.float64)
    step = 1e-4 * np.maximum(np.abs(values), 1.0)
    columns = np.arange(X.shape[1])
    above, below = function(columns, values + step), function(columns, values - step)
    ends = ~np.isfinite(below)
    if ends.any():
        below = np.where(ends, function(columns, values), below)
    return (above - below) / np.where(ends, step, 2 * step)


def _on(function: np.ufunc, mask: np.ndarray) -> GeneByGene:
    """Return `function` for the genes in `mask`; genes that an earlier step left out stay as they are."""

    def apply(columns: np.ndarray, values: np.ndarray) -> np.ndarray:
        with np.errstate(all="ignore"):  # a NaN is no accident here: the scorer calls it a refusal
            return np.where(mask[columns], function(values), values)

    return apply


def _affine(step: BaseEstimator, kind: str) -> tuple[np.ndarray, np.ndarray] | None:
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
