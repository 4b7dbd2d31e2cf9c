"""A cell's values as numbers: the smallest is number 0, the next larger one number 1, and so on.

Ranks only ask which of two values is larger, so numbers do as well. Sparse counts have few different values, and most
of a cell's are the smallest one. A cell's *levels* are its different values, and new ones that it may get, in rising
order; a value's number is its place there.
"""

from __future__ import annotations

import copy
from typing import NamedTuple, Self

import numpy as np

from adverscarial._compiled import compiled
from adverscarial.classifiers.scorers.bisection import first_at_least

_CELLS = 1024  # whose values are sorted at a time: until that is done, there are several copies of them
_FEW = 2**17  # values, up to which a loop would take longer to compile, or to load, than numpy takes
_SPARE = 2  # levels per gene, beyond which those that no gene has any more are forgotten


class Levels(NamedTuple):
    """Levels of some cells.

    Attributes
    ----------
    values
        Levels of one cell after another.
    start
        Where each cell's begin, and where the last one's end.
    """

    values: np.ndarray
    start: np.ndarray

    @property
    def sizes(self) -> np.ndarray:
        """How many levels each cell has."""
        return np.diff(self.start)

    @property
    def most(self) -> int:
        """The most levels that a cell has."""
        return int(self.sizes.max(initial=0))


def _merged(values: np.ndarray, more: np.ndarray, size: np.ndarray) -> np.ndarray:
    """Return the different values of each row of `values` and of `more`, end to end; `size`: how many each has."""
    both = np.concatenate([values, np.broadcast_to(more, (len(values), more.shape[1]))], axis=1)
    both.sort(axis=1)
    first = np.ones(both.shape, dtype=bool)
    np.not_equal(both[:, 1:], both[:, :-1], out=first[:, 1:])
    size[:] = first.sum(axis=1)
    merged: np.ndarray = both[first]
    return merged


def levels_of(values: np.ndarray, more: np.ndarray) -> Levels:
    """Return the levels of cells that have `values`, shape (cells, genes), and may get `more`.

    `more` has the shape (cells, genes), or (1, genes) where each cell may get the same ones.
    """
    size = np.zeros(len(values), dtype=np.int64)
    parts = []
    for first in range(0, len(values), _CELLS):
        some = slice(first, first + _CELLS)
        parts.append(_merged(values[some], more if len(more) == 1 else more[some], size[some]))
    return Levels(np.concatenate([np.empty(0), *parts]), np.cumsum(np.concatenate([[0], size])))


@compiled
def _numbered(levels: np.ndarray, start: np.ndarray, values: np.ndarray, numbers: np.ndarray) -> bool:
    for cell in range(len(numbers)):
        row = values[cell if len(values) > 1 else 0]
        first, end = start[cell], start[cell + 1]
        smallest, largest = levels[first], levels[end - 1]
        for j in range(len(row)):
            value = row[j]
            if value == smallest:
                numbers[cell, j] = 0
                continue
            low = end - 1 if value == largest else first_at_least(levels, first, end, value)
            if low == end or levels[low] != value:
                return False
            numbers[cell, j] = low - first
    return True


def numbers_of(levels: Levels, values: np.ndarray) -> np.ndarray | None:
    """Return the numbers of values, shape (cells, genes); None if a value is none of the levels.

    `values` has the shape (cells, genes), or (1, genes).
    """
    numbers = np.empty((len(levels.start) - 1, values.shape[1]), dtype=np.int32)
    if numbers.size > _FEW:
        return numbers if _numbered(levels.values, levels.start, values, numbers) else None
    for cell, row in enumerate(numbers):
        own, wanted = levels.values[levels.start[cell] : levels.start[cell + 1]], values[cell if len(values) > 1 else 0]
        found = np.searchsorted(own, wanted)
        if not np.array_equal(own[np.minimum(found, len(own) - 1)], wanted):
            return None
        row[:] = found
    return numbers


def values_of(levels: Levels, numbers: np.ndarray) -> np.ndarray:
    """Return the values that numbers stand for."""
    values: np.ndarray = levels.values[levels.start[:-1, None] + numbers]
    return values


class Numbered:
    """The values of some cells by number, and the numbers of those that they were last asked to get.

    Attributes
    ----------
    levels
        Levels that the numbers stand for; a new object when they have become others.
    numbers
        Numbers of the values now, shape (cells, genes).
    """

    def __init__(self, values: np.ndarray) -> None:
        self.levels = levels_of(values, np.empty((1, 0)))
        numbers = numbers_of(self.levels, values)
        assert numbers is not None
        self.numbers = numbers
        self._asked, self._to = np.full((1, values.shape[1]), np.nan), numbers
        self._shared = True  # whether something else may hold the numbers

    @property
    def n_levels(self) -> int:
        """The most levels that a cell has."""
        return self.levels.most

    @property
    def values(self) -> np.ndarray:
        """The values now."""
        return values_of(self.levels, self.numbers)

    def to(self, columns: np.ndarray, values: np.ndarray) -> np.ndarray:
        """Return numbers of new values, shape (cells, all genes); only those of `columns` mean anything.

        They are kept for the next call: a search asks about the same values many times. :attr:`numbers` may be others
        afterwards, for the same values.
        """
        if len(values) == len(self._asked) and np.array_equal(self._asked[:, columns], values):
            return self._to
        found = numbers_of(self.levels, values)
        if found is None:
            self._renumber(values)
            found = numbers_of(self.levels, values)
            assert found is not None
        self._asked = np.full((len(values), self.numbers.shape[1]), np.nan)
        self._asked[:, columns] = values
        self._to = self.numbers.copy()
        self._to[:, columns] = found
        return self._to

    def _renumber(self, more: np.ndarray) -> None:
        now = self.values
        known = self.levels
        if known.most + more.shape[1] <= _SPARE * now.shape[1]:
            width = np.arange(known.most)  # cells with fewer levels repeat their last one
            last = known.start[1:, None] - 1
            values = known.values[np.minimum(known.start[:-1, None] + width, last)]
        else:
            values = now
        self.levels = levels_of(values, more)
        numbers = numbers_of(self.levels, now)
        assert numbers is not None
        self.numbers = numbers

    def accept(self, columns: np.ndarray, to: np.ndarray) -> None:
        """Give columns the numbers that :meth:`to` has just returned, in a new array where a fork holds this one."""
        if self._shared:
            self.numbers, self._shared = self.numbers.copy(), False
        self.numbers[:, columns] = to[:, columns]

    def fork(self) -> Self:
        """Return cells whose accepted changes leave these alone."""
        self._shared = True
        return copy.copy(self)
