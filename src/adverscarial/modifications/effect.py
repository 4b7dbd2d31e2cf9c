"""What a modification did to the values of a cluster: whether it changed a gene at all, and in which direction."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from adverscarial.cells.cluster import Cluster

#: what a modification is meant to do to a gene
Intent = Literal["raise", "lower"]

#: codes of what became of a gene's values: :func:`effect_texts` says what they mean
UNKNOWN, UNCHANGED, CHANGED, AGAINST, UNREAD = range(-1, 4)

_BLOCK = 256  # genes whose values are compared at a time


def effect_codes(cluster: Cluster, genes: np.ndarray, after: np.ndarray, intent: Intent | None) -> np.ndarray:
    """Return for each gene whether its values moved, and whether against the intent, as codes, shape (genes,).

    Parameters
    ----------
    cluster, genes
        Whose values they were, and which genes (positions).
    after
        New values, shape (cells, genes), or (1, genes) where every cell gets the same value.
    intent
        What the modification is meant to do.
    """
    if len(after) > 1:
        return _codes_of_values(cluster.values(genes), after, intent)
    before = cluster.ranges(genes)
    with np.errstate(over="ignore", invalid="ignore"):
        new = after[0].astype(cluster.dtype).astype(np.float64)
        change, size = new - before.mean, np.abs([new, before.lowest, before.highest]).max(axis=0)
        unsure = ~(np.abs(change) > 4 * cluster.n_cells * np.finfo(np.float64).eps * size)  # rounding may decide
    still = (before.lowest == before.highest) & (before.lowest == new)
    codes = np.where(still, UNCHANGED, CHANGED).astype(np.int8)
    if intent is not None:
        codes[~still & (change < 0 if intent == "raise" else change > 0)] = AGAINST
        if len(some := np.flatnonzero(unsure & ~still)):
            codes[some] = _codes_of_values(cluster.values(genes[some]), after[:, some], intent)
    return codes


def _codes_of_values(before: np.ndarray, after: np.ndarray, intent: Intent | None) -> np.ndarray:
    codes = np.empty(before.shape[1], dtype=np.int8)
    for part in np.array_split(np.arange(len(codes)), max(1, len(codes) // _BLOCK)):  # what fits into the cache
        some = slice(part[0], part[-1] + 1) if len(part) else slice(0)
        moved = _moved(before[:, some], after[:, some])
        codes[some] = np.where((moved != 0).any(axis=0), CHANGED, UNCHANGED)
        if intent is not None:
            change = moved.mean(axis=0)
            codes[some][change < 0 if intent == "raise" else change > 0] = AGAINST
    return codes


def _moved(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """Return by how much values moved, float64; new ones are rounded to the type of `before`."""
    with np.errstate(over="ignore"):
        new = after.astype(before.dtype)
    moved: np.ndarray = new.astype(np.float64) - before
    return moved


def effect_texts(codes: np.ndarray, intent: Intent | None) -> np.ndarray:
    """Return what codes mean, as texts.

    >>> effect_texts(np.array([UNCHANGED, AGAINST]), "raise").tolist()
    ['unchanged', 'lowered although meant to raise']
    """
    against = "raised although meant to lower" if intent == "lower" else "lowered although meant to raise"
    return np.array(["", "unchanged", "changed", against, "not read"])[np.asarray(codes, dtype=np.int64) + 1]


@dataclass(frozen=True)
class Effects:
    """How the values of genes moved in the cells of one cluster, gene by gene.

    Attributes
    ----------
    gene
        Names of the genes, shape (genes,).
    raised, lowered
        Number of cells whose value rose, and whose value fell, shape (genes,).
    change
        Change of the mean over the cluster's cells, shape (genes,), in the unit of the data.
    n_cells
        Cells of the cluster.
    intent
        What the modification is meant to do: ``"raise"``, ``"lower"``, or None where it is meant to do neither.

    Examples
    --------
    >>> before, after = np.array([[0.0, 1.0], [2.0, 1.0]]), np.array([[0.0, 1.0]])
    >>> effects = Effects.of(np.array(["KIT", "CD3D"]), before, after, intent="raise")
    >>> effects.direction.tolist(), effects.opposite.tolist()
    (['lowered', 'unchanged'], [True, False])
    """

    gene: np.ndarray
    raised: np.ndarray
    lowered: np.ndarray
    change: np.ndarray
    n_cells: int
    intent: Intent | None = None

    @classmethod
    def of(cls, gene: np.ndarray, before: np.ndarray, after: np.ndarray, intent: Intent | None = None) -> Effects:
        """Compare the values of genes before and after a modification.

        Parameters
        ----------
        gene
            Names of the genes.
        before
            Values of the cluster's cells, shape (cells, genes).
        after
            New values, shape (cells, genes), or (1, genes) where every cell gets the same value. They are rounded to
            the type of `before`, since these are the values that a classifier is given.
        intent
            What the modification is meant to do.
        """
        moved = _moved(before, after)
        return cls(gene, (moved > 0).sum(axis=0), (moved < 0).sum(axis=0), moved.mean(axis=0), len(before), intent)

    @property
    def unchanged(self) -> np.ndarray:
        """Whether no cell's value moved, for each gene."""
        still: np.ndarray = (self.raised == 0) & (self.lowered == 0)
        return still

    @property
    def direction(self) -> np.ndarray:
        """What became of each gene, as text.

        ``"unchanged"``: no cell's value moved. ``"raised"``, ``"lowered"``: the mean over the cluster rose or fell.
        ``"mixed"``: values moved up and down, and the mean stayed.
        """
        moved = np.where(self.change > 0, "raised", np.where(self.change < 0, "lowered", "mixed"))
        return np.where(self.unchanged, "unchanged", moved)

    @property
    def opposite(self) -> np.ndarray:
        """Whether the mean moved against the intent, for each gene: lowered although meant to raise, or the reverse."""
        if self.intent is None:
            return np.zeros(len(self.gene), dtype=bool)
        against: np.ndarray = self.direction == ("lowered" if self.intent == "raise" else "raised")
        return against

    def to_frame(self) -> pd.DataFrame:
        """Return a table with one row for each gene: gene, direction, opposite, raised, lowered, change."""
        return pd.DataFrame(
            {
                "gene": self.gene, "direction": self.direction, "opposite": self.opposite,
                "raised": self.raised, "lowered": self.lowered, "change": self.change,
            }
        )  # fmt: skip
