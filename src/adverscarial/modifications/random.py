"""Every cell gets a value drawn between the gene's extremes."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np

from adverscarial.cells.cluster import Cluster
from adverscarial.modifications.base import Modification


@dataclass(frozen=True, repr=False)
class Random(Modification, name="random"):
    """Every cell gets its own uniform draw between the gene's minimum and maximum.

    Parameters
    ----------
    integer
        Draw from minimum, minimum + 1, minimum + 2, ... as the R code does; counts always are.
    """

    integer: bool = False

    pattern = "random(?::(integer|reference)?)?"
    examples: ClassVar[dict[str, str]] = {"random": "draw each cell between the gene's minimum and maximum"}
    place = 30
    possible = True
    random = True

    def values(self, cluster: Cluster, genes: np.ndarray) -> np.ndarray:  # noqa: D102
        low, high = cluster.statistics.minimum(genes), cluster.statistics.maximum(genes)
        draws = np.stack([cluster.uniform(gene) for gene in genes], axis=1) if len(genes) else np.empty((1, 0))
        steps = np.floor(draws * (np.floor(high - low) + 1)) if self.integer or cluster.counts else draws * (high - low)
        new: np.ndarray = low + steps
        return new

    @classmethod
    def parsed(cls, match: re.Match[str]) -> Self:  # noqa: D102
        return cls(integer=match[1] is not None)

    @property
    def meaning(self) -> str:  # noqa: D102
        return "Every cell gets a value drawn between the gene’s minimum and maximum."

    def __str__(self) -> str:
        return "random:integer" if self.integer else "random"
