"""Every cell gets one number."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np

from adverscarial.cells.cluster import Cluster
from adverscarial.errors import ParameterError
from adverscarial.modifications.base import Modification, number


@dataclass(frozen=True, repr=False)
class Fixed(Modification, name="fixed"):
    """Every cell gets the value `v`."""

    v: float

    examples: ClassVar[dict[str, str]] = {"fixed:3": "set every cell to 3"}
    place = 70

    def __post_init__(self) -> None:
        if not isinstance(self.v, int | float | np.number) or not np.isfinite(float(self.v)):
            raise ParameterError(f"Fixed: the value must be a finite number, got {self.v!r}.")

    def values(self, cluster: Cluster, genes: np.ndarray) -> np.ndarray:  # noqa: D102
        return np.full((1, len(genes)), float(self.v))

    @classmethod
    def parsed(cls, match: re.Match[str]) -> Self:  # noqa: D102
        return cls(number(match[1]))

    @property
    def meaning(self) -> str:  # noqa: D102
        return f"Every cell gets the value {self.v:g}."
