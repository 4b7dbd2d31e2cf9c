"""How many genes a cell needs at least before SingleR gives it another label.

**One correlation.** The proof for CHETAH (:mod:`~adverscarial.classifiers.scorers.rank_bounds`) says that the product
of ranks rises by at most the sum of the m largest of ``D_j + (m - 1) / 2 * max(0, largest E_jk)``, if at most m genes
change. Here E is bounded once for all genes of a reference cell: ``E_jk = (a_j - a_k) * (f(w_j) - f(v_j))`` with
``f(x) = sign(x - w_k) - sign(x - v_k)``, which takes values from 0 to 2 or from -2 to 0, so that ``|E_jk|`` is at most
twice the largest ``a`` minus the smallest.

**The score** of a class is a quantile of correlations, which never falls when a correlation rises: the quantile of
their upper ends is an upper end, that of the lower ends a lower one.

**The label.** Fine-tuning only looks at classes whose score is at most its threshold below the best one. So no set of
m genes gives a cell a label whose upper end stays further than that below the lower end of today's best class.
"""

from __future__ import annotations

import numpy as np

from adverscarial._compiled import compiled
from adverscarial.classifiers.scorers.prefixes import NEVER
from adverscarial.classifiers.scorers.rank_bounds import rho_interval, ties_interval
from adverscarial.classifiers.scorers.rank_neighbours import CellRanks, Level, moves_of, quantiles

_TINY = 1e-9  # more than scores may be wrong by rounding


@compiled
def _gains(cell: CellRanks, level: Level, w: np.ndarray, moving: np.ndarray, own: int) -> np.ndarray:
    """Return what each gene alone does to the product with each reference cell, the largest first.

    Shape (reference cells, moving genes). For cells of the class `own` it is how far the product falls.
    """
    n_cells = level.ranks.shape[1]
    found = np.empty((n_cells, len(moving)))
    for i in range(len(moving)):
        gene = moving[i]
        a, b, c, d, first, last, step, moved = moves_of(cell, gene, w[gene])
        for r in range(n_cells):
            rank = np.int64(level.ranks[gene, r])
            tied = np.int64(cell.sums[b, r]) - cell.sums[a, r] - rank + cell.sums[d, r] - cell.sums[c, r]
            between = np.int64(cell.sums[last, r]) - cell.sums[first, r]
            found[r, i] = step * (tied + 2 * between) + rank * moved
    for r in range(level.starts[own], level.starts[own + 1]):
        found[r] *= -1
    for r in range(n_cells):
        found[r] = np.sort(found[r])[::-1]
    return found


@compiled
def _score_ends(
    cell: CellRanks, level: Level, w: np.ndarray, moving: np.ndarray, own: int, sizes: np.ndarray
) -> np.ndarray:
    """Return an upper end of each class's score with at most so many genes changed; a lower end for the class `own`."""
    n, n_cells = level.ranks.shape
    gains = _gains(cell, level, w, moving, own)
    out, rho = np.empty((len(sizes), len(level.lower))), np.empty(n_cells)
    width = np.empty(n_cells)
    for r in range(n_cells):
        width[r] = np.float64(level.ranks[:, r].max()) - level.ranks[:, r].min()
    for s in range(len(sizes)):
        m = min(sizes[s], len(moving))
        fewest_ties, most_ties = ties_interval(cell.values, w, moving, m)
        for r in range(n_cells):
            change = 0.0
            for i in range(m):
                gain = gains[r, i] + (m - 1) * width[r]
                if gain <= 0:
                    break
                change += gain
            power = 0.0 if level.scale[r] == 0 else 1 / level.scale[r] ** 2
            falls = level.starts[own] <= r < level.starts[own + 1]
            product = cell.product[r] - change if falls else cell.product[r] + change
            low, high = rho_interval(product, product, fewest_ties, most_ties, power, n)
            if power == 0:  # see rank_neighbours: as far from all others
                low, high = 0.5, 1.0
            rho[r] = low if falls else high
        quantiles(rho, level, out[s])
    return out


def fewest_for_classes(
    cell: CellRanks, level: Level, w: np.ndarray, threshold: float, own: int, sizes: np.ndarray
) -> np.ndarray:
    """Return for each class how many genes a cell is proven to need before it can get that label.

    Parameters
    ----------
    cell, level
        The cell as it is, and the reference with all its classes.
    w
        New values of the level's genes; the same as now where a gene cannot change.
    threshold
        Of fine-tuning; 0 without it.
    own
        The class whose score is best now.
    sizes
        Ascending numbers of genes to look at.

    Returns
    -------
    Shape (classes,); NEVER: no number of genes leads there. 1 for `own`.
    """
    moving = np.flatnonzero(cell.values != w)
    sizes = sizes[: np.searchsorted(sizes, max(1, len(moving))) + 1]
    ends = _score_ends(cell, level, w, moving, own, sizes)
    within = ends >= ends[:, [own]] - threshold - _TINY
    within[:, own] = True
    reached = np.logical_or.accumulate(within, axis=0)
    first = np.where(reached.any(axis=0), reached.argmax(axis=0), len(sizes))
    last = NEVER if sizes[-1] >= len(moving) else int(sizes[-1]) + 1
    return np.concatenate([[1], sizes[:-1] + 1, [last]]).astype(np.int64)[first]
