"""Votes of a cluster while genes are changed one after the other, for weighted sums."""

from __future__ import annotations

import numpy as np

from adverscarial._compiled import compiled


@compiled
def winner(scores: np.ndarray, rank: np.ndarray) -> int:
    """Return the label with the most votes: cells vote for their first largest score, `rank` decides ties of votes."""
    counts = np.zeros(scores.shape[1], dtype=np.int64)
    for i in range(len(scores)):
        best = 0
        for k in range(1, scores.shape[1]):
            if scores[i, k] > scores[i, best]:
                best = k
        counts[best] += 1
    first = 0
    for k in range(1, len(counts)):
        if counts[k] > counts[first] or (counts[k] == counts[first] and rank[k] < rank[first]):
            first = k
    return first


@compiled
def _add(scores: np.ndarray, step: np.ndarray, weights: np.ndarray, sign: float) -> None:
    for i in range(len(scores)):
        moved = sign * step[i]
        if moved != 0:
            for k in range(len(weights)):
                scores[i, k] += moved * weights[k]


@compiled
def first_reaching(
    scores: np.ndarray, steps: np.ndarray, weights: np.ndarray, rank: np.ndarray, goals: np.ndarray
) -> int:
    """Return how many genes, changed in their order, first let a goal win; -1 if none does.

    `steps` has the shape (genes, cells), `weights` (genes, labels), `goals` is one bool per label.
    """
    now = scores.copy()
    for j in range(len(steps)):
        _add(now, steps[j], weights[j], 1.0)
        if goals[winner(now, rank)]:
            return j + 1
    return -1


@compiled
def thinned(
    scores: np.ndarray, steps: np.ndarray, weights: np.ndarray, rank: np.ndarray, goals: np.ndarray
) -> np.ndarray:
    """Return which genes must stay: each is left out in turn, for good if a goal still wins; until none can be.

    `scores` are those with all these genes changed; the other parameters are as for :func:`first_reaching`.
    """
    now = scores.copy()
    kept = np.ones(len(steps), dtype=np.bool_)
    dropped = True
    while dropped:
        dropped = False
        for j in range(len(steps)):
            if not kept[j]:
                continue
            _add(now, steps[j], weights[j], -1.0)
            if goals[winner(now, rank)]:
                kept[j] = False
                dropped = True
            else:
                _add(now, steps[j], weights[j], 1.0)
    return kept


@compiled
def smooth(scores: np.ndarray, tilt: np.ndarray, temperature: float) -> float:
    """Return the sum over cells of ``tilt . softmax(scores / temperature)``."""
    total = 0.0
    for i in range(len(scores)):
        top = scores[i].max()
        weight, value = 0.0, 0.0
        for k in range(scores.shape[1]):
            e = np.exp((scores[i, k] - top) / temperature)
            weight += e
            value += tilt[k] * e
        total += value / weight
    return total


@compiled
def best_added(scores: np.ndarray, steps: np.ndarray, weights: np.ndarray, tilt: np.ndarray, temperature: float) -> int:
    """Return which of some genes, added alone, makes :func:`smooth` largest."""
    best, place = -np.inf, 0
    trial = np.empty_like(scores)
    for j in range(len(steps)):
        trial[:] = scores
        _add(trial, steps[j], weights[j], 1.0)
        value = smooth(trial, tilt, temperature)
        if value > best:
            best, place = value, j
    return place


@compiled
def combination_reaching(
    scores: np.ndarray, steps: np.ndarray, weights: np.ndarray, hidden: np.ndarray, rank: np.ndarray, goal: int, r: int
) -> tuple[bool, np.ndarray]:
    """Return whether some `r` of the genes, changed together, may let a goal win, and which; all are tried.

    `hidden` is how much rounding may hide in each cell: labels that are so near to the best one are possible, too.
    """
    n, chosen = len(steps), np.arange(r)
    now = np.empty((r + 1, *scores.shape))  # the scores with the first genes of the combination changed
    now[0] = scores
    place = 0
    while r <= n:
        for level in range(place, r):
            now[level + 1] = now[level]
            _add(now[level + 1], steps[chosen[level]], weights[chosen[level]], 1.0)
        if _may_win(now[r], hidden, rank, goal):
            return True, chosen
        place = r - 1
        while place >= 0 and chosen[place] == n - r + place:
            place -= 1
        if place < 0:
            break
        chosen[place] += 1
        for level in range(place + 1, r):
            chosen[level] = chosen[level - 1] + 1
    return False, chosen


@compiled
def _may_win(scores: np.ndarray, hidden: np.ndarray, rank: np.ndarray, goal: int) -> bool:
    """Return whether a goal has the most votes, if each vote that rounding leaves open is its own."""
    sure, votes = np.zeros(scores.shape[1], dtype=np.int64), 0
    for i in range(len(scores)):
        best = 0
        for k in range(1, scores.shape[1]):
            if scores[i, k] > scores[i, best]:
                best = k
        if hidden[i] == 0:  # no rounding: the first largest score is the label
            votes += best == goal
            sure[best] += 1
            continue
        if scores[i, goal] >= scores[i, best] - hidden[i]:
            votes += 1
            continue
        second = -np.inf
        for k in range(scores.shape[1]):
            if k != best:
                second = max(second, scores[i, k])
        if second < scores[i, best] - hidden[i]:
            sure[best] += 1
    for k in range(len(sure)):
        if k != goal and (sure[k] > votes or (sure[k] == votes and rank[k] < rank[goal])):
            return False
    return True
