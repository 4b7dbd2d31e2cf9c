"""A search for one set of genes that wins enough votes: branch and bound over the rows of all cells."""

from __future__ import annotations

import numpy as np

from adverscarial._compiled import compiled

_ENOUGH = 1.0 - 1e-9  # coefficients were rounded up by more


@compiled
def largest_behind(coefficients: np.ndarray, m: int) -> np.ndarray:
    """Return the sums of the 0 to `m` largest coefficients of each row from each gene on.

    Parameters
    ----------
    coefficients
        Shape (genes, rows).

    Returns
    -------
    Shape (genes + 1, m + 1, rows).
    """
    n_genes, n_rows = coefficients.shape
    out = np.zeros((n_genes + 1, m + 1, n_rows), dtype=np.float32)
    top = np.zeros((n_rows, m), dtype=np.float32)  # descending
    for i in range(n_genes - 1, -1, -1):
        for r in range(n_rows):
            value = coefficients[i, r]
            for k in range(m):
                if value > top[r, k]:
                    value, top[r, k] = top[r, k], value
            total = 0.0
            for k in range(m):
                total += top[r, k]
                out[i, k + 1, r] = total * (1 + 1e-6)
    return out


@compiled
def _won(have: np.ndarray, more: np.ndarray, ends: np.ndarray) -> int:
    """Return how many votes have all their rows at 1 or above; `ends` is where the rows of each vote end."""
    votes, start = 0, 0
    for end in ends:
        won = True
        for r in range(start, end):
            if have[r] + more[r] < _ENOUGH:
                won = False
                break
        votes += won
        start = end
    return votes


@compiled
def next_set(
    coefficients: np.ndarray, behind: np.ndarray, ends: np.ndarray, need: int, last: np.ndarray, most: int
) -> tuple[np.ndarray, int]:
    """Return the next set of genes whose rows win enough votes, and how many branches were looked at.

    Parameters
    ----------
    coefficients
        Shape (genes, rows): a vote is won only where those of the set add up to 1 in all its rows.
    behind
        What :func:`largest_behind` returns; its m is the size of the sets.
    ends
        Where the rows of each vote end.
    need
        Votes that must be won.
    last
        The set that was returned before; empty at the start.
    most
        Branches to look at; the search then ends.

    Returns
    -------
    Positions, ascending; empty where there is no other set, or where `most` branches were looked at.
    """
    n, m, n_rows = len(coefficients), behind.shape[1] - 1, coefficients.shape[1]
    chosen, level, branches = np.zeros(m + 1, dtype=np.int64), 0, 0
    have = np.zeros((m + 1, n_rows))
    if len(last):
        chosen[:m], level = last, m - 1
        for k in range(m - 1):
            have[k + 1] = have[k] + coefficients[last[k]]
        chosen[level] += 1
    while level >= 0 and branches < most:
        i, left = chosen[level], m - level
        branches += 1
        if i > n - left or _won(have[level], behind[i, left], ends) < need:  # nor does any set of later genes
            level -= 1
            chosen[level] += 1
            continue
        for r in range(n_rows):
            have[level + 1, r] = have[level, r] + coefficients[i, r]
        if _won(have[level + 1], behind[i + 1, left - 1], ends) < need:
            chosen[level] += 1
        elif left > 1:
            chosen[level + 1] = i + 1
            level += 1
        else:
            return chosen[:m], branches
    return chosen[:0], branches
