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

from adverscarial._compiled import compiled, compiled_within
from adverscarial.classifiers.scorers.prefixes import NEVER, Top, heaped, take
from adverscarial.classifiers.scorers.tree_paths import Paths, floats, shorts, wholes

_ROUNDING = 1e-9  # of all that is added up
_PASSES = 3  # of the weights that the first g are made with
_AHEAD, _PATIENCE, _TURN = 0.15, 7, 1.5
_LONG, _SHORTER = 1.8, 0.8  # times Polyak's length at first, and what it is multiplied by where that brings nothing


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
        Where the leaves of each tree begin in `order`; one more than trees.
    order
        The leaves of each tree, those of the largest gain first.
    entry
        Which g each gene of each leaf has, in the order of :attr:`Paths.gene`.
    """

    value: np.ndarray
    gene: np.ndarray
    start: np.ndarray
    first: np.ndarray
    order: np.ndarray
    entry: np.ndarray


@compiled_within
def _slopes(paths: Paths, gain: np.ndarray, n_genes: int) -> _Slopes:
    """Return where the numbers g of one cell belong, all 0."""
    _, tree, _, start, gene = paths
    n_leaves = len(tree)
    place, entry, owner = wholes(n_genes, -1), shorts(len(gene)), shorts(len(gene))
    order, firsts, starts = wholes(n_leaves, 0), wholes(n_leaves + 1, 0), wholes(n_leaves + 1, 0)
    for k in range(n_leaves):
        order[k] = k
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
        _sort(order, firsts[trees], i, gain)
        trees += 1
    firsts[trees], starts[trees] = n_leaves, n
    return _Slopes(floats(n, 0.0), owner[:n], starts[: trees + 1], firsts[: trees + 1], order, entry)


@compiled_within
def _sort(order: np.ndarray, low: int, high: int, gain: np.ndarray) -> None:
    """Sort ``order[low:high]`` so that the gains fall, as Shell does: np.argsort would be compiled for a second."""
    gap = (high - low) // 2
    while gap > 0:
        for i in range(low + gap, high):
            at, leaf = i, order[i]
            while at >= low + gap and gain[order[at - gap]] < gain[leaf]:
                order[at] = order[at - gap]
                at -= gap
            order[at] = leaf
        gap //= 2


@compiled_within
def _offsets(paths: Paths, gain: np.ndarray, slopes: _Slopes, used: np.ndarray) -> float:
    """Return the sum of the offsets; `used` gets 1 for the g of genes that are changed for the leaf that decides."""
    g, _, begin, first, order, entry = slopes
    total = 0.0
    for t in range(len(first) - 1):
        free = 0.0
        for v in range(begin[t], begin[t + 1]):
            free += max(0.0, -g[v])
            used[v] = g[v] < 0
        most, best = -np.inf, -1
        for k in range(first[t], first[t + 1]):
            i = order[k]
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


@compiled_within
def _begin(paths: Paths, gain: np.ndarray, slopes: _Slopes, unit: float, weight: np.ndarray) -> None:
    """Set g to the credits of the leaves, spread over their genes by weights; then make the next weights.

    As :func:`~adverscarial.classifiers.scorers.tree_paths.credits` does: a leaf is charged to those of its genes that
    are of use least often.
    """
    g, gene, _, _, _, entry = slopes
    _clear(g)
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
    _clear(weight)
    for v in range(len(g)):
        weight[gene[v]] += g[v]
    for j in range(len(weight)):
        weight[j] = (weight[j] / unit + 0.05) ** -4


@compiled_within
def _clear(values: np.ndarray) -> None:
    for v in range(len(values)):
        values[v] = 0.0


@compiled_within
def _copy(values: np.ndarray, to: np.ndarray) -> None:
    """Copy values that are not NaN; assigned as a whole, checks of shapes would be compiled, for seconds."""
    for v in range(len(values)):
        if values[v] == values[v]:
            to[v] = values[v]


@compiled_within
def _totals(slopes: _Slopes, totals: np.ndarray) -> float:
    """Set the totals: what each gene gains at most by these g; return the sum of the absolute values of g."""
    _clear(totals)
    size = 0.0
    for v in range(len(slopes.value)):
        totals[slopes.gene[v]] += slopes.value[v]
        size += abs(slopes.value[v])
    return size


@compiled_within
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


class _Room(NamedTuple):
    """Arrays to work in: one number for each g, or for each gene."""

    used: np.ndarray
    direction: np.ndarray
    totals: np.ndarray
    chosen: np.ndarray
    heap: np.ndarray


@compiled_within
def _counted(slopes: _Slopes, need: float, offset: float, room: _Room, floor: float) -> tuple[int, Top]:
    """Return how many genes are needed by these g, and the genes; those of totals above `floor` are looked at first."""
    totals, heap = room.totals, room.heap
    size = _totals(slopes, totals) + abs(need) + abs(offset) + 1.0
    missing = need - offset - _ROUNDING * size
    top = take(Top(heap, heaped(totals, floor, heap), 0, 0.0, 0.0), totals, missing, 1)
    if floor > 0 and (top.total < missing or top.taken == 0):
        top = take(Top(heap, heaped(totals, 0.0, heap), 0, 0.0, 0.0), totals, missing, 1)
    return (NEVER if top.total < missing else (top.taken if missing > 0 else 0)), top


@compiled_within
def _step(slopes: _Slopes, top: Top, aim: int, missing: float, length: float, room: _Room) -> float:
    """Go one step towards a proof that `aim` genes are not enough; return the least total of these, or -1 at the end.

    `missing`: what is lacking without any genes. The length is in units of Polyak's.
    """
    g = slopes.value
    top = take(top, room.totals, -np.inf, aim)
    for k in range(top.size - top.taken, top.size):
        room.chosen[top.heap[k]] = 1.0
    square = _turned(slopes, room.chosen, room.used, room.direction)
    for k in range(top.size - top.taken, top.size):
        room.chosen[top.heap[k]] = 0.0
    if square == 0:
        return -1.0
    length *= max(0.0, (top.total - missing) / square)
    for v in range(len(g)):
        g[v] -= length * room.direction[v]
    return top.least


@compiled_within
def _recall(paths: Paths, slopes: _Slopes, known: np.ndarray, values: np.ndarray, write: bool) -> int:
    """Read (or write) what is known of g, NaN where nothing is; return how many numbers are known."""
    n = 0
    for t in range(len(slopes.first) - 1 if len(known) else 0):
        row = known[paths.tree[slopes.first[t]]]
        for v in range(slopes.start[t], slopes.start[t + 1]):
            if write:
                row[slopes.gene[v]] = values[v]
            else:
                values[v] = row[slopes.gene[v]]
                n += values[v] == values[v]
    return n


@compiled
def needed_by_slopes(
    paths: Paths, gain: np.ndarray, need: float, unit: float, enough: int, steps: int, known: np.ndarray, n_genes: int
) -> int:
    """Return how many genes one cell needs at least to gain `need`, by the best numbers g that are found.

    The steps are aimed at a number of genes that is a little more than what is proven, and at no more than `enough`.
    They are nearly twice as long as Polyak's; where that brings nothing, they become shorter and the aim nearer.

    Parameters
    ----------
    paths
        All leaves of the cell in each tree, tree by tree, the one that it reaches now among them; genes that must stay
        as they are have their complement ``~gene``.
    gain
        What each leaf adds to the weighted sum that is to be raised, less what the leaf that is reached now adds.
    need
        What is missing.
    unit
        A usual gain of one leaf.
    enough
        Proofs of more genes are of no use.
    steps
        Of the search for g.
    known
        The g of other cells, shape (trees, genes), NaN where there is none: a good start, since cells of one cluster
        are much alike. Those of this cell are written into it. No row: nothing is kept.
    n_genes
        Genes by whose numbers the paths go.
    """
    slopes = _slopes(paths, gain, n_genes)
    g, n = slopes.value, len(slopes.value)
    heap, weight, floor = wholes(n_genes + 1, 0), floats(n_genes, 1.0), 0.0
    room = _Room(floats(n, 0.0), floats(n, 0.0), floats(n_genes, 0.0), floats(n_genes, 0.0), heap)
    proven, best, best_g, ahead, vain, length = 0, -np.inf, floats(n, 0.0), 0.0, 0, _LONG
    recalled = 2 * _recall(paths, slopes, known, best_g, False) > n
    passes = 1 if recalled else _PASSES
    for step in range(steps):
        if step < passes:
            _begin(paths, gain, slopes, unit, weight)
        if step == (0 if recalled else passes):
            _copy(best_g, g)
        if step == passes:
            ahead, vain = _AHEAD * best, 0
        offset = _offsets(paths, gain, slopes, room.used)
        count, top = _counted(slopes, need, offset, room, floor)
        proven = max(proven, count)
        if proven >= enough:
            break
        reached = count - (offset + top.total - need) / top.least if count > 0 else 0.0
        vain += 1
        if reached > best + 1e-3:
            vain = vain if reached <= best + 0.02 else 0
            best = reached
            if step < passes and not recalled:
                _copy(g, best_g)
        if step < passes and not recalled:
            continue
        if vain > _PATIENCE:
            vain, ahead, length = 0, ahead / 2, length * _SHORTER
            _clear(room.direction)
        aim = min(int(np.ceil(best + max(ahead, 0.25))), enough - 1)
        floor = _step(slopes, top, aim, need - offset - 0.01 * unit, length, room) / 2
        if floor < 0:
            break
    _recall(paths, slopes, known, g, True)
    return proven
