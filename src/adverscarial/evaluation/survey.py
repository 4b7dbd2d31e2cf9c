"""Classifiers x clusters x attacks, in one table; interrupted and started again, it goes on where it was."""

from __future__ import annotations

import logging
import os
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from numbers import Integral
from os import PathLike
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from anndata import AnnData

from adverscarial._matrix import CellMatrix, layer_of
from adverscarial._progress import bar
from adverscarial.attacks.base import Attack, check_memory, check_run, scorer_for
from adverscarial.attacks.result import Result
from adverscarial.attacks.single_gene import SingleGeneResult
from adverscarial.classifiers.base import Classifier
from adverscarial.classifiers.wrap import wrap
from adverscarial.cluster import Cluster, check_genes, cluster_labels, cluster_names
from adverscarial.errors import AdverscarialError, DataError, GeneMismatchError, ParameterError, did_you_mean, some
from adverscarial.evaluation.folder import RunFolder, Task, plan_of
from adverscarial.evaluation.interrupt import end_with, terminable
from adverscarial.evaluation.machines import current_client, run_on_dask
from adverscarial.evaluation.sending import OnDisk, received, sendable
from adverscarial.evaluation.watch import Clock, Outcomes, Timed, run_watched
from adverscarial.statistics import GeneStatistics

logger = logging.getLogger(__name__)

#: columns of the table, in order; a survey shows those that its attacks fill
COLUMNS = (
    "classifier", "cluster", "n_cells", "attack", "modification", "baseline", "baseline_share", "label", "share",
    "tested", "flipped", "held", "rejected", "groups", "modifiable", "signature", "maximal", "success", "modified",
    "genes_modified", "minimal", "genes_changed", "cells_flipped", "linf", "l2",
    "queries", "proven", "complete", "error",
)  # fmt: skip

#: columns that hold whole numbers, and those that hold yes or no; both may be empty
_WHOLE = (
    "n_cells", "tested", "flipped", "held", "rejected", "groups", "modifiable", "signature", "modified",
    "genes_modified", "genes_changed", "cells_flipped", "queries", "proven",
)  # fmt: skip
_YES_OR_NO = ("maximal", "success", "minimal")


@dataclass(frozen=True, repr=False)
class Survey:
    """The outcome of a survey.

    Attributes
    ----------
    plan
        What was asked for, as JSON values: data, classifiers, clusters, attacks, seed, versions.
    tasks
        One per row of the table.
    results
        One per task; None where the classifier failed.
    errors
        Message of each failed task, by its number.
    """

    plan: dict[str, Any]
    tasks: tuple[Task, ...]
    results: tuple[Result | None, ...]
    errors: dict[int, str]

    def to_frame(self) -> pd.DataFrame:
        """Return the table, one row per classifier, cluster and attack; without times, so that it can be compared."""
        rows = []
        for task, result in zip(self.tasks, self.results, strict=True):
            row: dict[str, Any] = {"classifier": task.classifier, "cluster": task.target}
            if result is None:
                attack = type(task.attack).__name__
                row |= {"attack": attack, "modification": str(getattr(task.attack, "modification", ""))}
                row |= {"complete": False, "error": self.errors[task.number]}
            else:
                row |= result.row()
            rows.append(row)
        frame = pd.DataFrame(rows)
        kinds = {name: "Int64" for name in _WHOLE if name in frame}
        kinds |= {name: "boolean" for name in _YES_OR_NO if name in frame}
        return frame[[name for name in COLUMNS if name in frame]].astype(kinds)

    @property
    def seconds(self) -> float:
        """Time that the attacks took, added up over processes."""
        return sum(result.seconds for result in self.results if result is not None)

    def flipping(self) -> pd.DataFrame:
        """Return every single gene that flips a label: ``classifier, cluster, modification, gene, label, share``."""
        columns = ["classifier", "cluster", "modification", "gene", "label", "share"]
        parts: dict[str, list[Any]] = {name: [] for name in columns}
        for task, result in zip(self.tasks, self.results, strict=True):
            if isinstance(result, SingleGeneResult):
                gene, label, share = result.flips()
                named = (task.classifier, task.target, str(getattr(task.attack, "modification", "")))
                found = [*(np.full(len(gene), text, dtype=object) for text in named), gene, label, share]
                for name, values in zip(columns, found, strict=True):
                    parts[name].append(values)
        return pd.DataFrame({name: np.concatenate(part) if part else [] for name, part in parts.items()})

    def __repr__(self) -> str:
        return f"<Survey of {len(self.tasks)} attacks, {len(self.errors)} failed>"

    def __str__(self) -> str:
        frame = self.to_frame()
        shown = [
            c
            for c in ("classifier", "cluster", "modification", "baseline", "flipped", "signature", "error")
            if c in frame
        ]
        return frame[shown].to_string(index=False, na_rep="")

    def report(self, path: str | PathLike[str], **options: Any) -> Path:
        """Write the survey as one HTML file; options as in :func:`adverscarial.report.write_report`."""
        from adverscarial.report import write_report  # a door up, for convenience; see docs/architecture.md

        return write_report(self, path, **options)

    @classmethod
    def load(cls, out: str | PathLike[str]) -> Survey:
        """Read a finished survey from its folder.

        Raises
        ------
        StorageError
            If the folder holds none, or it is not finished.
        """
        return cls(*RunFolder(out).read())


