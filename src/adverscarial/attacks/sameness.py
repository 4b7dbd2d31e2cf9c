"""Whether two values that results hold are the same: arrays, tables, and what holds these."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from adverscarial.attacks.storing import describe

if TYPE_CHECKING:
    from adverscarial.attacks.base import Attack
    from adverscarial.attacks.result import Result


def same(one: object, other: object) -> bool:
    """Return whether two values are of the same type and content; NaN is the same as NaN.

    >>> same({"a": np.array([1.0, np.nan])}, {"a": np.array([1.0, np.nan])})
    True
    >>> same([1, 2], (1, 2))
    False
    """
    if type(one) is not type(other):
        return False
    if isinstance(one, np.ndarray) and isinstance(other, np.ndarray):
        return one.dtype == other.dtype and np.array_equal(one, other, equal_nan=one.dtype.kind in "fc")
    if isinstance(one, pd.DataFrame | pd.Series | pd.Index) and isinstance(other, pd.DataFrame | pd.Series | pd.Index):
        return bool(one.equals(other))
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return list(one) == list(other) and all(same(value, other[key]) for key, value in one.items())
    if isinstance(one, Sequence) and isinstance(other, Sequence) and not isinstance(one, str | bytes):
        return len(one) == len(other) and all(map(same, one, other))
    if is_dataclass(one) and is_dataclass(other) and type(one).__eq__ is object.__eq__:
        return all(same(getattr(one, field.name), getattr(other, field.name)) for field in fields(one))
    return bool(one == other) or bool(one != one and other != other)


class ByContent:
    """What results are compared by: type and content; how long they took does not count."""

    if TYPE_CHECKING:  # the types of a stored result's fields are looked up, and here they have no names
        attack: Attack[Result]
        classifier: str
        target: str
        seed: int
        label: str

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self) or not isinstance(other, ByContent) or not is_dataclass(self):
            return NotImplemented
        # as it is stored: there a list of genes is the same as a tuple
        asked, also = (json.dumps(describe(result.attack), default=str) for result in (self, other))
        names = [field.name for field in fields(self) if field.name not in ("seconds", "attack")]
        return asked == also and all(same(getattr(self, name), getattr(other, name)) for name in names)

    def __hash__(self) -> int:
        return hash((type(self), self.classifier, self.target, self.seed, self.label))
