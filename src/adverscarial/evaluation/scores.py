"""Accuracy, ROC and F1 from labels and scores of cells, with intervals over cells."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from adverscarial._docs import documented
from adverscarial._types import Bools, Floats
from adverscarial.errors import DataError, ParameterError
from adverscarial.evaluation.intervals import Intervals, Method, bootstrap, method, mover, newcombe, wilson


@documented
def accuracy_curve(
    truth: Sequence[str] | np.ndarray,
    labels_by_step: Sequence[Sequence[str]] | np.ndarray,
    *, intervals: Intervals = "formula", n_boot: int = 200, seed: int = 0,
) -> pd.DataFrame:  # fmt: skip
    """Return the share of right labels at each step of an attack, with 95% intervals over cells.

    Parameters
    ----------
    truth
        Right label of each cell, length n.
    labels_by_step
        Labels at each step, shape (steps, n).
    intervals
        ``"formula"`` for Wilson's interval, or ``"bootstrap"``. A bootstrap interval has no width where all labels are
        right: for 5 of 5 cells it is 1 to 1, and Wilson's is 0.57 to 1.
    n_boot, seed
        Samples and seed of the bootstrap; 0 samples for no such intervals (NaN). Every step has the same samples.

    Returns
    -------
    DataFrame ``step, accuracy, accuracy_low, accuracy_high``.

    %(data_errors_and_example)s
    >>> accuracy_curve(["B", "B"], [["B", "B"], ["B", "T"]])["accuracy"].to_list()
    [1.0, 0.5]
    """
    how = method(intervals, n_boot, seed)
    right = np.asarray(truth, dtype=str)
    if right.ndim != 1 or not len(right):
        raise DataError("truth is empty; give the right label of each cell.")
    rows = []
    for step, labels in enumerate(labels_by_step):
        given = np.asarray(labels, dtype=str)
        if given.shape != right.shape:
            raise DataError(f"Step {step} labels {len(given):,} cells, but truth has {len(right):,}.")
        rows.append((step, *share_of(given == right, how)))
    return pd.DataFrame(rows, columns=["step", "accuracy", "accuracy_low", "accuracy_high"])


@documented
def roc_curve_of_cluster(
    scores: Sequence[float] | np.ndarray,
    is_cluster: Sequence[bool] | np.ndarray,
    *, intervals: Intervals = "formula", n_boot: int = 200, seed: int = 0,
) -> pd.DataFrame:  # fmt: skip
    """Return the ROC curve of one cluster against all other cells, with 95% intervals over cells.

    Parameters
    ----------
    scores
        Score of each cell for the cluster's type, length n.
    is_cluster
        Which cells are of the cluster, length n.
    intervals
        ``"formula"`` for Wilson's of the rates and Newcombe's of the area, or ``"bootstrap"``, which for few cells is
        too narrow.
    n_boot, seed
        Samples and seed of the bootstrap, which keeps the number of cells inside and outside; 0 samples for no such
        intervals (NaN).

    Returns
    -------
    DataFrame ``threshold, fpr, tpr, fpr_low, fpr_high, tpr_low, tpr_high``, one row per different score from the
    highest down, after one row at infinity where no cell is called; intervals are those at the same threshold.
    ``attrs`` holds ``auc, auc_low, auc_high``.

    %(data_errors_and_example)s
    >>> roc = roc_curve_of_cluster([0.9, 0.8, 0.7, 0.1], [True, False, True, False])
    >>> roc.attrs["auc"]
    0.75
    """
    how = method(intervals, n_boot, seed)
    values, positive = _checked(scores, is_cluster)
    cut = Thresholds(values, positive, None)

    def measured(weights: Floats) -> Floats:
        tpr, fpr = cut.rates(weights)
        return np.concatenate([fpr, tpr, [area_under(tpr, fpr)]])

    found = measured(np.ones(len(values)))
    (fpr, tpr), area = np.split(found[:-1], 2), float(found[-1])
    inside, outside = int(positive.sum()), int((~positive).sum())
    table = pd.DataFrame({"threshold": cut.thresholds, "fpr": fpr, "tpr": tpr})
    if how.intervals == "formula":
        table["fpr_low"], table["fpr_high"] = wilson(fpr, outside)
        table["tpr_low"], table["tpr_high"] = wilson(tpr, inside)
        low, high = newcombe(area, inside, outside)
    else:
        ends, n = bootstrap(measured, positive, how), len(table)
        table["fpr_low"], table["fpr_high"] = ends[:, :n]
        table["tpr_low"], table["tpr_high"] = ends[:, n : 2 * n]
        low, high = ends[:, -1]
    table.attrs = {"auc": area, "auc_low": float(low), "auc_high": float(high)}
    return table


@documented
def f1_curve(
    scores: Sequence[float] | np.ndarray,
    is_cluster: Sequence[bool] | np.ndarray,
    *,
    thresholds: Sequence[float] | np.ndarray | None = None,
    intervals: Intervals = "formula",
    n_boot: int = 200,
    seed: int = 0,
) -> pd.DataFrame:
    """Return F1 of one cluster by threshold, with 95% intervals over cells.

    A cell is called at a threshold when its score is at least that; F1 is ``2 TP / (2 TP + FP + FN)``.

    Parameters
    ----------
    scores, is_cluster
        As for :func:`roc_curve_of_cluster`.
    thresholds
        Where to measure; every different score, from the highest down, when left out.
    intervals
        ``"formula"`` for MOVER, from Wilson's of both rates, or ``"bootstrap"``, which for few cells is too narrow.
    n_boot, seed
        As for :func:`roc_curve_of_cluster`.

    Returns
    -------
    DataFrame ``threshold, f1, f1_low, f1_high``.

    %(data_errors_and_example)s
    >>> f1_curve([0.9, 0.8, 0.1], [True, True, False], thresholds=[0.5, 0.85])["f1"].round(3).to_list()
    [1.0, 0.667]
    """
    how = method(intervals, n_boot, seed)
    values, positive = _checked(scores, is_cluster)
    at = np.unique(values)[::-1] if thresholds is None else np.asarray(thresholds, dtype=np.float64).ravel()
    if np.isnan(at).any():
        raise ParameterError("thresholds= holds NaN; give numbers.")
    cut, ones = Thresholds(values, positive, at), np.ones(len(values))
    table = pd.DataFrame({"threshold": at, "f1": cut.f1(ones)})
    if how.intervals == "formula":
        table["f1_low"], table["f1_high"] = mover(*cut.rates(ones), int(positive.sum()), int((~positive).sum()))
    else:
        table["f1_low"], table["f1_high"] = bootstrap(cut.f1, positive, how)
    return table


def share_of(cells: Bools, how: Method) -> tuple[float, float, float]:
    """Return the share of True, and its 95% interval."""
    n, share = len(cells), float(cells.mean())
    if how.intervals == "formula":
        low, high = wilson(share, n)
    else:
        low, high = bootstrap(lambda weights: weights @ cells / n, np.ones(n, dtype=bool), how)
    return share, float(low), float(high)


class Thresholds:
    """Cells in the order of their scores, to count those above thresholds under any weights."""

    def __init__(self, scores: Floats, positive: Bools, thresholds: Floats | None) -> None:
        self._order = np.argsort(-scores, kind="stable")
        self._positive = positive[self._order].astype(np.float64)
        every = thresholds is None
        self.thresholds: Floats = (
            np.concatenate([[np.inf], np.unique(scores)[::-1]]) if thresholds is None else thresholds
        )
        self._called = np.searchsorted(-scores[self._order], -self.thresholds, side="right")
        if every:
            self._called[0] = 0  # the start of a ROC curve: no cell is called, not even one that scores infinity

    def _counts(self, weights: Floats) -> tuple[Floats, Floats]:
        """Return true and false positives at each threshold."""
        ordered = weights[self._order]
        true = np.concatenate([[0.0], np.cumsum(ordered * self._positive)])[self._called]
        return true, np.concatenate([[0.0], np.cumsum(ordered)])[self._called] - true

    def rates(self, weights: Floats) -> tuple[Floats, Floats]:
        """Return true and false positive rates at each threshold."""
        true, false = self._counts(weights)
        inside = float(weights[self._order] @ self._positive)
        return true / inside, false / (float(weights.sum()) - inside)

    def auc(self, weights: Floats) -> float:
        """Return the area under the curve, ties counting a half; the thresholds must be all scores."""
        return area_under(*self.rates(weights))

    def f1(self, weights: Floats) -> Floats:
        """Return F1 at each threshold."""
        true, false = self._counts(weights)
        return 2 * true / (true + false + float(weights[self._order] @ self._positive))


def area_under(tpr: Floats, fpr: Floats) -> float:
    """Return the area under a ROC curve, by trapezoids."""
    return float(np.sum(np.diff(fpr) * (tpr[1:] + tpr[:-1]) / 2))


def _checked(scores: Sequence[float] | np.ndarray, is_cluster: Sequence[bool] | np.ndarray) -> tuple[Floats, Bools]:
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