@terminable()
def survey(
    adata: AnnData,
    classifiers: Any,
    *,
    attacks: Sequence[Attack] | Attack,
    groupby: str,
    targets: Sequence[str] | None = None,
    layer: str | None = None,
    seed: int = 0,
    n_jobs: int = 1,
    backend: str | None = None,
    out: str | PathLike[str] | None = None,
    budget: int | None = None,
    time_limit: float | None = None,
    progress: bool | None = None,
) -> Survey:
    """Attack every cluster of every classifier with every attack (R: ``singleGeneOverview``, ``maxChangeOverview``).

    Parameters
    ----------
    adata
        Cells x genes; not changed.
    classifiers
        One classifier or several, or a dict of name -> classifier; anything that
        :func:`adverscarial.classifiers.wrap` understands.
    attacks
        One attack or several.
    groupby, targets
        Column of ``adata.obs``, and the clusters in it to attack (all, when left out).
    layer
        Layer to attack; ``X`` when left out.
    seed
        Of every random draw; the same seed gives the same table for any `n_jobs`.
    n_jobs
        Processes; -1 uses all cores.
    backend
        Of joblib: ``"loky"`` (processes, the default) or ``"threading"``. Or ``"dask"``: the workers of the dask client
        of this process, on any number of machines; `n_jobs` is not used then.
    out
        Folder to write to as it goes. The same survey started again on the same folder continues there.
    budget
        Most questions per attack.
    time_limit
        Seconds that the classifier may take for one question; an attack in which it takes longer fails in its row, and
        the others go on. The attacks then run in processes of their own, which are ended when they hang, also in
        compiled code, and started anew; :mod:`adverscarial.evaluation.watch` says what is not watched. For classifiers
        that might hang: a service, a library under test.
    progress
        Progress bar, with that of each attack below where they run in this process; left out, on a terminal only.

    Returns
    -------
    A :class:`Survey`. Where a classifier fails, its row says so and the others are complete.

    Raises
    ------
    DataError, ParameterError
    GeneMismatchError
        If no classifier can read data with these genes. Where only some cannot, their rows say so.
    MemoryLimitError
        If the largest clusters do not fit into memory, `n_jobs` at a time.
    StorageError
        If `out` belongs to another survey, or cannot be written to.

    Examples
    --------
    >>> import adverscarial as adv
    >>> model = adv.classifiers.ScType(scaled=False)
    >>> attack = adv.attacks.SingleGene("perc99")
    >>> result = survey(adv.datasets.embedded(), model, attacks=attack, groupby="cell_type", targets=["Dendritic"])
    >>> result.to_frame()[["cluster", "baseline", "flipped"]].values.tolist()
    [['Dendritic', 'Dendritic cell', 1]]
    """
    check_run(budget, seed)
    if time_limit is not None and not 0 < time_limit < 1e6:
        raise ParameterError(f"time_limit must be seconds per question, above 0, got {time_limit!r}.")
    jobs = _jobs(n_jobs, backend, time_limit)
    models = named_classifiers(classifiers)
    chosen = [attacks] if isinstance(attacks, Attack) else list(attacks)
    if not chosen or not all(isinstance(attack, Attack) for attack in chosen):
        raise ParameterError("attacks= must name at least one attack, for example [adv.attacks.SingleGene('perc99')].")
    check_genes(adata)
    names = cluster_names(cluster_labels(adata, groupby))
    wanted = [targets] if isinstance(targets, str) else targets
    clusters = names if wanted is None else list(dict.fromkeys(map(str, wanted)))
    if not clusters:
        raise ParameterError(f"targets= is empty; leave it out to attack all {len(names)} clusters.")
    if strange := [name for name in clusters if name not in names]:
        raise DataError(
            f"There is no cluster '{strange[0]}' in obs['{groupby}'].{did_you_mean(strange[0], names)} "
            f"There are: {some(names, 12)}."
        )
    if len(names) < 2:
        raise DataError(f"obs['{groupby}'] has {len(names)} cluster(s); a survey needs at least two.")
    check_classifiers(models, pd.Index(adata.var_names.astype(str)))
    grid = [(model, target, attack) for model in models for target in clusters for attack in chosen]
    tasks = tuple(Task(number, *cell) for number, cell in enumerate(grid))
    matrix = CellMatrix(layer_of(adata, layer))
    matrix.check_finite(adata)
    check_memory(adata, list(models.values()), groupby=groupby, targets=clusters, layer=layer, jobs=jobs)
    plan = plan_of(adata, models, chosen, clusters, groupby=groupby, layer=layer, seed=seed, budget=budget)
    folder = None if out is None else RunFolder(out)
    done: dict[int, Result] = {} if folder is None else folder.open(plan, tasks)
    groups = [
        [task for task in tasks if (task.classifier, task.target) == place and task.number not in done]
        for place in dict.fromkeys((task.classifier, task.target) for task in tasks)
    ]
    work = Work(uuid.uuid4().hex, adata, groupby, layer, seed, budget, folder)
    todo = [(models[group[0].classifier], group) for group in groups if group]
    if backend == "dask" or time_limit is not None or _in_processes(jobs, todo, backend):
        work = work._replace(adata=sendable(adata, layer))
    if backend == "dask":
        finished = run_on_dask(run_group, work, todo)
    elif time_limit is not None:
        finished = run_watched(run_group, work, todo, jobs, time_limit)
    else:
        finished = _run_all(work, todo, jobs, backend)
    errors: dict[int, str] = {}
    with bar("Survey", sum(len(group) for _, group in todo), progress) as advance:
        for outcomes in finished:
            for number, outcome in outcomes:
                if isinstance(outcome, Result):
                    done[number] = outcome
                else:
                    errors[number] = outcome
            advance(len(outcomes))
    result = Survey(plan, tasks, tuple(done.get(task.number) for task in tasks), errors)
    if folder is not None:
        folder.finish(result.to_frame(), errors)
    return result


