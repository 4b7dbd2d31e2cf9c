"""The stress response of cells that are taken apart."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.resources import files

import numpy as np
import scipy.sparse as sp

from adverscarial._types import Ints
from adverscarial.errors import DataError, some
from adverscarial.stresses.base import Change, names_in
from adverscarial.stresses.cells import CountCells, shares
from adverscarial.stresses.molecules import shifted


@dataclass(frozen=True)
class Dissociation(Change, name="dissociation"):
    """Immediate early and heat shock genes go up, as they do while tissue is digested.

    Strength s is the log2 fold by which each gene of the set goes up: cell i of n_i counts gains
    ``Poisson(n_i p_g (2^s - 1))``, where p_g is the gene's share of the cluster's counts, half a count added. Then the
    library size is closed again.

    Parameters
    ----------
    genes
        Names of the genes, in any case; a short published list, when left out. Those that the data lack are left out.

    References
    ----------
    van den Brink et al. (2017), *Single-cell sequencing reveals dissociation-induced gene expression in tissue
    subpopulations*, Nat Methods 14:935: the genes of ``dissociation_genes.txt`` are among those that it found.

    Examples
    --------
    >>> str(Dissociation(("FOS", "JUN")))
    'dissociation:FOS,JUN'
    """

    genes: tuple[str, ...] = ()

    unit = "log2 fold"
    strengths = (0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 3.5, 4.0, 5.0, 6.0)
    most = 20.0
    keeps_size = True
    place = 70

    @classmethod
    def happened(cls, strength: float) -> str:
        """Return what has happened at a strength: a fold, not its logarithm."""
        return f"the genes of the stress response are {2**strength:.3g} times as high"

    @classmethod
    def parsed(cls, argument: str) -> Dissociation:
        """Return the response of other genes: ``"dissociation:FOS,JUN"``."""
        return cls(names_in(argument))

    def apply(self, cells: CountCells, rows: Ints, strength: float, rng: np.random.Generator) -> sp.csr_array:
        """Return counts with more of the set."""
        folds = np.ones(len(cells.genes))
        folds[self.positions(cells)] = 2.0**strength
        own = cells.clusters[rows[0]]
        profile = cells.once(("cluster", own), lambda: shares(cells.counts[np.flatnonzero(cells.clusters == own)], 0.5))
        return shifted(cells.counts[rows], folds, profile, rng)

    def positions(self, cells: CountCells) -> Ints:
        """Return where the set's genes stand.

        Raises
        ------
        DataError
            If the data have none of them.
        """
        wanted = self.genes or shipped()
        names = {name.upper() for name in wanted}
        found = np.flatnonzero([str(gene).upper() in names for gene in cells.genes])
        if not len(found):
            raise DataError(
                f"The data have none of the {len(names)} genes of the response ({some(wanted, 3)}); their genes are "
                f"called {some(cells.genes, 3)}. Name genes of your own, Dissociation(genes=...), or use gene symbols."
            )
        return found


@cache
def shipped() -> tuple[str, ...]:
    """Return the short list that comes with the package."""
    lines = (files("adverscarial.stresses") / "dissociation_genes.txt").read_text(encoding="utf-8").splitlines()
    return tuple(line.strip() for line in lines if line.strip() and not line.startswith("#"))
