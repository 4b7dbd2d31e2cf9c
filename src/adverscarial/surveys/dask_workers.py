"""A survey on many machines, through dask: each group of attacks goes to whichever worker is free.

The data and each classifier are sent to every worker once. Results come back to the process that asked for the survey,
which alone writes its folder, so the machines need no disk in common. When a worker dies, dask gives what it was doing
to another; only a group that kills several workers one after the other is given up, and its rows say so.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from importlib import import_module
from typing import TYPE_CHECKING

import cloudpickle

from adverscarial.classifiers.base import Classifier
from adverscarial.errors import MissingDependencyError, ParameterError
from adverscarial.surveys.group import Finished, Group, Work, run_group
from adverscarial.surveys.plan import Task

if TYPE_CHECKING:
    from distributed import Client, Future, Worker

#: what a worker imports before its first task: the module that asks for all of this room, by name, as it stands above
_FIRST = "adverscarial.surveys"

_DIED = (
    "ClassifierError: the workers that were attacking {} died, one after another: memory ran out, or compiled code of "
    "the classifier failed. Their logs say more."
)


def current_client() -> Client:
    """Return the dask client that the user has made.

    Raises
    ------
    MissingDependencyError
        If dask.distributed is not installed.
    ParameterError
        If there is no client.
    """
    try:
        from distributed import Client
    except ImportError as error:
        raise MissingDependencyError("distributed", "dask", "backend='dask'") from error
    try:
        return Client.current()
    except ValueError as error:
        raise ParameterError(
            "backend='dask' uses the dask client of this process, and there is none. Make one before: "
            "client = dask.distributed.Client('tcp://scheduler:8786'), or Client() to try it on this machine."
        ) from error


def run_on_dask(groups: Sequence[Group]) -> Iterator[Finished]:
    """Run each group on a worker, and yield its outcomes when all of it is done."""
    from distributed import as_completed

    client = current_client()
    _import_first(client)
    needed: dict[int, Work | Classifier] = {id(what): what for group in groups for what in (group.work, group.model)}
    there = {key: _sent(client, what) for key, what in needed.items()}

    def submit(group: Group) -> Future:
        work, model = there[id(group.work)], there[id(group.model)]
        return client.submit(_run, work, model, cloudpickle.dumps(group.tasks), pure=False)

    running = {submit(group): group for group in groups}
    blamed: list[Group] = []
    try:
        for future in as_completed(list(running)):
            group = running.pop(future)
            if (outcomes := _outcomes(future, group.tasks)) is None:
                blamed.append(group)
            else:
                yield from outcomes
    finally:
        client.cancel(list(running))
    for group in blamed:  # alone now: dask blames all that waited at a worker for its death
        outcomes = _outcomes(submit(group), group.tasks)
        yield from outcomes or [(task.number, _DIED.format(group.model.name)) for task in group.tasks]


def _import_first(client: Client) -> None:
    """Let every worker, also those to come, import what runs the tasks before its first task.

    Else the threads that unpack messages and those that run tasks import it at the same time, which can fail.
    """
    from distributed import WorkerPlugin

    class Import(WorkerPlugin):
        name = "adverscarial"
        idempotent = True

        def setup(self, worker: Worker) -> None:
            import_module(_FIRST)

    client.register_plugin(Import())


def _sent(client: Client, what: object) -> Future:
    """Return `what` as dask holds it: made on a worker, from bytes that the scheduler keeps, and again if it dies.

    (Data that are scattered to workers die with them, and with them every task that needs them.)
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Sending large graph")  # it is sent once
        return client.submit(cloudpickle.loads, cloudpickle.dumps(what), pure=False)


def _run(work: Work, model: Classifier, tasks: bytes) -> list[Finished]:
    return list(run_group(work, model, cloudpickle.loads(tasks)))


def _outcomes(future: Future, tasks: Sequence[Task]) -> list[Finished] | None:
    """Return what a group found, or why it failed; None if it is blamed for the death of too many workers."""
    from distributed.scheduler import KilledWorker

    try:
        return list(future.result())
    except KilledWorker:
        return None
    except Exception as error:  # noqa: BLE001  whatever a worker may raise
        return [(task.number, f"{type(error).__name__}: {error}") for task in tasks]
