"""CHETAH's lists of genes, cell by cell: how many genes are below each number, and what their ranks add up to.

Values are numbers here (see :mod:`adverscarial.classifiers.scorers.rank_levels`), so ranks are counted, not sorted.
A gene that leaves its number for another one changes sum(a * R) and T (see
:mod:`adverscarial.classifiers.scorers.ranks`) by what is between the two: that is known from these sums at once.
"""

from __future__ import annotations

import itertools
from typing import NamedTuple

import numpy as np

from adverscarial._compiled import compiled, compiled_within, inlined
from adverscarial.classifiers.scorers.bisection import first_above
from adverscarial.classifiers.scorers.ranks import Model, entries

_BINS = 1024  # of correlations
_LEVELS = 512  # different values per cell, up to which the sums are kept
_BYTES = 2**28  # of them, at most


class Steps(NamedTuple):
    """Profile scores by correlation: they change where a reference cell correlates as much, and nowhere else."""

    edges: np.ndarray  # those correlations, ascending, one pair after another
    start: np.ndarray  # pairs + 1, where a pair's begin
    scores: np.ndarray  # below a pair's first edge, from each edge on; they begin at the pair's start + its number
    before: np.ndarray  # pairs x (bins + 1), edges in the bins before


class Lists(NamedTuple):
    """The lists of one cell; or of all, one more axis in front."""

    counts: np.ndarray  # genes below each number, and of all numbers; their ranks added up: pairs x 2 x (numbers + 1)
    sums: np.ndarray  # sum(a * R) and T of each list: pairs x 2


class Tree(NamedTuple):
    """The classifier, as the functions here need it: few arrays, as each makes it longer to compile what takes them."""

    lists: np.ndarray  # as the model's, of 32 bits
    ranks: np.ndarray  # likewise
    power: np.ndarray
    pair_type: np.ndarray
    nodes: np.ndarray  # nodes x 5: first pair, first pair of branch 2, end of the pairs, nodes below the branches or -1
    steps: Steps
    first: np.ndarray  # genes + 1, where the entries of each begin
    entries: np.ndarray  # entries x 2, the pair and what the profile has there
    threshold: float
    n_classes: int


@inlined
def _bin(rho: float) -> int:
    """Return the bin of a correlation; never smaller for a larger one."""
    return min(max(int((rho + 1.0) * (_BINS / 2)), 0), _BINS - 1)


def _before(edges: np.ndarray, start: np.ndarray) -> np.ndarray:
    before = np.zeros((len(start) - 1, _BINS + 1), dtype=np.int32)
    bins = np.clip(((edges + 1.0) * (_BINS / 2)).astype(np.int64), 0, _BINS - 1)  # as _bin, which numbers one by one
    for pair, (first, end) in enumerate(itertools.pairwise(start)):
        before[pair, 1:] = np.cumsum(np.bincount(bins[first:end], minlength=_BINS))
    return before


def _steps(model: Model) -> Steps:
    """Return the profile scores of all correlations, as :func:`ranks.profile_scores` computes them."""
    edges, scores, size = [np.empty(0)], [np.empty(0)], [0]
    for pair in range(len(model.power)):
        own = model.own[model.own_start[pair] : model.own_start[pair + 1]]
        other = model.other[model.other_start[pair] : model.other_start[pair + 1]]
        both = np.sort(np.concatenate([own, other]))
        reached = np.concatenate([[-np.inf], both])
        of_own = np.searchsorted(own, reached, side="right") / len(own)
        of_other = np.searchsorted(other, reached, side="right") / len(other)
        edges.append(both)
        scores.append(of_own - (1.0 - of_other))
        size.append(len(both))
    joined, start = np.concatenate(edges), np.cumsum(size)
    return Steps(joined, start, np.concatenate(scores), _before(joined, start))


def tree_of(model: Model, n_genes: int, threshold: float, n_classes: int) -> Tree:
    """Return the classifier, as the functions here need it."""
    first, pair, place = entries(model.lists, n_genes)
    nodes = np.column_stack([model.node_start[:-1], model.node_split, model.node_start[1:], model.child])
    found = np.column_stack([pair, model.ranks[pair, place]]).astype(np.int64)
    lists, ranks = model.lists.astype(np.int32), model.ranks.astype(np.int32)
    return Tree(
        lists, ranks, model.power, model.pair_type, np.ascontiguousarray(nodes, dtype=np.int64), _steps(model), first,
        np.ascontiguousarray(found), threshold, n_classes,
    )  # fmt: skip


