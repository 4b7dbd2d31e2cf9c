"""Every cell moves some tenths of all cells along the gene's sorted values."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np

from adverscarial.cells.cluster import Cluster
from adverscarial.modifications.base import NUMBER, Modification, check_number, exact, number
from adverscarial.modifications.effect import Intent


@dataclass(frozen=True, repr=False)
class Decile(Modification, name="decile"):
    """Every cell moves `n` tenths of the data set's cells along the gene's sorted values.

    Parameters
    ----------
    n
        Tenths, -10 to 10; ``Decile(0)`` changes nothing.
    reference
        Move one place less, as the R code does (used for the published runs).
    """

    n: float
    reference: bool = False

    pattern = f"decile{NUMBER}(?::(reference)?)?"
    examples: ClassVar[dict[str, str]] = {"decile+5": "move each cell five deciles up (or down: decile-5)"}
    place = 20
    possible = True

    def __post_init__(self) -> None:
        check_number("Decile: n", self.n, -10, 10)

    def values(self, cluster: Cluster, genes: np.ndarray) -> np.ndarray:  # noqa: D102
        steps = int(np.rint(self.n * cluster.statistics.n_cells / 10))
        return cluster.statistics.shifted(genes, cluster.values(genes), steps, reference=self.reference)

    @classmethod
    def parsed(cls, match: re.Match[str]) -> Self:  # noqa: D102
        return cls(number(match[1]), reference=match[2] is not None)

    @property
    def intent(self) -> Intent | None:  # noqa: D102
        return "raise" if self.n > 0 else "lower" if self.n < 0 else None

    @property
    def brief(self) -> str:  # noqa: D102
        return f"{abs(self.n):g} deciles {'up' if self.n > 0 else 'down'}" if self.n else "unchanged"

    @property
    def meaning(self) -> str:  # noqa: D102
        where = "up" if self.n > 0 else "down"
        return f"Every cell moves by {abs(self.n):g} tenths of all cells {where} in the order of the gene’s values."

    def __str__(self) -> str:
        return f"decile{exact(self.n, '+')}{':reference' if self.reference else ''}"
