"""Genes that a smaller panel does not measure."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from adverscarial._types import Ints
from adverscarial.cells.cluster import gene_positions
from adverscarial.stresses.base import Change, names_in
from adverscarial.stresses.cells import CountCells
from adverscarial.stresses.molecules import with_data


@dataclass(frozen=True)
class MissingGenes(Change, name="missing-genes"):
    """Some genes are not measured in any cell, as with a targeted panel.

    Strength s is the share of genes that is missing, drawn by chance, the same genes in all cells of the cluster. Their
    counts become 0, and the library is what is left: a classifier reads an absent gene as one without counts.

    Parameters
    ----------
    panel
        Names of genes that are kept; the share is then of all others, and at 1 only the panel is left.

    References
    ----------
    Moffitt and Zhuang (2016), *RNA imaging with multiplexed error-robust fluorescence in situ hybridization (MERFISH)*,
    Methods Enzymol 572:1: panels of some hundred genes in place of all.

    Examples
    --------
    >>> str(MissingGenes(("CD3D", "CD79A")))
    'missing-genes:CD3D,CD79A'
    """

    panel: tuple[str, ...] = ()

    unit = "share of genes missing"
    happens = "{:.0%} of the genes are missing"
    place = 60

    @classmethod
    def parsed(cls, argument: str) -> MissingGenes:
        """Return missing genes outside a panel: ``"missing-genes:CD3D,CD79A"``."""
        return cls(names_in(argument))

    def apply(self, cells: CountCells, rows: Ints, strength: float, rng: np.random.Generator) -> sp.csr_array:
        """Return counts, those of missing genes 0."""
        outside = np.setdiff1d(np.arange(len(cells.genes)), gene_positions(cells.genes, self.panel))
        gone = np.zeros(len(cells.genes), dtype=bool)
        gone[rng.permutation(outside)[: round(strength * len(outside))]] = True
        counts = cells.counts[rows]
        return with_data(counts, np.where(gone[counts.indices], 0, counts.data))
