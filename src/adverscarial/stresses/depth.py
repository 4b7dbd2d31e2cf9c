"""Shallow sequencing."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from adverscarial._types import Ints
from adverscarial.stresses.base import Change
from adverscarial.stresses.cells import CountCells
from adverscarial.stresses.molecules import thinned


@dataclass(frozen=True)
class Depth(Change, name="depth"):
    """Each molecule is lost by itself, as when a library is sequenced less deeply.

    Strength s is the share of counts that is lost (1 - s is kept). A count k becomes Binomial(k, 1 - s).
    :class:`~adverscarial.Thinning` is the same as a modification.

    References
    ----------
    Svensson, Beltrame and Pachter (2019), *Quantifying the tradeoff between sequencing depth and cell number in
    single-cell RNA-seq*, bioRxiv 762773; downsampling of molecules is binomial thinning.
    """

    unit = "share of counts lost"
    happens = "{:.0%} of the counts are lost"
    place = 10

    def apply(self, cells: CountCells, rows: Ints, strength: float, rng: np.random.Generator) -> sp.csr_array:
        """Return thinned counts."""
        return thinned(cells.counts[rows], 1 - strength, rng)
