"""All attacks on one cluster of one classifier: the unit of work that a process, a thread or a machine does."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from typing import NamedTuple

from anndata import AnnData

from adverscarial.attacks.result import Result
from adverscarial.attacks.start import scorer_for
from adverscarial.cells.cluster import Cluster
from adverscarial.cells.matrix import CellMatrix, layer_of
from adverscarial.cells.statistics import GeneStatistics
from adverscarial.classifiers.base import Classifier
from adverscarial.errors import AdverscarialError, AlreadyThere
from adverscarial.surveys.plan import Task
from adverscarial.surveys.timeouts import Clock, Timed
from adverscarial.surveys.transfer import OnDisk, received

logger = logging.getLogger(__name__)

#: number of a task, and its result or why it failed
Finished = tuple[int, Result | str]


class Work(NamedTuple):
    """What every group of tasks needs; sent to each process.

    Attributes
    ----------
    key
        Of the data and the layer: their statistics are kept under it.
    adata, groupby, layer, seed, budget
        As in :func:`adverscarial.survey`; no cells on the way to a process that reads them from a file.
    clock
        Watches each query; None without a time limit.
    progress
        Bars of the attacks, below that of the survey: in this process only.
    """

    key: str
    adata: AnnData | OnDisk | None
    groupby: str
    layer: str | None
    seed: int
    budget: int | None
    clock: Clock | None = None
    progress: bool | None = False


class Group(NamedTuple):
    """A classifier and its tasks on one cluster, beside what all groups of its survey need."""

    work: Work
    model: Classifier
    tasks: list[Task]


# statistics of the data set that this process works on; one entry, so that a process computes them once
_statistics: dict[str, GeneStatistics] = {}


def forget() -> None:
    """Let go of what was kept for the next group of the same survey."""
    _statistics.clear()


def run_group(
    work: Work, model: Classifier, tasks: Sequence[Task], begin: Callable[[int], object] = lambda number: None
) -> Iterator[Finished]:
    """Run all attacks on one cluster of one classifier, which share its rows and its scorer.

    Parameters
    ----------
    work
        What all groups need.
    model, tasks
        The classifier, and its tasks on one cluster.
    begin
        Called with a task's number before its attack begins.
    """
    assert work.adata is not None
    adata = received(work.adata)
    statistics = _statistics_of(work, adata)
    try:
        cluster = Cluster(adata, work.groupby, tasks[0].target, layer=work.layer, seed=work.seed, statistics=statistics)
        with nullcontext() if work.clock is None else work.clock.running():
            scorer = scorer_for(model, cluster, in_company=False)
    except Exception as error:  # noqa: BLE001  a classifier may raise anything
        failure = _failure(tasks[0], error)  # of the cluster, before any attack: said once
        yield from ((task.number, failure) for task in tasks)
        return
    if work.clock is not None:
        scorer = Timed(scorer, work.clock)
    for task in tasks:
        begin(task.number)
        try:
            result = task.attack.run(cluster, model, scorer, budget=work.budget, progress=work.progress)
        except Exception as error:  # noqa: BLE001
            yield task.number, _failure(task, error)
        else:
            yield task.number, result


def _statistics_of(work: Work, adata: AnnData) -> GeneStatistics:
    known = _statistics.get(work.key)
    if known is None:
        _statistics.clear()
        known = _statistics[work.key] = GeneStatistics(CellMatrix(layer_of(adata, work.layer)))
    return known


def _failure(task: Task, error: Exception) -> str:
    """Return what the table says of a failed attack; of an error that is none of ours, the log says where it was."""
    foreign = not isinstance(error, AdverscarialError)
    # among all clusters some have the label that the others are to get: that is no fault
    level = logging.INFO if isinstance(error, AlreadyThere) else logging.WARNING
    logger.log(level, "%s on %s, cluster %s: %s", task.attack, task.classifier, task.target, error, exc_info=foreign)
    return f"{type(error).__name__}: {error}"
