"""Compiled loops over molecules: chance comes in as uniform numbers, so that they are the same wherever they run."""

from __future__ import annotations

import numpy as np

from adverscarial._compiled import compiled
from adverscarial._types import Floats, Ints


@compiled
def genes_of(at: Floats, cumulated: Floats) -> Ints:
    """Return for each number the first gene whose cumulated share is above it.

    A table says for each of as many equal steps as there are genes where to begin to look: so a molecule costs about
    one step, not a search among all genes.
    """
    n = len(cumulated)
    width = cumulated[-1] / n
    begin = np.empty(n + 1, dtype=np.int64)
    gene = 0
    for step in range(n + 1):
        while gene < n - 1 and cumulated[gene] <= step * width:
            gene += 1
        begin[step] = gene
    found = np.empty(len(at), dtype=np.int64)
    for k in range(len(at)):
        gene = begin[min(int(at[k] / width), n)]
        while gene > 0 and cumulated[gene - 1] > at[k]:  # the division was rounded up
            gene -= 1
        while gene < n - 1 and cumulated[gene] <= at[k]:
            gene += 1
        found[k] = gene
    return found


@compiled
def entries_of(at: Ints, owners: Ints, bounds: Ints, starts: Ints) -> Ints:
    """Return for each molecule the stored count that it belongs to.

    Parameters
    ----------
    at
        Position of each molecule, when those of all cells stand in one row.
    owners
        The cell that it belongs to.
    bounds
        Where each stored count ends in that row.
    starts
        Where the stored counts of each cell start.
    """
    found = np.empty(len(at), dtype=np.int64)
    for k in range(len(at)):
        low, high = starts[owners[k]], starts[owners[k] + 1]
        while low < high:
            middle = (low + high) // 2
            if bounds[middle] <= at[k]:
                low = middle + 1
            else:
                high = middle
        found[k] = low
    return found


@compiled
def with_molecules(
    starts: Ints, indices: Ints, data: Ints, numbers: Ints, genes: Ints, n_genes: int
) -> tuple[Ints, Ints, Ints]:
    """Return a sparse matrix by rows with more molecules: `numbers[i]` more for row i, of the next of `genes`."""
    cell = np.zeros(n_genes, dtype=np.int64)
    new_starts = np.zeros(len(starts), dtype=np.int64)
    new_indices, new_data = np.empty(len(data) + len(genes), np.int64), np.empty(len(data) + len(genes), np.int64)
    filled, taken = 0, 0
    for row in range(len(starts) - 1):
        for k in range(starts[row], starts[row + 1]):
            cell[indices[k]] += data[k]
        for k in range(taken, taken + numbers[row]):
            cell[genes[k]] += 1
        taken += numbers[row]
        for gene in range(n_genes):
            if cell[gene] > 0:
                new_indices[filled], new_data[filled] = gene, cell[gene]
                filled += 1
                cell[gene] = 0
        new_starts[row + 1] = filled
    return new_starts, new_indices[:filled], new_data[:filled]


@compiled
def close(starts: Ints, data: Ints, have: Ints, wanted: Ints, chance: Floats) -> None:
    """Bring each row of `data` from `have` to `wanted` molecules, in place.

    What is too much is drawn without replacement among the row's molecules; what lacks is drawn from them with
    replacement. As many numbers of `chance` are used as molecules are drawn, see :func:`draws_to_close`.
    """
    taken = 0
    molecules = np.empty(have.max() if len(have) else 0, dtype=np.int64)
    for row in range(len(have)):
        if have[row] == wanted[row] or have[row] == 0:
            continue
        filled = 0
        for k in range(starts[row], starts[row + 1]):
            molecules[filled : filled + data[k]] = k
            filled += data[k]
        if have[row] < wanted[row]:
            for _ in range(wanted[row] - have[row]):
                data[molecules[int(chance[taken] * filled)]] += 1
                taken += 1
            continue
        kept = wanted[row] <= have[row] - wanted[row]  # the smaller part is drawn
        if kept:
            data[starts[row] : starts[row + 1]] = 0
        for drawn in range(min(wanted[row], have[row] - wanted[row])):
            place = drawn + int(chance[taken] * (filled - drawn))
            data[molecules[place]] += 1 if kept else -1
            molecules[place] = molecules[drawn]  # what was drawn cannot be drawn again
            taken += 1


def draws_to_close(have: Ints, wanted: Ints) -> int:
    """Return how many molecules :func:`close` draws."""
    smaller = np.where(have > wanted, np.minimum(wanted, have - wanted), np.where(have > 0, wanted - have, 0))
    return int(smaller.sum())


@compiled
def fill(out: np.ndarray, starts: Ints, indices: Ints, data: np.ndarray, column_of: Ints) -> None:
    """Write each stored value to its row of `out` and its gene's place there; genes at a place below 0 are left out."""
    for row in range(len(starts) - 1):
        for k in range(starts[row], starts[row + 1]):
            place = column_of[indices[k]]
            if place >= 0:
                out[row, place] = data[k]
