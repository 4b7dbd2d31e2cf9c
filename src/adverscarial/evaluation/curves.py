"""What a curve is: accuracy, ROC and F1 of one cluster at each step of an attack (the paper's Fig. 4C-E)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from adverscarial._types import Bools, Floats
from adverscarial.errors import ClassifierError, ParameterError
from adverscarial.evaluation.intervals import Intervals, Method, bootstrap, mover, newcombe
from adverscarial.evaluation.scores import Thresholds, f1_curve, roc_curve_of_cluster, share_of


@dataclass(frozen=True, repr=False)
class Curve:
    """What a classifier answers for a cluster as an attack grows.

    Attributes
    ----------
    classifier, groupby, target
        What was attacked.
    label
        The classifier's label for the unmodified cluster.
    axis
        What grows: ``"n_genes"`` or ``"strength"``.
    table
        One row per step: see :meth:`to_frame`.
    positive
        Which cells belong to the cluster, shape (cells,).
    clean_scores
        Score of :attr:`label` for each cell before the attack, shape (cells,); None where the classifier gives none.
    step_scores
        Score of :attr:`label` for each cell at each step, shape (steps, cells); None where the classifier gives none.
    intervals
        How intervals over cells are made: ``"formula"`` or ``"bootstrap"``.
    n_boot, seed
        Samples and seed of the bootstrap.
    """

    classifier: str
    groupby: str
    target: str
    label: str
    axis: str
    table: pd.DataFrame
    positive: Bools
    clean_scores: Floats | None
    step_scores: Floats | None
    intervals: Intervals
    n_boot: int
    seed: int

    def to_frame(self) -> pd.DataFrame:
        """Return one row per step.

        Columns: the axis (``n_genes`` or ``strength``); ``label`` and ``share`` of the cluster; ``rejected``, where the
        classifier refused the input (the numbers are NaN then); ``accuracy``, the share of the cluster's cells that
        keep the baseline label (NaN for a classifier of whole clusters). Where there are scores: ``auc``, the area
        under the ROC curve of the cluster against all other cells, and ``f1``, at the threshold that was best before
        the attack. ``*_low`` and ``*_high`` are 95% intervals over cells, made as :attr:`intervals` says: by formula
        (Wilson's for the accuracy, Newcombe's for the area, MOVER for F1), or by bootstrap.
        """
        return self.table.copy()

    def scores(self, step: float | None = None) -> Floats:
        """Return the score of each cell of the data set for the baseline label, shape (cells,).

        Parameters
        ----------
        step
            Value of the axis; before the attack when left out.

        Raises
        ------
        ClassifierError
            If the classifier gives labels only, has no score for the baseline label, or refused this step.
        ParameterError
            If there is no such step.
        """
        if self.step_scores is None or self.clean_scores is None:
            raise ClassifierError(
                f"{self.classifier} gives no score for '{self.label}', so there is no ROC or F1 curve; its accuracy is "
                "in to_frame(). Use a classifier with scores, whose label for the cluster is one of its classes."
            )
        if step is None:
            return self.clean_scores
        steps = self.table[self.axis].to_list()
        if step not in steps:
            raise ParameterError(f"There is no step {self.axis}={step!r}; there are {steps}.")
        found: Floats = self.step_scores[steps.index(step)]
        if np.isnan(found).any():
            raise ClassifierError(f"{self.classifier} refused the input at {self.axis}={step}: it has no scores there.")
        return found

    def roc(self, step: float | None = None) -> pd.DataFrame:
        """Return the ROC curve at one step, or before the attack; see :func:`roc_curve_of_cluster`."""
        return roc_curve_of_cluster(
            self.scores(step), self.positive, intervals=self.intervals, n_boot=self.n_boot, seed=self.seed
        )

    def f1(self, step: float | None = None, *, thresholds: Sequence[float] | np.ndarray | None = None) -> pd.DataFrame:
        """Return F1 by threshold at one step, or before the attack; see :func:`f1_curve`."""
        return f1_curve(
            self.scores(step), self.positive,
            thresholds=thresholds, intervals=self.intervals, n_boot=self.n_boot, seed=self.seed,
        )  # fmt: skip

    def __repr__(self) -> str:
        return f"<Curve of {self.classifier}, cluster '{self.target}', {len(self.table)} steps of {self.axis}>"

    def __str__(self) -> str:
        shown = [name for name in (self.axis, "label", "accuracy", "auc", "f1", "rejected") if name in self.table]
        head = f"{self.classifier}, cluster '{self.target}', baseline {self.label}"
        return f"{head}\n{self.table[shown].to_string(index=False, float_format='{:.3f}'.format)}"


def measured(
    table: pd.DataFrame,
    kept: list[Bools | None],
    clean: Floats | None,
    scores: Floats | None,
    positive: Bools,
    how: Method,
) -> pd.DataFrame:
    """Return the table of a curve: its steps, and what is measured at each.

    Parameters
    ----------
    table
        The axis, ``label``, ``share`` and ``rejected``, one row per step.
    kept
        Per step, which cells of the cluster keep the baseline label; None if the classifier answers for clusters only.
    clean, scores
        Scores before the attack, shape (cells,), and at each step, shape (steps, cells); None without scores.
    positive
        Which cells are of the cluster, shape (cells,).
    how
        How intervals are made.
    """
    refused = table["rejected"].to_numpy(dtype=bool)
    nothing = (np.nan, np.nan, np.nan)
    accuracy: list[tuple[float, ...]] = [
        nothing if no or cells is None else share_of(cells, how) for cells, no in zip(kept, refused, strict=True)
    ]
    names = ["accuracy", "accuracy_low", "accuracy_high"]
    if clean is not None and scores is not None:
        before = f1_curve(clean, positive)
        threshold = float(before["threshold"][before["f1"].idxmax()])
        both = [nothing * 2 if np.isnan(row).any() else _ranked(row, positive, threshold, how) for row in scores]
        accuracy = [a + b for a, b in zip(accuracy, both, strict=True)]
        names += ["auc", "auc_low", "auc_high", "f1", "f1_low", "f1_high"]
    return pd.concat([table, pd.DataFrame(accuracy, columns=names, dtype=np.float64)], axis=1)


def _ranked(scores: Floats, positive: Bools, threshold: float, how: Method) -> tuple[float, ...]:
    """Return area and F1 at the threshold, each with its interval."""
    every, one = Thresholds(scores, positive, None), Thresholds(scores, positive, np.array([threshold]))

    def both(weights: Floats) -> Floats:
        return np.array([every.auc(weights), one.f1(weights)[0]])

    ones = np.ones(len(scores))
    area, f1 = both(ones).tolist()
    if how.intervals == "formula":
        sizes = int(positive.sum()), int((~positive).sum())
        tpr, fpr = (float(rate[0]) for rate in one.rates(ones))
        low, high = mover(tpr, fpr, *sizes)
        return area, *newcombe(area, *sizes), f1, float(low), float(high)
    lows, highs = bootstrap(both, positive, how).tolist()
    return area, lows[0], highs[0], f1, lows[1], highs[1]
