"""Progress bars, all on one console: on a terminal only, unless told otherwise.

What a bar was told holds for the bars of the work inside it, so that ``progress=False`` silences all of a call.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from typing import Any

Advance = Callable[..., None]

_AFTER = 0.5  # seconds until a bar is seen on a terminal: short work would only flicker
_told: ContextVar[bool | None] = ContextVar("told", default=None)


def stand_still(steps: float = 1) -> None:
    """Move no bar."""


@cache
def console() -> Any:
    """Return the one console of all bars, so that a bar inside another stands below it."""
    from rich.console import Console

    return Console(stderr=True)


def shown(wanted: bool | None) -> bool:
    """Return whether to show a bar: as `wanted`, else as the bar around it was told, else only on a terminal."""
    told = _told.get() if wanted is None else wanted
    if told is not None:
        return told
    return bool(getattr(sys.stderr, "rich_proxied_file", sys.stderr).isatty())  # rich stands before it while a bar runs


@contextmanager
def bar(what: str, total: float, wanted: bool | None = None) -> Iterator[Advance]:
    """Show a bar while the block runs; the block calls what it gets after each step, or with the number of steps.

    On a terminal the bar goes away at the end. Elsewhere, where it was asked for, one line is left, and the bars of
    the work inside are not shown.
    """
    show, around = shown(wanted), _told.get()
    told = around if wanted is None else wanted
    _told.set(told if not show or console().is_terminal else False)
    try:
        if not show:
            yield stand_still
            return
        with _bars()(console=console(), transient=console().is_terminal) as progress:
            task = progress.add_task(what, total=total)
            yield lambda steps=1: progress.advance(task, steps)
    finally:
        _told.set(around)


def track(items: Iterable[Any], what: str, total: float, wanted: bool | None = None) -> Iterator[Any]:
    """Yield the items, with a bar beside: one step each."""
    with bar(what, total, wanted) as advance:
        for item in items:
            yield item
            advance()


@cache
def _bars() -> Any:
    """Return the class of bars; rich is loaded when the first one is shown."""
    from rich.progress import BarColumn, Progress, ProgressColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    class Bars(Progress):
        @classmethod
        def get_default_columns(cls) -> tuple[ProgressColumn, ...]:
            name = TextColumn("{task.description}", markup=False)  # clusters may be called "[B]"
            percent = TextColumn("{task.percentage:>3.0f}%")
            return name, BarColumn(), percent, TimeElapsedColumn(), TimeRemainingColumn()

        def get_renderables(self) -> Iterator[Any]:
            if not console().is_terminal or any((task.elapsed or 0) >= _AFTER for task in self.tasks):
                yield from super().get_renderables()

    return Bars