@compiled
def score_at(rho: float, pair: int, steps: Steps) -> float:
    """Return the profile score, as :func:`~adverscarial.classifiers.scorers.ranks.profile_scores` does."""
    at, start = _bin(rho), steps.start[pair]
    low, high = start + steps.before[pair, at], start + steps.before[pair, at + 1]
    return float(steps.scores[first_above(steps.edges, low, high, rho) + pair])


@compiled_within
def tally(row: np.ndarray, genes: np.ndarray, ranks: np.ndarray, top: int, counts: np.ndarray) -> None:
    """Count the genes of one list of one cell by their numbers.

    Parameters
    ----------
    row
        Numbers of the cell's values.
    genes, ranks
        Columns of the list's genes, and their entries of the profile.
    top
        Numbers that the cell's values may have.
    counts
        To be filled: genes with each number, and their ranks added up.
    """
    sizes, sums = counts[0], counts[1]
    for number in range(top):
        sizes[number] = 0
        sums[number] = 0
    above, of_above = 0, 0
    for place in range(len(genes)):
        number = row[genes[place]]
        if number > 0:  # most are 0, the smallest: what is left
            sizes[number] += 1
            sums[number] += ranks[place]
            above += 1
            of_above += ranks[place]
    sizes[0], sums[0] = len(genes) - above, -of_above  # all the profile's centred ranks add up to 0


@compiled_within
def product_of_tally(counts: np.ndarray, top: int) -> tuple[int, int]:
    """Return sum(a * R) and T of a list that was counted."""
    below, product, ties = 0, 0, 0
    for number in range(top):
        size = int(counts[0, number])
        product += (2 * below + size + 1) * int(counts[1, number])
        ties += size * size * size - size
        below += size
    return product, ties


@inlined
def add_up(counts: np.ndarray, top: int) -> None:
    """Put in place of what belongs to each number what belongs to all smaller ones; behind the last one, to all."""
    before = 0
    for number in range(top):
        counts[number], before = before, before + counts[number]
    counts[top] = before


@inlined
def product_of(counts: np.ndarray, top: int) -> tuple[int, int]:
    """Return sum(a * R) and T of a list, given genes below each number and what their ranks add up to.

    No step waits for the one before it, so this is several times as fast as :func:`product_of_tally`.
    """
    below, total = counts[0], counts[1]
    product, ties = 0, 0
    for number in range(top):
        low, high = int(below[number]), int(below[number + 1])
        size = high - low
        product += (low + high + 1) * (int(total[number + 1]) - int(total[number]))
        ties += size * size * size - size
    return product, ties


@inlined
def _gain(a: int, rises: bool, below: tuple[int, int, int, int], total: tuple[int, int, int, int]) -> tuple[int, int]:
    """Return :func:`gained`, given genes below four numbers, and what their ranks add up to.

    The numbers are the gene's old one and the next, and its new one and the next.
    """
    left, joined = below[1] - below[0] - 1, below[3] - below[2]
    product = total[1] - total[0] - a + total[3] - total[2]
    rank = below[2] + below[3]
    if rises:
        product = -product - 2 * (total[2] - total[1])
    else:
        product += 2 * (total[0] - total[3])
        rank += 2  # above, the gene itself no longer counts among the smaller ones
    product += a * (rank - (below[0] + below[1] + 1))
    # t**3 - t changes by 3 * t * (t + 1) between groups of t and t + 1
    return product, 3 * joined * (joined + 1) - 3 * left * (left + 1)


@compiled_within
def gained(counts: np.ndarray, a: int, old: int, new: int) -> tuple[int, int]:
    """Return what sum(a * R) and T win as one gene, whose entry of the profile is `a`, gets another number.

    Genes between the two lose or win 2 in R, genes equal to either of them 1; the gene itself moves over.
    """
    below, total = counts[0], counts[1]
    return _gain(
        a, new > old, (int(below[old]), int(below[old + 1]), int(below[new]), int(below[new + 1])),
        (int(total[old]), int(total[old + 1]), int(total[new]), int(total[new + 1])),
    )  # fmt: skip


