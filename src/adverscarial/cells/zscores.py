"""z-scores of columns; a column that does not vary becomes zeros."""

from __future__ import annotations

import numpy as np

from adverscarial._types import Bools, Floats


def standardised(values: Floats, mean: Floats, spread: Floats, varies: Bools | None = None) -> Floats:
    """Return ``(values - mean) / spread`` of each column, and 0 where a column does not vary.

    Parameters
    ----------
    values
        Shape (cells, columns).
    mean, spread
        Of each column, shape (columns,).
    varies
        Which columns vary, shape (columns,): those whose spread is not 0, when left out.

    Examples
    --------
    >>> standardised(np.array([[1.0, 5.0], [3.0, 5.0]]), np.array([2.0, 5.0]), np.array([2.0, 0.0])).tolist()
    [[-0.5, 0.0], [0.5, 0.0]]
    """
    if varies is None:
        varies = spread != 0  # so that NaN stays NaN
    z: Floats = (values - mean) / np.where(varies, spread, 1.0)
    z[..., ~varies] = 0.0
    return z


def deviation(squares: Floats, n_cells: int) -> Floats:
    """Return standard deviations (n - 1) from sums of squared differences to the mean."""
    found: Floats = np.sqrt(squares / max(n_cells - 1, 1))
    return found


def zscores(values: Floats, over: Floats | None = None) -> Floats:
    """Return the z-scores (n - 1) of each column, by the mean and the deviation of the columns `over`.

    Parameters
    ----------
    values
        Shape (cells, columns).
    over
        The columns that give mean and deviation, shape (any, columns): `values` themselves, when left out.

    Examples
    --------
    >>> zscores(np.array([[1.0, 0.1], [3.0, 0.1]])).round(3).tolist()
    [[-0.707, 0.0], [0.707, 0.0]]
    """
    return standardised(values, *moments(values if over is None else over))


def moments(over: Floats) -> tuple[Floats, Floats, Bools]:
    """Return mean, deviation (n - 1) and whether it varies, of each column."""
    mean = over.mean(axis=0)
    spread = deviation(((over - mean) ** 2).sum(axis=0), len(over))
    # decided by the values, not by the deviation: rounding makes that of a constant 0.1 slightly more than 0
    return mean, spread, over.max(axis=0) > over.min(axis=0)
