"""Drawing molecules: losing some, and getting others, always in whole counts.

All drawing is by cell and gene at once; cells without any counts stay empty.
"""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp

from adverscarial._types import Floats, Ints
from adverscarial.stresses import loops
from adverscarial.stresses.cells import CountCells

_MOST = 4.0  # libraries that are drawn for a cell before its own is closed


def thinned(counts: sp.csr_array, kept: float | Floats, rng: np.random.Generator) -> sp.csr_array:
    """Keep each molecule with a probability: a count k becomes Binomial(k, kept).

    Parameters
    ----------
    counts
        Whole numbers, cells x genes.
    kept
        One probability, or one for each stored count.
    rng
        Source of chance.
    """
    return with_data(counts, rng.binomial(counts.data, kept))


def with_data(counts: sp.csr_array, data: Ints) -> sp.csr_array:
    """Return the same matrix with other stored counts."""
    new = sp.csr_array((np.asarray(data, dtype=np.int64), counts.indices.copy(), counts.indptr.copy()), counts.shape)
    new.eliminate_zeros()
    return new


def sizes(counts: sp.csr_array) -> Ints:
    """Return the library size of each cell."""
    return np.asarray(counts.sum(axis=1), dtype=np.int64)


def gained(counts: sp.csr_array, numbers: Ints, genes: Ints) -> sp.csr_array:
    """Add single molecules: `numbers[i]` to cell i, of the next of `genes`."""
    starts, indices, data = loops.with_molecules(
        counts.indptr, counts.indices, counts.data, numbers, genes, counts.shape[1]
    )
    return sp.csr_array((data, indices, starts), shape=counts.shape)


def from_profile(counts: sp.csr_array, numbers: Ints, profile: Floats, rng: np.random.Generator) -> sp.csr_array:
    """Add to cell i the counts Multinomial(numbers[i], profile)."""
    cumulated = np.cumsum(profile)
    numbers = numbers if cumulated[-1] > 0 else np.zeros_like(numbers)
    if not numbers.any():
        return counts
    at = rng.random(int(numbers.sum())) * cumulated[-1]
    return gained(counts, numbers, loops.genes_of(at, cumulated))


def from_cells(
    counts: sp.csr_array, numbers: Ints, cells: CountCells, partners: Ints, rng: np.random.Generator
) -> sp.csr_array:
    """Add to cell i `numbers[i]` molecules of cell `partners[i]`, drawn with replacement; an empty cell gives none."""
    numbers = np.where(cells.totals[partners] > 0, numbers, 0)
    starts = np.cumsum(cells.totals) - cells.totals  # of each cell's molecules, when those of all stand in one row
    givers = np.repeat(partners, numbers)
    at = starts[givers] + np.floor(rng.random(len(givers)) * cells.totals[givers]).astype(np.int64)
    entries = loops.entries_of(at, givers, cells.bounds, cells.counts.indptr)
    return gained(counts, numbers, cells.counts.indices[entries])


def closed(counts: sp.csr_array, totals: Ints, rng: np.random.Generator) -> sp.csr_array:
    """Give each cell back its library size: what is too much is lost molecule by molecule, what lacks is drawn.

    What is lost is drawn without replacement (multivariate hypergeometric), what is added from the cell's own new
    composition (multinomial). A cell that has become empty stays so.
    """
    data, have = counts.data.copy(), sizes(counts)
    loops.close(counts.indptr, data, have, totals, rng.random(loops.draws_to_close(have, totals)))
    return with_data(counts, data)


def shifted(counts: sp.csr_array, folds: Floats, profile: Floats, rng: np.random.Generator) -> sp.csr_array:
    """Move each gene's mean by a factor, and close the library size again.

    Parameters
    ----------
    counts
        Whole numbers, cells x genes.
    folds
        One factor for each gene. Below 1, each molecule is kept with that probability. Above 1, cell i of n_i counts
        gains Poisson(n_i x profile x (fold - 1)): a gene that most cells lack comes up in them, too, which a product
        with their zeros could not do.
    profile
        Each gene's share of the counts of such cells before the change.
    rng
        Source of chance.
    """
    totals = sizes(counts)
    gain = profile * np.maximum(folds - 1.0, 0.0)
    # where far more comes than closing leaves, part of all is left out at once: a random part of it is as random
    part = min(1.0, _MOST / (1.0 + gain.sum()))
    new = thinned(counts, part * np.minimum(folds, 1.0)[counts.indices], rng)
    gain = part * gain
    # independent Poisson counts of all genes: their sum is Poisson, and falls to the genes in proportion
    return closed(from_profile(new, rng.poisson(totals * gain.sum()), gain, rng), totals, rng)
