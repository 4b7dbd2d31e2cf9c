"""What was worked out of an object once, for as long as that very object lives.

Names of genes, and whether a matrix holds numbers only, are asked by every attack on one data set again.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Generic, TypeVar

import numpy as np
import pandas as pd

V = TypeVar("V")


class Remembered(Generic[V]):
    """Values that belong to objects, which are known by their identity, not by their content.

    Examples
    --------
    >>> lengths = Remembered()
    >>> names = pd.Index(["CD3D", "LYZ"])
    >>> lengths.of(names, lambda: len(names)), lengths.of(names, lambda: 0)
    (2, 2)
    """

    def __init__(self) -> None:
        self._known: dict[int, tuple[weakref.ref[object], V]] = {}

    def find(self, holder: object) -> V | None:
        """Return what is known of an object; None where nothing is."""
        found = self._known.get(id(holder))
        return None if found is None or found[0]() is not holder else found[1]

    def keep(self, holder: object, value: V) -> None:
        """Keep a value until the object is gone."""
        place = id(holder)

        def forget(gone: weakref.ref[object]) -> None:
            found = self._known.get(place)
            if found is not None and found[0] is gone:  # another object may have got the number since
                del self._known[place]

        self._known[place] = weakref.ref(holder, forget), value

    def of(self, holder: object, work_out: Callable[[], V]) -> V:
        """Return what is known of an object, which is worked out the first time."""
        found = self.find(holder)
        if found is None:
            found = work_out()
            self.keep(holder, found)
        return found


_INDEXES: Remembered[pd.Index] = Remembered()
_ARRAYS: Remembered[np.ndarray] = Remembered()


def as_text(names: pd.Index) -> pd.Index:
    """Return the names of cells or genes as text; an index cannot be changed in place, so this is done once."""
    return _INDEXES.of(names, lambda: pd.Index(names.astype(str)))


def as_array(names: pd.Index) -> np.ndarray:
    """Return names as an array of text, which nobody may write into."""

    def made() -> np.ndarray:
        array = np.asarray(names, dtype=str)
        array.flags.writeable = False
        return array

    return _ARRAYS.of(names, made)
