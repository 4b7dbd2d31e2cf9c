"""Does a classifier keep the promises that attacks build on? A suite for anyone to run on their own classifier."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd

from adverscarial import _store
from adverscarial._docs import documented
from adverscarial.cells.choice import Cells, meant
from adverscarial.cells.cluster import check_genes
from adverscarial.cells.matrix import CellMatrix, layer_of
from adverscarial.classifiers.adapters.containers import cells_apart
from adverscarial.classifiers.answers import Answer, Answers
from adverscarial.classifiers.check_subject import Subject, difference, disagreement, rows_of, same_matrix
from adverscarial.classifiers.wrap import wrap
from adverscarial.errors import some

#: None for "does not apply", and what was found
Outcome = tuple[bool | None, str]


@dataclass(frozen=True, repr=False, eq=False)
class CheckReport:
    """What :func:`check` found; true when nothing failed.

    Attributes
    ----------
    classifier
        Its name.
    table
        One row per check: ``check``, ``passed`` (True, False, or NA where it does not apply) and ``detail``.
    """

    classifier: str
    table: pd.DataFrame

    @property
    def failed(self) -> list[str]:
        """Names of the checks that failed."""
        return list(self.table.loc[self.table["passed"].eq(False).fillna(False), "check"])

    def __bool__(self) -> bool:
        return not self.failed

    def __repr__(self) -> str:
        marks = {True: "ok", False: "FAILED", pd.NA: "-"}
        verdict = f"{len(self.failed)} of {len(self.table)} checks failed" if self.failed else "all checks passed"
        lines = [f"{self.classifier}: {verdict}"]
        for name, passed, detail in self.table.itertuples(index=False):
            lines.append(f"  {marks[passed]:6} {name}{f': {detail}' if detail else ''}")
        return "\n".join(lines)


@documented
def check(
    classifier: object, adata: Cells, *, groupby: str | None = None, mod: str | None = None, use_raw: bool = False,
    layer: str | None = None, seed: int = 0,
) -> CheckReport:  # fmt: skip
    """Try out every promise that a classifier makes to attacks, on some cells of `adata`.

    A classifier that passes can be attacked, and the attack's answers are what classifying the changed cells from
    scratch would say. At most 160 cells are looked at, chosen by the seed.

    Parameters
    ----------
    classifier
        A trained :class:`Classifier`, or anything that :func:`adverscarial.classifiers.wrap` understands.
    adata
        Cells x genes as the classifier wants them; not changed.
    groupby
        Column of ``adata.obs`` with clusters; the largest one plays the attacked cluster. Random halves when left out.
    %(values)s
    layer
        Layer that the classifier reads; ``X`` when left out.
    seed
        Of the choice of cells, genes and values.

    Returns
    -------
    A report: ``bool(report)`` tells whether all is well, ``report.table`` and ``print(report)`` what was found.

    Raises
    ------
    DataError
        If the data lack the column, the layer, or genes that the classifier reads: nothing can be said then.

    Notes
    -----
    Labels must be those of the best scores, unless they are no class (such as "unknown") or the classifier sets
    ``labels_are_argmax = False``. Scores are compared to 1e-6 of a cell's largest score; labels may differ only where
    the two best scores are that close.

    Examples
    --------
    >>> import adverscarial as adv
    >>> model = adv.classifiers.Markers({"B": ["CD79A"], "T": ["CD3D"]})
    >>> bool(check(model, adv.datasets.embedded(), groupby="cell_type"))
    True
    """
    model = wrap(classifier)
    adata = meant(adata, mod=mod, use_raw=use_raw, layer=layer)
    check_genes(adata)
    layer_of(adata, layer)
    genes = pd.Index(adata.var_names.astype(str))
    model.bind(genes).align(genes)
    subject = Subject(model, adata, groupby, layer, seed)
    rows = []
    for name, function in _CHECKS.items():
        try:
            passed, detail = function(subject)
        except Exception as error:  # noqa: BLE001 - foreign code may raise anything; that it does is the finding
            passed, detail = False, f"raised {type(error).__name__}: {error}"
        rows.append((name, pd.NA if passed is None else passed, detail))
    table = pd.DataFrame(rows, columns=["check", "passed", "detail"]).astype({"passed": "boolean"})
    return CheckReport(model.name, table)


def _one_label_per_cell(s: Subject) -> Outcome:
    if s.of_clusters:
        return None, "labels whole clusters"
    shape, n = np.shape(s.first.labels), s.adata.n_obs
    if shape != (n,):
        return False, f"the labels of {n} cells have the shape {shape}, expected ({n},)"
    said = s.model.predict(s.adata, layer=s.layer)
    if not said.index.equals(s.adata.obs_names):
        return False, "the index of predict() is not obs_names"
    return True, ""


def _labels_are_text(s: Subject) -> Outcome:
    if s.of_clusters:
        return None, "labels whole clusters"
    strange = [label for label in s.first.labels if not isinstance(label, str)]
    kinds = sorted({type(label).__name__ for label in strange})
    return not strange, f"{len(strange)} labels are no text but {', '.join(kinds)}" if strange else ""


def _scores_fit(s: Subject) -> Outcome:
    if s.of_clusters or not s.model.gives_scores:
        return None, "gives labels only"
    scores, classes = s.first.scores, s.model.bind(s.cluster.genes).classes
    if scores is None:
        return False, "gives_scores is True, but there are none: set gives_scores = False"
    expected = (s.adata.n_obs, len(classes))
    if np.shape(scores) != expected:
        return False, f"scores have the shape {np.shape(scores)}, expected cells x classes, {expected}"
    if np.asarray(scores).dtype.kind not in "fiu":
        return False, f"scores are of type {np.asarray(scores).dtype}, expected numbers"
    if bad := int((~np.isfinite(scores)).sum()):
        return False, f"{bad:,} of {np.size(scores):,} scores are NaN or infinite"
    if len(set(classes)) < len(classes) or not all(isinstance(name, str) for name in classes):
        return False, f"classes are no distinct texts: {some(classes)}"
    return True, ""


def _labels_follow_scores(s: Subject) -> Outcome:
    if s.of_clusters or not s.model.gives_scores:
        return None, "gives labels only"
    if not getattr(s.model, "labels_are_argmax", True):
        return None, "declares labels_are_argmax = False"
    scores, place = s.first.scores, {name: k for k, name in enumerate(s.model.bind(s.cluster.genes).classes)}
    if scores is None or np.shape(scores) != (len(s.first.labels), len(place)):
        return None, "the scores do not fit"
    wrong = [
        (i, label)
        for i, label in enumerate(s.first.labels)
        if label in place and scores[i, place[label]] < scores[i].max()
    ]
    if not wrong:
        return True, ""
    i, label = wrong[0]
    return False, (
        f"{len(wrong)} labels are not of the best score; cell {i} is '{label}' with {scores[i, place[label]]:.4g}, the "
        f"best is {scores[i].max():.4g}. If that is meant, document it and set labels_are_argmax = False"
    )


def _same_answer_twice(s: Subject) -> Outcome:
    if s.of_clusters:
        found = "" if s.scratch(s.adata) == s.scratch(s.adata) else "the cluster's answer differs when asked again"
    else:
        found = difference(s.ask(s.adata), s.first, ties=False)
    return not found, found


def _order_of_cells(s: Subject) -> Outcome:
    if s.of_clusters:
        return None, "labels whole clusters"
    order = np.random.default_rng([s.seed, 2]).permutation(s.adata.n_obs)
    found = difference(s.ask(s.adata[order].copy()), rows_of(s.first, order))
    return not found, found and f"with the cells in another order, {found}"


def _cells_on_their_own(s: Subject) -> Outcome:
    if s.model.needs_all_cells:
        return None, "declares needs_all_cells = True"
    order = np.random.default_rng([s.seed, 3]).permutation(s.adata.n_obs)
    for rows in (np.sort(order[: len(order) // 2]), order[:1], order[1:2]):
        if found := difference(s.ask(s.adata[rows].copy()), rows_of(s.first, rows)):
            return False, (
                f"asked about {len(rows)} of the cells only, {found}. If labels are meant to depend on all cells: "
                "wrap(function, needs_all_cells=True), or needs_all_cells = True in a class of your own"
            )
    return True, ""


def _as_the_library_says(s: Subject) -> Outcome:
    own = s.model.own_answer(s.adata, layer=s.layer)
    if own is None:
        return None, "is not compared: it wraps no estimator of another package"
    apart = cells_apart(s.first, own)
    found = (
        f"{int(apart.sum())} of {len(apart)} cells get other labels or scores than the estimator's own predict gives"
    )
    return not apart.any(), found if apart.any() else ""


def _genes_by_name(s: Subject) -> Outcome:
    if s.of_clusters or s.model.bind(s.cluster.genes).genes is None:
        return None, "has no gene names: it reads the data's columns as they stand"
    order = np.random.default_rng([s.seed, 4]).permutation(s.adata.n_vars)
    found = difference(s.ask(s.adata[:, order].copy()), s.first)
    return not found, found and f"with the genes in another order, {found}"


def _input_untouched(s: Subject) -> Outcome:
    before, rows = s.adata.copy(), s.cluster.X.copy()
    scorer = s.scorer()
    genes = s.queries(scorer, 3)[0][0]
    values = rows[:, genes]  # no change at all, so that no classifier refuses it
    given = values.copy()
    scorer.each(genes, values)
    scorer.together(genes, values)
    scorer.fork().accept(genes, values)
    s.scratch(s.adata)
    touched = [] if np.array_equal(rows, s.cluster.X) else ["the cluster's values"]
    touched += [] if np.array_equal(given, values) else ["the query's values"]
    if not s.of_clusters:
        model = s.model.bind(s.cluster.genes)
        X = CellMatrix(layer_of(before, s.layer)).rows(np.arange(before.n_obs))[:, model.align(s.cluster.genes)]
        own = X.copy()
        model.decide(own)
        touched += [] if np.array_equal(X, own) else ["the array given to decide()"]
    if not same_matrix(layer_of(before, s.layer), layer_of(s.adata, s.layer)):
        touched.append("the AnnData's values")
    for part in ("obs", "var"):
        touched += [] if getattr(before, part).equals(getattr(s.adata, part)) else [f"adata.{part}"]
    for part in ("layers", "obsm", "uns"):
        touched += [] if set(getattr(before, part)) == set(getattr(s.adata, part)) else [f"adata.{part}"]
    return not touched, f"{', '.join(touched)} changed" if touched else ""


def _scorer_baseline(s: Subject) -> Outcome:
    found = disagreement(s.scorer().baseline, s.scratch(s.adata))
    return not found, found


def _scorer_together(s: Subject) -> Outcome:
    scorer = s.scorer()
    for genes, values in s.queries(scorer, 6):
        if found := disagreement(scorer.together(genes, values), s.scratch(s.changed(s.adata, genes, values))):
            return False, f"{_genes(s, genes)}: {found}"
    found = disagreement(scorer.baseline, s.scratch(s.adata))
    return not found, found and f"a query changed the state: {found}"


def _scorer_each(s: Subject) -> Outcome:
    scorer = s.scorer()
    for genes, values in s.queries(scorer, 6):
        answers = scorer.each(genes, values)
        lengths = {len(answers.label), len(answers.share), len(answers.rejected)}
        if lengths != {len(genes)}:
            return False, f"asked about {len(genes)} genes, got {some(lengths)} answers"
        for k in range(len(genes)):
            alone = s.changed(s.adata, genes[[k]], values[:, [k]])
            if found := disagreement(_one(answers, k), s.scratch(alone)):
                return False, f"{_genes(s, genes[[k]])}, asked beside {len(genes) - 1} others: {found}"
    found = disagreement(scorer.baseline, s.scratch(s.adata))
    return not found, found and f"a query changed the state: {found}"


def _scorer_accept(s: Subject) -> Outcome:
    scorer, now = s.scorer(), s.adata
    queries = s.queries(scorer, 6)
    for (genes, values), (others, other_values) in pairwise(queries):
        changed = s.changed(now, genes, values)
        if (truth := s.scratch(changed)) is None:
            continue  # a refused change cannot be made; "together" looks at refusals
        scorer.accept(genes, values)
        now = changed
        if found := disagreement(scorer.baseline, truth):
            return False, f"after {_genes(s, genes)} were accepted: {found}"
        later = s.scratch(s.changed(now, others, other_values))
        if found := disagreement(scorer.together(others, other_values), later):
            return False, f"asked about {_genes(s, others)} after {_genes(s, genes)} were accepted: {found}"
    everything = np.arange(len(s.cluster.genes))
    scorer.accept(everything, s.cluster.X.copy())
    found = disagreement(scorer.baseline, s.scratch(s.adata))
    return not found, found and f"after every gene was set back: {found}"


def _scorer_fork(s: Subject) -> Outcome:
    scorer = s.scorer()
    (genes, values), (others, other_values) = [q for k, q in enumerate(s.queries(scorer, 6)) if k in (1, 5)]
    changed, base = s.changed(s.adata, genes, values), s.scratch(s.adata)
    fork = scorer.fork()
    fork.accept(genes, values)
    if found := disagreement(fork.baseline, s.scratch(changed)):
        return False, f"the fork, after accept: {found}"
    if found := disagreement(scorer.baseline, base):
        return False, f"what the fork accepted changed the original: {found}"
    if found := disagreement(
        scorer.together(others, other_values), s.scratch(s.changed(s.adata, others, other_values))
    ):
        return False, f"what the fork accepted changed the original's answers: {found}"
    second = scorer.fork()
    scorer.accept(genes, values)
    found = disagreement(second.baseline, base)
    return not found, found and f"what the original accepted changed the fork: {found}"


def _scorer_reads(s: Subject) -> Outcome:
    everything = np.arange(len(s.cluster.genes))
    claims = np.asarray(s.scorer().reads(everything))
    if claims.shape != everything.shape or claims.dtype != bool:
        return False, f"reads() of {len(everything)} genes has shape {claims.shape} and type {claims.dtype}"
    unread = everything[~claims]
    if not len(unread):
        return True, "all genes are read"
    base, rng = s.scratch(s.adata), np.random.default_rng([s.seed, 5])
    for kind in range(4):
        answer = s.scratch(s.changed(s.adata, unread, s.some_values(unread, kind, rng)))
        found = "the input is refused" if answer is None else disagreement(answer, base)
        if found:
            return False, f"{len(unread):,} genes are said not to be read, but with them changed {found}"
    return True, ""


def _storage(s: Subject) -> Outcome:
    if s.model.family is None:
        return None, "cannot be stored"
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "classifier.npz"
        s.model.save(path)
        again = type(s.model).from_state(*_store.load(path, "classifier"))
    if tuple(again.classes) != tuple(s.model.classes):
        return False, f"classes were {some(s.model.classes)}, and are {some(again.classes)} when read again"
    found = difference(again._decide_all(s.adata, s.layer), s.first)
    return not found, found and f"read again, {found}"


_CHECKS: dict[str, Callable[[Subject], Outcome]] = {
    "one label per cell": _one_label_per_cell,
    "labels are text": _labels_are_text,
    "scores fit": _scores_fit,
    "labels follow scores": _labels_follow_scores,
    "same answer twice": _same_answer_twice,
    "order of cells": _order_of_cells,
    "cells on their own": _cells_on_their_own,
    "genes by name": _genes_by_name,
    "as the library says": _as_the_library_says,
    "input untouched": _input_untouched,
    "scorer: baseline": _scorer_baseline,
    "scorer: each": _scorer_each,
    "scorer: together": _scorer_together,
    "scorer: accept": _scorer_accept,
    "scorer: fork": _scorer_fork,
    "scorer: reads": _scorer_reads,
    "storage": _storage,
}


def _one(answers: Answers, k: int) -> Answer:
    return Answer(str(answers.label[k]), float(answers.share[k]), rejected=bool(answers.rejected[k]))


def _genes(s: Subject, genes: np.ndarray) -> str:
    return f"genes {some(s.cluster.genes[genes], 3)}"
