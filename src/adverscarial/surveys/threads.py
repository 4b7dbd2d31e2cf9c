"""Groups of attacks in threads of this process, whose outcomes come one by one as they are found."""

from __future__ import annotations

import itertools
import queue
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor

from adverscarial.surveys.group import Finished, Group

#: runs one group, and yields its outcomes
RunGroup = Callable[[Group], Iterator[Finished]]


def run_in_threads(
    run: RunGroup, groups: Iterable[Group], threads: int, stop: Callable[[], object] = lambda: None
) -> Iterator[Finished]:
    """Run the groups in several threads, and yield each outcome as it comes.

    Parameters
    ----------
    run
        Runs one group.
    groups
        All groups. Making the next one may take its time: those that were made before run beside it.
    threads
        Groups at a time.
    stop
        Called before the threads are waited for when this ends early: it makes `run` come back.
    """
    found: queue.SimpleQueue[Finished | BaseException | None] = queue.SimpleQueue()
    ended = threading.Event()

    def work(group: Group) -> None:
        try:
            for finished in run(group):
                found.put(finished)
                if ended.is_set():
                    return
            found.put(None)
        except BaseException as error:  # noqa: BLE001  raised again in the thread that waits
            found.put(error)

    pool = ThreadPoolExecutor(max(1, threads))
    try:
        left = 0
        for group in itertools.chain(groups, [None]):
            if group is not None:
                pool.submit(work, group)
                left += 1
            while left and (group is None or not found.empty()):  # what is found is handed on between two groups, too
                item = found.get()
                if isinstance(item, BaseException):
                    raise item
                if item is None:
                    left -= 1
                else:
                    yield item
    finally:
        ended.set()
        pool.shutdown(wait=False, cancel_futures=True)
        stop()
        pool.shutdown()
