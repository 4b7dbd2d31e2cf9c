"""What fitted linear models of scikit-learn hold, in one form."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import scipy.sparse as sp

if TYPE_CHECKING:
    from sklearn.base import BaseEstimator


def dense_coefficients(model: BaseEstimator) -> np.ndarray:
    """Return ``coef_`` as float64, shape (sums, genes): it may be sparse, and flat for two classes."""
    coefficients = model.coef_
    if sp.issparse(coefficients):
        coefficients = coefficients.toarray()
    return np.atleast_2d(np.asarray(coefficients, dtype=np.float64))


def two_columns(scores: np.ndarray) -> np.ndarray:
    """Return one decision column as two, one per class."""
    scores = scores[:, None] if scores.ndim == 1 else scores
    return np.hstack([-scores, scores]) if scores.shape[1] == 1 else scores


def sums_link(method: str | None) -> Callable[[np.ndarray], np.ndarray]:
    """Return how weighted sums become the scores that the estimator's `method` reports."""
    from scipy.special import expit, softmax

    if method != "predict_proba":
        return two_columns
    return lambda sums: np.hstack([1 - expit(sums), expit(sums)]) if sums.shape[1] == 1 else softmax(sums, axis=1)


def is_linear(model: BaseEstimator, n_classes: int) -> bool:
    """Return whether a model decides by one weighted sum per class, or by the sign of a single one."""
    if not all(hasattr(model, name) for name in ("coef_", "intercept_", "decision_function")):
        return False
    one_vs_one = hasattr(model, "n_support_") and n_classes > 2  # SVC: one sum per pair of classes
    return len(dense_coefficients(model)) == (1 if n_classes == 2 else n_classes) and not one_vs_one
