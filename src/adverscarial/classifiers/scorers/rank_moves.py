"""What CHETAH calls cells of which some values change: it ranks only lists of changed genes, and where a cell walks.

What is kept of the lists, and how one gene moves in them, is in :mod:`adverscarial.classifiers.scorers.rank_lists`.

A profile score that is not known yet is NaN: it is computed when a cell comes to its node.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from adverscarial._compiled import compiled, compiled_within, inlined
from adverscarial.classifiers.scorers.rank_lists import (
    Lists,
    Tree,
    gained,
    gained_by,
    learn,
    move,
    product_of_tally,
    score_at,
    tally,
)
from adverscarial.classifiers.scorers.rank_walks import scores_of, walk_all
from adverscarial.classifiers.scorers.ranks import _rho, branch

_FEW = 6  # genes of a list that change, up to which they are moved one by one


class State(NamedTuple):
    """Cells as they stand."""

    numbers: np.ndarray  # of their values, cells x the classifier's genes
    scores: np.ndarray  # of the profiles, cells x pairs; NaN: not known yet
    codes: np.ndarray  # votes
    tops: np.ndarray  # numbers that each cell's values may have
    kept: Lists  # of all cells, or of none where nothing is kept


class Room(NamedTuple):
    """Where to work on one cell."""

    lists: Lists
    counts: np.ndarray  # genes with each number, in a list that changes, and their ranks: 2 x (numbers + 1)
    known: np.ndarray  # of each list, whether its sums are
    steps: np.ndarray  # of the genes of each list that change, entry, old and new number: pairs x genes x 3
    n_steps: np.ndarray  # how many these are: pairs


@inlined
def room_for(state: State, tree: Tree) -> Room:
    """Return room to work on one cell after the other."""
    (n_pairs, n), width = tree.lists.shape, state.kept.counts.shape[3]
    lists = Lists(np.zeros((n_pairs, 2, width), dtype=np.int32), np.zeros((n_pairs, 2), dtype=np.int64))
    counts, steps = np.zeros((2, width), dtype=np.int32), np.empty((n_pairs, n, 3), dtype=np.int32)
    return Room(lists, counts, np.zeros(n_pairs, dtype=np.bool_), steps, np.zeros(n_pairs, dtype=np.int64))


@inlined
def lists_at(cell: int, state: State, room: Room) -> Lists:
    """Return the lists of a cell as it stands: what is kept of them, or room for them, none of them known yet."""
    known = len(state.kept.counts) > 0
    for pair in range(len(room.known)):
        room.known[pair] = known
    if known:
        return Lists(state.kept.counts[cell], state.kept.sums[cell])
    return room.lists


@compiled_within
def score_now(cell: int, pair: int, state: State, tree: Tree, lists: Lists, room: Room) -> float:
    """Return the score of a pair in a cell as it stands; its list is known, and the score kept, afterwards."""
    sums = lists.sums[pair]
    if not room.known[pair]:
        top, counts = state.tops[cell], lists.counts[pair]
        sums[0], sums[1] = learn(state.numbers[cell], tree.lists[pair], tree.ranks[pair], top, counts)
        room.known[pair] = True
    if np.isnan(state.scores[cell, pair]):
        rho = _rho(sums[0], sums[1], tree.power[pair], tree.lists.shape[1])
        state.scores[cell, pair] = score_at(rho, pair, tree.steps)
    return float(state.scores[cell, pair])


@compiled
def shift(state: State, tree: Tree, columns: np.ndarray, to: np.ndarray) -> None:
    """Change what a state keeps of each list, in place, as columns get the numbers `to`."""
    first, entries, kept = tree.first, tree.entries, state.kept
    for cell in range(len(kept.counts)):
        for column in columns:
            old, new = state.numbers[cell, column], to[cell, column]
            if old != new:
                for entry in range(first[column], first[column + 1]):
                    pair, a = entries[entry, 0], entries[entry, 1]
                    counts = kept.counts[cell, pair]
                    product, ties = gained(counts, a, old, new)
                    kept.sums[cell, pair, 0] += product
                    kept.sums[cell, pair, 1] += ties
                    move(counts, a, old, new)


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


@inlined
def _sums_then(
    cell: int, pair: int, row: np.ndarray, state: State, tree: Tree, lists: Lists, room: Room
) -> tuple[int, int]:
    """Return sum(a * R) and T of a list that changes; `row`: numbers of the cell's values then."""
    top, steps = state.tops[cell], room.steps[pair, : room.n_steps[pair]]
    if not len(state.kept.counts):
        tally(row, tree.lists[pair], tree.ranks[pair], top, room.counts)
        return product_of_tally(room.counts, top)
    if len(steps) > _FEW:
        return _recounted(lists.counts[pair], steps, top, room.counts)
    product, ties = gained_by(lists.counts[pair], steps)
    return lists.sums[pair, 0] + product, lists.sums[pair, 1] + ties