def named_classifiers(classifiers: Any) -> dict[str, Classifier]:
    """Return classifiers by name; names that repeat are numbered."""
    if isinstance(classifiers, Mapping):
        given = [(str(name), wrap(obj)) for name, obj in classifiers.items()]
    else:
        several = classifiers if isinstance(classifiers, list | tuple) else [classifiers]
        given = [(model.name, model) for model in map(wrap, several)]
    models: dict[str, Classifier] = {}
    for name, model in given:
        same = sum(known.split(" #")[0] == name for known in models)
        models[name if not same else f"{name} #{same + 1}"] = model
    if not models:
        raise ParameterError("A survey needs at least one classifier.")
    return models


def check_classifiers(models: Mapping[str, Classifier], genes: pd.Index) -> None:
    """Raise a GeneMismatchError when no classifier can read data with these genes."""
    reasons = {name: reason for name, model in models.items() if (reason := _mismatch(model, genes))}
    if len(reasons) == len(models):
        several = len(reasons) > 1
        raise GeneMismatchError(
            " ".join(f"{name}: {reason}" if several else reason for name, reason in reasons.items())
        )


def _mismatch(model: Classifier, genes: pd.Index) -> str:
    """Return what a classifier says against the genes of the data; empty if nothing, or if it fails otherwise."""
    try:
        model.bind(genes).align(genes)
    except DataError as error:
        return str(error)
    except Exception:  # a classifier may raise anything, and its rows will say so
        logger.debug("Could not compare the genes of %s with the data's.", model.name, exc_info=True)
    return ""


