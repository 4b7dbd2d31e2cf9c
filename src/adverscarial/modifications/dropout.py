"""Some cells lose the gene."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from adverscarial.cells.cluster import Cluster
from adverscarial.modifications.base import check_number
from adverscarial.modifications.loss import Loss


@dataclass(frozen=True, repr=False)
class Dropout(Loss, name="dropout"):
    """Every cell loses the gene (value 0) with probability `rate`, as when a transcript is not captured."""

    rate: float

    examples: ClassVar[dict[str, str]] = {"dropout:0.5": "set half of the cells to zero"}
    place = 50

    def __post_init__(self) -> None:
        check_number("Dropout: rate", self.rate, 0, 1)

    def values(self, cluster: Cluster, genes: np.ndarray) -> np.ndarray:  # noqa: D102
        kept = np.stack([cluster.uniform(gene) >= self.rate for gene in genes], axis=1) if len(genes) else True
        return np.where(kept, cluster.values(genes), 0).astype(np.float64)

    @property
    def meaning(self) -> str:  # noqa: D102
        return f"Every cell loses the gene (value 0) with a probability of {self.rate:g}."
