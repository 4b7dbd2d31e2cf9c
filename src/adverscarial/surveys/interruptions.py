"""Ending in good order: when the system asks for it (SIGTERM), and when the process that gave the work is gone."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn


@contextmanager
def terminable() -> Iterator[None]:
    """Let SIGTERM end the block as Ctrl-C does: open files are removed, other processes ended; exit code 143.

    Only in the main thread, and only where the program has no handler of its own.
    """
    own = threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    if not own:
        yield
        return
    signal.signal(signal.SIGTERM, _stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _stop(number: int, frame: object) -> NoReturn:
    raise SystemExit(128 + number)


_watched: set[int] = set()


def end_with(parent: int) -> None:
    """Let this process end when `parent`, which started it, is gone: a killed survey leaves no process behind.

    It may be gone before this begins: a process takes seconds to start.
    """
    if parent not in _watched:
        _watched.add(parent)
        threading.Thread(target=_wait_for, args=(parent,), daemon=True).start()


def _wait_for(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(1)