@inlined
def _walk_on(cell: int, row: np.ndarray, scores: np.ndarray, state: State, tree: Tree, lists: Lists, room: Room) -> int:
    """Walk one cell down the tree, and fill scores on the way.

    Parameters
    ----------
    cell, state, tree, lists
        The cell as it stands.
    row
        Numbers of its values once some are changed; read where nothing is kept of the lists.
    scores
        Of the profiles, then; NaN where they are not known.
    room
        Which genes of each list change.
    """
    n, node, code = tree.lists.shape[1], 0, 0
    while node >= 0:
        start, split, end = tree.nodes[node, 0], tree.nodes[node, 1], tree.nodes[node, 2]
        for pair in range(start, end):
            if not np.isnan(scores[pair]):
                continue
            if room.n_steps[pair] == 0:
                scores[pair] = score_now(cell, pair, state, tree, lists, room)
                continue
            product, ties = _sums_then(cell, pair, row, state, tree, lists, room)
            scores[pair] = score_at(_rho(product, ties, tree.power[pair], n), pair, tree.steps)
        best, lead = branch(scores, start, split, end)
        if lead < tree.threshold:
            return tree.n_classes + node
        code, node = int(tree.pair_type[best]), int(tree.nodes[node, 3 if best < split else 4])
    return code


@compiled
def _walked_anew(state: State, tree: Tree) -> None:
    room = room_for(state, tree)
    for cell in range(len(state.codes)):
        lists, row, scores = lists_at(cell, state, room), state.numbers[cell], state.scores[cell]
        state.codes[cell] = _walk_on(cell, row, scores, state, tree, lists, room)


def walked(state: State, tree: Tree) -> None:
    """Fill the codes, and the scores that are met on the way to them; all scores where the lists are kept."""
    if len(state.kept.counts):
        state.scores[:] = scores_of(state.kept.sums, tree)
        walk_all(state.scores, tree, state.codes)
    else:
        _walked_anew(state, tree)


@inlined
def _changed_code(
    cell: int, moving: np.ndarray, to: np.ndarray, scores: np.ndarray, state: State, tree: Tree, room: Room
) -> int:
    """Return the code of a cell with genes changed, all of which move, and write its scores."""
    first, entries = tree.first, tree.entries
    lists, row = lists_at(cell, state, room), state.numbers[cell]
    room.n_steps[:] = 0
    for column in moving:
        old, new = row[column], to[cell, column]
        for entry in range(first[column], first[column + 1]):
            pair = entries[entry, 0]
            step = room.steps[pair, room.n_steps[pair]]
            step[0], step[1], step[2] = entries[entry, 1], old, new
            room.n_steps[pair] += 1
            scores[pair] = np.nan
    if not len(state.kept.counts):
        row = row.copy()
        for column in moving:
            row[column] = to[cell, column]
    return _walk_on(cell, row, scores, state, tree, lists, room)


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
    scores, codes = state.scores.copy(), state.codes.copy()
    room, moving = room_for(state, tree), np.empty(len(columns), dtype=np.int64)
    for cell in range(len(codes)):
        n_moving = 0
        for column in columns:
            if state.numbers[cell, column] != to[cell, column]:
                moving[n_moving] = column
                n_moving += 1
        if n_moving > 0:
            codes[cell] = _changed_code(cell, moving[:n_moving], to, scores[cell], state, tree, room)
    return scores, codes


@inlined
def _count_votes(
    cell: int, state: State, tree: Tree, columns: np.ndarray, to: np.ndarray, room: Room, votes: np.ndarray
) -> None:
    """Add one cell's votes with each gene changed alone; fill the state's scores where the cell meets them.

    Parameters are those of :func:`votes_each`, which calls this once for a cell: `tree` and `room` are dozens of
    arrays, and to hand them over for each gene would cost as much as the answer.
    """
    first, entries = tree.first, tree.entries
    scores, lists = state.scores[cell], lists_at(cell, state, room)
    n_pairs, n = tree.lists.shape
    absent = 4 * n  # ranks are smaller
    entry_of, now = np.full(n_pairs, absent), np.empty(n_pairs)  # of the gene that changes
    for k in range(len(columns)):
        column, node, code = columns[k], 0, state.codes[cell]
        old, new = state.numbers[cell, column], to[cell, column]
        for entry in range(first[column], first[column + 1]):
            entry_of[entries[entry, 0]] = entries[entry, 1]
        while node >= 0 and new != old:
            start, split, end = tree.nodes[node, 0], tree.nodes[node, 1], tree.nodes[node, 2]
            for pair in range(start, end):
                a = entry_of[pair]
                if np.isnan(scores[pair]) or (a != absent and not room.known[pair]):
                    score_now(cell, pair, state, tree, lists, room)
                now[pair] = scores[pair]
                if a != absent:
                    product, ties = gained(lists.counts[pair], a, old, new)
                    if product != 0 or ties != 0:
                        rho = _rho(lists.sums[pair, 0] + product, lists.sums[pair, 1] + ties, tree.power[pair], n)
                        now[pair] = score_at(rho, pair, tree.steps)
            best, lead = branch(now, start, split, end)
            code = tree.n_classes + node if lead < tree.threshold else int(tree.pair_type[best])
            node = -1 if lead < tree.threshold else int(tree.nodes[node, 3 if best < split else 4])
        for entry in range(first[column], first[column + 1]):
            entry_of[entries[entry, 0]] = absent
        votes[k, code] += 1


@compiled
def votes_each(state: State, tree: Tree, columns: np.ndarray, to: np.ndarray) -> np.ndarray:
    """Return how the cells vote with each gene changed alone, shape (genes, codes).

    Where nothing is kept, a cell costs one pass over each list that it meets and that holds one of the genes; then a
    gene costs a few numbers of each list.

    Parameters are those of :func:`changed`; the state's scores are filled where cells meet them.
    """
    votes = np.zeros((len(columns), tree.n_classes + len(tree.nodes)), dtype=np.int64)
    room = room_for(state, tree)
    for cell in range(len(state.codes)):
        _count_votes(cell, state, tree, columns, to, room, votes)
    return votes
