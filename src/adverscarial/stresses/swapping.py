"""Molecules under the wrong barcode."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from adverscarial._types import Ints
from adverscarial.stresses.base import Change
from adverscarial.stresses.cells import CountCells
from adverscarial.stresses.molecules import from_cells, sizes, thinned


@dataclass(frozen=True)
class Swapping(Change, name="swapping"):
    """Part of a cell's molecules belongs to one other cell, as when barcodes are swapped.

    Strength s is the share of a cell's counts that is another cell's. Binomial thinning keeps n - a of n counts, and a
    molecules of one other cell of the data set, or of its batch, come in their place, drawn with replacement; which
    cell that is, is drawn by chance. The library size stays. Unlike ambient RNA, what comes in is one cell's profile.

    References
    ----------
    Griffiths, Richard, Bach, Lun and Marioni (2018), *Detection and removal of barcode swapping in single-cell RNA-seq
    data*, Nat Commun 9:2667.
    """

    unit = "share of counts of another cell"
    happens = "{:.0%} of the counts are another cell's"
    keeps_size = True
    place = 80

    def apply(self, cells: CountCells, rows: Ints, strength: float, rng: np.random.Generator) -> sp.csr_array:
        """Return counts of which a part was exchanged."""
        batches = cells.batch_of(rows)
        partners = np.empty(len(rows), dtype=np.int64)
        for batch in sorted(set(batches.tolist()), key=str):
            givers = cells.of_batch(batch)
            givers = givers[cells.totals[givers] > 0]
            here = batches == batch
            partners[here] = rng.choice(givers, size=int(here.sum())) if len(givers) else rows[here]
        own = cells.counts[rows]
        kept = thinned(own, 1 - strength, rng)
        return from_cells(kept, sizes(own) - sizes(kept), cells, partners, rng)
