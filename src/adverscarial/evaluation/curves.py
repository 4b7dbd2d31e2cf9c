"""Accuracy, ROC and F1 of one cluster as an attack grows (the paper's Fig. 4), with bootstrap intervals over cells."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from numbers import Integral
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData

from adverscarial.attacks.base import check_run, scorer_for
from adverscarial.attacks.session import Meter, Session
from adverscarial.classifiers.base import Answer, Classifier
from adverscarial.classifiers.wrap import wrap
from adverscarial.cluster import Cluster
from adverscarial.errors import ClassifierError, InputRejected, ParameterError
from adverscarial.evaluation.scores import (
    Sweep,
    check_n_boot,
    f1_curve,
    interval,
    resamples,
    roc_curve_of_cluster,
    share_of,
)
from adverscarial.modifications import Modification, parse, with_values
from adverscarial.statistics import GeneStatistics


@dataclass(frozen=True, repr=False)
class Curve:
    """What a classifier says of a cluster as an attack grows.

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
    seed, n_boot
        Of the intervals.
    """

    classifier: str
    groupby: str
    target: str
    label: str
    axis: str
    table: pd.DataFrame
    positive: np.ndarray
    clean_scores: np.ndarray | None
    step_scores: np.ndarray | None
    seed: int
    n_boot: int

    def to_frame(self) -> pd.DataFrame:
        """Return one row per step.

        Columns: the axis (``n_genes`` or ``strength``); ``label`` and ``share`` of the cluster; ``rejected``, where the
        classifier refused the input (the numbers are NaN then); ``accuracy``, the share of the cluster's cells that
        keep the baseline label (NaN for a classifier of whole clusters). Where there are scores: ``auc``, the area
        under the ROC curve of the cluster against all other cells, and ``f1``, at the threshold that was best before
        the attack. ``*_low`` and ``*_high`` are 95% bootstrap intervals.
        """
        return self.table.copy()

    def scores(self, step: float | None = None) -> np.ndarray:
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
        found = self.step_scores[steps.index(step)]
        if np.isnan(found).any():
            raise ClassifierError(f"{self.classifier} refused the input at {self.axis}={step}: it has no scores there.")
        return found

    def roc(self, step: float | None = None) -> pd.DataFrame:
        """Return the ROC curve at one step, or before the attack; see :func:`roc_curve_of_cluster`."""
        return roc_curve_of_cluster(self.scores(step), self.positive, n_boot=self.n_boot, seed=self.seed)

    def f1(self, step: float | None = None, *, thresholds: Sequence[float] | np.ndarray | None = None) -> pd.DataFrame:
        """Return F1 by threshold at one step, or before the attack; see :func:`f1_curve`."""
        return f1_curve(self.scores(step), self.positive, thresholds=thresholds, n_boot=self.n_boot, seed=self.seed)

    def __repr__(self) -> str:
        return f"<Curve of {self.classifier}, cluster '{self.target}', {len(self.table)} steps of {self.axis}>"

    def __str__(self) -> str:
        shown = [name for name in (self.axis, "label", "accuracy", "auc", "f1", "rejected") if name in self.table]
        head = f"{self.classifier}, cluster '{self.target}', baseline {self.label}"
        return f"{head}\n{self.table[shown].to_string(index=False, float_format='{:.3f}'.format)}"


def robustness_curve(
    adata: AnnData,
    classifier: Any,
    *,
    groupby: str,
    target: str,
    genes: Sequence[str],
    modification: Modification | str | Mapping[float, Modification | str],
    n_genes: Sequence[int] = (0, 1, 2, 5, 10, 20, 50, 100),
    layer: str | None = None,
    seed: int = 0,
    n_boot: int = 200,
    statistics: GeneStatistics | None = None,
) -> Curve:
    """Measure a classifier while more and more genes of a cluster are changed, or the same genes more strongly.

    Parameters
    ----------
    adata
        Cells x genes; not changed.
    classifier
        A classifier, or anything that :func:`adverscarial.classifiers.wrap` understands.
    groupby, target
        Column of ``adata.obs``, and the cluster in it.
    genes
        Names, in the order in which they are changed.
    modification
        What is done to them. A mapping of strength (such as alpha or epsilon) to modification changes *all* `genes`
        with each in turn; the curve's axis is then ``"strength"``, and `n_genes` is not used.
    n_genes
        How many of `genes` to change; numbers beyond their length are left out, and the length itself is added then.
    layer
        Layer to attack; ``X`` when left out.
    seed
        Of the modification and of the bootstrap.
    n_boot
        Bootstrap samples of cells behind each interval; 0 for none (NaN).
    statistics
        Statistics of the same layer, when they are at hand already.

    Returns
    -------
    A :class:`Curve`. A classifier without scores gets accuracies only.

    Raises
    ------
    DataError, ParameterError, ClassifierError

    Notes
    -----
    As in the paper: a cell is positive if ``obs[groupby]`` says that it is of the cluster; its score is the column of
    the cluster's baseline label; the threshold sweeps over the scores of all cells of the data set. A classifier whose
    answer for a cell depends on the other cells is asked about all of them at every step.

    Examples
    --------
    >>> import adverscarial as adv
    >>> model = adv.classifiers.Markers({"B": ["CD79A", "MS4A1"], "T": ["CD3D", "CD3E"]})
    >>> curve = robustness_curve(adv.datasets.embedded(), model, groupby="cell_type", target="CD19+ B",
    ...                          genes=["CD79A", "CD3D"], modification="perc1")
    >>> curve.to_frame()["n_genes"].to_list()
    [0, 1, 2]
    """
    check_run(None, seed)
    check_n_boot(n_boot)
    model = wrap(classifier)
    cluster = Cluster(adata, groupby, target, layer=layer, seed=seed, statistics=statistics)
    order = cluster.positions(genes)
    if isinstance(modification, Mapping):
        axis = "strength"
        steps: list[float] = list(modification)
        if not steps:
            raise ParameterError("modification= is an empty mapping; give at least one strength and its modification.")
        plan = [(order, parse(modification[step])) for step in steps]
    else:
        axis, how = "n_genes", parse(modification)
        sizes = _sizes(n_genes, len(order))
        steps, plan = list(sizes), [(order[:n], how) for n in sizes]
    scorer = scorer_for(model, cluster)
    baseline = scorer.baseline
    session = Session(cluster, scorer, None, "any", Meter(), model)
    column = _column(model, cluster, baseline)
    clean = None if column is None else _scores(model, adata, layer)[:, column]
    rows, scores = [], []
    for (positions, how), answer in zip(plan, _answers(session, plan), strict=True):
        rows.append((answer.label, answer.share, answer.rejected, _kept(answer, baseline)))
        if column is None or clean is None:
            continue
        if answer.rejected:
            step = np.full(adata.n_obs, np.nan)
        elif model.needs_all_cells:
            changed = with_values(adata, cluster.rows, positions, how.values(cluster, positions), layer=layer)
            step = _scores_or_refused(model, changed, layer, column)
        else:
            step = clean.copy()
            assert answer.scores is not None
            step[cluster.rows] = answer.scores[:, column]
        scores.append(step)
    table = pd.DataFrame([row[:3] for row in rows], columns=["label", "share", "rejected"])
    table.insert(0, axis, steps)
    positive = np.zeros(adata.n_obs, dtype=bool)
    positive[cluster.rows] = True
    stacked = None if clean is None else np.array(scores)
    table = _measured(table, [row[3] for row in rows], clean, stacked, positive, n_boot, seed)
    return Curve(
        model.name,
        groupby,
        cluster.target,
        baseline.label,
        axis,
        table,
        positive,
        clean,
        stacked,
        int(seed),
        int(n_boot),
    )


def _sizes(n_genes: Sequence[int], available: int) -> list[int]:
    wanted = list(n_genes)
    if not wanted or not all(isinstance(n, Integral) and n >= 0 for n in wanted) or sorted(set(wanted)) != wanted:
        raise ParameterError(f"n_genes must be increasing whole numbers, such as (0, 1, 2, 5), got {n_genes!r}.")
    sizes = [int(n) for n in wanted if n <= available]
    return sizes if len(sizes) == len(wanted) or available in sizes else [*sizes, available]


def _answers(session: Session, plan: list[tuple[np.ndarray, Modification]]) -> Iterator[Answer]:
    """Ask about each step; genes of the step before stay changed, so that only the new ones cost."""
    run, done, how = session.fork(), 0, None
    for positions, modification in plan:
        if modification is not how:
            run, done, how = session.fork(), 0, modification
            run.modification = modification
        if modification.joint:  # new values hang on which genes are changed together: from the start each time
            run, done = session.fork(), 0
            run.modification = modification
        fresh = positions[done:]
        answer = run.together(fresh) if len(fresh) else run.scorer.baseline
        if not answer.rejected and len(fresh):
            run.accept(fresh)
            done = len(positions)
        yield answer


def _column(model: Classifier, cluster: Cluster, baseline: Answer) -> int | None:
    """Return where the baseline label stands among the classes; None without scores of it."""
    classes = list(model.bind(cluster.genes).classes)
    known = model.gives_scores and baseline.scores is not None and baseline.label in classes
    return classes.index(baseline.label) if known else None


def _scores(model: Classifier, adata: AnnData, layer: str | None) -> np.ndarray:
    return model.scores(adata, layer=layer).to_numpy(dtype=np.float64)


def _scores_or_refused(model: Classifier, adata: AnnData, layer: str | None, column: int) -> np.ndarray:
    try:
        return _scores(model, adata, layer)[:, column]
    except InputRejected:
        return np.full(adata.n_obs, np.nan)


def _kept(answer: Answer, baseline: Answer) -> np.ndarray | None:
    """Return which cells keep the baseline label; None if the classifier only answers for the whole cluster."""
    return None if answer.labels is None else np.asarray(answer.labels, dtype=str) == baseline.label


def _measured(
    table: pd.DataFrame,
    kept: list[np.ndarray | None],
    clean: np.ndarray | None,
    scores: np.ndarray | None,
    positive: np.ndarray,
    n_boot: int,
    seed: int,
) -> pd.DataFrame:
    refused = table["rejected"].to_numpy(dtype=bool)
    nothing = (np.nan, np.nan, np.nan)
    accuracy = [
        nothing if no or cells is None else share_of(cells, n_boot, seed)
        for cells, no in zip(kept, refused, strict=True)
    ]
    names = ["accuracy", "accuracy_low", "accuracy_high"]
    if clean is not None and scores is not None:
        before = f1_curve(clean, positive, n_boot=0)
        threshold = float(before["threshold"][before["f1"].idxmax()])
        both = [
            nothing * 2 if np.isnan(row).any() else _ranked(row, positive, threshold, n_boot, seed) for row in scores
        ]
        accuracy = [a + b for a, b in zip(accuracy, both, strict=True)]
        names += ["auc", "auc_low", "auc_high", "f1", "f1_low", "f1_high"]
    return pd.concat([table, pd.DataFrame(accuracy, columns=names, dtype=np.float64)], axis=1)


def _ranked(scores: np.ndarray, positive: np.ndarray, threshold: float, n_boot: int, seed: int) -> tuple[float, ...]:
    at = np.array([threshold])
    sweep, point = Sweep(scores, positive, None), Sweep(scores, positive, at)
    aucs, f1s = [], []
    for weights in resamples(positive, n_boot, seed):
        aucs.append(sweep.auc(weights))
        f1s.append(float(point.f1(weights)[0]))
    ones = np.ones(len(scores))
    return sweep.auc(ones), *interval(aucs), float(point.f1(ones)[0]), *interval(f1s)
