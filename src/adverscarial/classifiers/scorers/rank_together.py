"""What CHETAH calls cells of which several values change at once.

At each node the pair that was best before is asked first: where it suffices, the others of its branch are not.
"""

from __future__ import annotations

from typing import NamedTuple, Self

import numpy as np

from adverscarial._compiled import compiled, compiled_within
from adverscarial.classifiers.scorers.rank_lists import Tree, gained, gained_by, move, product_of_tally, score_at, tally
from adverscarial.classifiers.scorers.rank_moves import State
from adverscarial.classifiers.scorers.rank_walks import scores_of, walk_all
from adverscarial.classifiers.scorers.ranks import ALL, LIKELY, _rho, asked, likely, suffices, taken

_FEW = 6  # genes of a list that change, up to which they are moved one by one
_MANY = 32  # genes of a cell that change, beyond which all lists are counted from their values


@compiled_within
def _recounted(counts: np.ndarray, steps: np.ndarray, top: int, room: np.ndarray) -> tuple[int, int]:
    """Return sum(a * R) and T of a list, some genes of which get other numbers, by what is kept of it.

    Parameters
    ----------
    counts, steps
        As for :func:`~adverscarial.classifiers.scorers.rank_lists.gained_by`.
    top
        Numbers that the cell's values may have.
    room
        Where to count genes with each number, and their ranks.
    """
    sizes, sums = room[0], room[1]
    for number in range(top):
        sizes[number] = counts[0, number + 1] - counts[0, number]
        sums[number] = counts[1, number + 1] - counts[1, number]
    for j in range(len(steps)):
        a, old, new = steps[j, 0], steps[j, 1], steps[j, 2]
        sizes[old] -= 1
        sizes[new] += 1
        sums[old] -= a
        sums[new] += a
    return product_of_tally(room, top)


@compiled_within
def _moving(row: np.ndarray, to: np.ndarray, columns: np.ndarray, moving: np.ndarray) -> int:
    """Write down those of `columns` whose number in a cell changes; return how many these are."""
    n = 0
    for column in columns:
        if row[column] != to[column]:
            moving[n] = column
            n += 1
    return n


@compiled_within
def _note(
    row: np.ndarray, to: np.ndarray, moving: np.ndarray, first: np.ndarray, entries: np.ndarray, steps: np.ndarray,
    n_steps: np.ndarray,
) -> None:  # fmt: skip
    """Note which genes of each list of a cell change.

    Parameters
    ----------
    row, to
        Numbers of the cell's values, and what they are to become.
    moving
        Genes that change.
    first, entries
        As the tree's.
    steps, n_steps
        To be filled: entry, old and new number of the genes of each list, pairs x genes x 3, and how many these are.
    """
    for pair in range(len(n_steps)):
        n_steps[pair] = 0
    for column in moving:
        old, new = row[column], to[column]
        for entry in range(first[column], first[column + 1]):
            pair = entries[entry, 0]
            k = n_steps[pair]
            steps[pair, k, 0], steps[pair, k, 1], steps[pair, k, 2] = entries[entry, 1], old, new
            n_steps[pair] = k + 1


@compiled_within
def _code(
    cell: int, anew: bool, row: np.ndarray, scores: np.ndarray, state: State, tree: Tree, steps: np.ndarray,
    n_steps: np.ndarray, room: np.ndarray,
) -> int:  # fmt: skip
    """Walk one cell down the tree, and fill scores on the way, as far as they are needed.

    It is compiled by itself, and asks no other function that takes a state or a tree: to hand over dozens of arrays
    costs more than what is done here.

    Parameters
    ----------
    cell, state, tree
        The cell as it stands; scores of lists that do not change are filled.
    anew
        Whether the genes of a list are counted from `row`, not by what is kept of it and by `steps`.
    row
        Numbers of the cell's values, once some are changed; read where lists are counted anew.
    scores
        Of the profiles, then; NaN where they are not known.
    steps, n_steps
        Which genes of each list change; see :func:`_note`.
    room
        As for :func:`_recounted`.
    """
    counts, sums, now, top = state.kept.counts, state.kept.sums, state.scores[cell], state.tops[cell]
    nodes, n = tree.nodes, tree.lists.shape[1]
    node, code = 0, 0
    while node >= 0:
        start, split, end = nodes[node, 0], nodes[node, 1], nodes[node, 2]
        best = likely(now, start, end)
        for step in range(ALL + 1):
            first, last = asked(step, best, start, split, end)
            for pair in range(first, last):
                if not np.isnan(scores[pair]):
                    continue
                if anew:
                    tally(row, tree.lists[pair], tree.ranks[pair], top, room)
                    product, ties = product_of_tally(room, top)
                elif n_steps[pair] > _FEW:
                    product, ties = _recounted(counts[cell, pair], steps[pair, : n_steps[pair]], top, room)
                else:
                    more, ties_more = gained_by(counts[cell, pair], steps[pair, : n_steps[pair]])
                    product, ties = sums[cell, pair, 0] + more, sums[cell, pair, 1] + ties_more
                scores[pair] = score_at(_rho(product, ties, tree.power[pair], n), pair, tree.steps)
                if not anew and n_steps[pair] == 0:
                    now[pair] = scores[pair]
            if step == LIKELY and suffices(scores, best, start, split, end, tree.threshold):
                break
        else:
            best = taken(scores, start, split, end, tree.threshold)
            if best < 0:
                return int(tree.n_classes + node)
        code, node = int(tree.pair_type[best]), int(nodes[node, 3 if best < split else 4])
    return code


