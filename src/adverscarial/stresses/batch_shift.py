"""A shift between two batches, or two conditions, as it was measured."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from adverscarial._types import Ints
from adverscarial.errors import DataError, ParameterError
from adverscarial.stresses.base import Change
from adverscarial.stresses.cells import CountCells, shares
from adverscarial.stresses.molecules import shifted

ALL = "all"
_FEWEST = 10  # cells of each level, below which no shift is measured


@dataclass(frozen=True)
class BatchShift(Change, name="batch-shift"):
    """Every gene's mean moves as it does between two levels of the column ``batch``.

    Strength s is the share of the measured shift: 0 none, 1 as measured, 2 twice that on the log scale. Gene g moves by
    the factor ``exp(s * lfc_g)``, where ``lfc_g = log(q_g / p_g)``, and p and q are the gene's shares of all counts of
    the cells of the two levels, half a count added to each gene. Below 1, molecules are lost (binomial thinning); above
    1, cell i of n_i counts gains ``Poisson(n_i p_g (factor - 1))``. Then the library size is closed again.

    Only cells of the level `start` are changed, and only they are counted.

    Parameters
    ----------
    start, end
        The two levels; the first two in alphabetical order, when left out.
    within
        Measure inside the cell's own cluster, which needs 10 cells of each level there. If False, over all cells: then
        differences of composition are part of the shift.

    Notes
    -----
    What it leaves out: how genes go together in single cells, cells that respond more than others, and changes of
    variance. With `within`, it knows the shift of the very type that it is applied to.

    References
    ----------
    Kang et al. (2018), *Multiplexed droplet single-cell RNA-sequencing using natural genetic variation*, Nat Biotechnol
    36:89, for the shift from control to stimulated cells; shares of pooled counts ("pseudobulk") as in Crowell et al.
    (2020), *muscat detects subpopulation-specific state transitions from multi-sample multi-condition single-cell
    transcriptomics data*, Nat Commun 11:6077.

    Examples
    --------
    >>> str(BatchShift("CTRL", "STIM"))
    'batch-shift:CTRL:STIM'
    """

    start: str = ""
    end: str = ""
    within: bool = True

    unit = "share of the measured shift"
    happens = "the cells have moved by {:.0%} of the shift between the batches"
    strengths = (0.2, 0.4, 0.6, 0.8, 1.0, 1.2, 1.4, 1.6, 1.8, 2.0)
    most = 10.0
    keeps_size = True
    place = 50

    @classmethod
    def parsed(cls, argument: str) -> BatchShift:
        """Return the shift between two levels: ``"batch-shift:CTRL:STIM"``; ``":all"`` behind it: over all cells."""
        start, end, how = (*argument.split(":"), "", "", "")[:3]
        if bool(start) != bool(end) or how not in ("", ALL):
            raise ParameterError(
                f"'{cls.name}:{argument}' is no batch shift; write '{cls.name}:FROM:TO', or '{cls.name}:FROM:TO:{ALL}' "
                "to measure it over all cells, or name no levels."
            )
        return cls(start, end, within=not how)

    def __str__(self) -> str:
        """Return the short string that means it."""
        return ":".join([self.name, self.start, self.end, "" if self.within else ALL]).rstrip(":")

    def concerned(self, cells: CountCells, rows: Ints) -> Ints:
        """Return the cells of the level that the shift starts from."""
        return cells.rows_of(self._levels(cells)[0], rows)

    def apply(self, cells: CountCells, rows: Ints, strength: float, rng: np.random.Generator) -> sp.csr_array:
        """Return counts whose means have moved."""
        own = cells.clusters[rows[0]]
        before, after = (self._profile(cells, level, own) for level in self._levels(cells))
        return shifted(cells.counts[rows], (after / before) ** strength, before, rng)

    def _levels(self, cells: CountCells) -> tuple[str, str]:
        known = cells.levels()
        if self.start:
            return self.start, self.end
        if len(known) < 2:
            raise DataError(f"A batch shift needs two levels; the column of batches has one: '{known[0]}'.")
        return known[0], known[1]

    def _profile(self, cells: CountCells, level: str, own: str) -> np.ndarray:
        where = ("of one cluster", own) if self.within else ("of all clusters",)
        return cells.once((*where, level), lambda: self._measured(cells, level, own))

    def _measured(self, cells: CountCells, level: str, own: str) -> np.ndarray:
        among = np.flatnonzero(cells.clusters == own) if self.within else np.arange(len(cells.clusters))
        rows = cells.rows_of(level, among)
        if len(rows) < _FEWEST:
            where = f"Cluster '{own}' has" if self.within else "There are"
            raise DataError(
                f"{where} {len(rows)} cells of '{level}'; at least {_FEWEST} are needed to measure a shift."
                + (" BatchShift(within=False) measures it over all clusters." if self.within else "")
            )
        return shares(cells.counts[rows], 0.5)
