"""What FGSM and PGD share: their settings, the ball around each cell, and the result."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass
from typing import Any, ClassVar, Literal

import numpy as np
import pandas as pd
from anndata import AnnData

from adverscarial._types import Row
from adverscarial.attacks.base import Attack
from adverscarial.attacks.columns import EXCLUDE, NEW_TARGET, Column, Option
from adverscarial.attacks.gate import Gate
from adverscarial.attacks.judge import Judge
from adverscarial.attacks.result import Result
from adverscarial.attacks.run import BudgetSpent, Run
from adverscarial.attacks.settings import candidates
from adverscarial.attacks.slopes import Slopes, slopes_for
from adverscarial.attacks.verification import Verification
from adverscarial.cells.choice import Cells
from adverscarial.cells.cluster import Cluster, gene_positions
from adverscarial.errors import DataError, ParameterError, did_you_mean, some


@dataclass(frozen=True, repr=False)
class GradientAttack(Attack["GradientResult"]):
    """Base of the attacks that move every cell along the slope of its own loss, by at most `epsilon`."""

    blas_threads: ClassVar[int | None] = None  # few queries, about all genes of all cells
    example_settings: ClassVar[str] = "--epsilon 0.5"
    options: ClassVar[tuple[Option, ...]] = (
        Option("genes", str, "Only this gene may change; repeat for several.", several=True, flag="gene"),
        EXCLUDE,
        Option("epsilon", float, "Largest change of a value."),
        NEW_TARGET,
        Option("norm", str, "What epsilon bounds: linf, each value; l2, the length of a cell's change."),
        Option("nonnegative", bool, "Keep values from falling below 0."),
    )

    epsilon: float
    _: KW_ONLY
    norm: Literal["linf", "l2"] = "linf"
    genes: Sequence[str] | str | None = None
    exclude: Sequence[str] | str = ()
    new_target: str | None = None
    nonnegative: bool = False
    minimum: float | None = None
    maximum: float | None = None
    finite_step: float | None = None

    def __post_init__(self) -> None:
        check_positive(epsilon=self.epsilon)
        if self.finite_step is not None:
            check_positive(finite_step=self.finite_step)
        for name in ("minimum", "maximum"):
            value = getattr(self, name)
            if value is not None and (not isinstance(value, int | float | np.number) or np.isnan(value)):
                raise ParameterError(f"{name} must be a number, got {value!r}.")
        if self.norm not in ("linf", "l2"):
            raise ParameterError(f"norm must be 'linf' or 'l2', got {self.norm!r}.")
        low, high = self._bounds
        if not low < high:
            raise ParameterError(f"The bounds leave nothing: values must be at least {low:g} and at most {high:g}.")

    @property
    def _bounds(self) -> tuple[float, float]:
        low = -np.inf if self.minimum is None else float(self.minimum)
        return max(low, 0.0) if self.nonnegative else low, np.inf if self.maximum is None else float(self.maximum)

    @abstractmethod
    def _perturb(self, climb: Climb) -> tuple[np.ndarray, bool]:
        """Return new values of ``climb.genes``, and whether the budget was enough."""

    def perform(self, run: Run) -> GradientResult:  # noqa: D102
        cluster, baseline = run.cluster, run.baseline
        genes = candidates(cluster, self.genes, self.exclude)
        reads = run.scorer.reads(genes)
        run.meter.proven += int((~reads).sum())
        low, high = self._bounds
        slopes = slopes_for(
            run, genes[reads], named=self.genes is not None,
            step=self.epsilon if self.finite_step is None else self.finite_step, low=low, high=high,
        )  # fmt: skip
        climb = Climb(run, slopes, self)
        # the closing query is paid first, so that every end is a checked one
        values, complete = self._perturb(climb) if run.meter.can_ask(cluster.n_cells) else (climb.start, False)
        if cluster.counts:  # whole again, towards the cells' own values, so that they stay inside the ball
            values = np.maximum(climb.start + np.trunc(values - climb.start), 0.0)
        block = values.astype(cluster.dtype)
        moved = (block != cluster.values(climb.genes)).any(axis=0)
        changed, block = climb.genes[moved], block[:, moved]
        answer = run.scorer.together(changed, block) if len(changed) else baseline
        before = np.asarray(baseline.labels, dtype=str)
        change = np.abs(block.astype(np.float64) - cluster.values(changed))
        found: dict[str, Any] = {
            "rejected": answer.rejected,
            "reason": answer.reason, "cells": np.asarray(cluster.cells, dtype=str), "label_before": before,
            "label_after": before if answer.rejected else np.asarray(answer.labels, dtype=str),
            "changed": np.asarray(cluster.gene_names[changed], dtype=str), "values": block,
            "mean_change": change.mean(axis=0), "l0": (change > 0).sum(axis=1), "l1": change.sum(axis=1),
            "l2": np.sqrt((change**2).sum(axis=1)), "linf": change.max(axis=1, initial=0.0),
        }  # fmt: skip
        return GradientResult(**run.shared(label=answer.label, share=answer.share, complete=complete), **found)


def check_positive(**settings: object) -> None:
    """Raise a ParameterError unless every setting is a positive, finite number."""
    for name, value in settings.items():
        if not isinstance(value, int | float | np.number) or not 0 < value < np.inf:
            raise ParameterError(f"{name} must be a positive number, in the units of the data, got {value!r}.")


class Climb:
    """Steps uphill on the cells' losses, inside the ball around each cell and between the bounds."""

    def __init__(self, run: Run, slopes: Slopes, attack: GradientAttack) -> None:
        self._run, self._slopes, self._attack = run, slopes, attack
        dtype = run.cluster.dtype
        self._low, self._high = (float(dtype.type(bound)) for bound in attack._bounds)  # as the data can hold them
        #: positions of the genes that can change, and the seed of random starts
        self.genes, self.seed = slopes.genes, run.cluster.seed
        #: values of these genes in the cluster, float64, shape (cells, genes)
        self.start = run.cluster.values(self.genes).astype(np.float64)
        outside = (self.start < self._low) | (self.start > self._high)
        if outside.any():
            raise DataError(
                f"{int(outside.sum()):,} values lie outside the bounds {self._low:g} to {self._high:g} before any "
                f"attack, of the genes {some(run.cluster.genes[self.genes[outside.any(axis=0)]], 3)}. Bounds "
                "must hold for the data: drop nonnegative= for z-scores, or widen minimum= and maximum=."
            )
        self._before = np.asarray(run.baseline.labels, dtype=str)
        target = attack.new_target
        if target is not None and target not in slopes.classes:
            raise ParameterError(
                f"new_target='{target}' is no class of the classifier.{did_you_mean(target, slopes.classes)} "
                f"There are: {some(slopes.classes, 12)}."
            )
        # away from each cell's own label, or towards one label for all
        self._sign = 1.0 if target is None else -1.0
        self._codes = slopes.codes(self._before.tolist() if target is None else [target] * len(self._before))

    def step(self, values: np.ndarray, length: float) -> np.ndarray:
        """Return `values` moved by `length` in the steepest direction of the norm, and back into the ball."""
        self._run.meter.ask(self._slopes.queries, len(self.start))
        slopes = self._sign * self._slopes(values, self._codes)
        if self._attack.norm == "linf":
            direction = np.sign(slopes)
        else:
            size = np.linalg.norm(slopes, axis=1, keepdims=True)
            direction = slopes / np.where(size > 0, size, 1.0)
        self._run.meter.advance()
        return self.inside(values + length * direction)

    def inside(self, values: np.ndarray) -> np.ndarray:
        """Return values between the bounds, and then pulled back into each cell's ball.

        A cell's own values keep the bounds, so the way back to them keeps the bounds, too.
        """
        epsilon = self._attack.epsilon
        change = np.clip(values, self._low, self._high) - self.start
        if self._attack.norm == "linf":
            change = np.clip(change, -epsilon, epsilon)
        else:
            change *= np.minimum(1.0, epsilon / np.maximum(np.linalg.norm(change, axis=1, keepdims=True), epsilon))
        found: np.ndarray = np.clip(self.start + change, self._low, self._high)  # rounding alone
        return found

    def random(self, rng: np.random.Generator) -> np.ndarray:
        """Return a start drawn uniformly from each cell's ball, then clipped to the bounds."""
        cells, genes = self.start.shape
        if self._attack.norm == "linf":
            change = rng.uniform(-1, 1, size=(cells, genes))
        else:
            change = rng.normal(size=(cells, genes))
            change /= np.maximum(np.linalg.norm(change, axis=1, keepdims=True), np.finfo(np.float64).tiny)
            change *= rng.random((cells, 1)) ** (1 / max(genes, 1))
        return self.inside(self.start + self._attack.epsilon * change)

    def reached(self, values: np.ndarray) -> np.ndarray:
        """Return which cells have lost their label, or got the one aimed at; one query."""
        self._run.meter.ask(1, len(self.start))
        answer = self._run.scorer.together(self.genes, values.astype(self._run.cluster.dtype))
        if answer.rejected:
            return np.zeros(len(values), dtype=bool)
        return _reached(self._before, np.asarray(answer.labels, dtype=str), self._attack.new_target)


