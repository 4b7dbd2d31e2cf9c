"""Attacks in processes of their own, which end when the classifier does not answer in time.

A question that hangs in compiled code cannot be interrupted from Python, only ended with its process. So each group of
attacks runs in a child process, where a clock of the interpreter (:mod:`faulthandler`, which needs neither the
interpreter's lock nor the parent) ends the process when one question takes too long. The parent notes whose question
it was, starts another child, and goes on with the next attack.

Watched is every call of the classifier through its scorer, the first one included. Not watched: reading the
classifier in the child, the gradients of FGSM and PGD, and what an attack itself computes between two questions.
"""

from __future__ import annotations

import faulthandler
import os
import queue
import signal
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from adverscarial.attacks.result import Result
from adverscarial.attacks.witness import ScorerAround
from adverscarial.classifiers.base import Answer, Answers, Classifier, Scorer
from adverscarial.evaluation.folder import Task
from adverscarial.evaluation.interrupt import end_with

Outcomes = list[tuple[int, Result | str]]
#: runs the tasks of one group, and calls back with a task's number before its attack begins
Runner = Callable[[Any, Classifier, Sequence[Task], Callable[[int], object]], Iterator[tuple[int, Result | str]]]

_CALM = 8  # a batch of questions is made larger only while it takes less than this part of the limit


class Clock:
    """Ends this process when a question takes longer than `limit` seconds; for child processes only.

    Parameters
    ----------
    limit
        Seconds per question.
    notes
        Where the place is written at which the process hung.
    """

    def __init__(self, limit: float, notes: TextIO) -> None:
        self.limit, self._notes = limit, notes

    @contextmanager
    def running(self) -> Iterator[None]:
        """Let the clock run while the block does."""
        faulthandler.dump_traceback_later(self.limit, exit=True, file=self._notes)
        try:
            yield
        finally:
            faulthandler.cancel_dump_traceback_later()


