"""What CHETAH calls cells of which one value changes: it ranks only lists of the changed gene, and where a cell walks.

What is kept of the lists, and how one gene moves in them, is in :mod:`adverscarial.classifiers.scorers.rank_lists`.

A profile score that is not known yet is NaN: it is computed when a cell comes to its node.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from adverscarial._compiled import compiled, compiled_within, inlined
from adverscarial.classifiers.scorers.rank_lists import Lists, Tree, gained, learn, score_at
from adverscarial.classifiers.scorers.ranks import ALL, LIKELY, _rho, asked, likely, suffices, taken


class State(NamedTuple):
    """Cells as they stand."""

    numbers: np.ndarray  # of their values, cells x the classifier's genes
    scores: np.ndarray  # of the profiles, cells x pairs; NaN: not known yet
    codes: np.ndarray  # votes
    tops: np.ndarray  # numbers that each cell's values may have
    kept: Lists  # of all cells, or of none where nothing is kept


class Room(NamedTuple):
    """Where to work on one cell: made outside, since what makes arrays would be compiled first."""

    lists: Lists
    known: np.ndarray  # of each list, whether its sums are


def room_for(state: State, tree: Tree) -> Room:
    """Return room to work on one cell after the other."""
    n_pairs, width = len(tree.power), state.kept.counts.shape[3]
    lists = Lists(np.zeros((n_pairs, 2, width), dtype=state.kept.counts.dtype), np.zeros((n_pairs, 2), dtype=np.int64))
    return Room(lists, np.zeros(n_pairs, dtype=np.bool_))


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


@compiled_within
def rho_with(counts: np.ndarray, sums: np.ndarray, a: int, old: int, new: int, power: int, n: int) -> float:
    """Return the correlation of a list, given its counts and sums, once one of its genes gets another number."""
    product, ties = gained(counts, a, old, new)
    return _rho(sums[0] + product, sums[1] + ties, power, n)


@compiled_within
def _count_votes(
    cell: int, state: State, tree: Tree, columns: np.ndarray, to: np.ndarray, room: Room, entry_of: np.ndarray,
    now: np.ndarray, votes: np.ndarray,
) -> None:  # fmt: skip
    """Add one cell's votes with each gene changed alone; fill the state's scores where the cell needs them.

    Parameters are those of :func:`votes_each`, which calls this once for a cell: `tree` and `room` are dozens of
    arrays, and to hand them over for each gene would cost as much as the answer. `entry_of` has for each pair what its
    profile has of the gene that changes, four times the length of a list for none; `now` is room for scores.
    """
    first, entries, nodes, power, steps = tree.first, tree.entries, tree.nodes, tree.power, tree.steps
    scores, lists, known = state.scores[cell], lists_at(cell, state, room), room.known
    counts, sums, numbers, then = lists.counts, lists.sums, state.numbers[cell], to[cell]
    n_pairs, n = tree.lists.shape
    absent = 4 * n  # ranks are smaller
    for pair in range(n_pairs):
        now[pair] = scores[pair]
    for k in range(len(columns)):
        column, node, code = columns[k], 0, state.codes[cell]
        old, new = numbers[column], then[column]
        for entry in range(first[column], first[column + 1]):
            pair = entries[entry, 0]
            entry_of[pair], now[pair] = entries[entry, 1], np.nan
        while node >= 0 and new != old:
            start, split, end = nodes[node, 0], nodes[node, 1], nodes[node, 2]
            best = likely(scores, start, end)
            for step in range(ALL + 1):
                begin, last = asked(step, best, start, split, end)
                for pair in range(begin, last):
                    if not np.isnan(now[pair]):
                        continue
                    if np.isnan(scores[pair]) or not known[pair]:
                        score_now(cell, pair, state, tree, lists, room)
                    now[pair], a = scores[pair], entry_of[pair]
                    if a != absent:
                        rho = rho_with(counts[pair], sums[pair], a, old, new, power[pair], n)
                        now[pair] = score_at(rho, pair, steps)
                if step == LIKELY and suffices(now, best, start, split, end, tree.threshold):
                    break
            else:
                best = taken(now, start, split, end, tree.threshold)
            code = tree.n_classes + node if best < 0 else int(tree.pair_type[best])
            node = -1 if best < 0 else int(nodes[node, 3 if best < split else 4])
        for entry in range(first[column], first[column + 1]):
            entry_of[entries[entry, 0]], now[entries[entry, 0]] = absent, scores[entries[entry, 0]]
        votes[k, code] += 1


@compiled
def _votes_each(
    state: State, tree: Tree, columns: np.ndarray, to: np.ndarray, room: Room, entry_of: np.ndarray, now: np.ndarray,
    votes: np.ndarray,
) -> None:  # fmt: skip
    for cell in range(len(state.codes)):
        _count_votes(cell, state, tree, columns, to, room, entry_of, now, votes)


def votes_each(state: State, tree: Tree, columns: np.ndarray, to: np.ndarray) -> np.ndarray:
    """Return how the cells vote with each gene changed alone, shape (genes, codes).

    Where nothing is kept, a cell costs one pass over each list that it meets and that holds one of the genes; then a
    gene costs a few numbers of each list.

    Parameters are those of :func:`~adverscarial.classifiers.scorers.rank_together.changed`; the state's scores are
    filled where cells meet them.
    """
    votes = np.zeros((len(columns), tree.n_classes + len(tree.nodes)), dtype=np.int64)
    n_pairs, n = tree.lists.shape
    _votes_each(state, tree, columns, to, room_for(state, tree), np.full(n_pairs, 4 * n), np.empty(n_pairs), votes)
    return votes
