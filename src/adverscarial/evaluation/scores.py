"""Accuracy, ROC and F1 from labels and scores of cells, with bootstrap intervals over cells."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from numbers import Integral
from typing import Any

import numpy as np
import pandas as pd

from adverscarial.attacks.base import check_run
from adverscarial.errors import DataError, ParameterError

_INTERVAL = (2.5, 97.5)  # percentiles of the bootstrap


def accuracy_curve(
    truth: Sequence[str] | np.ndarray,
    labels_by_step: Sequence[Sequence[str]] | np.ndarray,
    *,
    n_boot: int = 200,
    seed: int = 0,
) -> pd.DataFrame:
    """Return the share of right labels at each step of an attack, with 95% bootstrap intervals over cells.

    Parameters
    ----------
    truth
        Right label of each cell, length n.
    labels_by_step
        Labels at each step, shape (steps, n).
    n_boot, seed
        Samples and seed of the bootstrap; the same samples at every step.

    Returns
    -------
    DataFrame ``step, accuracy, accuracy_low, accuracy_high``.

    Raises
    ------
    DataError, ParameterError

    Examples
    --------
    >>> accuracy_curve(["B", "B"], [["B", "B"], ["B", "T"]])["accuracy"].to_list()
    [1.0, 0.5]
    """
    check_run(None, seed)
    check_n_boot(n_boot)
    right = np.asarray(truth, dtype=str)
    if right.ndim != 1 or not len(right):
        raise DataError("truth is empty; give the right label of each cell.")
    rows = []
    for step, labels in enumerate(labels_by_step):
        said = np.asarray(labels, dtype=str)
        if said.shape != right.shape:
            raise DataError(f"Step {step} labels {len(said):,} cells, but truth has {len(right):,}.")
        rows.append((step, *share_of(said == right, n_boot, seed)))
    return pd.DataFrame(rows, columns=["step", "accuracy", "accuracy_low", "accuracy_high"])


def roc_curve_of_cluster(
    scores: Sequence[float] | np.ndarray,
    is_cluster: Sequence[bool] | np.ndarray,
    *,
    n_boot: int = 200,
    seed: int = 0,
) -> pd.DataFrame:
    """Return the ROC curve of one cluster against all other cells, with 95% bootstrap intervals over cells.

    Parameters
    ----------
    scores
        Score of each cell for the cluster's type, length n.
    is_cluster
        Which cells are of the cluster, length n.
    n_boot, seed
        Samples and seed of the bootstrap, which keeps the number of cells inside and outside.

    Returns
    -------
    DataFrame ``threshold, fpr, tpr, fpr_low, fpr_high, tpr_low, tpr_high``, one row per different score from the
    highest down, after one row at infinity where no cell is called; intervals are those at the same threshold.
    ``attrs`` holds ``auc, auc_low, auc_high``.

    Raises
    ------
    DataError, ParameterError

    Examples
    --------
    >>> roc = roc_curve_of_cluster([0.9, 0.8, 0.7, 0.1], [True, False, True, False])
    >>> roc.attrs["auc"]
    0.75
    """
    values, positive = _checked(scores, is_cluster, n_boot, seed)
    sweep = Sweep(values, positive, None)
    ones = np.ones(len(values))
    table = pd.DataFrame({"threshold": sweep.thresholds, "fpr": sweep.rates(ones)[1], "tpr": sweep.rates(ones)[0]})
    tprs, fprs, aucs = [], [], []
    for weights in resamples(positive, n_boot, seed):
        tpr, fpr = sweep.rates(weights)
        tprs.append(tpr)
        fprs.append(fpr)
        aucs.append(sweep.auc(weights))
    for name, samples in (("fpr", fprs), ("tpr", tprs)):
        table[f"{name}_low"], table[f"{name}_high"] = _band(samples, len(table))
    low, high = interval(aucs)
    table.attrs = {"auc": sweep.auc(ones), "auc_low": low, "auc_high": high}
    return table


def f1_curve(
    scores: Sequence[float] | np.ndarray,
    is_cluster: Sequence[bool] | np.ndarray,
    *,
    thresholds: Sequence[float] | np.ndarray | None = None,
    n_boot: int = 200,
    seed: int = 0,
) -> pd.DataFrame:
    """Return F1 of one cluster by threshold, with 95% bootstrap intervals over cells.

    A cell is called at a threshold when its score is at least that; F1 is ``2 TP / (2 TP + FP + FN)``.

    Parameters
    ----------
    scores, is_cluster, n_boot, seed
        As for :func:`roc_curve_of_cluster`.
    thresholds
        Where to measure; every different score, from the highest down, when left out.

    Returns
    -------
    DataFrame ``threshold, f1, f1_low, f1_high``.

    Raises
    ------
    DataError, ParameterError

    Examples
    --------
    >>> f1_curve([0.9, 0.8, 0.1], [True, True, False], thresholds=[0.5, 0.85])["f1"].round(3).to_list()
    [1.0, 0.667]
    """
    values, positive = _checked(scores, is_cluster, n_boot, seed)
    at = np.unique(values)[::-1] if thresholds is None else np.asarray(thresholds, dtype=np.float64).ravel()
    if np.isnan(at).any():
        raise ParameterError("thresholds= holds NaN; give numbers.")
    sweep = Sweep(values, positive, at)
    table = pd.DataFrame({"threshold": at, "f1": sweep.f1(np.ones(len(values)))})
    samples = [sweep.f1(weights) for weights in resamples(positive, n_boot, seed)]
    table["f1_low"], table["f1_high"] = _band(samples, len(table))
    return table


def share_of(cells: np.ndarray, n_boot: int, seed: int) -> tuple[float, ...]:
    """Return the share of True, and its interval."""
    samples = [float(weights @ cells) / len(cells) for weights in resamples(np.ones(len(cells), bool), n_boot, seed)]
    return float(cells.mean()), *interval(samples)


class Sweep:
    """Cells in the order of their scores, to count those above thresholds under any weights."""

    def __init__(self, scores: np.ndarray, positive: np.ndarray, thresholds: np.ndarray | None) -> None:
        self._order = np.argsort(-scores, kind="stable")
        self._positive = positive[self._order].astype(np.float64)
        every = thresholds is None
        self.thresholds = np.concatenate([[np.inf], np.unique(scores)[::-1]]) if thresholds is None else thresholds
        self._called = np.searchsorted(-scores[self._order], -self.thresholds, side="right")
        if every:
            self._called[0] = 0  # the start of a ROC curve: no cell is called, not even one that scores infinity

    def _counts(self, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return true and false positives at each threshold."""
        ordered = weights[self._order]
        true = np.concatenate([[0.0], np.cumsum(ordered * self._positive)])[self._called]
        return true, np.concatenate([[0.0], np.cumsum(ordered)])[self._called] - true

    def rates(self, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return true and false positive rates at each threshold."""
        true, false = self._counts(weights)
        inside = float(weights[self._order] @ self._positive)
        return true / inside, false / (float(weights.sum()) - inside)

    def auc(self, weights: np.ndarray) -> float:
        """Return the area under the curve, ties counting a half; the thresholds must be all scores."""
        tpr, fpr = self.rates(weights)
        return float(np.sum(np.diff(fpr) * (tpr[1:] + tpr[:-1]) / 2))

    def f1(self, weights: np.ndarray) -> np.ndarray:
        """Return F1 at each threshold."""
        true, false = self._counts(weights)
        return 2 * true / (true + false + float(weights[self._order] @ self._positive))


def resamples(positive: np.ndarray, n_boot: int, seed: int) -> Iterator[np.ndarray]:
    """Yield how often each cell is drawn, with replacement inside and outside of the cluster apart."""
    rng = np.random.default_rng([seed, 1])
    for _ in range(n_boot):
        weights = np.zeros(len(positive))
        for group in (np.flatnonzero(positive), np.flatnonzero(~positive)):
            if len(group):
                weights[group] = np.bincount(rng.integers(len(group), size=len(group)), minlength=len(group))
        yield weights


def interval(samples: Sequence[float]) -> tuple[float, float]:
    """Return the ends of the 95% percentile interval; NaN without samples."""
    if not len(samples):
        return float("nan"), float("nan")
    low, high = np.percentile(samples, _INTERVAL)
    return float(low), float(high)


def _band(samples: list[np.ndarray], length: int) -> np.ndarray:
    return np.percentile(samples, _INTERVAL, axis=0) if samples else np.full((2, length), np.nan)


def check_n_boot(n_boot: int) -> None:
    """Raise a ParameterError for an impossible number of samples."""
    if not isinstance(n_boot, Integral) or n_boot < 0:
        raise ParameterError(f"n_boot must be a whole number, 0 for no intervals, got {n_boot!r}.")


def _checked(scores: Any, is_cluster: Any, n_boot: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    check_run(None, seed)
    check_n_boot(n_boot)
    values, positive = np.asarray(scores, dtype=np.float64), np.asarray(is_cluster, dtype=bool)
    if values.ndim != 1 or values.shape != positive.shape:
        raise DataError(
            f"scores and is_cluster have the shapes {values.shape} and {positive.shape}; expected (n,) twice."
        )
    if np.isnan(values).any():
        raise DataError(f"{int(np.isnan(values).sum()):,} of {len(values):,} scores are NaN; leave those cells out.")
    if positive.all() or not positive.any():
        raise DataError(
            "A ROC or F1 curve needs cells inside and outside of the cluster; is_cluster has one kind only."
        )
    return values, positive