class Timed(ScorerAround):
    """A scorer whose questions run against the clock.

    Many questions at once are asked in parts, so that no part can take long: one at first, then twice as many while
    the last part was quick.
    """

    def __init__(self, scorer: Scorer, clock: Clock) -> None:
        super().__init__(scorer)
        self._clock, self._size = clock, 1

    def together(self, genes: np.ndarray, values: np.ndarray) -> Answer:  # noqa: D102
        with self._clock.running():
            return self.scorer.together(genes, values)

    def accept(self, genes: np.ndarray, values: np.ndarray) -> None:  # noqa: D102
        with self._clock.running():
            self.scorer.accept(genes, values)

    def each(self, genes: np.ndarray, values: np.ndarray) -> Answers:  # noqa: D102
        parts, start = [], 0
        while start < len(genes):
            part = slice(start, start + self._size)
            begun = time.perf_counter()
            with self._clock.running():
                parts.append(self.scorer.each(genes[part], values[:, part]))
            start += self._size
            quick = (time.perf_counter() - begun) * 2 * _CALM < self._clock.limit
            self._size = 2 * self._size if quick else max(1, self._size // 2)
        if not parts:
            return self.scorer.each(genes, values)
        return Answers(*(np.concatenate(arrays) for arrays in zip(*map(_arrays, parts), strict=True)))


def _arrays(answers: Answers) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return answers.label, answers.share, answers.rejected


def run_watched(
    runner: Runner, work: Any, groups: Sequence[tuple[Classifier, list[Task]]], jobs: int, limit: float
) -> Iterator[Outcomes]:
    """Run each group in one of `jobs` child processes, and yield its outcomes as they come.

    Parameters
    ----------
    runner
        A function at the top of a module; in the child, the work's ``clock`` is set for it.
    work
        What all groups need: a NamedTuple with the field ``clock``; large arrays in it are mapped, not copied.
    groups
        A classifier and its tasks.
    jobs
        Child processes at a time.
    limit
        Seconds per question.
    """
    import joblib

    with tempfile.TemporaryDirectory(prefix="adverscarial-") as name:
        folder = Path(name)
        joblib.dump(work, folder / "work")
        idle: queue.SimpleQueue[_Child] = queue.SimpleQueue()
        children = [_Child(runner, folder, number, jobs, limit) for number in range(min(jobs, len(groups)))]
        for child in children:
            idle.put(child)

        def run(model: Classifier, tasks: list[Task]) -> Outcomes:
            child = idle.get()
            try:
                return child.run(model, tasks)
            finally:
                idle.put(child)

        threads = ThreadPoolExecutor(max(1, len(children)))
        try:
            for future in as_completed([threads.submit(run, *group) for group in groups]):
                yield future.result()
        finally:
            threads.shutdown(wait=False, cancel_futures=True)
            for child in children:
                child.end()
            threads.shutdown()


class _Child:
    """One child process after the other; used by one thread at a time."""

    def __init__(self, runner: Runner, folder: Path, number: int, jobs: int, limit: float) -> None:
        self._runner, self._folder, self._limit, self._jobs = runner, folder, limit, jobs
        self._notes = folder / f"notes-{number}"
        self._process: Any = None
        self._pipe: Connection | None = None
        self._ended, self._lock = False, threading.Lock()

    def _start(self) -> Connection:
        from joblib import cpu_count
        from joblib.externals.loky.backend.context import get_context

        context = get_context("loky")  # a fresh interpreter: after a fork, threads of BLAS or torch may stand still
        here, there = context.Pipe()
        share = str(max(1, cpu_count() // self._jobs))
        threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), share)
        arguments = (there, self._runner, self._folder / "work", self._notes, self._limit, os.getpid())
        with self._lock:
            if self._ended:
                raise EOFError
            self._notes.write_text("")
            self._process = context.Process(target=_serve, args=arguments, env=threads)
            self._process.start()
        there.close()
        return here

    def run(self, model: Classifier, tasks: list[Task]) -> Outcomes:
        """Run one group; an attack during which the process ends is noted as failed, and the others go on."""
        import cloudpickle

        outcomes: Outcomes = []
        while len(outcomes) < len(tasks):
            begun = False
            try:
                pipe = self._pipe = self._pipe or self._start()
                pipe.send_bytes(cloudpickle.dumps((model, tasks[len(outcomes) :])))
                while len(outcomes) < len(tasks):
                    message = pipe.recv()
                    if isinstance(message, BaseException):
                        raise message
                    if message is None:
                        begun = True
                    else:
                        outcomes.append(message)
            except (EOFError, ConnectionError):
                reason, rest = self._why(model.name), tasks[len(outcomes) :]
                # before its first attack, it was asking about the unmodified cluster: so would the next process
                outcomes += [(task.number, reason) for task in (rest[:1] if begun else rest)]
        return outcomes

    def _why(self, name: str) -> str:
        if self._ended or self._process is None:
            return "interrupted"
        self._process.join()
        code, self._pipe = self._process.exitcode, None
        notes = self._notes.read_text()
        if notes.startswith("Timeout"):
            reason = f"{name} gave no answer within {self._limit:g} s; its process was ended."
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
            if self._process is not None and self._process.is_alive():
                os.kill(self._process.pid, getattr(signal, "SIGKILL", signal.SIGTERM))
                self._process.join()


def _place(notes: str) -> str:
    """Return where the process hung, from faulthandler's notes: the innermost frame of the main thread, the last."""
    main = notes.split("Thread 0x")[-1]
    frames = [line.strip() for line in main.splitlines() if line.strip().startswith("File ")]
    return f" It was at: {frames[0]}." if frames else ""


def _serve(pipe: Connection, runner: Runner, work_file: Path, notes_file: Path, limit: float, parent: int) -> None:
    """Run groups until the parent closes the pipe; the main function of a child."""
    import cloudpickle
    import joblib

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole terminal; the parent decides
    end_with(parent)
    work = joblib.load(work_file, mmap_mode="r")
    with notes_file.open("w") as notes:
        work = work._replace(clock=Clock(limit, notes))
        while True:
            try:
                model, tasks = cloudpickle.loads(pipe.recv_bytes())
            except EOFError:
                return
            try:
                for outcome in runner(work, model, tasks, lambda number: pipe.send(None)):
                    pipe.send(outcome)
            except Exception as error:  # noqa: BLE001  the parent raises it
                pipe.send(error)
