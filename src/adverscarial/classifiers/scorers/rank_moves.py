"""What CHETAH calls cells of which some values change: it ranks only lists of changed genes, and where a cell walks.

Values are numbers (see :mod:`adverscarial.classifiers.scorers.rank_levels`), so that ranks are counted, not sorted. A
list's genes fall into *groups* of equal values. A gene that is changed alone leaves one group for another, or for a new
one between two others: what that does to the correlation is known from how many genes are below, and from the profile's
ranks of these.

A profile score that is not known yet is NaN: it is computed when a cell comes to its node.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from adverscarial._compiled import compiled
from adverscarial.classifiers.scorers.bisection import first_above, first_at_least
from adverscarial.classifiers.scorers.ranks import Model, _decide, _rho, entries

_BLOCK = 8  # levels that are looked at together, or passed over
_BINS = 1024  # of correlations
_FEW = 256  # genes that change, up to which the groups that are kept are changed, too, and not counted anew
_LEVELS = 128  # different values per cell, up to which groups are kept
_BYTES = 2**28  # of them, at most


class Ladder(NamedTuple):
    """Where to look among the sorted correlations of reference cells: one column per bin of correlations."""

    own: np.ndarray  # pairs x (bins + 1), correlations in the bins before
    other: np.ndarray


class State(NamedTuple):
    """Cells as they stand."""

    numbers: np.ndarray  # of their values, cells x the classifier's genes
    scores: np.ndarray  # of the profiles, cells x pairs; NaN: not known yet
    codes: np.ndarray  # votes
    counts: np.ndarray  # genes of each list with each number, cells x pairs x levels; no cells where this is not kept
    sums: np.ndarray  # the profile's ranks of these, added up


class Tree(NamedTuple):
    """The classifier, as the functions here need it."""

    model: Model  # lists and ranks of 32 bits
    ladder: Ladder
    entries: tuple[np.ndarray, np.ndarray, np.ndarray]  # see ranks.entries
    threshold: float
    n_classes: int


class Groups(NamedTuple):
    """Groups of equal values in lists, and memory to find them; one row per list."""

    level: np.ndarray  # number of each group's value, rising
    below: np.ndarray  # genes below each group; behind the last group, all
    total: np.ndarray  # the profile's ranks of these, added up
    size: np.ndarray  # groups of each list
    product: np.ndarray  # sum(a * R) of each list
    ties: np.ndarray  # T of each list
    counts: np.ndarray  # one per level, 0 between two calls
    sums: np.ndarray
    met: np.ndarray  # one per block of levels


@compiled
def _bin(rho: float) -> int:
    """Return the bin of a correlation; never smaller for a larger one."""
    return min(max(int((rho + 1.0) * (_BINS / 2)), 0), _BINS - 1)


@compiled
def _ladder(ordered: np.ndarray, start: np.ndarray) -> np.ndarray:
    steps = np.zeros((len(start) - 1, _BINS + 1), dtype=np.int32)
    for pair in range(len(steps)):
        for rho in ordered[start[pair] : start[pair + 1]]:
            steps[pair, _bin(rho) + 1] += 1
        for at in range(_BINS):
            steps[pair, at + 1] += steps[pair, at]
    return steps


def tree_of(model: Model, n_genes: int, threshold: float, n_classes: int) -> Tree:
    """Return the classifier, as the functions here need it."""
    ladder = Ladder(_ladder(model.own, model.own_start), _ladder(model.other, model.other_start))
    small = model._replace(lists=model.lists.astype(np.int32), ranks=model.ranks.astype(np.int32))
    return Tree(small, ladder, entries(model.lists, n_genes), threshold, n_classes)


@compiled
def _score(rho: float, pair: int, tree: Tree) -> float:
    """Return the profile score, as :func:`~adverscarial.classifiers.scorers.ranks.profile_scores` does."""
    model, at = tree.model, _bin(rho)
    start, end = model.own_start[pair], model.own_start[pair + 1]
    low, high = start + tree.ladder.own[pair, at], start + tree.ladder.own[pair, at + 1]
    own = (first_above(model.own, low, high, rho) - start) / (end - start)
    start, end = model.other_start[pair], model.other_start[pair + 1]
    low, high = start + tree.ladder.other[pair, at], start + tree.ladder.other[pair, at + 1]
    other = (first_above(model.other, low, high, rho) - start) / (end - start)
    return float(own - (1.0 - other))


@compiled
def _memory(n_lists: int, n: int, n_levels: int) -> Groups:
    return Groups(
        np.empty((n_lists, n + 1), dtype=np.int64),
        np.empty((n_lists, n + 1), dtype=np.int64),
        np.empty((n_lists, n + 1), dtype=np.int64),
        np.zeros(n_lists, dtype=np.int64),
        np.zeros(n_lists, dtype=np.int64),
        np.zeros(n_lists, dtype=np.int64),
        np.zeros(n_levels, dtype=np.int32),
        np.zeros(n_levels, dtype=np.int32),
        np.zeros(n_levels // _BLOCK + 1, dtype=np.bool_),
    )


@compiled
def _count(row: np.ndarray, pair: int, model: Model, counts: np.ndarray, sums: np.ndarray, met: np.ndarray) -> None:
    """Count the genes of a pair's list by their numbers, which are `row` in one cell, and add up their ranks."""
    n = model.lists.shape[1]
    above, of_above = 0, 0
    for place in range(n):
        number = row[model.lists[pair, place]]
        if number > 0:  # most are 0, the smallest: what is left
            counts[number] += 1
            sums[number] += model.ranks[pair, place]
            met[number // _BLOCK] = True
            above += 1
            of_above += model.ranks[pair, place]
    counts[0], sums[0] = n - above, -of_above  # all the profile's centred ranks add up to 0
    met[0] = True


@compiled
def _product(counts: np.ndarray, sums: np.ndarray) -> tuple[int, int]:
    """Return sum(a * R) and T."""
    below, product, ties = 0, 0, 0
    for number in range(len(counts)):
        size = int(counts[number])
        product += (2 * below + size + 1) * int(sums[number])
        ties += size * size * size - size
        below += size
    return product, ties


@compiled
def _group(cell: int, pair: int, state: State, tree: Tree, groups: Groups, at: int) -> None:
    """Find the groups of a pair's list in a cell as it stands, and write them to row `at` of `groups`."""
    counts, sums, met = groups.counts, groups.sums, groups.met
    if len(state.counts):
        counts[:], sums[:], met[:] = state.counts[cell, pair], state.sums[cell, pair], True
    else:
        _count(state.numbers[cell], pair, tree.model, counts, sums, met)
    g, below, total, product, ties = 0, 0, 0, 0, 0
    for block in range(len(met)):
        if not met[block]:
            continue
        met[block] = False
        for number in range(_BLOCK * block, min(_BLOCK * (block + 1), len(counts))):
            size, of_these = int(counts[number]), int(sums[number])
            if size == 0:
                continue
            counts[number], sums[number] = 0, 0
            groups.level[at, g], groups.below[at, g], groups.total[at, g] = number, below, total
            product += (2 * below + size + 1) * of_these
            ties += size * size * size - size
            below, total, g = below + size, total + of_these, g + 1
    groups.below[at, g], groups.total[at, g] = below, total
    groups.size[at], groups.product[at], groups.ties[at] = g, product, ties


@compiled
def _recounted(row: np.ndarray, pair: int, tree: Tree, groups: Groups) -> float:
    """Return the profile score of a pair, counted anew."""
    model, counts, sums, met = tree.model, groups.counts, groups.sums, groups.met
    _count(row, pair, model, counts, sums, met)
    below, product, ties = 0, 0, 0
    for block in range(len(met)):
        if met[block]:
            met[block] = False
            for number in range(_BLOCK * block, min(_BLOCK * (block + 1), len(counts))):
                size = int(counts[number])
                product += (2 * below + size + 1) * int(sums[number])
                ties += size * size * size - size
                below += size
                counts[number], sums[number] = 0, 0
    return _score(_rho(product, ties, model.power[pair], model.lists.shape[1]), pair, tree)


@compiled
def _counted(numbers: np.ndarray, model: Model, counts: np.ndarray, sums: np.ndarray) -> None:
    met = np.zeros(counts.shape[2] // _BLOCK + 1, dtype=np.bool_)
    for cell in range(len(numbers)):
        for pair in range(len(model.power)):
            _count(numbers[cell], pair, model, counts[cell, pair], sums[cell, pair], met)


def counted(numbers: np.ndarray, tree: Tree, n_levels: int) -> tuple[np.ndarray, np.ndarray]:
    """Return what a state keeps of each list, by number: see :class:`State`. Nothing where that would be too much."""
    n_pairs = len(tree.model.power)
    shape = (len(numbers), n_pairs, n_levels)
    if n_levels > _LEVELS or 8 * np.prod(shape, dtype=np.float64) > _BYTES:
        shape = (0, n_pairs, n_levels)
    counts, sums = np.zeros(shape, dtype=np.int32), np.zeros(shape, dtype=np.int32)
    if len(counts):
        _counted(numbers, tree.model, counts, sums)
    return counts, sums


@compiled
def _shift(counts: np.ndarray, sums: np.ndarray, tree: Tree, column: int, old: int, new: int) -> None:
    """Move one gene from a number to another in the lists of one cell that hold it."""
    first, entry_pair, entry_place = tree.entries
    for entry in range(first[column], first[column + 1]):
        pair = entry_pair[entry]
        a = tree.model.ranks[pair, entry_place[entry]]
        counts[pair, old] -= 1
        counts[pair, new] += 1
        sums[pair, old] -= a
        sums[pair, new] += a


@compiled
def shift(state: State, tree: Tree, columns: np.ndarray, to: np.ndarray) -> None:
    """Change what a state keeps of each list, in place, as columns get the numbers `to`."""
    for cell in range(len(state.counts)):
        for column in columns:
            old, new = state.numbers[cell, column], to[cell, column]
            if old != new:
                _shift(state.counts[cell], state.sums[cell], tree, column, old, new)


@compiled
def _moved(groups: Groups, pair: int, a: int, old: int, new: int) -> tuple[int, int]:
    """Return sum(a * R) and T after one gene, whose entry of the profile is `a`, went from number `old` to `new`.

    Genes between the two lose or win 2 in R, genes equal to either of them 1; the gene itself moves over.
    """
    level, below, total, size = groups.level[pair], groups.below[pair], groups.total[pair], groups.size[pair]
    i, j = first_at_least(level, 0, size, old), first_at_least(level, 0, size, new)
    joins = j < size and level[j] == new
    end = j + 1 if joins else j
    equal = total[i + 1] - total[i] - a + total[end] - total[j]
    product = groups.product[pair]
    if new > old:
        product -= equal + 2 * (total[j] - total[i + 1])
        rank = below[j] + below[end]  # the gene itself no longer counts among the smaller ones
    else:
        product += equal + 2 * (total[i] - total[end])
        rank = below[j] + below[end] + 2
    product += a * (rank - (below[i] + below[i + 1] + 1))
    # t**3 - t changes by 3 * t * (t + 1) between groups of t and t + 1
    left, joined = below[i + 1] - below[i] - 1, below[end] - below[j]
    return product, groups.ties[pair] + 3 * joined * (joined + 1) - 3 * left * (left + 1)


@compiled
def _walk_on(row: np.ndarray, scores: np.ndarray, kept: State, tree: Tree, groups: Groups) -> int:
    """Walk one cell down the tree, and fill scores on the way.

    `kept` has one cell with what is kept of its lists, or none, in which case the numbers in `row` are counted.
    """
    model = tree.model
    node = 0
    while True:
        for pair in range(model.node_start[node], model.node_start[node + 1]):
            if np.isnan(scores[pair]):
                if len(kept.counts):
                    product, ties = _product(kept.counts[0, pair], kept.sums[0, pair])
                    rho = _rho(product, ties, model.power[pair], model.lists.shape[1])
                    scores[pair] = _score(rho, pair, tree)
                else:
                    scores[pair] = _recounted(row, pair, tree, groups)
        code, node = _decide(scores, node, model, tree.threshold, tree.n_classes)
        if node < 0:
            return code


@compiled
def walked(state: State, tree: Tree) -> None:
    """Fill the codes, and the scores that are met on the way to them."""
    groups = _memory(1, tree.model.lists.shape[1], state.counts.shape[2])
    for cell in range(len(state.codes)):
        kept = State(
            state.numbers, state.scores, state.codes, state.counts[cell : cell + 1], state.sums[cell : cell + 1]
        )
        state.codes[cell] = _walk_on(state.numbers[cell], state.scores[cell], kept, tree, groups)


@compiled
def changed(state: State, tree: Tree, columns: np.ndarray, to: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return scores and codes with several genes changed at once.

    Parameters
    ----------
    state
        The cells as they stand.
    tree
        The classifier.
    columns
        Genes that change.
    to
        Numbers of their new values, shape (cells, the classifier's genes).
    """
    first, entry_pair = tree.entries[0], tree.entries[1]
    n_pairs, n_levels = len(tree.model.power), state.counts.shape[2]
    scores, codes = state.scores.copy(), state.codes.copy()
    groups = _memory(1, tree.model.lists.shape[1], n_levels)
    few = len(columns) <= _FEW and len(state.counts) > 0
    work = (
        np.empty((1 if few else 0, n_pairs, n_levels), dtype=np.int32),
        np.empty((1, n_pairs, n_levels), dtype=np.int32),
    )
    kept = State(state.numbers, state.scores, state.codes, work[0], work[1])
    touched = np.zeros(n_pairs, dtype=np.bool_)
    for cell in range(len(codes)):
        row = state.numbers[cell].copy()
        n_touched, moves = 0, False
        touched[:] = False
        for column in columns:
            old, new = row[column], to[cell, column]
            if old == new:
                continue
            row[column], moves = new, True
            if few or n_touched < n_pairs:
                for entry in range(first[column], first[column + 1]):
                    pair = entry_pair[entry]
                    if not touched[pair]:
                        touched[pair] = True
                        n_touched += 1
                        if few:
                            kept.counts[0, pair], kept.sums[0, pair] = state.counts[cell, pair], state.sums[cell, pair]
            if few:
                _shift(kept.counts[0], kept.sums[0], tree, column, old, new)
        if moves:
            for pair in range(n_pairs):
                if touched[pair]:
                    scores[cell, pair] = np.nan
                elif few and np.isnan(scores[cell, pair]):
                    kept.counts[0, pair], kept.sums[0, pair] = state.counts[cell, pair], state.sums[cell, pair]
            codes[cell] = _walk_on(row, scores[cell], kept, tree, groups)
    return scores, codes


class _Move(NamedTuple):
    """One gene of one cell that changes: its entry in each pair's profile, or `absent`, and its numbers."""

    entry: np.ndarray
    absent: int
    old: int
    new: int


@compiled
def _walk_moved(cell: int, state: State, now: np.ndarray, move: _Move, tree: Tree, groups: Groups) -> int:
    """Walk one cell of which one gene changes; fill the state's scores on the way.

    Parameters
    ----------
    cell, state, tree
        The cell as it stands.
    now
        To work in.
    move
        The gene.
    groups
        Those of the cell as it stands; of size 0 where they are not known yet.
    """
    model, scores = tree.model, state.scores[cell]
    n = model.lists.shape[1]
    node = 0
    while True:
        for pair in range(model.node_start[node], model.node_start[node + 1]):
            a = move.entry[pair]
            if (a != move.absent or np.isnan(scores[pair])) and groups.size[pair] == 0:
                _group(cell, pair, state, tree, groups, pair)
                rho = _rho(groups.product[pair], groups.ties[pair], model.power[pair], n)
                scores[pair] = _score(rho, pair, tree)
            now[pair] = scores[pair]
            if a != move.absent:
                product, ties = _moved(groups, pair, a, move.old, move.new)
                if product != groups.product[pair] or ties != groups.ties[pair]:
                    now[pair] = _score(_rho(product, ties, model.power[pair], n), pair, tree)
        code, node = _decide(now, node, model, tree.threshold, tree.n_classes)
        if node < 0:
            return code


@compiled
def votes_each(state: State, tree: Tree, columns: np.ndarray, to: np.ndarray) -> np.ndarray:
    """Return how the cells vote with each gene changed alone, shape (genes, codes).

    A cell costs one pass over each list that it meets and that holds one of the genes, then two searches among that
    list's groups for each gene.

    Parameters are those of :func:`changed`; the state's scores are filled where cells meet them.
    """
    first, entry_pair, entry_place = tree.entries
    model = tree.model
    n_pairs, n = model.lists.shape
    absent = 4 * n  # ranks are smaller
    entry_of = np.full(n_pairs, absent)
    groups = _memory(n_pairs, n, state.counts.shape[2])
    votes = np.zeros((len(columns), tree.n_classes + len(model.node_split)), dtype=np.int64)
    now = np.empty(n_pairs)
    for cell in range(len(state.codes)):
        groups.size[:] = 0
        for k in range(len(columns)):
            column = columns[k]
            old, new = state.numbers[cell, column], to[cell, column]
            code = state.codes[cell]
            if new != old:
                for entry in range(first[column], first[column + 1]):
                    entry_of[entry_pair[entry]] = model.ranks[entry_pair[entry], entry_place[entry]]
                code = _walk_moved(cell, state, now, _Move(entry_of, absent, old, new), tree, groups)
                for entry in range(first[column], first[column + 1]):
                    entry_of[entry_pair[entry]] = absent
            votes[k, code] += 1
    return votes
