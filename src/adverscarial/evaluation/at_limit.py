"""Every cell gets the furthest value that a guard lets pass: what an attacker would choose who knows the guard."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from adverscarial.cells.cluster import Cluster
from adverscarial.cells.columns import positions_among
from adverscarial.classifiers.guard.guard import Guard
from adverscarial.modifications.base import Modification


@dataclass(frozen=True, repr=False)
class AtLimit(Modification):  # without a name: no short string holds a guard
    """Every cell gets the largest, or the smallest, value that a guard lets pass.

    Parameters
    ----------
    guard
        A guard that has learnt.
    sign
        +1 for the largest value, -1 for the smallest. Genes that it does not watch get their extremes in the data.
    """

    guard: Guard
    sign: int = 1

    def values(self, cluster: Cluster, genes: np.ndarray) -> np.ndarray:  # noqa: D102
        limits, own = self.guard.limits, positions_among(self.guard.align(cluster.genes), len(cluster.genes))[genes]
        statistics = cluster.statistics
        free = statistics.maximum(genes) if self.sign > 0 else statistics.minimum(genes)
        allowed = limits.high if self.sign > 0 else limits.low
        return np.where(own >= 0, allowed[own], free)[None, :]

    def __str__(self) -> str:
        return f"{'largest' if self.sign > 0 else 'smallest'} allowed value"