class Work(NamedTuple):
    """What every group of tasks needs; sent to each process."""

    key: str
    adata: AnnData | OnDisk
    groupby: str
    layer: str | None
    seed: int
    budget: int | None
    folder: RunFolder | None
    clock: Clock | None = None
    progress: bool | None = False  # bars of the attacks, below that of the survey: in this process only


# statistics of the data set that this process works on; one entry, so that a process computes them once per survey
_statistics: dict[str, GeneStatistics] = {}


def run_group(
    work: Work, model: Classifier, tasks: Sequence[Task], begin: Callable[[int], object] = lambda number: None
) -> Iterator[tuple[int, Result | str]]:
    """Run all attacks on one cluster of one classifier, which share its rows and its scorer; `begin` hears of each."""
    adata = received(work.adata)
    if work.key not in _statistics:
        _statistics.clear()
        _statistics[work.key] = GeneStatistics(CellMatrix(layer_of(adata, work.layer)))
    statistics = _statistics[work.key]
    try:
        cluster = Cluster(adata, work.groupby, tasks[0].target, layer=work.layer, seed=work.seed, statistics=statistics)
        with nullcontext() if work.clock is None else work.clock.running():
            scorer = scorer_for(model, cluster)
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
            continue
        if work.folder is not None:
            work.folder.write(task, result)
        yield task.number, result


def _failure(task: Task, error: Exception) -> str:
    """Return what the table says of a failed attack; of an error that is none of ours, the log says where it was."""
    foreign = not isinstance(error, AdverscarialError)
    logger.warning("%s on %s, cluster %s: %s", task.attack, task.classifier, task.target, error, exc_info=foreign)
    return f"{type(error).__name__}: {error}"


def _whole_group(work: Work, model: Classifier, tasks: Sequence[Task]) -> Outcomes:
    return list(run_group(work, model, tasks))


def _jobs(n_jobs: int, backend: str | None, time_limit: float | None) -> int:
    """Return the number of processes on this machine, once it and the backend are known to make sense."""
    from joblib import cpu_count

    if backend not in (None, "loky", "threading", "dask"):
        raise ParameterError(f"backend must be 'loky' (processes), 'threading' or 'dask', got {backend!r}.")
    if backend == "dask":
        current_client()
        if time_limit is not None:
            raise ParameterError("time_limit= watches processes of this machine, not dask's workers: leave one out.")
        return 1
    if not isinstance(n_jobs, Integral) or (n_jobs < 1 and n_jobs != -1):
        raise ParameterError(f"n_jobs must be at least 1, or -1 for all cores, got {n_jobs!r}.")
    return int(cpu_count() if n_jobs == -1 else n_jobs)


def _in_processes(jobs: int, groups: Sequence[object], backend: str | None) -> bool:
    return jobs > 1 and len(groups) > 1 and backend != "threading"


def _run_all(
    work: Work, groups: list[tuple[Classifier, list[Task]]], jobs: int, backend: str | None
) -> Iterator[Outcomes]:
    """Run the groups here or in several processes, and yield each group's outcomes as they come."""
    from joblib import Parallel, delayed

    if jobs == 1 or len(groups) < 2:
        here = work._replace(progress=None)
        yield from ([outcome] for model, tasks in groups for outcome in run_group(here, model, tasks))
    else:  # loky keeps each process to its share of the cores; big arrays are mapped, not copied
        ending = {} if backend == "threading" else {"initializer": end_with, "initargs": (os.getpid(),)}
        parallel = Parallel(
            n_jobs=jobs, backend=backend or "loky", return_as="generator_unordered", max_nbytes="1M", **ending
        )
        yield from parallel(delayed(_whole_group)(work, model, tasks) for model, tasks in groups)
    _statistics.clear()
