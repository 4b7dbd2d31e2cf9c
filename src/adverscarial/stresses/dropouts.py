"""Genes that are not captured."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from adverscarial._types import Ints
from adverscarial.stresses.base import Change
from adverscarial.stresses.cells import CountCells
from adverscarial.stresses.molecules import with_data


@dataclass(frozen=True)
class Dropouts(Change, name="dropout"):
    """A cell loses all molecules of a gene, each gene by itself, whatever its count.

    Strength s is the share of a cell's expressed genes that is lost: a count k becomes 0 with probability s. It is
    :class:`~adverscarial.Dropout` on all genes. Real dropout hits low counts first, which :class:`Depth` does; this is
    the harsher of the two.

    References
    ----------
    Kharchenko, Silberstein and Scadden (2014), *Bayesian approach to single-cell differential expression analysis*,
    Nat Methods 11:740, for dropout as an event of the whole gene.
    """

    unit = "share of expressed genes lost"
    happens = "{:.0%} of the expressed genes are lost"
    place = 20

    def apply(self, cells: CountCells, rows: Ints, strength: float, rng: np.random.Generator) -> sp.csr_array:
        """Return counts, some of them 0."""
        counts = cells.counts[rows]
        return with_data(counts, np.where(rng.random(counts.nnz) >= strength, counts.data, 0))
