"""Quantiles that an earlier attack has worked out of the very same values.

Reading a matrix is quick, and its quantiles are not: each attack on one data set would work them out again. So they are
remembered beside a checksum of all values that they were taken from, which every attack computes anew.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from adverscarial._types import Floats, Matrix
from adverscarial.cells.checksum import checksum
from adverscarial.cells.matrix import is_sparse
from adverscarial.cells.remembered import Remembered

_LARGE = 2**18  # values; the quantiles of fewer are quickly worked out again

#: one quantile of each gene, NaN where it is not known, by the cells that it is taken over and its number
Tables = dict[tuple[str, float], Floats]


class _Known(NamedTuple):
    content: tuple[object, ...]
    tables: Tables


_KNOWN: Remembered[_Known] = Remembered()


def tables_of(X: Matrix) -> Tables | None:
    """Return what is known of a large matrix in memory with the values that it holds now; to be added to.

    None for small ones, for files, and where values do not lie in one piece.

    Examples
    --------
    >>> X = np.zeros((512, 512))
    >>> tables_of(X)["all", 0.5] = np.zeros(512)
    >>> list(tables_of(X))
    [('all', 0.5)]
    >>> X[0, 0] = 1.0
    >>> tables_of(X)
    {}
    """
    values = X.data if is_sparse(X) else X
    if not isinstance(values, np.ndarray) or values.size < _LARGE:
        return None
    parts = [values]
    if is_sparse(X):
        if X.format not in ("csr", "csc"):
            return None
        parts += [X.indices, X.indptr]
    sums = [checksum(part) for part in parts]
    if None in sums:
        return None
    content = (type(X).__name__, X.shape, *sums)
    found = _KNOWN.find(values)
    if found is None or found.content != content:
        found = _Known(content, {})
        _KNOWN.keep(values, found)
    return found.tables
