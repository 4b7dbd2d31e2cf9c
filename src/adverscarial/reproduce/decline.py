"""Findings about what an attack does as it grows: accuracy, F1 and area, by strength and by genes (Fig. 4C-E).

As in :mod:`adverscarial.reproduce.findings`, each is a small function from numbers to a verdict with its sentence.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise

import numpy as np
import pandas as pd

from adverscarial.errors import ClassifierError
from adverscarial.evaluation import Curve
from adverscarial.reproduce.findings import COLUMNS, FAILS, FIVE, HOLDS, OPEN, Finding, stated, totals

#: classifier -> alpha = epsilon -> its curve
Curves = Mapping[str, Mapping[float, Curve]]
#: genes of the paper's longer curves
LONGER = {"scAnnotatR": 500, "scRF": 4_000}
#: an accuracy that falls by more is hurt, by at most this is hardly touched
HURT = 0.1
#: sums that differ by at most so many times do not differ drastically
DRASTIC = 10
_STEPS = 50  # thresholds at which F1 is read
_SAME = 0.005  # accuracies closer than this are equal


@stated("section 3.3.3, Fig. 4C")
def higher_is_worse(curves: Curves) -> Finding:
    """Judge whether larger alpha = epsilon lower the accuracy more, on each classifier.

    Read is the mean accuracy over the steps of each curve: a descent that takes all at once and one that takes all at
    the end are not the same.
    """
    claim = "The larger alpha = epsilon, the more accuracy a gradient descent takes"
    if not curves or any(len(by) < 2 for by in curves.values()):
        return Finding(claim, OPEN, "It needs curves of at least two strengths for each classifier.")
    falls, parts = [], []
    for name, by in curves.items():
        means = {at: float(curve.table["accuracy"].mean()) for at, curve in sorted(by.items())}
        values = list(means.values())
        falls.append(all(b <= a + _SAME for a, b in pairwise(values)))
        parts.append(f"{name} {', '.join(f'{mean:.2f} at {at:g}' for at, mean in means.items())}")
    return Finding(claim, HOLDS if all(falls) else FAILS, f"Mean accuracy along the curve: {'; '.join(parts)}.")


@stated("section 3.3.3, Fig. 4E")
def f1_falls_at_high_thresholds(curves: Mapping[str, Curve]) -> Finding:
    """Judge whether F1 is lower after the attack at thresholds above the one that was best before it."""
    claim = "After a gradient descent F1 is lower at high thresholds, for every classifier"
    parts, falls = [], []
    for name, curve in curves.items():
        try:
            clean = curve.scores()
            best = curve.f1()
            above = np.linspace(float(best["threshold"][best["f1"].idxmax()]), float(clean.max()), _STEPS)
            last = float(curve.table[curve.axis].iloc[-1])
            before, after = (float(curve.f1(step, thresholds=above)["f1"].mean()) for step in (None, last))
        except ClassifierError:
            continue
        falls.append(after < before)
        parts.append(f"{name} {before:.2f} to {after:.2f}")
    if not parts:
        return Finding(claim, OPEN, "It needs a classifier with scores.")
    said = f"Mean F1 from the best threshold before the attack up, before and after: {', '.join(parts)}."
    return Finding(claim, HOLDS if all(falls) else FAILS, said)


@stated("section 3.3.3, Fig. 4C")
def forest_outlasts(curves: Mapping[str, Curve]) -> Finding:
    """Judge whether scAnnotatR has lost accuracy after 500 genes, and scRF hardly any after 4,000."""
    claim = "scAnnotatR is hurt when 500 genes are attacked, and scRF hardly when 4,000 are"
    if any(name not in curves for name in LONGER):
        return Finding(claim, OPEN, f"It needs curves of {' and '.join(LONGER)}.")
    lost, parts = {}, []
    for name, genes in LONGER.items():
        table = curves[name].table
        first, last = table.iloc[0], table.iloc[-1]
        if last["n_genes"] < genes:
            return Finding(claim, OPEN, f"The data have {int(last['n_genes']):,} genes to attack {name} through.")
        lost[name] = float(first["accuracy"] - last["accuracy"])
        measured = [name for name in ("accuracy", "auc", "f1") if name in table]
        listed = ", ".join(f"{what} {first[what]:.2f} to {last[what]:.2f}" for what in measured)
        parts.append(f"{name}, {int(last['n_genes']):,} genes: {listed}")
    holds = lost["scAnnotatR"] > HURT >= lost["scRF"]
    return Finding(claim, HOLDS if holds else FAILS, f"{'; '.join(parts)}.")


@stated("section 3.3.2, Fig. 2C")
def alike_in_sum(frame: pd.DataFrame) -> Finding:
    """Judge by a survey's table whether the five modifications reach sums of signatures that hardly differ."""
    claim = "Summed over clusters, the signatures of the five modifications do not differ drastically"
    column = COLUMNS[1]
    found = {name: totals(frame, column, name) for name in frame["classifier"].unique()}
    sums = {name: n for name, n in found.items() if n is not None and set(FIVE) <= set(n)}
    if len(sums) < len(found) or not sums:
        return Finding(claim, OPEN, "It needs complete results of MaxChange, of all five modifications.")
    within, parts = [], []
    for name, numbers in sums.items():
        low, high = min(numbers.values()), max(numbers.values())
        within.append(high <= DRASTIC * max(low, 1))
        parts.append(f"{name} {low:,} to {high:,}")
    said = f"Smallest and largest sum: {', '.join(parts)}; drastic is taken to mean more than {DRASTIC} times."
    return Finding(claim, HOLDS if all(within) else FAILS, said)
