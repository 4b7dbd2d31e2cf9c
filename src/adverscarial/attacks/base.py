"""What all attacks share: checking, counting, timing. An attack is its settings; the data come in the call."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from numbers import Integral
from typing import Any, ClassVar

import numpy as np
from anndata import AnnData
from threadpoolctl import ThreadpoolController

from adverscarial import _memory
from adverscarial._matrix import CellMatrix, layer_of
from adverscarial._progress import bar
from adverscarial.attacks.session import Meter, Session, check_baseline
from adverscarial.attacks.witness import Witness
from adverscarial.classifiers.base import Classifier, Scorer
from adverscarial.classifiers.wrap import wrap
from adverscarial.cluster import Cluster, check_genes, cluster_labels
from adverscarial.errors import ClassifierError, InputRejected, ParameterError
from adverscarial.modifications import settings_text
from adverscarial.statistics import GeneStatistics

#: dense copies of a cluster's rows at one time: its own, the scorer's, two of a question, and new values
_COPIES = 5


@dataclass(frozen=True, repr=False)
class Attack(ABC):
    """Base of all attacks; subclasses are frozen dataclasses that hold settings only."""

    #: one line for ``adverscarial list``: the question it answers, and what it costs
    question: ClassVar[str]
    cost: ClassVar[str]

    #: questions are small: threads of BLAS cost more than they give, and far more on a busy machine; None for all
    blas_threads: ClassVar[int | None] = 1

    @abstractmethod
    def _search(self, session: Session) -> tuple[type[Any], dict[str, Any]]:
        """Ask the questions; return the type of result and the fields that only this attack has."""

    @abstractmethod
    def _steps(self, session: Session) -> float:
        """Return the length of the progress bar."""

    def __call__(
        self,
        adata: AnnData,
        classifier: Any,
        *,
        groupby: str,
        target: str,
        layer: str | None = None,
        seed: int = 0,
        budget: int | None = None,
        progress: bool | None = None,
        statistics: GeneStatistics | None = None,
    ) -> Any:
        """Attack one cluster.

        Parameters
        ----------
        adata
            Cells x genes; not changed.
        classifier
            A classifier, or anything that :func:`adverscarial.classifiers.wrap` understands.
        groupby, target
            Column of ``adata.obs``, and the cluster in it.
        layer
            Layer to attack; ``X`` when left out.
        seed
            Of every random draw; the same seed gives the same result.
        budget
            Most questions to ask; the result says whether it was enough.
        progress
            Progress bar; left out, on a terminal only.
        statistics
            Statistics of the same layer, to share between several attacks on one data set.

        Returns
        -------
        A :class:`~adverscarial.attacks.result.Result`.

        Raises
        ------
        DataError, ParameterError, ClassifierError
        MemoryLimitError
            If the cluster does not fit into memory.
        """
        check_run(budget, seed)
        model = wrap(classifier)
        check_memory(adata, [model], groupby=groupby, targets=[target], layer=layer)
        cluster = Cluster(adata, groupby, target, layer=layer, seed=seed, statistics=statistics)
        return self.run(cluster, model, scorer_for(model, cluster), budget=budget, progress=progress)

    def run(
        self,
        cluster: Cluster,
        model: Classifier,
        scorer: Scorer,
        *,
        budget: int | None = None,
        progress: bool | None = None,
    ) -> Any:
        """Attack a cluster whose scorer is at hand; the scorer's state is left as it was.

        Raises
        ------
        ClassifierError
            If the classifier fails, or answers the same question differently when asked again at the end.
        """
        start = time.perf_counter()
        meter = Meter(budget)
        scorer = scorer if scorer.incremental else Witness(scorer)
        session = Session(
            cluster, scorer, getattr(self, "modification", None), getattr(self, "change_type", "any"), meter, model
        )
        title = f"{type(self).__name__} · {cluster.target}"
        with (
            _blas().limit(limits=self.blas_threads, user_api="blas"),
            bar(title, self._steps(session), progress) as meter.advance,
        ):
            kind, found = self._search(session)
            if isinstance(scorer, Witness):
                scorer.confirm(model.name, cluster.target)
        shared = {
            "attack": self, "classifier": model.name, "groupby": cluster.groupby, "target": cluster.target,
            "layer": cluster.layer, "seed": cluster.seed, "baseline": session.baseline.label,
            "baseline_share": session.baseline.share, "n_cells": cluster.n_cells, "queries": meter.queries,
            "proven": meter.proven, "cells_rescored": meter.cells, "seconds": time.perf_counter() - start,
        }  # fmt: skip
        return kind(**shared, **found)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({settings_text(self)})"


@cache
def _blas() -> ThreadpoolController:
    """Return the controller of the BLAS libraries; finding them takes milliseconds, so it is kept."""
    return ThreadpoolController()


def check_run(budget: int | None, seed: int) -> None:
    """Raise a ParameterError for an impossible budget or seed."""
    if budget is not None and (not isinstance(budget, Integral) or budget < 1):
        raise ParameterError(f"budget must be at least 1 question, got {budget!r}.")
    if not isinstance(seed, Integral) or seed < 0:
        raise ParameterError(f"seed must be a whole number, not negative, got {seed!r}.")


def check_memory(
    adata: AnnData,
    models: Sequence[Classifier],
    *,
    groupby: str,
    targets: Sequence[str],
    layer: str | None,
    jobs: int = 1,
) -> None:
    """Raise a MemoryLimitError when the largest of these clusters, `jobs` at a time, do not fit into memory.

    An estimate: the genes that a classifier reads are dense, and so are the copies of them that a question makes; a
    classifier that looks at all cells needs all rows.
    """
    check_genes(adata)
    labels = cluster_labels(adata, groupby)
    sizes = sorted((int((labels == str(target)).sum()) for target in targets), reverse=True)[:jobs]
    rows = sum(sizes)
    if any(model.needs_all_cells for model in models):
        rows += adata.n_obs * len(sizes)
    read = max((adata.n_vars if model.genes is None else len(model.genes) for model in models), default=0)
    cell = read * CellMatrix(layer_of(adata, layer)).dtype.itemsize
    largest, at_once = max(sizes, default=0), f", {len(sizes)} clusters at a time" if len(sizes) > 1 else ""
    _memory.check(
        _COPIES * rows * cell,
        f"Attacking a cluster of {largest:,} cells x {read:,} genes{at_once},",
        f"{'Use n_jobs=1; attack' if at_once else 'Attack'} a random part of the cluster's cells, or leave out genes "
        "that no classifier reads: adata[:, genes].",
    )


def scorer_for(model: Classifier, cluster: Cluster) -> Scorer:
    """Return the scorer of a model for a cluster, once it has shown that it can label the unmodified cells.

    Raises
    ------
    ClassifierError
        If the classifier refuses them, or answers nonsense.
    """
    try:
        scorer = model.scorer(cluster)
    except InputRejected as refusal:
        raise ClassifierError(
            f"{model.name} refuses even the unmodified cells of '{cluster.target}': {refusal}"
        ) from refusal
    check_baseline(scorer.baseline, cluster, model.name)
    return scorer


def candidates(cluster: Cluster, genes: Sequence[str] | None, exclude: Sequence[str]) -> np.ndarray:
    """Return the positions to attack: `genes` (all, when None), without `exclude`, in the data's order.

    Raises
    ------
    DataError
        If a name is not in the data.
    ParameterError
        If nothing is left.
    """
    chosen = np.arange(len(cluster.genes)) if genes is None else np.sort(cluster.positions(genes))
    if len(exclude):
        chosen = np.setdiff1d(chosen, cluster.positions(exclude))
    if not len(chosen):
        raise ParameterError("No gene is left to attack: genes= is empty, or exclude= names all of them.")
    return chosen


def check_counts(**settings: int) -> None:
    """Raise a ParameterError unless every setting is a whole number of at least 1."""
    for name, value in settings.items():
        if not isinstance(value, Integral) or value < 1:
            raise ParameterError(f"{name} must be a whole number of at least 1, got {value!r}.")


def check_change_type(change_type: str) -> None:
    """Raise a ParameterError for an unknown change type."""
    if change_type not in ("any", "named"):
        raise ParameterError(f"change_type must be 'any' or 'named' (only real cell types count), got '{change_type}'.")
