"""Where a number stands among ascending ones, from within compiled loops."""

from __future__ import annotations

import numpy as np

from adverscarial._compiled import compiled


@compiled
def first_at_least(ordered: np.ndarray, start: int, end: int, value: float) -> int:
    """Return the first place, from `start` on, that holds no less than a value; `end` where none before it does."""
    while start < end:
        middle = (start + end) // 2
        if ordered[middle] < value:
            start = middle + 1
        else:
            end = middle
    return start


@compiled
def first_above(ordered: np.ndarray, start: int, end: int, value: float) -> int:
    """Return the first place, from `start` on, that holds more than a value; `end` where none before it does."""
    while start < end:
        middle = (start + end) // 2
        if ordered[middle] <= value:
            start = middle + 1
        else:
            end = middle
    return start
