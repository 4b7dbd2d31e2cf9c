"""A limit on the time that a classifier may take for one query.

A query that hangs in compiled code cannot be interrupted from Python, only ended with its process. So attacks run in
a child process (:mod:`adverscarial.surveys.processes`), where a clock of the interpreter (:mod:`faulthandler`, which
needs neither the interpreter's lock nor the parent) ends the process when one query takes too long.

Watched is every call of the classifier through its scorer, the first one included. Not watched: reading the
classifier in the child, the gradients of FGSM and PGD, what an attack itself computes between two queries, and the
time in which numba compiles, which a loop takes once per installation.
"""

from __future__ import annotations

import faulthandler
import functools
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TextIO

import numpy as np
from numba.core import event as numba_events

from adverscarial.classifiers.answers import Answer, Answers
from adverscarial.classifiers.scorers.alike import Alike
from adverscarial.classifiers.scorers.base import Scorer
from adverscarial.classifiers.scorers.wrapped import WrappedScorer

_QUICK = 8  # a batch of queries is made larger only while it takes less than this part of the limit


class Clock:
    """Ends this process when a query takes longer than `limit` seconds; for child processes only.

    Parameters
    ----------
    limit
        Seconds per query. Compilation does not count: after it, a query has the whole time again.
    notes
        Where the place is written at which the process hung.
    """

    def __init__(self, limit: float, notes: TextIO) -> None:
        self.limit, self._notes = limit, notes
        self._asking = False
        numba_events.register("numba:compiler_lock", _Compilation(self))

    @contextmanager
    def running(self) -> Iterator[None]:
        """Let the clock run while the block does."""
        self._asking = True
        self.start()
        try:
            yield
        finally:
            self._asking = False
            self.stop()

    def start(self) -> None:
        """Give the query that is being asked, if there is one, its whole time from now on."""
        if self._asking:
            faulthandler.dump_traceback_later(self.limit, exit=True, file=self._notes)

    def stop(self) -> None:
        """Let the clock stand still."""
        faulthandler.cancel_dump_traceback_later()


class _Compilation(numba_events.Listener):
    """Stops a clock while numba compiles; compiling one loop can start compiling another one."""

    def __init__(self, clock: Clock) -> None:
        self._clock, self._depth = clock, 0

    def on_start(self, event: object) -> None:
        self._depth += 1
        self._clock.stop()

    def on_end(self, event: object) -> None:
        self._depth -= 1
        if self._depth == 0:
            self._clock.start()


class Timed(WrappedScorer):
    """A scorer whose queries run against the clock.

    Many queries at once are asked in parts, so that no part can take long: one at first, then twice as many while
    the last part was quick.
    """

    def __init__(self, scorer: Scorer, clock: Clock) -> None:
        super().__init__(scorer)
        self._clock, self._size = clock, 1
        if scorer.company is not None:
            self.company = functools.partial(self._in_time, scorer.company)

    def _in_time(self, test: Callable[[], int]) -> int:
        with self._clock.running():
            return test()

    def together(self, genes: np.ndarray, values: np.ndarray) -> Answer:  # noqa: D102
        with self._clock.running():
            return self.scorer.together(genes, values)

    def accept(self, genes: np.ndarray, values: np.ndarray) -> None:  # noqa: D102
        with self._clock.running():
            self.scorer.accept(genes, values)

    def alike(self, genes: np.ndarray, values: np.ndarray) -> Alike | None:
        """Return the proof of the scorer inside: nothing is done to its queries but to time them."""
        return self.scorer.alike(genes, values)

    def each(self, genes: np.ndarray, values: np.ndarray) -> Answers:  # noqa: D102
        parts, start = [], 0
        while start < len(genes):
            part = slice(start, start + self._size)
            begun = time.perf_counter()
            with self._clock.running():
                parts.append(self.scorer.each(genes[part], values[:, part]))
            start += self._size
            quick = (time.perf_counter() - begun) * 2 * _QUICK < self._clock.limit
            self._size = 2 * self._size if quick else max(1, self._size // 2)
        if not parts:
            return self.scorer.each(genes, values)
        return Answers(*(np.concatenate(arrays) for arrays in zip(*map(_arrays, parts), strict=True)))


def _arrays(answers: Answers) -> tuple[np.ndarray, ...]:
    lead = np.full(len(answers.label), np.nan) if answers.lead is None else answers.lead
    return answers.label, answers.share, answers.rejected, lead
