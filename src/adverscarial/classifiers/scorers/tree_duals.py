"""A sharper bound on what changed genes do to the votes of trees: one slope for each tree and gene.

Under a set S of genes a tree takes a cell to one leaf: all genes that the leaf needs changed are in S, and none of
those that it needs as they are. Take any numbers g, one for each tree and gene, and let a tree's *offset* be the most
that any leaf x gains beyond the sum of g over the genes of S, whatever S is. That is

    max over x of  (gain of x)  -  (sum of g over the genes changed for x)  +  (sum of -g over the genes, of those with
    g < 0, that do not matter for x)

So the tree gains at most ``offset + (sum of its g over S)``, and all trees together at most the offsets and, for each
gene of S, the sum of its g over the trees. A gene may have a negative sum: where it helps in one tree, it harms in
others, and credits (see :mod:`tree_paths`) do not know that. The bound holds for *every* g; good ones are found by
subgradient steps.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from adverscarial._compiled import compiled
from adverscarial.classifiers.scorers.prefixes import fewest, parted
from adverscarial.classifiers.scorers.tree_paths import Paths

_ROUNDING = 1e-9  # of all that is added up
_PASSES = 3  # of the weights that the first g are made with
_AHEAD, _PATIENCE, _TURN = 0.3, 15, 1.5


class _Slopes(NamedTuple):
    """The numbers g and where they belong.

    Attributes
    ----------
    value
        One for each tree and gene that matters there.
    gene
        The gene of each.
    start
        Where those of each tree begin; one more than trees.
    first
        Where the leaves of each tree begin; one more than trees.
    entry
        Which g each gene of each leaf has, in the order of :attr:`Paths.gene`.
    """

    value: np.ndarray
    gene: np.ndarray
    start: np.ndarray
    first: np.ndarray
    entry: np.ndarray


@compiled
def _slopes(paths: Paths, n_genes: int) -> _Slopes:
    """Return where the numbers g of one cell belong, all 0."""
    _, tree, _, start, gene = paths
    n_leaves = len(tree)
    place, entry = np.full(n_genes, -1, dtype=np.int64), np.empty(len(gene), dtype=np.int64)
    owner = np.empty(len(gene), dtype=np.int64)
    firsts, starts = np.empty(n_leaves + 1, dtype=np.int64), np.empty(n_leaves + 1, dtype=np.int64)
    n, trees, i = 0, 0, 0
    while i < n_leaves:
        t, begin = tree[i], n
        firsts[trees], starts[trees] = i, n
        while i < n_leaves and tree[i] == t:
            for e in range(start[i], start[i + 1]):
                j = gene[e] if gene[e] >= 0 else ~gene[e]
                if place[j] < begin:
                    place[j] = n
                    owner[n] = j
                    n += 1
                entry[e] = place[j]
            i += 1
        trees += 1
    firsts[trees], starts[trees] = n_leaves, n
    return _Slopes(np.zeros(n), owner[:n].copy(), starts[: trees + 1].copy(), firsts[: trees + 1].copy(), entry)


@compiled
def _offsets(paths: Paths, gain: np.ndarray, slopes: _Slopes, used: np.ndarray) -> float:
    """Return the sum of the offsets; `used` gets 1 for the g of genes that are changed for the leaf that decides."""
    g, _, begin, first, entry = slopes
    total = 0.0
    for t in range(len(first) - 1):
        free = 0.0
        for v in range(begin[t], begin[t + 1]):
            free += max(0.0, -g[v])
            used[v] = g[v] < 0
        most, best = -np.inf, -1
        for i in range(first[t], first[t + 1]):
            left = gain[i]
            if left <= most:  # nor is any of the leaves behind it better
                break
            for e in range(paths.start[i], paths.start[i + 1]):
                left -= max(0.0, g[entry[e]]) if paths.gene[e] >= 0 else max(0.0, -g[entry[e]])
                if left <= most:
                    break
            if left > most:
                most, best = left, i
        for e in range(paths.start[best], paths.start[best + 1]):
            used[entry[e]] = paths.gene[e] >= 0
        total += most + free
    return total


@compiled
def _begin(paths: Paths, gain: np.ndarray, slopes: _Slopes, unit: float, weight: np.ndarray) -> None:
    """Set g to the credits of the leaves, spread over their genes by weights; then make the next weights.

    As :func:`~adverscarial.classifiers.scorers.tree_paths.credits` does: a leaf is charged to those of its genes that
    are of use least often.
    """
    g, gene, _, _, entry = slopes
    g[:] = 0.0
    for i in range(len(gain)):
        if gain[i] <= 0:
            continue
        whole = 0.0
        for e in range(paths.start[i], paths.start[i + 1]):
            if paths.gene[e] >= 0:
                whole += weight[paths.gene[e]]
        for e in range(paths.start[i], paths.start[i + 1]):
            if paths.gene[e] >= 0:
                g[entry[e]] = max(g[entry[e]], gain[i] * weight[paths.gene[e]] / whole)
    weight[:] = 0.0
    for v in range(len(g)):
        weight[gene[v]] += g[v]
    for j in range(len(weight)):
        weight[j] = (weight[j] / unit + 0.05) ** -4


@compiled
def _largest(numbers: np.ndarray, n: int, m: int) -> float:
    """Return the `m`-th largest of ``numbers[:n]``, which are reordered; np.partition would compile for seconds."""
    low, high = 0, n
    while True:
        pivot, above, below, _ = parted(numbers, low, high)
        if m <= above:
            high = above
        elif m <= below:
            return float(pivot)
        else:
            low = below


@compiled
def _copy(values: np.ndarray, to: np.ndarray) -> None:
    """Copy values; assigned as a whole, checks of shapes would be compiled, for seconds."""
    for v in range(len(values)):
        to[v] = values[v]


@compiled
def _mark_largest(totals: np.ndarray, m: int, chosen: np.ndarray, buffer: np.ndarray) -> tuple[float, float]:
    """Mark the `m` largest totals, of those above 0; return their sum and the least of them."""
    n, least, ties = 0, 0.0, 0
    for j in range(len(totals)):
        if totals[j] > 0:
            buffer[n] = totals[j]
            n += 1
    if n > m:
        least, ties = _largest(buffer, n, m), m
        for j in range(len(totals)):
            ties -= totals[j] > least
    total = 0.0
    for j in range(len(totals)):
        tie = totals[j] == least and ties > 0
        ties -= tie
        chosen[j] = (tie or totals[j] > least) and totals[j] > 0
        total += chosen[j] * totals[j]
    return total, least


@compiled
def _turned(slopes: _Slopes, chosen: np.ndarray, used: np.ndarray, direction: np.ndarray) -> float:
    """Turn the direction to the new slope, which keeps some of the old one if they disagree; return its square."""
    gene, same, square = slopes.gene, 0.0, 0.0
    for v in range(len(gene)):
        same += (chosen[gene[v]] - used[v]) * direction[v]
        square += direction[v] * direction[v]
    kept = -_TURN * same / square if same < 0 else 0.0
    square = 0.0
    for v in range(len(gene)):
        direction[v] = chosen[gene[v]] - used[v] + kept * direction[v]
        square += direction[v] * direction[v]
    return square


@compiled
def _proven(slopes: _Slopes, need: float, offset: float, totals: np.ndarray, buffer: np.ndarray) -> int:
    """Return how many genes are needed by these g, and set the totals: what each gene gains at most by them."""
    g, gene, _, _, _ = slopes
    totals[:] = 0.0
    size = abs(need) + abs(offset) + 1.0
    for v in range(len(g)):
        totals[gene[v]] += g[v]
        size += abs(g[v])
    n = 0
    for j in range(len(totals)):
        if totals[j] > 0:
            buffer[n] = totals[j]
            n += 1
    return fewest(buffer, n, need - offset - _ROUNDING * size, False)


def by_gain(paths: Paths, gain: np.ndarray) -> tuple[Paths, np.ndarray, int]:
    """Return the paths of one cell with the leaves of each tree in the order of their gains, the largest first.

    Genes are numbered anew, so that none is left that does not matter; the second array has the gains in that order,
    the number says how many genes there are.
    """
    order = np.lexsort((-gain, paths.tree))
    lengths = np.diff(paths.start)[order]
    start = np.append(0, np.cumsum(lengths))
    gene = paths.gene[np.arange(start[-1]) + np.repeat(paths.start[:-1][order] - start[:-1], lengths)]
    plain = np.where(gene >= 0, gene, ~gene)
    matters = np.zeros(plain.max(initial=-1) + 1, dtype=bool)
    matters[plain] = True
    number = (np.cumsum(matters, dtype=gene.dtype) - 1)[plain]
    gene = np.where(gene >= 0, number, ~number)
    return Paths(paths.cell, paths.tree[order], paths.leaf[order], start, gene), gain[order], int(matters.sum())


@compiled
def needed_by_slopes(
    paths: Paths, gain: np.ndarray, need: float, n_genes: int, unit: float, enough: int, steps: int
) -> int:
    """Return how many genes one cell needs at least to gain `need`, by the best numbers g that are found.

    The steps have Polyak's length towards a number of genes that is a little more than what is proven, and less more
    where that brings nothing.

    Parameters
    ----------
    paths
        All leaves of the cell in each tree, the one that it reaches now among them, in the order of :func:`by_gain`;
        genes that must stay as they are have their complement ``~gene``.
    gain
        What each leaf adds to the weighted sum that is to be raised, less what the leaf that is reached now adds.
    need
        What is missing.
    n_genes
        Genes by whose numbers the paths go.
    unit
        A usual gain of one leaf.
    enough
        Proofs of more genes are of no use.
    steps
        Of the search for g.
    """
    slopes = _slopes(paths, n_genes)
    g, direction = slopes.value, np.zeros(len(slopes.value))
    used, chosen = np.zeros(len(g)), np.zeros(n_genes)
    totals, buffer, weight = np.zeros(n_genes), np.empty(n_genes), np.ones(n_genes)
    proven, best, best_g, ahead, vain = 0, -np.inf, g.copy(), 0.0, 0
    for step in range(steps):
        if step < _PASSES:
            _begin(paths, gain, slopes, unit, weight)
        elif step == _PASSES:
            _copy(best_g, g)
            ahead, vain = _AHEAD * best, 0
        offset = _offsets(paths, gain, slopes, used)
        count = _proven(slopes, need, offset, totals, buffer)
        proven = max(proven, count)
        if proven >= enough:
            break
        total, least = _mark_largest(totals, max(count, 1), chosen, buffer)
        reached = count - (offset + total - need) / least if count > 0 and least > 0 else float(count)
        vain += 1
        if reached > best + 1e-3:
            vain = vain if reached <= best + 0.02 else 0
            best = reached
            _copy(g, best_g)
        if step < _PASSES:
            continue
        if vain > _PATIENCE:
            vain, ahead = 0, ahead / 2
            _copy(best_g, g)
            direction[:] = 0.0
            continue
        total, _ = _mark_largest(totals, int(np.ceil(best + max(ahead, 0.25))), chosen, buffer)
        square = _turned(slopes, chosen, used, direction)
        if square == 0:
            break
        g -= max(0.0, (offset + total - need + 0.01 * unit) / square) * direction
    return proven
