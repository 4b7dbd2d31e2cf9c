"""What CHETAH calls cells of which several values change at once.

At each node the pair that was best before is asked first: where it suffices, the others of its branch are not.
"""

from __future__ import annotations

import numpy as np

from adverscarial._compiled import compiled, compiled_within
from adverscarial.classifiers.scorers.rank_lists import Tree, gained_by, product_of_tally, score_at, tally
from adverscarial.classifiers.scorers.rank_moves import State
from adverscarial.classifiers.scorers.rank_walks import scores_of, walk_all
from adverscarial.classifiers.scorers.ranks import ALL, LIKELY, _rho, asked, likely, suffices, taken

_FEW = 6  # genes of a list that change, up to which they are moved one by one


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
def _noted(
    row: np.ndarray, to: np.ndarray, columns: np.ndarray, first: np.ndarray, entries: np.ndarray, scores: np.ndarray,
    steps: np.ndarray, n_steps: np.ndarray,
) -> bool:  # fmt: skip
    """Note which genes of each list of a cell change, and forget the scores; return whether any does.

    Parameters
    ----------
    row, to
        Numbers of the cell's values, and what they are to become in `columns`.
    columns
        Genes that change.
    first, entries
        As the tree's.
    scores
        Of the cell's profiles.
    steps, n_steps
        To be filled: entry, old and new number of the genes of each list, pairs x genes x 3, and how many these are.
    """
    n_steps[:] = 0
    moved = False
    for column in columns:
        old, new = row[column], to[column]
        if old == new:
            continue
        moved = True
        for entry in range(first[column], first[column + 1]):
            pair = entries[entry, 0]
            k = n_steps[pair]
            steps[pair, k, 0], steps[pair, k, 1], steps[pair, k, 2] = entries[entry, 1], old, new
            n_steps[pair] = k + 1
            scores[pair] = np.nan
    return moved


@compiled_within
def _code(
    cell: int, scores: np.ndarray, state: State, tree: Tree, steps: np.ndarray, n_steps: np.ndarray, room: np.ndarray
) -> int:
    """Walk one cell down the tree, and fill scores on the way, as far as they are needed.

    It is compiled by itself, and asks no other function that takes a state or a tree: to hand over dozens of arrays
    costs more than what is done here.

    Parameters
    ----------
    cell, state, tree
        The cell as it stands.
    scores
        Of the profiles, once some values are changed; NaN where they are not known.
    steps, n_steps
        Which genes of each list change; see :func:`_noted`.
    room
        As for :func:`_recounted`.
    """
    counts, sums, now, top = state.kept.counts[cell], state.kept.sums[cell], state.scores[cell], state.tops[cell]
    nodes, power, profiles, n = tree.nodes, tree.power, tree.steps, tree.lists.shape[1]
    node, code = 0, 0
    while node >= 0:
        start, split, end = nodes[node, 0], nodes[node, 1], nodes[node, 2]
        best = likely(now, start, end)
        for step in range(ALL + 1):
            first, last = asked(step, best, start, split, end)
            for pair in range(first, last):
                if not np.isnan(scores[pair]):
                    continue
                product, ties, k = sums[pair, 0], sums[pair, 1], n_steps[pair]
                if k > _FEW:
                    product, ties = _recounted(counts[pair], steps[pair, :k], top, room)
                elif k > 0:
                    more, ties_more = gained_by(counts[pair], steps[pair, :k])
                    product, ties = product + more, ties + ties_more
                scores[pair] = score_at(_rho(product, ties, power[pair], n), pair, profiles)
                if k == 0:
                    now[pair] = scores[pair]
            if step == LIKELY and suffices(scores, best, start, split, end, tree.threshold):
                break
        else:
            best = taken(scores, start, split, end, tree.threshold)
            if best < 0:
                return int(tree.n_classes + node)
        code, node = int(tree.pair_type[best]), int(nodes[node, 3 if best < split else 4])
    return code


@compiled_within
def _code_anew(row: np.ndarray, scores: np.ndarray, top: int, tree: Tree, room: np.ndarray) -> int:
    """Walk one cell down the tree, and fill scores on the way; nothing is kept of its lists.

    Parameters are those of :func:`_code`; `row`: numbers of the cell's values, which may be smaller than `top`.
    """
    node, code = 0, 0
    while node >= 0:
        start, split, end = tree.nodes[node, 0], tree.nodes[node, 1], tree.nodes[node, 2]
        for pair in range(start, end):
            if np.isnan(scores[pair]):
                tally(row, tree.lists[pair], tree.ranks[pair], top, room)
                product, ties = product_of_tally(room, top)
                scores[pair] = score_at(_rho(product, ties, tree.power[pair], tree.lists.shape[1]), pair, tree.steps)
        best = taken(scores, start, split, end, tree.threshold)
        if best < 0:
            return int(tree.n_classes + node)
        code, node = int(tree.pair_type[best]), int(tree.nodes[node, 3 if best < split else 4])
    return code


@compiled
def _changed(state: State, tree: Tree, columns: np.ndarray, to: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    scores, codes = state.scores.copy(), state.codes.copy()
    (n_pairs, n), width = tree.lists.shape, state.kept.counts.shape[3]
    steps, n_steps = np.empty((n_pairs, n, 3), dtype=np.int32), np.empty(n_pairs, dtype=np.int64)
    room = np.empty((2, width), dtype=np.int32)
    for cell in range(len(codes)):
        row, then = state.numbers[cell], scores[cell]
        if _noted(row, to[cell], columns, tree.first, tree.entries, then, steps, n_steps):
            codes[cell] = _code(cell, then, state, tree, steps, n_steps, room)
    return scores, codes


@compiled
def _changed_anew(state: State, tree: Tree, columns: np.ndarray, to: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    scores, codes = state.scores.copy(), state.codes.copy()
    first, entries, room = tree.first, tree.entries, np.empty((2, state.kept.counts.shape[3]), dtype=np.int32)
    for cell in range(len(codes)):
        row = state.numbers[cell].copy()
        for column in columns:
            if row[column] != to[cell, column]:
                row[column] = to[cell, column]
                for entry in range(first[column], first[column + 1]):
                    scores[cell, entries[entry, 0]] = np.nan
        codes[cell] = _code_anew(row, scores[cell], state.tops[cell], tree, room)
    return scores, codes


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
    return (_changed if len(state.kept.counts) else _changed_anew)(state, tree, columns, to)


def walked(state: State, tree: Tree) -> None:
    """Fill the codes, and the scores that are met on the way to them; all scores where the lists are kept."""
    if len(state.kept.counts):
        state.scores[:] = scores_of(state.kept.sums, tree)
        walk_all(state.scores, tree, state.codes)
    else:
        state.scores[:], state.codes[:] = _changed_anew(state, tree, np.empty(0, dtype=np.int64), state.numbers)
