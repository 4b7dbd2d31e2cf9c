"""Wilcoxon's rank-sum test and Welch's t-test, on many genes at once."""

from __future__ import annotations

from functools import cache

import numpy as np
from scipy.special import ndtr, stdtr

from adverscarial._compiled import compiled
from adverscarial._types import Floats, Ints


@compiled
def compare(x: Floats, y: Floats) -> tuple[float, float]:
    """Return U of x over y (a tie counts a half) and the sum of m^3 - m over runs of m equal values; both sorted."""
    i, j = 0, 0
    u, ties = 0.0, 0.0
    while i < len(x) or j < len(y):
        value = x[i] if j == len(y) or (i < len(x) and x[i] <= y[j]) else y[j]
        first_x, first_y = i, j
        while i < len(x) and x[i] == value:
            i += 1
        while j < len(y) and y[j] == value:
            j += 1
        u += (i - first_x) * (first_y + 0.5 * (j - first_y))
        run = float(i - first_x + j - first_y)
        ties += run**3 - run
    return u, ties


def rank_sum_z(u: Floats, ties: Floats, n: int, m: int) -> Floats:
    """Return how many standard deviations U lies from its mean, corrected for ties and for continuity, at least 0.

    Parameters
    ----------
    u, ties
        What :func:`compare` returns, one value per gene.
    n, m
        Numbers of cells in the two groups. Where all their values are equal, the answer is 0.
    """
    cells = n + m
    variance = n * m / 12 * (cells + 1 - ties / (cells * (cells - 1)))
    away = np.maximum(np.abs(u - n * m / 2) - 0.5, 0.0)
    return np.where(variance > 0, away / np.sqrt(np.where(variance > 0, variance, 1.0)), 0.0)


def rank_sum_p(u: Floats, ties: Floats, n: int, m: int) -> Floats:
    """Return the two-sided p-values of R's ``wilcox.test``.

    Exact where both groups have fewer than 50 cells and no two values are equal, else the normal approximation with
    corrections. Parameters as for :func:`rank_sum_z`.
    """
    p: Floats = 2 * ndtr(-rank_sum_z(u, ties, n, m))
    if n < 50 and m < 50:
        plain = ties == 0
        tail = np.minimum(u[plain], n * m - u[plain]).astype(int)
        p[plain] = np.minimum(2 * _exact_cdf(n, m)[tail], 1.0)
    return p


@cache
def _exact_cdf(n: int, m: int) -> Floats:
    """Return P(U <= u) for u = 0 ... n * m, for samples of n and m without ties (recursion of Mann and Whitney)."""
    row = [np.ones(1) for _ in range(m + 1)]
    for i in range(1, n + 1):
        above, row = row, [np.ones(1)]
        for j in range(1, m + 1):
            ways = np.zeros(i * j + 1)
            ways[j:] += above[j]
            ways[: len(row[j - 1])] += row[j - 1]
            row.append(ways)
    shares: Floats = np.cumsum(row[m]) / row[m].sum()
    return shares


def wilcoxon(values: Floats, sizes: Ints, pairs: Ints) -> tuple[Floats, Floats]:
    """Test each gene between each pair of clusters by rank sums.

    Parameters
    ----------
    values
        Genes x cells, cluster by cluster, each cluster's values in increasing order.
    sizes
        Cells of each cluster.
    pairs
        Which clusters to compare, shape (pairs, 2).

    Returns
    -------
    p-values as of :func:`rank_sum_p`, and distances as of :func:`rank_sum_z`, genes x pairs.
    """
    starts = np.concatenate([[0], np.cumsum(sizes)])
    u, ties = np.empty((2, len(pairs), len(values)))
    _rank_sums(values, starts, pairs, u, ties)
    p, z = np.empty((2, len(values), len(pairs)))
    for k, (a, b) in enumerate(pairs):
        n, m = int(sizes[a]), int(sizes[b])
        p[:, k], z[:, k] = rank_sum_p(u[k], ties[k], n, m), rank_sum_z(u[k], ties[k], n, m)
    return p, z


@compiled
def _rank_sums(values: Floats, starts: Ints, pairs: Ints, u: Floats, ties: Floats) -> None:
    for g in range(len(values)):
        for k in range(len(pairs)):
            a, b = pairs[k]
            x, y = values[g, starts[a] : starts[a + 1]], values[g, starts[b] : starts[b + 1]]
            u[k, g], ties[k, g] = compare(x, y)


def welch(values: Floats, sizes: Ints, pairs: Ints) -> tuple[Floats, Floats]:
    """Test each gene between each pair of clusters by Welch's t-test.

    A cluster of one cell is taken to vary as the other one does; two single cells have p = 1. Of two constants p is 1
    when they are equal, else 0. Parameters as for :func:`wilcoxon`, in any order within a cluster.

    Returns
    -------
    Two-sided p-values, and absolute values of t, genes x pairs.
    """
    moments = [mean_and_variance(group) for group in np.split(values, np.cumsum(sizes)[:-1], axis=1)]
    p, t = np.empty((2, len(values), len(pairs)))
    for k, (a, b) in enumerate(pairs):
        n, m = int(sizes[a]), int(sizes[b])
        (mean_a, variance_a), (mean_b, variance_b) = moments[a], moments[b]
        if n == 1 or m == 1:  # a single cell has no variance of its own
            variance_a, variance_b = (variance_b, variance_b) if n == 1 else (variance_a, variance_a)
        square = variance_a / n + variance_b / m
        apart = np.abs(mean_a - mean_b)
        known = square > 0
        t[:, k] = np.where((apart > 0) & (max(n, m) > 1), np.inf, 0.0)
        t[known, k] = apart[known] / np.sqrt(square[known])
        share = variance_a[known] / n / square[known]
        if n == 1 or m == 1:
            freedom = np.full(len(share), max(n, m) - 1.0)
        else:
            freedom = 1 / (share**2 / (n - 1) + (1 - share) ** 2 / (m - 1))
        p[:, k] = np.where(t[:, k] > 0, 0.0, 1.0)
        # not by betainc of freedom / (freedom + t^2): beside 1, that has lost the digits of a small t
        p[known, k] = 2 * stdtr(freedom, -t[known, k])
    return p, t


def mean_and_variance(group: Floats) -> tuple[Floats, Floats]:
    """Return mean and variance (n - 1) of each row; relative to its first value, so that a constant has exactly 0."""
    away = group - group[:, :1]
    mean = away.mean(axis=1)
    away -= mean[:, None]
    return group[:, 0] + mean, (away**2).sum(axis=1) / max(group.shape[1] - 1, 1)
