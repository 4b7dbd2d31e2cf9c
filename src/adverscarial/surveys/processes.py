"""Groups of attacks in processes of their own.

A process that ends in the middle, because memory ran out, because compiled code of the classifier failed, or because a
query took longer than the time limit, costs the row of the attack that it was in: another process is started, and
goes on with the next attack.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from queue import LifoQueue
from typing import NamedTuple

from anndata import AnnData

from adverscarial import _memory
from adverscarial.classifiers.base import Classifier
from adverscarial.errors import AdverscarialError
from adverscarial.surveys.group import Finished, Group, Work, run_group
from adverscarial.surveys.interruptions import end_with
from adverscarial.surveys.plan import Task
from adverscarial.surveys.threads import run_in_threads
from adverscarial.surveys.timeouts import Clock
from adverscarial.surveys.transfer import OnDisk, file_of, temporary_folder, written


def run_in_processes(groups: Iterable[Group], jobs: int, limit: float | None = None) -> Iterator[Finished]:
    """Run each group in one of `jobs` child processes, and yield each outcome as it comes.

    Parameters
    ----------
    groups
        What is to be run; large arrays of the data are mapped, not copied. While they are still being made, which may
        mean training a classifier, this process counts as one of the `jobs`.
    jobs
        Child processes at a time.
    limit
        Seconds that the classifier may take for one query; None for no limit.

    Raises
    ------
    StorageError
        If there is no temporary folder, or no room in it.
    """
    with temporary_folder() as folder:
        sent = _Sent(folder)
        children = [_Child(_Start(folder / f"notes-{number}", limit, jobs, os.getpid())) for number in range(jobs)]
        idle: LifoQueue[_Child] = LifoQueue()  # the last one that was used first: a child may never be needed
        for child in children[1:]:
            idle.put(child)

        def made() -> Iterator[Group]:
            yield from groups
            idle.put(children[0])

        def run(group: Group) -> Iterator[Finished]:
            child = idle.get()
            try:
                file = sent.model(group.model)
                failed = ((task.number, file.error) for task in group.tasks)
                yield from failed if file.error else child.run(group, sent.data(group.work), file.path)
            finally:
                idle.put(child)
                _memory.give_back()  # each thread has room of its own for what it received

        def stop() -> None:
            for child in children:
                child.end()
            idle.put(children[0])  # a thread may be waiting for it

        yield from run_in_threads(run, made(), jobs, stop)


class _ModelFile(NamedTuple):
    """Where a classifier was written for other processes, or why it could not be."""

    path: Path
    error: str


class _Sent:
    """Writes what child processes need into files, each once."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._data: dict[int, tuple[object, Path]] = {}  # with what was written: an identity holds while it lives
        self._models: dict[int, tuple[Classifier, _ModelFile]] = {}
        self._lock = threading.Lock()

    def data(self, work: Work) -> Path:
        """Return the file of the cells; written when first asked for, unless they lie in one already."""
        with self._lock:
            if id(work.adata) not in self._data:
                path = file_of(work.adata) or written(work.adata, self._folder / f"data-{len(self._data)}")
                self._data[id(work.adata)] = work.adata, path
            return self._data[id(work.adata)][1]

    def model(self, model: Classifier) -> _ModelFile:
        """Return the file of a classifier; written when first asked for."""
        with self._lock:
            if id(model) not in self._models:
                self._models[id(model)] = model, self._write(model)
            return self._models[id(model)][1]

    def _write(self, model: Classifier) -> _ModelFile:
        import cloudpickle

        path, error = self._folder / f"classifier-{len(self._models)}", ""
        try:
            path.write_bytes(cloudpickle.dumps(model))
        except Exception as reason:  # noqa: BLE001  pickling raises whatever an object makes it
            error = (
                f"ClassifierError: {model.name} cannot be sent to another process ({type(reason).__name__}: {reason}). "
                "Use n_jobs=1 and no time_limit, or backend='threading'."
            )
        return _ModelFile(path, error)


class _Start(NamedTuple):
    """What a child process is started with."""

    notes: Path
    limit: float | None
    jobs: int
    parent: int


class _Order(NamedTuple):
    """What a child process is asked to run: the files of the cells and of the classifier, all else, and the tasks."""

    data: Path
    model: Path
    work: Work  # without the cells
    tasks: list[Task]


