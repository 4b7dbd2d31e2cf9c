"""Votes of a cluster while genes are changed one after the other, for weighted sums."""

from __future__ import annotations

import numpy as np

from adverscarial._compiled import compiled

_NOTHING = -40.0  # below it, an exponential is lost in the sum with 1


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
        total += _smooth_vote(scores[i], tilt, temperature)
    return total


@compiled
def _smooth_vote(scores: np.ndarray, tilt: np.ndarray, temperature: float) -> float:
    top = scores[0]
    for k in range(1, len(scores)):
        top = max(top, scores[k])
    weight, value = 0.0, 0.0
    for k in range(len(scores)):
        below = (scores[k] - top) / temperature
        if below > _NOTHING:
            e = np.exp(below)
            weight += e
            value += tilt[k] * e
    return value / weight


@compiled
def best_added(scores: np.ndarray, steps: np.ndarray, weights: np.ndarray, tilt: np.ndarray, temperature: float) -> int:
    """Return which of some genes, added alone, makes :func:`smooth` largest."""
    best, place = -np.inf, 0
    now, trial = np.empty(len(scores)), np.empty(scores.shape[1])
    for i in range(len(scores)):
        now[i] = _smooth_vote(scores[i], tilt, temperature)
    for j in range(len(steps)):
        value = 0.0
        for i in range(len(scores)):
            if steps[j, i] == 0:
                value += now[i]
                continue
            for k in range(len(trial)):
                trial[k] = scores[i, k] + steps[j, i] * weights[j, k]
            value += _smooth_vote(trial, tilt, temperature)
        if value > best:
            best, place = value, j
    return place


@compiled
def combinations_above(gained: np.ndarray, r: int, least: float, most: int) -> int:
    """Return how many combinations of `r` numbers, which are descending, sum to `least` or more; `most` if not fewer.

    Counted are those that :func:`combination_reaching` has to look at.
    """
    n, total = len(gained), np.zeros(len(gained) + 1)
    total[1:] = np.cumsum(gained)
    chosen, part, level, count = np.zeros(r + 1, dtype=np.int64), np.zeros(r + 1), 0, int(r == 0)
    while level >= 0 and r > 0 and count < most:
        i, left = chosen[level], r - level
        if i > n - left or part[level] + total[i + left] - total[i] < least:
            level -= 1
            chosen[level] += 1
        elif left == 1:
            while i < n and part[level] + gained[i] >= least:
                i += 1
            count += i - chosen[level]
            chosen[level] = i
        else:
            part[level + 1], chosen[level + 1] = part[level] + gained[i], i + 1
            level += 1
    return min(count, most)


@compiled
def combination_reaching(
    scores: np.ndarray, steps: np.ndarray, weights: np.ndarray, hidden: np.ndarray, rank: np.ndarray, goal: int, r: int,
    gained: np.ndarray, least: float,
) -> tuple[bool, np.ndarray]:  # fmt: skip
    """Return whether some `r` of the genes, changed together, may let a goal win, and which; all are tried.

    `hidden` is how much rounding may hide in each cell: labels that are so near to the best one are possible, too.
    `gained` is descending; combinations whose sum of it is below `least` are known to reach nothing and left out.
    """
    n, total = len(steps), np.zeros(len(gained) + 1)
    total[1:] = np.cumsum(gained)
    chosen, part, level = np.zeros(r + 1, dtype=np.int64), np.zeros(r + 1), 0
    now = np.empty((r + 1, *scores.shape))  # the scores with the first genes of the combination changed
    now[0] = scores
    if r == 0:
        return may_win(scores, hidden, rank, goal), chosen[:0]
    while level >= 0:
        i, left = chosen[level], r - level
        if i > n - left or part[level] + total[i + left] - total[i] < least:  # nor is any later gene enough here
            level -= 1
            chosen[level] += 1
            continue
        now[level + 1] = now[level]
        _add(now[level + 1], steps[i], weights[i], 1.0)
        if left > 1:
            part[level + 1], chosen[level + 1] = part[level] + gained[i], i + 1
            level += 1
        elif may_win(now[r], hidden, rank, goal):
            return True, chosen[:r]
        else:
            chosen[level] += 1
    return False, chosen[:r]


@compiled
def may_win(scores: np.ndarray, hidden: np.ndarray, rank: np.ndarray, goal: int) -> bool:
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
