"""RNA from broken cells, which is in every droplet."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from adverscarial._types import Ints
from adverscarial.stresses.base import Change
from adverscarial.stresses.cells import CountCells
from adverscarial.stresses.molecules import from_profile, sizes, thinned


@dataclass(frozen=True)
class Ambient(Change, name="ambient"):
    """Part of a cell's counts comes from the soup: the mean profile of the data set, or of the cell's batch.

    Strength s is the share of a cell's counts that is ambient. Of n counts, Binomial thinning keeps n - a, and
    Multinomial(a, profile) come in their place; profile is each gene's share of all counts of the batch. The library
    size stays.

    References
    ----------
    Young and Behjati (2020), *SoupX removes ambient RNA contamination from droplet-based single-cell RNA sequencing
    data*, GigaScience 9:giaa151.
    """

    unit = "share of counts that is ambient"
    happens = "{:.0%} of the counts are ambient RNA"
    keeps_size = True
    place = 30

    def apply(self, cells: CountCells, rows: Ints, strength: float, rng: np.random.Generator) -> sp.csr_array:
        """Return counts of which a part was exchanged."""
        own = cells.counts[rows]
        kept = thinned(own, 1 - strength, rng)
        numbers, batches = sizes(own) - sizes(kept), cells.batch_of(rows)
        for batch in sorted(set(batches.tolist()), key=str):
            kept = from_profile(kept, np.where(batches == batch, numbers, 0), cells.mean_profile(batch), rng)
        return kept