@compiled_within
def gained_by(counts: np.ndarray, steps: np.ndarray) -> tuple[int, int]:
    """Return what sum(a * R) and T win as a few genes get other numbers, one after the other.

    The counts stay as they are: what the genes before one change of them is added where it is read.

    Parameters
    ----------
    counts
        Of one list.
    steps
        Genes x 3: the gene's entry of the profile, its old number and its new one.
    """
    below, total = counts[0], counts[1]
    product, ties = 0, 0
    for j in range(len(steps)):
        a, old, new = int(steps[j, 0]), int(steps[j, 1]), int(steps[j, 2])
        b0, b1, b2, b3 = int(below[old]), int(below[old + 1]), int(below[new]), int(below[new + 1])
        t0, t1, t2, t3 = int(total[old]), int(total[old + 1]), int(total[new]), int(total[new + 1])
        for i in range(j):
            b, low, high, sign = int(steps[i, 0]), int(steps[i, 1]), int(steps[i, 2]), -1
            if high < low:
                low, high, sign = high, low, 1
            # between the two numbers there is one gene less, or one more
            here = sign if low < old <= high else 0
            b0, t0 = b0 + here, t0 + here * b
            here = sign if low <= old < high else 0
            b1, t1 = b1 + here, t1 + here * b
            here = sign if low < new <= high else 0
            b2, t2 = b2 + here, t2 + here * b
            here = sign if low <= new < high else 0
            b3, t3 = b3 + here, t3 + here * b
        more, ties_more = _gain(a, new > old, (b0, b1, b2, b3), (t0, t1, t2, t3))
        product, ties = product + more, ties + ties_more
    return product, ties


@compiled_within
def move(counts: np.ndarray, a: int, old: int, new: int) -> None:
    """Give one gene another number, in place."""
    below, total = counts[0], counts[1]
    if new > old:
        for number in range(old + 1, new + 1):
            below[number] -= 1
        for number in range(old + 1, new + 1):
            total[number] -= a
    else:
        for number in range(new + 1, old + 1):
            below[number] += 1
        for number in range(new + 1, old + 1):
            total[number] += a


@compiled_within
def learn(row: np.ndarray, genes: np.ndarray, ranks: np.ndarray, top: int, counts: np.ndarray) -> tuple[int, int]:
    """Find the sums of one list in a cell; return its product and its ties."""
    tally(row, genes, ranks, top, counts)
    add_up(counts[0], top)
    add_up(counts[1], top)
    return product_of(counts, top)


@compiled
def _learn_all(
    numbers: np.ndarray, tops: np.ndarray, genes: np.ndarray, ranks: np.ndarray, counts: np.ndarray, sums: np.ndarray
) -> None:
    for cell in range(len(numbers)):
        for pair in range(len(genes)):
            product, ties = learn(numbers[cell], genes[pair], ranks[pair], tops[cell], counts[cell, pair])
            sums[cell, pair, 0], sums[cell, pair, 1] = product, ties


def counted(numbers: np.ndarray, tops: np.ndarray, tree: Tree) -> Lists:
    """Return the lists of all cells, one more axis in front; no cells where that is too much to be kept.

    Parameters
    ----------
    numbers
        Of the cells' values, shape (cells, genes).
    tops
        Numbers that each cell's values may have.
    tree
        The classifier.
    """
    n_levels = int(tops.max(initial=0))
    n_cells, (n_pairs, n) = len(numbers), tree.lists.shape
    # ranks add up to at most n * n / 4; in 16 bits, half as much memory is gone through
    kind = np.dtype(np.int16 if n * n // 4 <= np.iinfo(np.int16).max else np.int32)
    if n_levels > _LEVELS or 2.0 * kind.itemsize * n_cells * n_pairs * (n_levels + 1) > _BYTES:
        n_cells = 0
    counts = np.zeros((n_cells, n_pairs, 2, n_levels + 1), dtype=kind)
    kept = Lists(counts, np.zeros((n_cells, n_pairs, 2), dtype=np.int64))
    if n_cells:
        _learn_all(numbers, tops, tree.lists, tree.ranks, kept.counts, kept.sums)
    return kept
