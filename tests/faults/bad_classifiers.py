"""Classifiers that go wrong in the middle of a survey: each answers well at first, and counts its calls."""

import ctypes
import faulthandler
import gc
import os
import time
from collections.abc import Callable
from typing import Any, TextIO

import numpy as np

from adverscarial.surveys.timeouts import Clock

CLASSES = ["B", "T"]
SOON = 0.01  # seconds


class Bad:
    """Cells with much of the first gene are B; from call number `after` on, something else happens.

    Parameters
    ----------
    after
        Calls that are answered well.
    then
        What happens afterwards; given the cells, it returns labels or scores.
    """

    def __init__(self, after: int, then: Callable[[np.ndarray], Any]) -> None:
        self.after, self.then, self.calls = after, then, 0

    def __call__(self, X: np.ndarray) -> Any:
        self.calls += 1
        return good(X) if self.calls <= self.after else self.then(X)


def good(X: np.ndarray) -> np.ndarray:
    """Return two scores per cell."""
    return np.column_stack([X[:, 0], 1 - X[:, 0]])


def fails(X: np.ndarray) -> np.ndarray:
    raise RuntimeError("no licence")


def divides(X: np.ndarray) -> np.ndarray:
    return np.full((len(X), 2), 1 // (len(X) - len(X)))


def hangs(X: np.ndarray) -> np.ndarray:
    # from its own frame, so that it is in it whenever the clock ends the process
    faulthandler.dump_traceback_later(SOON, exit=True, file=notes_of_the_clock())
    time.sleep(1000)
    return good(X)


def hangs_in_c(X: np.ndarray) -> np.ndarray:
    """Hold the interpreter's lock for ever, as compiled code can: no Python thread or signal handler runs."""
    faulthandler.dump_traceback_later(SOON, exit=True, file=notes_of_the_clock())
    ctypes.PyDLL(None).usleep(900_000_000)
    return good(X)


def notes_of_the_clock() -> TextIO:
    """Return where the clock of this process writes; it must be running, since a query is being asked.

    What hangs sets the clock forward with it. So the limit itself can be one that every good answer keeps on the
    slowest machine, and nobody waits for it.
    """
    (clock,) = (thing for thing in gc.get_objects() if isinstance(thing, Clock))
    assert clock._asking
    return clock._notes


def crashes(X: np.ndarray) -> np.ndarray:
    os.abort()


def gives_nan(X: np.ndarray) -> np.ndarray:
    scores = good(X)
    scores[2, 1] = np.nan
    return scores


def gives_half(X: np.ndarray) -> np.ndarray:
    return good(X)[: len(X) // 2]


def turns(X: np.ndarray) -> np.ndarray:
    return 1 - good(X)


class Moody(Bad):
    """Gives one cell another label in about half of its calls."""

    def __init__(self, seed: int) -> None:
        super().__init__(0, self.shaky)
        self.rng = np.random.default_rng(seed)

    def shaky(self, X: np.ndarray) -> np.ndarray:
        scores = good(X)
        if self.rng.random() < 0.5:
            scores[0] = scores[0, ::-1]
        return scores