def _reached(before: np.ndarray, after: np.ndarray, new_target: str | None) -> np.ndarray:
    found: np.ndarray = before != after if new_target is None else after == new_target
    return found


@dataclass(frozen=True, repr=False, kw_only=True)
class GradientResult(Result):
    """The moved cells, and what the classifier says of them.

    Attributes
    ----------
    rejected, reason
        Whether the classifier refused the moved cells, and why; labels are then those of before.
    cells
        Names of the cluster's cells.
    label_before, label_after
        Their labels.
    changed
        Genes that changed in any cell, in gene order.
    values
        New values of these genes, shape (cells, genes), in the data's number type.
    mean_change
        Mean absolute change of each changed gene.
    l0, l1, l2, linf
        Norms of each cell's change: number of genes, sum, Euclidean length, largest.
    """

    columns: ClassVar[tuple[Column, ...]] = (
        Column("rejected", "whole", "Whether the classifier refused the moved cells: 1, or 0."),
        Column("success", "yes-no", "Whether the cluster has another label, or the one aimed at."),
        Column("genes_changed", "whole", "Genes that changed in any cell."),
        Column("cells_flipped", "whole", "Cells that have another label."),
        Column("linf", "number", "Largest change of any value."),
        Column("l2", "number", "Mean Euclidean length of a cell's change."),
    )
    gate: ClassVar[Gate | None] = Gate("success", "above", "a small change of all genes flips {where}")

    attack: GradientAttack
    rejected: bool
    reason: str
    cells: np.ndarray
    label_before: np.ndarray
    label_after: np.ndarray
    changed: np.ndarray
    values: np.ndarray
    mean_change: np.ndarray
    l0: np.ndarray
    l1: np.ndarray
    l2: np.ndarray
    linf: np.ndarray

    @property
    def genes(self) -> list[str]:
        """The changed genes, the largest mean absolute change first; equal ones in gene order."""
        return [str(gene) for gene in self.changed[np.argsort(-self.mean_change, kind="stable")]]

    @property
    def flipped(self) -> np.ndarray:
        """Which cells changed their label."""
        found: np.ndarray = self.label_before != self.label_after
        return found

    @property
    def cell_success(self) -> np.ndarray:
        """Which cells lost their label, or in a targeted attack have the one aimed at."""
        return _reached(self.label_before, self.label_after, self.attack.new_target) & (not self.rejected)

    @property
    def success(self) -> bool:
        """Whether the cluster's vote did."""
        target = self.attack.new_target
        return not self.rejected and (self.label != self.baseline if target is None else self.label == target)

    def to_frame(self) -> pd.DataFrame:
        """Return one row per cell: ``cell, label_before, label_after, flipped, linf, l2``."""
        columns = {"cell": self.cells, "label_before": self.label_before, "label_after": self.label_after}
        return pd.DataFrame({**columns, "flipped": self.flipped, "linf": self.linf, "l2": self.l2})

    def __str__(self) -> str:
        n, most = len(self.cells), self.genes[:5]
        outcome = f"rejected: {self.reason}" if self.rejected else f"{self.label} ({self.share:.0%} of the cells)"
        aim = "lost their label" if self.attack.new_target is None else f"are {self.attack.new_target}"
        return "\n".join(
            [
                self._headline(),
                f"  label then {outcome}",
                f"  cells     {int(self.cell_success.sum()):,} of {n:,} {aim}, {int(self.flipped.sum()):,} changed it",
                f"  change    {len(self.changed):,} genes, per cell at most {self.linf.max():.3g} in one gene and "
                f"{self.l2.max():.3g} in length{'; most: ' + ', '.join(most) if most else ''}",
                self._footer(),
            ]
        )

    @property
    def changed_genes(self) -> list[str]:
        """The genes that changed in any cell, in gene order."""
        return [str(gene) for gene in self.changed]

    @property
    def n_rejected(self) -> int:
        """1 where the classifier refused the moved cells, else 0."""
        return int(self.rejected)

    def stored_values(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return names of cells, names of genes, and new values of shape (cells, genes)."""
        return self.cells, self.changed, self.values

    def of_cells(self) -> pd.DataFrame:
        """Return the label of each cell before and after."""
        columns = {"before": self.label_before, "after": self.label_after}
        return pd.DataFrame(columns, index=pd.Index(self.cells, dtype=object))

    def changed_values(self, cluster: Cluster, positions: np.ndarray) -> np.ndarray:
        """Return the stored values, each for the cell of that name."""
        rows = np.arange(len(self.cells))
        if not np.array_equal(np.asarray(cluster.cells, dtype=str), self.cells):
            known = pd.Index(self.cells)
            if not known.is_unique:
                raise DataError("Cell names repeat and stand in another order now; the changes cannot be placed.")
            rows = known.get_indexer(cluster.cells)
            if (rows < 0).any() or len(rows) != len(known):
                raise DataError(
                    f"Cluster '{self.target}' has {len(rows):,} cells, {int((rows < 0).sum()):,} of them unknown to "
                    f"this result of {len(known):,} cells. A gradient attack holds for the cells it was run on."
                )
        found: np.ndarray = self.values[np.ix_(rows, gene_positions(pd.Index(self.changed), cluster.genes[positions]))]
        return found

    def apply(self, adata: Cells, gene: str | None = None) -> AnnData:
        """Return a copy of `adata` with the moved cells; the original stays as it is.

        Raises
        ------
        DataError
            If the cluster's cells are others than those attacked.
        ParameterError
            If a gene is named: all genes move together here.
        """
        return super().apply(adata, gene)

    def verify(self, adata: Cells, classifier: object) -> Verification:
        """Classify the moved cells from scratch; the cluster's label and every cell's label must be as claimed."""
        judge = Judge(adata, classifier, self)
        answer = judge.ask(judge.cluster.positions(self.changed_genes))
        if answer.rejected or self.rejected:
            claimed = "rejected" if self.rejected else self.label
            found = "rejected" if answer.rejected else answer.label
            return Verification.of([("all changed genes", claimed, found, answer.share, found == claimed)])
        said = pd.Series(np.asarray(answer.labels, dtype=str), index=judge.cluster.cells)
        claim = pd.Series(self.label_after, index=self.cells)
        same = int((said.sort_index().to_numpy() == claim.sort_index().to_numpy()).sum())
        n = len(self.cells)
        return Verification.of(
            [
                ("all changed genes", self.label, answer.label, answer.share, answer.label == self.label),
                ("all changed genes, cell by cell", f"{n:,} labels", f"{same:,} the same", same / n, same == n),
            ]
        )

    def row(self) -> Row:  # noqa: D102
        return {
            **super().row(),
            "rejected": int(self.rejected),
            "success": self.success,
            "cells_flipped": int(self.flipped.sum()),
            "genes_changed": len(self.changed),
            "linf": float(self.linf.max()),
            "l2": float(self.l2.mean()),
        }


def try_steps(climb: Climb, values: np.ndarray, length: float, steps: int) -> tuple[np.ndarray, bool]:
    """Return `values` after several steps, and whether the budget was enough for all of them."""
    for _ in range(steps):
        try:
            values = climb.step(values, length)
        except BudgetSpent:
            return values, False
    return values, True
