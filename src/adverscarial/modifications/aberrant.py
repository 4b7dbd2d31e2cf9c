"""Every cell gets a value far beyond all that occur."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import ClassVar, Literal, Self

import numpy as np

from adverscarial.cells.cluster import Cluster
from adverscarial.errors import ParameterError
from adverscarial.modifications.base import NUMBER, Modification, exact
from adverscarial.modifications.effect import Intent


@dataclass(frozen=True, repr=False)
class Aberrant(Modification, name="aberrant"):
    """Every cell gets an impossible value.

    Parameters
    ----------
    sign
        +1 or -1.
    factor
        How many times the maximum.
    scope
        Maximum of the whole ``"dataset"`` (the paper) or of the ``"gene"`` (the R code, with ``factor=1e4``).
    """

    sign: int
    factor: float = 1e5
    scope: Literal["dataset", "gene"] = "dataset"

    pattern = f"(positive|negative)_aberrant(?::(?:(reference)|{NUMBER}:(gene|dataset))?)?"
    examples: ClassVar[dict[str, str]] = {
        "positive_aberrant": "100,000 times the data set's maximum",
        "negative_aberrant": "100,000 times the data set's maximum, negative",
    }
    place = 40
    possible = False

    def __post_init__(self) -> None:
        if self.sign not in (1, -1):
            raise ParameterError(f"Aberrant: sign must be +1 or -1, got {self.sign}.")
        if self.scope not in ("dataset", "gene"):
            raise ParameterError(f"Aberrant: scope must be 'dataset' or 'gene', got '{self.scope}'.")
        if not isinstance(self.factor, int | float | np.number) or not np.isfinite(float(self.factor)):
            raise ParameterError(f"Aberrant: factor must be a finite number, got {self.factor!r}.")

    def values(self, cluster: Cluster, genes: np.ndarray) -> np.ndarray:  # noqa: D102
        statistics = cluster.statistics
        if self.scope == "gene":
            largest = statistics.maximum(genes)
        else:
            largest = np.full(len(genes), statistics.maximum_of_all())
        return (self.sign * self.factor * largest)[None, :]

    @classmethod
    def parsed(cls, match: re.Match[str]) -> Self:  # noqa: D102
        sign = 1 if match[1] == "positive" else -1
        if match[2]:
            return cls(sign, 1e4, "gene")
        return cls(sign, float(match[3]), "gene" if match[4] == "gene" else "dataset") if match[3] else cls(sign)

    @property
    def intent(self) -> Intent | None:  # noqa: D102
        times = self.sign * self.factor
        return "raise" if times > 0 else "lower" if times < 0 else None

    @property
    def meaning(self) -> str:  # noqa: D102
        of = "data set" if self.scope == "dataset" else self.scope
        return f"Every cell gets an impossible value: {self.brief} of the {of}."

    @property
    def brief(self) -> str:  # noqa: D102
        return f"{'minus ' if self.sign < 0 else ''}{self.factor:,g} times the largest value"

    def __str__(self) -> str:
        name = "positive_aberrant" if self.sign > 0 else "negative_aberrant"
        if (self.factor, self.scope) == (1e5, "dataset"):
            return name
        if (self.factor, self.scope) == (1e4, "gene"):
            return f"{name}:reference"
        return f"{name}:{exact(self.factor)}:{self.scope}"