class _Room(NamedTuple):
    """Arrays to work in: made outside, since what makes them would be compiled first."""

    steps: np.ndarray  # of the genes of each list that change, as many as there may be; see :func:`_note`
    n_steps: np.ndarray
    genes: np.ndarray
    row: np.ndarray
    counts: np.ndarray  # see :func:`_recounted`

    @classmethod
    def of(cls, state: State, tree: Tree, n_genes: int, n_steps: int) -> Self:
        n_pairs, width = len(tree.power), state.kept.counts.shape[3]
        return cls(
            np.empty((n_pairs, n_steps, 3), dtype=np.int32), np.zeros(n_pairs, dtype=np.int64),
            np.empty(n_genes, dtype=np.int64), np.empty(state.numbers.shape[1], dtype=state.numbers.dtype),
            np.empty((2, width), dtype=state.kept.counts.dtype),
        )  # fmt: skip


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
    scores, codes = state.scores.copy(), state.codes.copy()
    _change(state, tree, columns, to, _Room.of(state, tree, len(columns), _MANY), scores, codes)
    return scores, codes


@compiled
def _change(
    state: State, tree: Tree, columns: np.ndarray, to: np.ndarray, room: _Room, scores: np.ndarray, codes: np.ndarray
) -> None:
    steps, n_steps, genes, row, counts = room
    kept, n_pairs = len(state.kept.counts) > 0, len(tree.power)
    for cell in range(len(codes)):
        moving, then = genes[: _moving(state.numbers[cell], to[cell], columns, genes)], scores[cell]
        if not len(moving):
            continue
        many = len(moving) > _MANY  # nearly all lists hold one of them
        if not many:
            _note(state.numbers[cell], to[cell], moving, tree.first, tree.entries, steps, n_steps)
        for pair in range(n_pairs):
            if many or n_steps[pair] > 0:
                then[pair] = np.nan
        anew = not kept or many
        if anew:
            for column in range(len(row)):  # as a whole, numba would compile for seconds
                row[column] = state.numbers[cell, column]
            for column in moving:
                row[column] = to[cell, column]
        codes[cell] = _code(cell, anew, row, then, state, tree, steps, n_steps, counts)


@compiled
def _walk_anew(state: State, tree: Tree, room: _Room) -> None:
    for cell in range(len(state.codes)):
        row, scores = state.numbers[cell], state.scores[cell]
        state.codes[cell] = _code(cell, True, row, scores, state, tree, room.steps, room.n_steps, room.counts)


def walked(state: State, tree: Tree) -> None:
    """Fill the codes, and the scores that are met on the way to them; all scores where the lists are kept."""
    if len(state.kept.counts):
        state.scores[:] = scores_of(state.kept.sums, tree)
        walk_all(state.scores, tree, state.codes)
    else:
        _walk_anew(state, tree, _Room.of(state, tree, 0, 0))


@compiled_within
def _shift_gene(counts: np.ndarray, sums: np.ndarray, a: int, old: int, new: int) -> None:
    """Give one gene of a list another number, in what is kept of the list."""
    product, ties = gained(counts, a, old, new)
    sums[0] += product
    sums[1] += ties
    move(counts, a, old, new)


@compiled_within
def _shift_list(counts: np.ndarray, sums: np.ndarray, steps: np.ndarray, top: int, room: np.ndarray) -> None:
    """Change what is kept of one list, in place; parameters as for :func:`_recounted`, and the list's sums."""
    if len(steps) <= _FEW:
        for j in range(len(steps)):
            _shift_gene(counts, sums, steps[j, 0], steps[j, 1], steps[j, 2])
        return
    sums[0], sums[1] = _recounted(counts, steps, top, room)
    below, total = 0, 0
    for number in range(top):
        below, total = below + room[0, number], total + room[1, number]
        counts[0, number + 1], counts[1, number + 1] = below, total


def shift(state: State, tree: Tree, columns: np.ndarray, to: np.ndarray) -> None:
    """Change what a state keeps of each list, in place, as columns get the numbers `to`."""
    _shift(state, tree, columns, to, _Room.of(state, tree, len(columns), len(columns)))


@compiled
def _shift(state: State, tree: Tree, columns: np.ndarray, to: np.ndarray, room: _Room) -> None:
    kept, n_pairs, first, entries = state.kept, len(tree.power), tree.first, tree.entries
    steps, n_steps, genes, _, own = room
    for cell in range(len(kept.counts)):
        row, then = state.numbers[cell], to[cell]
        moving = genes[: _moving(row, then, columns, genes)]
        if len(moving) <= _FEW:  # no list holds more of them
            for column in moving:
                for entry in range(first[column], first[column + 1]):
                    pair, a = entries[entry, 0], entries[entry, 1]
                    _shift_gene(kept.counts[cell, pair], kept.sums[cell, pair], a, row[column], then[column])
            continue
        _note(row, then, moving, first, entries, steps, n_steps)
        for pair in range(n_pairs):
            counts, sums = kept.counts[cell, pair], kept.sums[cell, pair]
            _shift_list(counts, sums, steps[pair, : n_steps[pair]], state.tops[cell], own)
