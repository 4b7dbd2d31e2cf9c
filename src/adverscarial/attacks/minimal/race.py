"""The vote of a cluster: which label wins, and how many votes another one lacks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from adverscarial._docs import documented


@documented
@dataclass(frozen=True)
class Race:
    """Votes as they stand, and the labels that should win.

    The label with the most votes wins, the alphabetically first one on a tie.

    Attributes
    ----------
    codes
        Label of each cell, a position in the list of labels, shape (cells,).
    %(rank)s
    goals
        Positions of the labels that may win.
    """

    codes: np.ndarray
    rank: np.ndarray
    goals: tuple[int, ...]

    @classmethod
    def of(cls, codes: np.ndarray, labels: Sequence[str], goals: Sequence[int]) -> Race:
        """Make a race from the names of the labels."""
        rank = np.empty(len(labels), dtype=np.int64)
        rank[np.argsort(np.asarray(labels, dtype=str), kind="stable")] = np.arange(len(labels))
        return cls(codes, rank, tuple(int(goal) for goal in goals))

    @property
    def n_labels(self) -> int:
        """Labels that a cell can have."""
        return len(self.rank)

    @property
    def counts(self) -> np.ndarray:
        """Votes of each label now."""
        return np.bincount(self.codes, minlength=self.n_labels)

    def winner(self, codes: np.ndarray) -> int:
        """Return the label that wins with these votes."""
        counts = np.bincount(codes, minlength=self.n_labels)
        return int(min(np.flatnonzero(counts == counts.max()), key=lambda k: self.rank[k]))

    def reached(self, codes: np.ndarray) -> bool:
        """Return whether a goal wins with these votes."""
        return self.winner(codes) in self.goals

    def need(self, winner: int, loser: int) -> int:
        """Return by how many votes the winner must still gain on the loser; 0 or less: it is ahead."""
        counts = self.counts
        return int(counts[loser] - counts[winner]) + int(self.rank[winner] > self.rank[loser])

    def quorum(self, winner: int) -> int:
        """Return how many votes the winner lacks to its fair share: of n cells and k labels, one has n / k at least."""
        return -(-len(self.codes) // self.n_labels) - int(self.counts[winner])
