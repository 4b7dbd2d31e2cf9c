"""From labels of cells to numbers: shares with intervals, and the strength at which a label is lost."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from adverscarial._types import Bools, Floats, Row
from adverscarial.classifiers.answers import plain_name, vote
from adverscarial.evaluation.intervals import wilson

_HALF = 0.5  # of the cells must keep their label
_ENDS = 0.025, 0.975  # of draws


def share_of_hits(hits: Bools) -> tuple[float, float, float]:
    """Return the share of hits and its 95% interval over cells and draws.

    Parameters
    ----------
    hits
        Shape (draws, cells); the same cells in each draw.

    Notes
    -----
    The variance of the share is that of the cells' means, divided by the number of cells, plus that of the draws'
    means, divided by the number of draws. The interval is Wilson's for as many independent cells as have that variance,
    at most as many as there are.
    """
    draws, n = hits.shape
    share = float(hits.mean())
    variance = float(hits.mean(axis=0).var(ddof=1)) / n if n > 1 else np.inf
    variance += float(hits.mean(axis=1).var(ddof=1)) / draws if draws > 1 else 0.0
    alike = share * (1 - share) / variance if variance > 0 else float(n)
    low, high = wilson(share, min(max(alike, 1.0), n))
    return share, float(low), float(high)


def rows_of(before: np.ndarray, after: np.ndarray, strengths: Sequence[float], cluster: str) -> list[Row]:
    """Return the rows of the table of one classifier, cluster and change: one per strength, 0 included.

    Parameters
    ----------
    before
        Label of each unmodified cell, shape (cells,).
    after
        The same after the change, shape (draws, strengths, cells).
    strengths
        In rising order, without 0.
    cluster
        Name of the cluster.
    """
    baseline = vote(before)[0]
    rows: list[Row] = []
    for k, strength in enumerate([0.0, *strengths]):
        labels = before[None, :] if k == 0 else after[:, k - 1, :]
        kept, kept_low, kept_high = share_of_hits(labels == before)
        right, right_low, right_high = share_of_hits(right_cells(labels, cluster))
        votes = np.array([vote(one)[0] for one in labels])
        rows.append({
            "strength": float(strength), "n_cells": len(before), "baseline": baseline,
            "label": vote(votes)[0], "held": float((votes == baseline).mean()),
            "kept": kept, "kept_low": kept_low, "kept_high": kept_high,
            "accuracy": right, "accuracy_low": right_low, "accuracy_high": right_high,
        })  # fmt: skip
    return rows


def draws_of(before: np.ndarray, after: np.ndarray, strengths: Sequence[float], cluster: str) -> list[Row]:
    """Return one row per strength and draw: the cluster's label, and the shares of that draw."""
    return [
        {
            "strength": float(strength), "draw": draw, "label": vote(after[draw, k])[0],
            "kept": float((after[draw, k] == before).mean()),
            "accuracy": float(right_cells(after[draw, k], cluster).mean()),
        }
        for k, strength in enumerate(strengths)
        for draw in range(len(after))
    ]  # fmt: skip


def right_cells(labels: np.ndarray, cluster: str) -> Bools:
    """Return which labels are the cluster's own name, without regard to case, underscores and blanks around it."""
    names, codes = np.unique(labels, return_inverse=True)
    right = np.array([plain_name(name) == plain_name(cluster) for name in names])
    return np.asarray(right[codes].reshape(labels.shape))


def label_lost(strengths: Floats, labels: np.ndarray, baseline: str) -> float:
    """Return the first strength at which a draw has another label; infinite where it has none."""
    other = np.flatnonzero(labels != baseline)
    return float(strengths[other[0]]) if len(other) else np.inf


def half_lost(strengths: Floats, kept: Floats) -> float:
    """Return the strength at which half of the cells of a draw have another label than before; else infinite.

    On the line between the last strength at which more have kept it and the next; at strength 0 all have.
    """
    x, y = np.concatenate([[0.0], strengths]), np.concatenate([[1.0], kept])
    below = np.flatnonzero(y <= _HALF)
    if not len(below):
        return np.inf
    k = int(below[0])
    return float(x[k - 1] + (y[k - 1] - _HALF) / (y[k - 1] - y[k]) * (x[k] - x[k - 1]))


def over_draws(values: Sequence[float]) -> tuple[float, float, float, float]:
    """Return median, both ends of the 95% interval, and the share of finite ones.

    With fewer than 40 draws the ends are the smallest and the largest.
    """
    found = np.sort(np.asarray(values, dtype=np.float64))
    low = np.quantile(found, _ENDS[0], method="lower")
    high = np.quantile(found, _ENDS[1], method="higher")
    middle = found[(len(found) - 1) // 2], found[len(found) // 2]  # means of infinite ones would be NaN
    median = middle[0] if middle[0] == middle[1] else (middle[0] + middle[1]) / 2
    return float(median), float(low), float(high), float(np.isfinite(found).mean())


def critical_rows(draws: pd.DataFrame, baselines: dict[tuple[str, str, str], str]) -> list[Row]:
    """Return one row per change, classifier and cluster: the strengths at which label and cells are lost.

    Parameters
    ----------
    draws
        One row per change, classifier, cluster, strength and draw.
    baselines
        The cluster's label before, by change, classifier and cluster.
    """
    rows: list[Row] = []
    for (change, classifier, cluster), part in draws.groupby(["change", "classifier", "cluster"], sort=False):
        baseline = baselines[change, classifier, cluster]
        by_draw = [one.sort_values("strength") for _, one in part.groupby("draw")]
        strengths = by_draw[0]["strength"].to_numpy(dtype=np.float64)
        labels = [one["label"].to_numpy(dtype=str) for one in by_draw]
        lost = [label_lost(strengths, said, baseline) for said in labels]
        half = [half_lost(strengths, one["kept"].to_numpy(dtype=np.float64)) for one in by_draw]
        becomes = [said[said != baseline][0] for said in labels if (said != baseline).any()]
        row: Row = {"change": change, "classifier": classifier, "cluster": cluster, "baseline": baseline}
        row["tested"] = float(strengths[-1])
        for name, values in (("label", lost), ("cells", half)):
            row[name], row[f"{name}_low"], row[f"{name}_high"], row[f"{name}_lost"] = over_draws(values)
        row["becomes"] = vote(np.array(becomes))[0] if becomes else ""
        rows.append(row)
    return rows
