"""Votes of a cluster while genes are changed one after the other, for weighted sums."""

from __future__ import annotations

import numpy as np

from adverscarial._compiled import compiled

_NOTHING = -40.0  # below it, an exponential is lost in the sum with 1
_FEW = 2**16  # genes x cells x labels, up to which a loop would take longer to compile, or to load, than numpy takes


def winner(scores: np.ndarray, rank: np.ndarray) -> int:
    """Return the label with the most votes: cells vote for their first largest score, `rank` decides ties of votes."""
    counts = np.bincount(np.argmax(scores, axis=1), minlength=scores.shape[1])
    first = np.flatnonzero(counts == counts.max())
    return int(first[np.argmin(rank[first])])


@compiled
def _add(scores: np.ndarray, step: np.ndarray, weights: np.ndarray, sign: float) -> None:
    for i in range(len(scores)):
        moved = sign * step[i]
        if moved != 0:
            for k in range(len(weights)):
                scores[i, k] += moved * weights[k]


class _Votes:
    """Scores to which genes are added, or taken off again, one at a time.

    Parameters
    ----------
    scores, steps, weights, rank
        As for :func:`first_reaching`.
    """

    def __init__(self, scores: np.ndarray, steps: np.ndarray, weights: np.ndarray, rank: np.ndarray) -> None:
        self._scores, self._steps, self._weights, self._rank = scores.copy(), steps, weights, rank
        self._counts = np.zeros(scores.shape[1], dtype=np.int64)
        self._few = len(steps) * scores.size <= _FEW

    def moved(self, j: int, sign: float) -> int:
        """Add a gene, or take it off; return the label that then wins."""
        scores, step, weights = self._scores, self._steps[j], self._weights[j]
        if not self._few:
            return int(_moved(scores, step, weights, sign, self._rank, self._counts))
        scores += (sign * step)[:, None] * weights
        return winner(scores, self._rank)


@compiled
def _moved(
    scores: np.ndarray, step: np.ndarray, weights: np.ndarray, sign: float, rank: np.ndarray, counts: np.ndarray
) -> int:
    """Add a gene to the scores, and return :func:`winner`; `counts` is room to work in."""
    for k in range(len(counts)):
        counts[k] = 0
    for i in range(len(scores)):
        moved, best = sign * step[i], 0
        for k in range(len(counts)):
            if moved != 0:
                scores[i, k] += moved * weights[k]
            if scores[i, k] > scores[i, best]:
                best = k
        counts[best] += 1
    first = 0
    for k in range(1, len(counts)):
        if counts[k] > counts[first] or (counts[k] == counts[first] and rank[k] < rank[first]):
            first = k
    return first


def first_reaching(
    scores: np.ndarray, steps: np.ndarray, weights: np.ndarray, rank: np.ndarray, goals: np.ndarray
) -> int:
    """Return how many genes, changed in their order, first let a goal win; -1 if none does.

    `steps` has the shape (genes, cells), `weights` (genes, labels), `goals` is one bool per label.
    """
    votes = _Votes(scores, steps, weights, rank)
    return next((j + 1 for j in range(len(steps)) if goals[votes.moved(j, 1.0)]), -1)


def thinned(
    scores: np.ndarray, steps: np.ndarray, weights: np.ndarray, rank: np.ndarray, goals: np.ndarray
) -> np.ndarray:
    """Return which genes must stay: each is left out in turn, for good if a goal still wins; until none can be.

    `scores` are those with all these genes changed; the other parameters are as for :func:`first_reaching`.
    """
    votes, kept = _Votes(scores, steps, weights, rank), np.ones(len(steps), dtype=bool)
    dropped = True
    while dropped:
        dropped = False
        for j in np.flatnonzero(kept).tolist():
            if goals[votes.moved(j, -1.0)]:
                kept[j], dropped = False, True
            else:
                votes.moved(j, 1.0)
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
