"""A classifier behind a guard, which refuses, clips or marks what the training data make impossible."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any, Literal, Self

import numpy as np
import pandas as pd
from anndata import AnnData

from adverscarial._docs import documented
from adverscarial._registry import distribution_of
from adverscarial._types import Untyped
from adverscarial.cells.choice import Cells, meant
from adverscarial.cells.cluster import Cluster, check_genes
from adverscarial.cells.columns import positions_among
from adverscarial.cells.matrix import CellMatrix, layer_of
from adverscarial.classifiers.answers import Answer, Decision, vote
from adverscarial.classifiers.base import Classifier
from adverscarial.classifiers.guard.limits import Limits
from adverscarial.classifiers.guard.outliers import detector_trained
from adverscarial.classifiers.guard.reasons import Reason, reasons
from adverscarial.classifiers.guard.scorers import UNSURE, ClippingScorer, JudgingScorer
from adverscarial.classifiers.guard.training import trained
from adverscarial.classifiers.registry import FAMILIES
from adverscarial.classifiers.scorers.base import Scorer
from adverscarial.classifiers.wrap import wrap
from adverscarial.errors import (
    ClassifierError,
    GeneMismatchError,
    InputRejected,
    ParameterError,
    StorageError,
    did_you_mean,
    some,
)
from adverscarial.modifications.base import with_values

Action = Literal["refuse", "clip", "unsure"]
ACTIONS = ("refuse", "clip", "unsure")

_CELLS = 1024  # judged at a time


class Guard(Classifier, family="guard"):
    """A classifier behind a guard, which learns from cells what values are possible, and lets no others pass.

    Parameters
    ----------
    %(classifier)s
    action
        What happens to a cell that is impossible. ``"refuse"``: nothing is answered about cells among which one is
        impossible; attacks count this as *rejected*. ``"clip"``: impossible values become the nearest possible ones.
        ``"unsure"``: the cell is labelled "unknown".
    margin
        How far beyond the range that it has in the training cells a gene may go, as a share of the widest range of any
        gene. With 1, a gene that no training cell expresses may still take the values of other genes. Counts are
        measured as log(1 + count). The same share is added to the ranges of cells.
    quantile
        A gene's range ends at this quantile of the training cells, and at ``1 - quantile``; 1 is their extremes.
    cells
        Judge cells as a whole, too: the sum of their values (the library size, of counts) and how many genes are 0.
        Clipping does not.
    outliers
        Cells that lie far from all training cells are impossible, too: ``"lof"`` (local outlier factor, 20 neighbours),
        or one of scikit-learn's outlier detectors; a fresh copy of it is trained. Every query then looks at whole
        cells, which is slow. Not for ``"clip"``.

    Attributes
    ----------
    inner
        The classifier behind the guard.
    genes
        The genes that are watched: those that the classifier knows.
    limits
        What was learnt, gene by gene; None before :meth:`fit`.

    Notes
    -----
    With ``"clip"`` and ``"unsure"``, the classifier sees possible values only. Negative values are impossible where no
    training cell has any, and so are values that are not whole where all are.

    %(cells_example)s
    >>> markers = adv.classifiers.Markers({"B": ["CD79A", "MS4A1"], "T": ["CD3D", "CD3E"]})
    >>> attack = adv.attacks.SingleGene("positive_aberrant")
    >>> where = {"groupby": "cell_type", "target": "CD19+ B"}
    >>> len(attack(cells, markers, **where).genes)
    2
    >>> guard = Guard(markers).fit(cells)
    >>> result = attack(cells, guard, **where)
    >>> len(result.genes), result.n_rejected
    (0, 4)
    """

    def __init__(
        self,
        classifier: object,
        action: Action = "refuse",
        *,
        margin: float = 1.0,
        quantile: float = 1.0,
        cells: bool = True,
        outliers: object = None,
    ) -> None:
        self.classifier, self.action, self.margin, self.quantile = classifier, action, margin, quantile
        self.cells, self.outliers = cells, outliers
        self._limits: Limits | None = None
        self._watched: pd.Index | None = None
        self.detector: Untyped = None
        self._inner = classifier if isinstance(classifier, Classifier) else None

    def __repr__(self) -> str:
        given = [f"{self.inner!r}", *(f"{name}={value!r}" for name, value in self._settings().items())]
        return f"Guard({', '.join(given)})"

    def _settings(self) -> dict[str, Any]:
        return {
            "action": self.action, "margin": self.margin, "quantile": self.quantile, "cells": self.cells,
            "outliers": self.outliers,
        }  # fmt: skip

    # ------------------------------------------------------------------ what the classifier inside says of itself

    @property
    def inner(self) -> Classifier:
        """The classifier behind the guard."""
        return wrap(self.classifier) if self._inner is None else self._inner

    @property
    def limits(self) -> Limits:
        """What was learnt.

        Raises
        ------
        ClassifierError
            Before :meth:`fit`.
        """
        if self._limits is None:
            raise ClassifierError("This guard has learnt nothing yet: call fit(adata) with the training cells.")
        return self._limits

    @property
    def classes(self) -> tuple[str, ...]:  # type: ignore[override]
        """Those of the classifier inside."""
        return self.inner.classes

    @property
    def labels(self) -> tuple[str, ...]:  # noqa: D102
        known = self.inner.labels
        return known if self.action != "unsure" or UNSURE in known else (*known, UNSURE)

    @property
    def genes(self) -> pd.Index | None:  # type: ignore[override]
        """The genes that are watched."""
        return self.inner.genes if self._watched is None else self._watched

    @property
    def gives_scores(self) -> bool:  # type: ignore[override]
        """Whether the classifier inside gives scores; those of a cell that is not trusted are of its clipped values."""
        return self.inner.gives_scores

    @property
    def labels_are_argmax(self) -> bool:  # type: ignore[override]
        """Not where cells can be labelled "unknown"."""
        return self.inner.labels_are_argmax and self.action != "unsure"

    @property
    def needs_all_cells(self) -> bool:  # type: ignore[override]
        """As the classifier inside."""
        return self.inner.needs_all_cells

    @property
    def of_clusters(self) -> bool:  # type: ignore[override]
        """As the classifier inside."""
        return self.inner.of_clusters

    @property
    def name(self) -> str:  # noqa: D102
        return f"{self.inner.name} (guard, {self.action})"

    # ------------------------------------------------------------------ learning

    def _check_settings(self) -> None:
        if self.action not in ACTIONS:
            raise ParameterError(
                f"Guard: action must be 'refuse', 'clip' or 'unsure', got {self.action!r}."
                f"{did_you_mean(self.action, ACTIONS)}"
            )
        for name, good, expected in (
            ("margin", 0 <= self.margin < np.inf, "a number, 0 or larger"),
            ("quantile", 0.5 < self.quantile <= 1, "above 0.5 and at most 1"),
        ):
            if not good:
                raise ParameterError(f"Guard: {name} must be {expected}, got {getattr(self, name)!r}.")
        if self.outliers is not None and self.action == "clip":
            raise ParameterError("Guard: a cell that lies far from all others cannot be clipped: use action='unsure'.")
        if isinstance(self.classifier, Classifier) and self.classifier.of_clusters and self.action == "unsure":
            raise ParameterError(
                f"Guard: {self.classifier.name} labels whole clusters, so no cell can be labelled 'unknown': use "
                "action='refuse' or 'clip'."
            )

    @documented
    def fit(
        self, adata: Cells, groupby: str | None = None, *, mod: str | None = None, use_raw: bool = False,
        layer: str | None = None,
    ) -> Self:  # fmt: skip
        """Learn what values are possible, and return the guard itself.

        Parameters
        ----------
        adata
            The cells that the classifier was trained on, or others of the kind that it is meant for.
        groupby
            Column of ``adata.obs`` with the cell types: a fresh copy of the classifier is trained on the cells, too.
            Left out, the classifier is used as it is.
        %(values)s
        %(layer_trained)s

        Raises
        ------
        ParameterError, DataError, ClassifierError, GeneMismatchError
        """
        self._check_settings()
        self._train(meant(adata, mod=mod, use_raw=use_raw, layer=layer), groupby, layer)
        return self

    def _train(self, adata: AnnData, groupby: str | None, layer: str | None) -> None:
        check_genes(adata)
        model = trained(self.classifier, adata, groupby, layer)
        matrix = CellMatrix(layer_of(adata, layer))
        matrix.check_finite(adata)
        genes = pd.Index(adata.var_names.astype(str))
        bound = model.bind(genes)
        columns = bound.align(genes)
        self._limits = Limits.learn(
            matrix, columns, margin=self.margin, quantile=self.quantile, of_cells=self.cells and self.action != "clip"
        )
        self._inner, self._watched, self.trained_on = model, genes[columns], model.trained_on
        if self.outliers is not None:
            self.detector = detector_trained(self.outliers, matrix.rows(np.arange(adata.n_obs))[:, columns])

    def check_cluster(self, cluster: Cluster) -> None:  # noqa: D102
        self.inner.check_cluster(cluster)

    def gene_means(self) -> np.ndarray | None:  # noqa: D102
        return self.inner.gene_means() if self.genes is not None and self.genes.equals(self.inner.genes) else None

    def align(self, genes: pd.Index) -> np.ndarray:  # noqa: D102
        inner = self.inner.bind(genes)
        reads_all = self.inner.genes is None and (inner.genes is None or inner.genes.equals(genes))
        if self._watched is not None and reads_all and not genes.equals(self._watched):
            raise GeneMismatchError(
                f"{self.inner.name} reads all genes in their order, and the guard learnt {len(self._watched):,} genes "
                f"({some(self._watched, 3)}); these data have {len(genes):,} ({some(genes, 3)}). Give it the same "
                "genes in the same order."
            )
        return super().align(genes)

    def far(self, X: np.ndarray) -> np.ndarray:
        """Return which cells (cells x watched genes) lie far from all training cells; none without a detector."""
        if self.detector is None or not len(X):
            return np.zeros(len(X), dtype=bool)
        far: np.ndarray = np.asarray(self.detector.predict(X)) < 0
        return far

    # ------------------------------------------------------------------ judging

    def _parts(self, adata: AnnData, layer: str | None, rows: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
        """Return the watched genes of some cells, some cells at a time, each with their rows."""
        check_genes(adata)
        columns, matrix = self.align(pd.Index(adata.var_names.astype(str))), CellMatrix(layer_of(adata, layer))
        matrix.check_finite(adata)
        parts = [rows[start : start + _CELLS] for start in range(0, len(rows), _CELLS)]
        return [(part, matrix.rows(part)[:, columns]) for part in parts]

    def _judged(self, X: np.ndarray) -> np.ndarray:
        judged: np.ndarray = self.limits.judged(X) | self.far(X)
        return judged

    def possible(self, adata: AnnData, *, layer: str | None = None) -> pd.Series:
        """Return which cells are possible, True or False, a Series with index ``obs_names``."""
        parts = self._parts(adata, layer, np.arange(len(adata)))
        found = np.concatenate([~self._judged(X) for _, X in parts]) if parts else np.empty(0, dtype=bool)
        return pd.Series(found, index=adata.obs_names, name="possible")

    def strangeness(self, adata: AnnData, *, layer: str | None = None) -> pd.Series:
        """Return the smallest margin with which each cell would be possible, a Series with index ``obs_names``.

        0 within all that was learnt. Which threshold is worth how many false alarms is told by cells that are real.
        """
        parts = self._parts(adata, layer, np.arange(len(adata)))
        found = np.concatenate([self.limits.beyond(X) for _, X in parts]) if parts else np.empty(0)
        return pd.Series(found, index=adata.obs_names, name="strangeness")

    def why(self, adata: AnnData, *, layer: str | None = None) -> pd.DataFrame:
        """Say of each cell why it is impossible.

        Returns
        -------
        DataFrame, one row per cell, index ``obs_names``: ``possible``; ``impossible_values``, how many; ``gene`` and
        ``value``, the strangest of them; ``reason``, in words, empty for a possible cell.

        Examples
        --------
        >>> import adverscarial as adv
        >>> cells = adv.datasets.embedded()
        >>> guard = Guard(adv.classifiers.Markers({"B": ["CD79A"], "T": ["CD3D"]})).fit(cells)
        >>> changed = adv.modify(cells, ["CD3D"], "fixed:1000", groupby="cell_type", target="CD19+ B")
        >>> table = guard.why(changed)
        >>> table["possible"].sum() == (cells.obs["cell_type"] != "CD19+ B").sum()
        np.True_
        """
        rows: list[Reason] = []
        for _, X in self._parts(adata, layer, np.arange(len(adata))):
            assert self._watched is not None
            rows += reasons(self.limits, self._watched, X, self.far(X))
        table = pd.DataFrame(rows, columns=list(Reason._fields), index=adata.obs_names)
        table.insert(0, "possible", table["reason"] == "")
        return table.rename(columns={"impossible": "impossible_values"})

    def refusal(self, out: np.ndarray, X: np.ndarray) -> str:
        """Return the message about cells that are impossible, of cells x watched genes."""
        assert self._watched is not None
        first = X[np.flatnonzero(out)[:1]]
        reason = reasons(self.limits, self._watched, first, self.far(first))[0].reason
        return (
            f"{int(out.sum()):,} of {len(out):,} cells are impossible by what the guard learnt. Of the first, "
            f"{reason}. Guard.why(adata) tells of each cell; action='unsure' answers about the others, a larger "
            "margin= allows more."
        )

    def _admitted(self, adata: AnnData, layer: str | None, rows: np.ndarray) -> tuple[AnnData, np.ndarray]:
        """Return the data as the classifier gets them, and which of the rows are impossible.

        Raises
        ------
        InputRejected
            If the guard refuses, and one of them is.
        """
        parts, limits = self._parts(adata, layer, rows), self.limits
        if self.action != "clip":
            judged = [self._judged(X) for _, X in parts]
            out = np.concatenate(judged) if judged else np.empty(0, dtype=bool)
            if self.action == "refuse":
                if out.any():
                    raise InputRejected(self.refusal(out, np.concatenate([X for _, X in parts])))
                return adata, out
        else:
            out = np.zeros(len(rows), dtype=bool)
        every = np.arange(len(limits.low))
        bad = np.concatenate([limits.impossible(X, every) for _, X in parts]) if parts else np.empty((0, 0), bool)
        if not bad.any():
            return adata, out
        cells, genes = np.flatnonzero(bad.any(axis=1)), np.flatnonzero(bad.any(axis=0))
        block = limits.clipped(np.concatenate([X for _, X in parts])[np.ix_(cells, genes)], genes)
        columns = self.align(pd.Index(adata.var_names.astype(str)))
        return with_values(adata, rows[cells], columns[genes], block, layer=layer), out

    # ------------------------------------------------------------------ answering

    def bind(self, genes: pd.Index) -> Guard:  # noqa: D102
        bound = copy.copy(self)
        bound._inner = self.inner.bind(genes)
        return bound

    def _ready(self) -> tuple[Classifier, np.ndarray]:
        """Return the classifier as it works on the watched genes, and where its genes stand among them."""
        watched = pd.Index([]) if self._watched is None else self._watched
        inner = self.inner.bind(watched)
        return inner, inner.align(watched)

    def decide(self, X: np.ndarray) -> Decision:
        """Label cells given dense, shape (cells, watched genes).

        Raises
        ------
        InputRejected
            If the guard refuses, and one of them is impossible.
        """
        limits, out = self.limits, np.zeros(len(X), dtype=bool)
        if self.action != "clip":
            out = self._judged(X)
        if self.action == "refuse" and out.any():
            raise InputRejected(self.refusal(out, X))
        inner, columns = self._ready()
        inside = X if self.action == "refuse" else limits.clipped(X, np.arange(X.shape[1]))
        labels, scores = inner.decide(inside[:, columns])
        return Decision(np.where(out, UNSURE, labels) if self.action == "unsure" else labels, scores)

    def _decide_all(self, adata: AnnData, layer: str | None, progress: bool | None = False) -> Decision:
        cells, out = self._admitted(adata, layer, np.arange(len(adata)))
        labels, scores = self.inner._decide_all(cells, layer, progress)
        return Decision(np.where(out, UNSURE, labels) if self.action == "unsure" else labels, scores)

    def predict_cluster(  # noqa: D102
        self, adata: AnnData, rows: np.ndarray, cluster: str, labels: np.ndarray, layer: str | None
    ) -> Answer:
        judged = np.arange(adata.n_obs) if self.needs_all_cells and self.action != "refuse" else rows
        cells, out = self._admitted(adata, layer, judged)
        answer = self.inner.predict_cluster(cells, rows, cluster, labels, layer)
        out = out[rows] if len(judged) != len(rows) else out
        if self.action != "unsure" or not out.any() or answer.labels is None:
            return answer
        marked = np.where(out, UNSURE, np.asarray(answer.labels, dtype=str))
        label, share, _ = vote(marked)
        return Answer(label, share, marked, answer.scores)

    def scorer(self, cluster: Cluster) -> Scorer:
        """Return the classifier's own scorer behind the guard: as exact as it is, and nearly as fast."""
        limits, columns = self.limits, self.align(cluster.genes)
        if self.action == "refuse":
            return JudgingScorer(self.inner.scorer(cluster), self, cluster)
        clipped = self._clipped(cluster, columns)
        inside = ClippingScorer(self.inner.scorer(clipped), limits, positions_among(columns, len(cluster.genes)))
        return inside if self.action == "clip" else JudgingScorer(inside, self, cluster)

    def _clipped(self, cluster: Cluster, columns: np.ndarray) -> Cluster:
        """Return the cluster as the classifier gets it; it is the same one where nothing is to be clipped."""
        matrix = cluster.statistics.matrix
        rows = np.arange(matrix.shape[0]) if self.needs_all_cells else cluster.rows
        X = matrix.rows(rows)[:, columns]
        bad = self.limits.impossible(X, np.arange(len(columns)))
        if not bad.any():
            return cluster
        cells, genes = np.flatnonzero(bad.any(axis=1)), np.flatnonzero(bad.any(axis=0))
        block = self.limits.clipped(X[np.ix_(cells, genes)], genes)
        return cluster.with_values(rows[cells], columns[genes], block)

    # ------------------------------------------------------------------ gradients

    @property
    def differentiable(self) -> bool:
        """Whether the classifier inside has a gradient of its own."""
        inner = self._ready()[0]
        return hasattr(inner, "gradient") and hasattr(inner, "logits") and getattr(inner, "differentiable", True)

    def logits(self, X: np.ndarray) -> np.ndarray:
        """Return the values before the softmax of the classifier inside, for cells x watched genes."""
        inner, columns = self._ready()
        inside = X if self.action == "refuse" else self.limits.clipped(X, np.arange(X.shape[1]))
        found: np.ndarray = getattr(inner, "logits")(inside[:, columns])  # noqa: B009
        return found

    def gradient(self, X: np.ndarray, weights: np.ndarray) -> np.ndarray:
        """Return the gradient of the classifier inside, shape of `X`; 0 where a value is clipped."""
        inner, columns = self._ready()
        inside = X if self.action == "refuse" else self.limits.clipped(X, np.arange(X.shape[1]))
        found = np.zeros(X.shape)
        found[:, columns] = getattr(inner, "gradient")(inside[:, columns], weights)  # noqa: B009
        return found if self.action == "refuse" else found * (inside == X)

    # ------------------------------------------------------------------ storing

    def state(self) -> tuple[Mapping[str, object], Mapping[str, np.ndarray]]:
        """Return what must be stored: what was learnt, and the state of the classifier inside."""
        if self._watched is None:
            raise ClassifierError("This guard has learnt nothing, there is nothing to store: call fit(adata) first.")
        if self.detector is not None:
            raise ClassifierError(
                "A guard with an outlier detector cannot be stored without running code when it is read: store it "
                "without outliers=, and train the detector again."
            )
        inner, family = self.inner, self.inner.family
        if family is None:
            raise ClassifierError(f"{inner.name} cannot be stored, so its guard cannot: keep what it was made from.")
        about, arrays = inner.state()
        learnt, ranges = self.limits.state()
        meta = {
            "settings": {**self._settings(), "outliers": None}, "limits": learnt, "inner": about,
            "inner_family": family, "inner_distribution": distribution_of(type(inner)),
        }  # fmt: skip
        named = {f"limits.{name}": array for name, array in ranges.items()}
        named |= {f"inner.{name}": array for name, array in arrays.items()}
        return meta, {**named, "watched": np.array(list(self._watched), dtype=str)}

    @classmethod
    def from_state(cls, meta: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Self:
        """Rebuild from what :meth:`state` returned."""
        family = FAMILIES.find(str(meta["inner_family"]))
        if family is None:
            raise StorageError(
                f"the classifier inside the guard is a '{meta['inner_family']}' of the package "
                f"'{meta.get('inner_distribution')}', which is not here. Install or import it, then read the file again"
            )

        def part(prefix: str) -> dict[str, np.ndarray]:
            return {key.removeprefix(prefix): array for key, array in arrays.items() if key.startswith(prefix)}

        guard = cls(family.from_state(meta["inner"], part("inner.")), **meta["settings"])
        guard._limits = Limits.from_state(meta["limits"], part("limits."))
        guard._watched = pd.Index([str(gene) for gene in arrays["watched"]])
        return guard
