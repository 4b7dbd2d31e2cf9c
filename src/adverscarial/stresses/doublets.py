"""Two cells under one barcode."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from adverscarial._types import Ints
from adverscarial.errors import DataError, did_you_mean, some
from adverscarial.stresses.base import Change
from adverscarial.stresses.cells import CountCells

OTHER, ANY = "other", "any"


@dataclass(frozen=True)
class Doublets(Change, name="doublets"):
    """Some cells are the sum of two cells.

    Strength s is the share of the cluster's cells that is a doublet, rounded to whole cells. Counts of a doublet are
    those of the cell plus those of its partner, so its library is that of both, as in real doublets.

    Parameters
    ----------
    partner
        Where partners come from: ``"other"`` clusters, ``"any"`` cell, or the name of one cluster.

    References
    ----------
    Wolock, Lopez and Klein (2019), *Scrublet: computational identification of cell doublets in single-cell
    transcriptomic data*, Cell Syst 8:281, which simulates doublets as such sums.

    Examples
    --------
    >>> str(Doublets("B"))
    'doublets:B'
    """

    partner: str = OTHER

    unit = "share of cells that are doublets"
    happens = "{:.0%} of the cells are doublets"
    strengths = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
    place = 40

    @classmethod
    def parsed(cls, argument: str) -> Doublets:
        """Return doublets with partners of a cluster: ``"doublets:B"``."""
        return cls(argument or OTHER)

    def apply(self, cells: CountCells, rows: Ints, strength: float, rng: np.random.Generator) -> sp.csr_array:
        """Return counts, for some cells those of two."""
        partners = rng.choice(self._partners(cells, rows), size=len(rows))
        chosen = rng.permutation(len(rows))[: round(strength * len(rows))]
        doubled = np.zeros(len(rows), dtype=np.int64)
        doubled[chosen] = 1
        return sp.csr_array(cells.counts[rows] + sp.diags_array(doubled, dtype=np.int64) @ cells.counts[partners])

    def _partners(self, cells: CountCells, rows: Ints) -> Ints:
        own = cells.clusters[rows[0]]
        if self.partner == ANY:
            return np.arange(len(cells.clusters))
        found = np.flatnonzero(cells.clusters != own if self.partner == OTHER else cells.clusters == self.partner)
        if not len(found) and self.partner == OTHER:
            raise DataError(f"Doublets of '{own}' need cells of another cluster, and there are none: say '{ANY}'.")
        if not len(found):
            known = sorted({str(name) for name in cells.clusters if name is not None})
            raise DataError(
                f"There is no cluster '{self.partner}' to make doublets with.{did_you_mean(self.partner, known)} "
                f"There are: {some(known, 12)}; or say '{OTHER}' or '{ANY}'."
            )
        return found
