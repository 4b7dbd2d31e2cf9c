"""What an attack does as it grows, on made-up curves: each finding can hold, fail, and be left open."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import pytest

from adverscarial.evaluation import Curve
from adverscarial.reproduce.decline import alike_in_sum, f1_falls_at_high_thresholds, forest_outlasts, higher_is_worse
from adverscarial.reproduce.findings import FAILS, FIVE, HOLDS, OPEN, STATED

POSITIVE = np.array([True, True, True, False, False, False])
CLEAN = np.array([0.9, 0.8, 0.7, 0.3, 0.2, 0.1])


def curve(accuracy: Sequence[float], genes: Sequence[int] = (0, 500), last: np.ndarray | None = CLEAN) -> Curve:
    """Make a curve with these accuracies; `last` holds the scores of the last step, None for labels only."""
    table = pd.DataFrame({"n_genes": genes, "accuracy": accuracy, "rejected": False, "auc": 1.0, "f1": 1.0})
    scores = None if last is None else np.stack([*[CLEAN] * (len(genes) - 1), last])
    clean = None if last is None else CLEAN
    return Curve("x", "type", "B", "B", "n_genes", table, POSITIVE, clean, scores, "formula", 0, 0)


@pytest.mark.parametrize(
    ("means", "verdict"), [((0.9, 0.5, 0.2), HOLDS), ((0.9, 0.5, 0.5), HOLDS), ((0.9, 0.5, 0.6), FAILS)]
)
def test_higher_values_take_more_accuracy(means: Sequence[float], verdict: str) -> None:
    by = {at: curve([mean, mean]) for at, mean in zip((0.5, 1.0, 10.0), means, strict=True)}
    found = higher_is_worse({"scRF": by})
    assert found.verdict == verdict
    assert f"{means[0]:.2f} at 0.5" in found.because
    assert (found.where, found.judge) == ("section 3.3.3, Fig. 4C", "higher_is_worse")
    assert higher_is_worse({"scRF": {1.0: by[1.0]}}).verdict == OPEN


def test_f1_at_high_thresholds() -> None:
    lower = curve([1, 0], last=np.array([0.4, 0.3, 0.2, 0.3, 0.2, 0.1]))
    higher = curve([1, 1], last=np.array([0.95, 0.95, 0.95, 0.3, 0.2, 0.1]))
    assert f1_falls_at_high_thresholds({"scRF": lower}).verdict == HOLDS
    assert f1_falls_at_high_thresholds({"scRF": lower, "scMLP": higher}).verdict == FAILS
    assert f1_falls_at_high_thresholds({"CHETAH": curve([1, 0], last=None)}).verdict == OPEN


@pytest.mark.parametrize(("hurt", "spared", "verdict"), [(0.2, 0.95, HOLDS), (0.95, 0.95, FAILS), (0.2, 0.5, FAILS)])
def test_the_forest_outlasts(hurt: float, spared: float, verdict: str) -> None:
    curves = {"scAnnotatR": curve([1, hurt]), "scRF": curve([1, spared], genes=(0, 4_000))}
    found = forest_outlasts(curves)
    assert found.verdict == verdict
    assert f"scRF, 4,000 genes: accuracy 1.00 to {spared:.2f}" in found.because


def test_shorter_curves_judge_nothing() -> None:
    assert forest_outlasts({"scRF": curve([1, 1])}).verdict == OPEN
    short = {"scAnnotatR": curve([1, 0]), "scRF": curve([1, 1], genes=(0, 3_000))}
    assert forest_outlasts(short).verdict == OPEN


@pytest.mark.parametrize(("largest", "verdict"), [(20, HOLDS), (21, FAILS), (None, OPEN)])
def test_sums_of_signatures(largest: int | None, verdict: str) -> None:
    sums = dict.fromkeys(FIVE, 2) | {FIVE[0]: largest}
    rows = [("scRF", "MaxChange", name, n, True) for name, n in sums.items()]
    frame = pd.DataFrame(rows, columns=["classifier", "attack", "modification", "signature", "complete"])
    assert alike_in_sum(frame.astype({"signature": "Int64"})).verdict == verdict


def test_every_statement_has_its_place_in_the_paper() -> None:
    assert all(where.startswith("section ") for where in STATED.values())
