"""Leaves that a cell can reach in each tree when genes take their new values, and what each leaf costs in genes."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from adverscarial._compiled import compiled, compiled_within
from adverscarial.classifiers.scorers.prefixes import NEVER, Top, heaped, take


class Paths(NamedTuple):
    """Reachable leaves of some cells, tree by tree, without the leaf that each cell reaches now (but see `whole`).

    Attributes
    ----------
    cell
        Where the leaves of each cell begin, shape (cells + 1,).
    tree, leaf
        Tree of each reachable leaf, and its node.
    start
        Where the genes of each leaf begin in `gene`, one entry more than leaves.
    gene
        Genes that must be changed for the leaf, all of them. If `whole` was asked for, the leaf that is reached now is
        there, too, and ``~gene`` stands for each gene that must stay as it is.
    """

    cell: np.ndarray
    tree: np.ndarray
    leaf: np.ndarray
    start: np.ndarray
    gene: np.ndarray


class Walk(NamedTuple):
    """What a walk notes: the choice for each gene, branches still to be walked, genes chosen on the way; and how."""

    choice: np.ndarray
    stack: np.ndarray
    trail: np.ndarray
    whole: bool  # genes that stay as they are count as well

    @classmethod
    def of(cls, n_genes: int, depth: int, whole: bool) -> Walk:
        """Make room for walks; `depth`: nodes on a path."""
        choice, trail = np.zeros(n_genes, dtype=np.int8), np.empty(depth + 2, dtype=np.int64)
        return cls(choice, np.empty((depth + 2, 3), dtype=np.int64), trail, whole)


@compiled_within
def floats(n: int, value: float) -> np.ndarray:
    """Return an array of `n` times a value: each form of np.zeros, np.full and the like would be compiled as well."""
    array = np.empty(n)
    for i in range(n):
        array[i] = value
    return array


@compiled_within
def wholes(n: int, value: int) -> np.ndarray:
    """Return the same of whole numbers."""
    array = np.empty(n, dtype=np.int64)
    for i in range(n):
        array[i] = value
    return array


@compiled_within
def shorts(n: int) -> np.ndarray:
    """Return room for `n` small whole numbers."""
    return np.empty(n, dtype=np.int32)


@compiled_within
def _descend(
    nodes: np.ndarray, at: int, x: np.ndarray, new: np.ndarray, column: np.ndarray, walk: Walk, top: int, length: int
) -> tuple[int, int, int]:
    """Walk to a leaf without changing a gene more; note the branches where changing one would turn the comparison.

    Returns the leaf, and how many branches and choices are noted now.
    """
    choice, stack, trail, _ = walk
    node = nodes[at]
    while node.feature >= 0:
        j = column[node.feature]
        go_left = x[node.feature] <= node.threshold
        if j >= 0 and choice[j] != 2:
            new_left = new[j] <= node.threshold
            if choice[j] == 1:
                go_left = new_left
            elif new_left != go_left:
                stack[top, 0] = node.left if new_left else node.right
                stack[top, 1], stack[top, 2] = length, j
                top += 1
                choice[j] = 2
                trail[length] = j
                length += 1
        at = node.left if go_left else node.right
        node = nodes[at]
    return at, top, length


@compiled_within
def _explore(
    nodes: np.ndarray, roots: np.ndarray, x: np.ndarray, new: np.ndarray, column: np.ndarray, walk: Walk,
    found: Paths, at_leaf: int, at_gene: int,
) -> tuple[int, int]:  # fmt: skip
    """Walk all trees of one cell, branching where the new value of a gene would turn the comparison.

    A gene that is met again keeps its choice (1: changed, 2: not changed). Results are written from the given places
    on, where there is room; the places behind the last ones are returned in any case.
    """
    choice, stack, trail, whole = walk
    for t in range(len(roots)):
        top, length = 1, 0
        stack[0, 0], stack[0, 1], stack[0, 2] = roots[t], 0, -1
        while top > 0:
            top -= 1
            while length > stack[top, 1]:  # take back the choices made below this branch
                length -= 1
                choice[trail[length]] = 0
            if stack[top, 2] >= 0:
                choice[stack[top, 2]] = 1
                trail[length] = stack[top, 2]
                length += 1
            at, top, length = _descend(nodes, stack[top, 0], x, new, column, walk, top, length)
            before = at_gene
            for i in range(length):
                if choice[trail[i]] == 1 or whole:
                    if at_gene < len(found.gene):
                        found.gene[at_gene] = trail[i] if choice[trail[i]] == 1 else ~trail[i]
                    at_gene += 1
            if at_gene > before:  # else it is the leaf that the cell reaches now
                if at_leaf < len(found.leaf):
                    found.tree[at_leaf], found.leaf[at_leaf], found.start[at_leaf + 1] = t, at, at_gene
                at_leaf += 1
        while length > 0:
            length -= 1
            choice[trail[length]] = 0
    return at_leaf, at_gene


@compiled
def reachable(
    nodes: np.ndarray, roots: np.ndarray, X: np.ndarray, new: np.ndarray, column: np.ndarray, walk: Walk,
    n_leaves: int, n_entries: int,
) -> Paths:  # fmt: skip
    """Return the reachable leaves of cells of values `X`, with new values `new`.

    `n_leaves` and `n_entries`: for how many leaves and genes of them there is room at first. All is walked again where
    that is not enough.
    """
    cell = wholes(len(X) + 1, 0)
    while True:
        tree, leaf, gene = shorts(n_leaves), shorts(n_leaves), shorts(n_entries)
        start = wholes(n_leaves + 1, 0)
        found, leaves, entries = Paths(cell, tree, leaf, start, gene), cell[0], cell[0]
        for c in range(len(X)):
            leaves, entries = _explore(nodes, roots, X[c], new[c], column, walk, found, leaves, entries)
            cell[c + 1] = leaves
        if leaves <= n_leaves and entries <= n_entries:
            return Paths(cell, tree[:leaves], leaf[:leaves], start[: leaves + 1], gene[:entries])
        n_leaves, n_entries = leaves, entries


class _Room(NamedTuple):
    """Arrays to work in: credits of genes, in all and in one tree, zeros at first; and genes."""

    total: np.ndarray
    best: np.ndarray
    touched: np.ndarray


@compiled_within
def _charged(
    paths: Paths, c: int, lead_values: np.ndarray, now: np.ndarray, weight: np.ndarray, m: int, room: _Room
) -> None:
    """Set the credits of the genes of cell `c` for the given weights, shape (genes,); see :func:`credits`."""
    _, tree, leaf, start, gene = paths
    total, best, touched = room
    for j in range(len(total)):
        total[j] = 0.0
    i, last = paths.cell[c], paths.cell[c + 1]
    while i < last:
        t, n_touched = tree[i], 0
        while i < last and tree[i] == t:
            gain = lead_values[leaf[i]] - now[t]
            if gain > 0 and start[i + 1] - start[i] <= m:
                whole = 0.0
                for e in range(start[i], start[i + 1]):
                    whole += weight[gene[e]]
                for e in range(start[i], start[i + 1]):
                    j = gene[e]
                    if best[j] == 0:
                        touched[n_touched] = j
                        n_touched += 1
                    best[j] = max(best[j], gain * weight[j] / whole)
            i += 1
        for e in range(n_touched):
            total[touched[e]] += best[touched[e]]
            best[touched[e]] = 0.0


@compiled
def credits(  # noqa: PLR0913
    paths: Paths,
    lead_values: np.ndarray,
    now: np.ndarray,
    need: np.ndarray,
    n_genes: int,
    m: int,
    passes: int,
    unit: float,
    kept: np.ndarray,
    proven: np.ndarray,
) -> None:
    """Fill in credits of genes, shape (cells, genes), and how many genes each cell needs by them.

    Under a set S the cell reaches, in each tree, one leaf x all of whose genes are in S. The gain of x is spread over
    its genes by positive weights; per tree, each gene keeps the largest credit that any leaf gives it. So the credits
    of S sum to the gain of x at least, whatever the weights. They are chosen anew in each pass: a leaf is charged to
    those of its genes that are of use least often.

    Parameters
    ----------
    paths
        Reachable leaves of the cells.
    lead_values
        What each leaf adds to the weighted sum that is to be raised, shape (nodes,).
    now
        The same for the leaf that each cell reaches now in each tree, shape (cells, trees).
    need
        What each cell lacks.
    n_genes, m
        Genes; and the most that may be changed, so that leaves that need more are out of reach.
    passes
        Rounds of weights; the round that proves most is kept, for each cell.
    unit
        A usual gain of one leaf.
    kept, proven
        What is filled in; -1 at first in `proven`.
    """
    weight, heap, total = floats(n_genes, 1.0), wholes(n_genes + 1, 0), floats(n_genes, 0.0)
    room = _Room(total, floats(n_genes, 0.0), wholes(n_genes, 0))
    for c in range(len(need)):
        for j in range(n_genes):
            weight[j] = 1.0
        for _ in range(passes):
            _charged(paths, c, lead_values, now[c], weight, m, room)
            top = take(Top(heap, heaped(total, 0.0, heap), 0, 0.0, 0.0), total, need[c], 0)
            count = top.taken if top.total >= need[c] else NEVER
            if count > proven[c]:
                proven[c] = count
                for j in range(n_genes):  # assigned as a whole, checks of shapes would be compiled, for seconds
                    kept[c, j] = total[j]
            if count == 0 or count >= NEVER:
                break
            for j in range(n_genes):
                weight[j] = (total[j] / unit + 0.05) ** -4


class Turns(NamedTuple):
    """What each gene, changed alone, does to the way of each cell through each tree.

    Attributes
    ----------
    start
        Where the turns of each cell and tree begin, cell after cell, shape (cells * trees + 1,).
    gene, leaf
        A gene that turns a comparison on the way, and the leaf that the cell then reaches.
    """

    start: np.ndarray
    gene: np.ndarray
    leaf: np.ndarray


#: nothing is known yet
NO_TURNS = Turns(np.zeros(1, np.int64), np.empty(0, np.int32), np.empty(0, np.int32))


@compiled_within
def _walk(
    nodes: np.ndarray, at: int, x: np.ndarray, new: np.ndarray, column: np.ndarray, found: Turns, begin: int, end: int
) -> int:  # fmt: skip
    """Write the turns of one cell in one tree, from `end` on, and return where they end."""
    node = nodes[at]
    while node.feature >= 0:
        goes_left = x[node.feature] <= node.threshold
        j = column[node.feature]
        turning = j >= 0 and (new[j] <= node.threshold) != goes_left
        for i in range(begin, end if turning else begin):
            turning = turning and found.gene[i] != j  # only where the gene is met first
        if turning:
            at = node.right if goes_left else node.left
            other = nodes[at]
            while other.feature >= 0:
                value = new[j] if other.feature == node.feature else x[other.feature]
                at = other.left if value <= other.threshold else other.right
                other = nodes[at]
            found.gene[end], found.leaf[end] = j, at
            end += 1
        node = nodes[node.left if goes_left else node.right]
    return end


class Since(NamedTuple):
    """What has changed since some turns were found.

    Attributes
    ----------
    X, leaf
        Values and leaves as they were then.
    node, tree
        Nodes that test the genes that have been changed, and the tree of each.
    last
        The last node below each node of the ensemble.
    """

    X: np.ndarray
    leaf: np.ndarray
    node: np.ndarray
    tree: np.ndarray
    last: np.ndarray


@compiled_within
def _mark_stale(
    nodes: np.ndarray, c: int, new: np.ndarray, column: np.ndarray, known: Turns, since: Since, stale: np.ndarray
) -> None:  # fmt: skip
    """Mark trees by `c` in which the way of this cell, or one with a gene turned, meets a turned comparison."""
    x, n_trees = since.X[c], since.leaf.shape[1]
    for k in range(len(since.node)):
        at, t = since.node[k], since.tree[k]
        node = nodes[at]
        if stale[t] == c or (new[column[node.feature]] <= node.threshold) == (x[node.feature] <= node.threshold):
            continue
        if at <= since.leaf[c, t] <= since.last[at]:
            stale[t] = c
        for i in range(known.start[c * n_trees + t], known.start[c * n_trees + t + 1]):
            if at <= known.leaf[i] <= since.last[at]:
                stale[t] = c


@compiled
def turns(
    nodes: np.ndarray, roots: np.ndarray, X: np.ndarray, column: np.ndarray, new: np.ndarray, depth: int, known: Turns,
    since: Since,
) -> Turns:  # fmt: skip
    """Return the turns of all cells; of those `known`, the ones stay that what has changed `since` does not touch.

    `depth`: nodes on a path.
    """
    n_trees, anew = len(roots), len(known.start) == 1
    start, stale = wholes(len(X) * n_trees + 1, 0), wholes(n_trees, -1)
    size = len(known.gene) + 4 * n_trees + depth
    found = Turns(start, shorts(size), shorts(size))
    end = start[0]
    for place in range(len(start) - 1):
        c, t = place // n_trees, place % n_trees
        if t == 0 and not anew:
            _mark_stale(nodes, c, new[c], column, known, since, stale)
        again = anew or stale[t] == c
        first, last = (start[0], start[0]) if again else (known.start[place], known.start[place + 1])
        if end + max(depth, last - first) > len(found.gene):
            size *= 2
            found = Turns(start, _larger(found.gene, end, size), _larger(found.leaf, end, size))
        if again:
            end = _walk(nodes, roots[t], X[c], new[c], column, found, end, end)
        for i in range(first, last):
            found.gene[end], found.leaf[end] = known.gene[i], known.leaf[i]
            end += 1
        start[place + 1] = end
    return found


@compiled_within
def _larger(values: np.ndarray, n: int, size: int) -> np.ndarray:
    """Return a larger array that begins with n values; copied as a whole, checks of shapes would take seconds."""
    larger = shorts(size)
    for i in range(n):
        larger[i] = values[i]
    return larger


@compiled
def first_order(found: Turns, value: np.ndarray, leaf: np.ndarray, omega: np.ndarray, n_genes: int) -> np.ndarray:
    """Return what each gene, changed alone, does to ``(omega * sums).sum()``, exactly, shape (genes,)."""
    effect = floats(n_genes, 0.0)
    n_trees = leaf.shape[1]
    for c in range(len(omega)):
        weights, none = omega[c], True
        for k in range(len(weights)):
            none = none and weights[k] == 0
        if none:
            continue
        for t in range(n_trees):
            now = leaf[c, t]
            for i in range(found.start[c * n_trees + t], found.start[c * n_trees + t + 1]):
                total = effect[found.gene[i]]
                for k in range(len(weights)):
                    total += weights[k] * (value[found.leaf[i], k] - value[now, k])
                effect[found.gene[i]] = total
    return effect
