"""Logistic regression against an attacker who may set a few genes of each cell; the loss of the worst is convex."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from adverscarial._compiled import compiled

PERCENTILES = (1, 99)  # what the attacker sets genes to: all of a cell's to the one, or all to the other
_TOLERANCE = 1e-4  # training ends when a step lowers the loss by less than this share
_HALVINGS = 14  # of the search for the gain that few genes exceed


@compiled
def _count_above(gains: np.ndarray, limit: np.float32) -> int:
    n = 0
    for j in range(len(gains)):
        n += gains[j] > limit
    return n


@compiled
def _sum_above(gains: np.ndarray, limit: np.float32) -> np.float32:
    """Return by how much gains exceed a limit, summed: four sums, so that four additions run at once."""
    zero = np.float32(0)
    a, b, c, d = zero, zero, zero, zero
    whole = len(gains) // 4 * 4
    for j in range(0, whole, 4):
        a += max(gains[j] - limit, zero)
        b += max(gains[j + 1] - limit, zero)
        c += max(gains[j + 2] - limit, zero)
        d += max(gains[j + 3] - limit, zero)
    for j in range(whole, len(gains)):
        a += max(gains[j] - limit, zero)
    return np.float32(a + b + c + d)


@compiled
def worst_gains(
    X: np.ndarray, codes: np.ndarray, weights: np.ndarray, value: np.ndarray, n_genes: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return what the rivals of each cell gain at most on its own class when `n_genes` genes are set to `value`.

    The sum of the k largest gains is the least, over all t, of k t plus what gains exceed t by. So whatever t is, the
    answer is never too small, and it is exact where k gains exceed t.

    Parameters
    ----------
    X
        Cells x genes, float32.
    codes
        The class of each cell.
    weights
        Classes x genes, float32.
    value
        What each gene is set to, float32.
    n_genes
        Genes that the attacker may change.

    Returns
    -------
    gains, limits
        Cells x classes: what the class gains, and the t above which a gene counts among those that are changed.
    """
    n_cells, n_classes = len(X), len(weights)
    gains = np.zeros((n_cells, n_classes), dtype=np.float32)
    limits = np.zeros((n_cells, n_classes), dtype=np.float32)
    single = np.empty(X.shape[1], dtype=np.float32)
    zero = np.float32(0)
    for i in range(n_cells):
        own = weights[codes[i]]
        for c in range(n_classes):
            if c == codes[i]:
                continue
            for j in range(len(single)):
                single[j] = max((weights[c, j] - own[j]) * (value[j] - X[i, j]), zero)
            low, high = zero, _sum_above(single, zero) / np.float32(max(n_genes, 1))  # the k-th is no larger
            t = np.float32(0.3) * high
            for _ in range(_HALVINGS):
                n = _count_above(single, t)
                if n == n_genes:
                    break
                if n > n_genes:
                    low = t
                else:
                    high = t
                t = np.float32(0.5) * (low + high)
            limits[i, c] = t
            gains[i, c] = np.float32(n_genes) * t + _sum_above(single, t)
    return gains, limits


@compiled
def _add_slopes(
    X: np.ndarray,
    codes: np.ndarray,
    weights: np.ndarray,
    value: np.ndarray,
    limits: np.ndarray,
    pull: np.ndarray,
    slopes: np.ndarray,
) -> None:
    """Add to the slopes of the weights what comes of the gains, each of which the loss feels by its `pull`."""
    zero = np.float32(0)
    for i in range(len(X)):
        y = codes[i]
        for c in range(len(weights)):
            if c == y or pull[i, c] == 0:
                continue
            for j in range(X.shape[1]):
                moved = value[j] - X[i, j]
                felt = pull[i, c] * moved if (weights[c, j] - weights[y, j]) * moved > limits[i, c] else zero
                slopes[c, j] += felt
                slopes[y, j] -= felt


def cross_entropy(scores: np.ndarray, codes: np.ndarray, share: np.ndarray) -> tuple[float, np.ndarray]:
    """Return the loss of cells that count by their share, and its slopes, shape (cells, classes)."""
    scores = scores - scores.max(axis=1, keepdims=True)
    grown = np.exp(scores)
    total, each = grown.sum(axis=1, keepdims=True), np.arange(len(codes))
    loss = float(share @ (np.log(total[:, 0]) - scores[each, codes]))
    slopes = grown / total
    slopes[each, codes] -= 1
    return loss, slopes * share[:, None]


class RobustLoss:
    """What is made smallest: the loss of cells of which an attacker has changed the genes that hurt most.

    Parameters
    ----------
    X
        Cells x genes.
    codes
        The class of each cell, counted from 0. Each class counts as much as any other.
    n_genes
        Genes that the attacker may change.
    strength
        As for :class:`Linear`.
    """

    def __init__(self, X: np.ndarray, codes: np.ndarray, n_genes: int, strength: float) -> None:
        self.X, self.codes = np.ascontiguousarray(X, dtype=np.float32), codes.astype(np.int64)
        self.values: Sequence[np.ndarray] = [np.percentile(X, q, axis=0).astype(np.float32) for q in PERCENTILES]
        self.n_genes, self.strength = min(n_genes, X.shape[1]), strength
        counts = np.bincount(codes)
        self.shape = len(counts), X.shape[1]
        self.share = 1 / (len(counts) * counts[codes])

    def __call__(self, point: np.ndarray) -> tuple[float, np.ndarray]:
        """Return the loss at these weights, classes x genes, followed by one bias for each class, and its slopes."""
        n = self.shape[0] * self.shape[1]
        weights = point[:n].reshape(self.shape).astype(np.float32)
        scores = self.X @ weights.T + point[n:]
        loss = float(point[:n] @ point[:n]) / 2 / self.strength
        slopes, of_bias = np.zeros(self.shape, dtype=np.float32), np.zeros(self.shape[0])
        for value in self.values:
            gains, limits = worst_gains(self.X, self.codes, weights, value, self.n_genes)
            part, pull = cross_entropy(scores + gains, self.codes, self.share / len(self.values))
            narrow = pull.astype(np.float32)
            slopes += narrow.T @ self.X
            _add_slopes(self.X, self.codes, weights, value, limits, narrow, slopes)
            loss, of_bias = loss + part, of_bias + pull.sum(axis=0)
        return loss, np.concatenate([slopes.ravel() + point[:n] / self.strength, of_bias])


def robust_weights(
    X: np.ndarray, codes: np.ndarray, n_genes: int, strength: float, max_iter: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return weights, genes x classes, and biases, for which the loss of attacked cells is smallest."""
    from scipy.optimize import minimize  # here and not above: importing the package stays quick

    loss = RobustLoss(X, codes, n_genes, strength)
    n = loss.shape[0] * loss.shape[1]
    options = {"maxiter": max_iter, "ftol": _TOLERANCE}
    found = minimize(loss, np.zeros(n + loss.shape[0]), jac=True, method="L-BFGS-B", options=options).x
    return found[:n].reshape(loss.shape).T.copy(), found[n:]