class _Child:
    """One child process after the other; used by one thread at a time."""

    def __init__(self, start: _Start) -> None:
        self._given = start
        self._process: BaseProcess | None = None
        self._pipe: Connection | None = None
        self._ended, self._lock = False, threading.Lock()

    def _start(self) -> Connection:
        from joblib import cpu_count
        from joblib.externals.loky.backend.context import get_context

        context = get_context("loky")  # a fresh interpreter: after a fork, threads of BLAS or torch may stand still
        here: Connection
        there: Connection
        here, there = context.Pipe()
        share = str(max(1, cpu_count() // self._given.jobs))
        threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), share)
        with self._lock:
            if self._ended:
                raise EOFError
            self._given.notes.write_text("")
            self._process = context.Process(target=_serve, args=(there, self._given), env=threads)
            self._process.start()
        there.close()
        return here

    def run(self, group: Group, data: Path, model: Path) -> Iterator[Finished]:
        """Run one group; an attack during which the process ends is noted as failed, and the others go on."""
        left = list(group.tasks)
        while left:
            begun = False
            try:
                pipe = self._pipe = self._pipe or self._start()
                pipe.send_bytes(_packed(_Order(data, model, group.work._replace(adata=None), left)))
                while left:
                    message = pipe.recv()
                    if isinstance(message, BaseException):
                        raise message
                    if message is None:
                        begun = True
                        continue
                    left.pop(0)
                    yield message
            except (EOFError, ConnectionError):
                reason = self._why(group.model.name)
                # before its first attack, it was asking about the unmodified cluster: so would the next process
                lost = left[:1] if begun else list(left)
                left = left[len(lost) :]
                yield from ((task.number, reason) for task in lost)

    def _why(self, name: str) -> str:
        """Return why the process ended."""
        if self._ended or self._process is None:
            return "interrupted"
        self._process.join()
        code, self._pipe = self._process.exitcode, None
        notes = self._given.notes.read_text()
        if notes.startswith("Timeout"):
            reason = f"{name} gave no answer within {self._given.limit:g} s; its process was ended."
            return f"ClassifierError: {reason}{_place(notes)}"
        how = signal.Signals(-code).name if code and code < 0 else f"exit code {code}"
        return (
            f"ClassifierError: the process ended ({how}) while {name} was asked: memory ran out, or compiled code of "
            "the classifier failed."
        )

    def end(self) -> None:
        """End the process, whatever it does."""
        with self._lock:
            self._ended = True
            if self._process is not None and self._process.is_alive() and self._process.pid is not None:
                os.kill(self._process.pid, getattr(signal, "SIGKILL", signal.SIGTERM))
                self._process.join()


def _packed(value: object) -> bytes:
    import cloudpickle

    return bytes(cloudpickle.dumps(value))


def _place(notes: str) -> str:
    """Return where the process hung, from faulthandler's notes: the innermost frame of the main thread, the last."""
    main = notes.split("Thread 0x")[-1]
    frames = [line.strip() for line in main.splitlines() if line.strip().startswith("File ")]
    return f" It was at: {frames[0]}." if frames else ""


def _serve(pipe: Connection, start: _Start) -> None:
    """Run groups until the parent closes the pipe; the main function of a child."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole terminal; the parent decides
    end_with(start.parent)
    with start.notes.open("w") as notes:
        here = _Received(None if start.limit is None else Clock(start.limit, notes))
        while True:
            try:
                packed = pipe.recv_bytes()
            except EOFError:
                return
            _answer(pipe, here, packed)


class _Received:
    """What this process has read: the last data and the last classifier, which are mostly the next group's."""

    def __init__(self, clock: Clock | None) -> None:
        self.clock = clock
        self._data: dict[Path, AnnData | OnDisk] = {}
        self._models: dict[Path, Classifier] = {}

    def data(self, path: Path) -> AnnData | OnDisk:
        """Return the cells, their arrays mapped."""
        import joblib

        if path not in self._data:
            self._data.clear()
            self._data[path] = joblib.load(path, mmap_mode="r")
        return self._data[path]

    def model(self, path: Path) -> Classifier:
        """Return the classifier."""
        import cloudpickle

        if path not in self._models:
            self._models.clear()
            self._models[path] = cloudpickle.loads(path.read_bytes())
        return self._models[path]


def _answer(pipe: Connection, here: _Received, packed: bytes) -> None:
    """Run one group, and send each outcome to the parent; an error that is no attack's is sent, too."""
    import cloudpickle

    order: _Order = cloudpickle.loads(packed)
    try:
        model = here.model(order.model)
    except Exception as error:  # noqa: BLE001  reading an object may raise anything
        reason = (
            f"ClassifierError: it cannot be read in another process ({type(error).__name__}: {error}). Use n_jobs=1."
        )
        for task in order.tasks:
            pipe.send((task.number, reason))
        return
    try:
        work = order.work._replace(adata=here.data(order.data), clock=here.clock)
        tell: Callable[[int], None] = lambda number: pipe.send(None)  # noqa: E731
        for finished in run_group(work, model, order.tasks, tell):
            pipe.send(finished)
    except Exception as error:  # noqa: BLE001  the parent raises it
        ours = isinstance(error, AdverscarialError)
        pipe.send(error if ours else RuntimeError(f"{type(error).__name__}: {error}"))
    _memory.give_back()  # several processes wait for each other's
