"""Surveys side by side: one set of processes, whose data are written once, runs the attacks of all.

The surveys may come one by one, because the classifier of the next is being trained: the attacks on the others run
meanwhile.
"""

from __future__ import annotations

import itertools
import uuid
from collections.abc import Generator, Iterable, Iterator
from contextlib import ExitStack, closing
from typing import NamedTuple

from anndata import AnnData

from adverscarial._progress import Advance
from adverscarial.attacks.result import Result
from adverscarial.attacks.start import check_memory
from adverscarial.surveys.dask_workers import run_on_dask
from adverscarial.surveys.folder import RunFolder
from adverscarial.surveys.group import Finished, Group, Work, forget, run_group
from adverscarial.surveys.plan import Plan, Task
from adverscarial.surveys.processes import run_in_processes
from adverscarial.surveys.shared_arrays import SharedArrays
from adverscarial.surveys.stored import StoredPlan
from adverscarial.surveys.table import Survey
from adverscarial.surveys.threads import run_in_threads
from adverscarial.surveys.transfer import sendable


class Asked(NamedTuple):
    """A survey that is to be run.

    Attributes
    ----------
    plan
        Of it.
    folder
        Keeps its results, and may hold some already; None keeps nothing.
    trust
        As ``resume="trust"`` of :func:`adverscarial.survey`.
    """

    plan: Plan
    folder: RunFolder | None = None
    trust: bool = False


class Workers(NamedTuple):
    """Where the attacks run."""

    processes: int
    backend: str | None
    time_limit: float | None


class _Begun(NamedTuple):
    """A survey whose attacks run; its tasks are counted on from `first`."""

    asked: Asked
    first: int
    results: dict[int, Result | str]


def run_all(asked: Iterable[Asked], how: Workers, advance: Advance) -> list[Survey]:
    """Run surveys, and return them in the order in which they came.

    Parameters
    ----------
    asked
        The surveys. Each is taken when the attacks of those before are on their way.
    how
        Where the attacks run.
    advance
        Of a progress bar; called with the attacks that are done.
    """
    begun: list[_Begun] = []
    arrays = SharedArrays()
    with ExitStack() as folders, closing(_run(_groups(asked, how, begun, folders, advance), how)) as outcomes:
        for number, outcome in outcomes:
            one = next(one for one in reversed(begun) if one.first <= number)
            own, folder = number - one.first, one.asked.folder
            one.results[own] = arrays.shared(outcome) if isinstance(outcome, Result) else outcome
            if folder is not None and isinstance(outcome, Result):
                folder.write(one.asked.plan.tasks[own], outcome)
            advance()
        return [_finished(one) for one in begun]


def _groups(
    asked: Iterable[Asked], how: Workers, begun: list[_Begun], folders: ExitStack, advance: Advance
) -> Iterator[Group]:
    """Begin one survey after the other, and yield what is left of it, by classifier and cluster."""
    keys: dict[tuple[int, str | None], str] = {}  # statistics of data that several surveys attack are made once
    first = 0
    for one in asked:
        plan, folder = one.plan, one.folder
        check_memory(
            plan.adata, list(plan.models.values()), groupby=plan.groupby, targets=plan.clusters, layer=plan.layer,
            jobs=how.processes,
        )  # fmt: skip
        done = {} if folder is None else folders.enter_context(folder.opened(plan, trust=one.trust))
        begun.append(_Begun(one, first, dict(done)))
        advance(len(done))
        key = keys.setdefault((id(plan.adata), plan.layer), uuid.uuid4().hex)
        work = Work(key, plan.adata, plan.groupby, plan.layer, plan.seed, plan.budget)
        for (classifier, _), tasks in _left(plan, done).items():
            numbered = [task._replace(number=first + task.number) for task in tasks]
            yield Group(work, plan.models[classifier], numbered)
        first += len(plan.tasks)


def _left(plan: Plan, done: dict[int, Result]) -> dict[tuple[str, str], list[Task]]:
    left: dict[tuple[str, str], list[Task]] = {}
    for task in plan.tasks:
        if task.number not in done:
            left.setdefault((task.classifier, task.target), []).append(task)
    return left


def _run(groups: Iterator[Group], how: Workers) -> Generator[Finished]:
    """Run the groups here, in threads, in processes or on other machines, and yield outcomes as they come."""
    some = list(itertools.islice(groups, 2))
    several, groups = how.processes > 1 and len(some) > 1, itertools.chain(some, groups)
    if how.backend == "dask":
        yield from run_on_dask(list(_sendable(groups)))
    elif how.time_limit is not None or (several and how.backend != "threading"):
        yield from run_in_processes(_sendable(groups), how.processes, how.time_limit)
    elif several:
        yield from run_in_threads(lambda group: run_group(*group), groups, how.processes)
    else:
        for work, model, tasks in groups:
            yield from run_group(work._replace(progress=None), model, tasks)
    forget()


def _sendable(groups: Iterable[Group]) -> Iterator[Group]:
    """Yield the groups with data that can be sent to other processes; those of one survey keep one piece of work."""
    before = sent = None
    for group in groups:
        if group.work is not before or sent is None:
            before = group.work
            assert isinstance(before.adata, AnnData)
            sent = before._replace(adata=sendable(before.adata, before.layer))
        yield group._replace(work=sent)


def _finished(begun: _Begun) -> Survey:
    """Return a survey all of whose attacks are done, once its folder says so."""
    (plan, folder, _), results = begun.asked, begun.results
    found = [results[task.number] for task in plan.tasks]
    errors = {number: outcome for number, outcome in enumerate(found) if isinstance(outcome, str)}
    description: StoredPlan = plan.description if folder is None else folder.description
    kept = tuple(result if isinstance(result, Result) else None for result in found)
    survey = Survey(description, plan.tasks, kept, errors)
    if folder is not None:
        folder.finish(survey.to_frame(), survey.errors)
    return survey
