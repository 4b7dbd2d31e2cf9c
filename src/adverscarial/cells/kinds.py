"""What kind of values a matrix seems to hold: counts, log-normalised values or z-scores."""

from __future__ import annotations

import numpy as np

from adverscarial._types import Matrix
from adverscarial.cells.matrix import is_sparse

COUNTS, LOGNORM, ZSCORES = "counts", "log-normalised values", "z-scores"

# a log of counts per 10,000 stays below log(10,001) = 9.2; the margin allows for larger target sums
_LARGEST_LOG = 20.0


def kind_of(X: Matrix) -> str:
    """Return what values look like, or nothing where they look like neither of the three.

    Parameters
    ----------
    X
        Cells x genes, sparse or dense.

    Examples
    --------
    >>> kind_of(np.array([[0.0, 3.0]])), kind_of(np.array([[0.0, 1.1]])), kind_of(np.array([[-0.5, 1.2]]))
    ('counts', 'log-normalised values', 'z-scores')
    """
    values = np.asarray(X.data if is_sparse(X) else X)
    largest, lowest = values.max(initial=0), values.min(initial=0)
    if not np.isfinite(largest) or not np.isfinite(lowest):
        return ""
    whole = bool((values == np.rint(values)).all())
    if lowest < 0:
        return "" if whole else ZSCORES
    if whole:
        return COUNTS if largest > 1 else ""  # one and zero alone may be anything: present or absent, say
    return LOGNORM if largest < _LARGEST_LOG else ""
