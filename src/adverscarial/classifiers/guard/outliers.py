"""Which cells lie far from all training cells, as scikit-learn's outlier detectors tell it."""

from __future__ import annotations

import numpy as np

from adverscarial._types import Untyped
from adverscarial.errors import ParameterError

_NEIGHBOURS = 20
_FALSE_ALARMS = 0.01  # share of the training cells that counts as far


def detector_trained(outliers: object, X: np.ndarray) -> Untyped:
    """Return an outlier detector, trained on cells x genes.

    Parameters
    ----------
    outliers
        ``"lof"``, or an outlier detector of scikit-learn, of which a copy is trained.
    X
        Real cells, dense.

    Raises
    ------
    ParameterError
        If it is neither, or cannot judge new cells.
    """
    from sklearn.base import clone
    from sklearn.neighbors import LocalOutlierFactor

    if outliers == "lof":
        near = min(_NEIGHBOURS, len(X) - 1)
        return LocalOutlierFactor(n_neighbors=near, novelty=True, contamination=_FALSE_ALARMS).fit(X)
    if not hasattr(outliers, "predict") or not hasattr(outliers, "fit"):
        more = " A LocalOutlierFactor needs novelty=True." if isinstance(outliers, LocalOutlierFactor) else ""
        raise ParameterError(
            f"Guard: outliers must be 'lof' or an outlier detector of scikit-learn with fit and predict, got a "
            f"{type(outliers).__name__}.{more}"
        )
    return clone(outliers).fit(X)
