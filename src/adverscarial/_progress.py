"""Progress bars, all on one console: on a terminal or in a notebook only, unless told otherwise.

What a bar was told holds for the bars of the work inside it, so that ``progress=False`` silences all of a call.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.progress import Progress

Advance = Callable[..., None]
Item = TypeVar("Item")

_AFTER = 0.5  # seconds until a bar is seen on a terminal: short work would only flicker
_asked_for: ContextVar[bool | None] = ContextVar("told", default=None)


def stand_still(steps: float = 1) -> None:
    """Move no bar."""


@cache
def console() -> Console:
    """Return the one console of all bars, so that a bar inside another stands below it.

    Names of clusters, genes and files are printed as they are, never as markup or emoji.
    """
    from rich.console import Console

    return Console(stderr=True, markup=False, emoji=False, highlight=False)


def shown(wanted: bool | None) -> bool:
    """Return whether to show a bar: as `wanted`, else as the bar around it was told, else where somebody looks.

    That is on a terminal, and in a notebook.
    """
    told = _asked_for.get() if wanted is None else wanted
    if told is not None:
        return told
    if in_notebook():
        return True
    stream = getattr(sys.stderr, "rich_proxied_file", sys.stderr)  # rich stands before it while a bar runs
    return stream is not None and not stream.closed and bool(stream.isatty())  # services run without standard error


def in_notebook() -> bool:
    """Return whether this runs in a Jupyter notebook."""
    ipython = sys.modules.get("IPython")
    shell = None if ipython is None else ipython.get_ipython()
    return type(shell).__name__ == "ZMQInteractiveShell"


@contextmanager
def _in_cell(what: str, total: float) -> Iterator[Advance]:
    """Show one bar below a notebook's cell; it goes away at the end. It is plain text where ipywidgets is missing."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "IProgress not found")  # a bar of text will do
        from tqdm.auto import tqdm
    with tqdm(desc=what, total=total, leave=False, delay=_AFTER, file=sys.stderr) as shown_bar:
        yield lambda steps=1: shown_bar.update(steps)


@contextmanager
def bar(what: str, total: float, wanted: bool | None = None) -> Iterator[Advance]:
    """Show a bar while the block runs; the block calls what it gets after each step, or with the number of steps.

    On a terminal the bar goes away at the end, and in a notebook, which shows the outermost one only. Elsewhere, where
    it was asked for, one line is left, and the bars of the work inside are not shown.
    """
    show, around = shown(wanted), _asked_for.get()
    told = around if wanted is None else wanted
    notebook = show and in_notebook()
    _asked_for.set(told if not show or (console().is_terminal and not notebook) else False)
    try:
        if not show:
            yield stand_still
            return
        if notebook:
            with _in_cell(what, total) as advance:
                yield advance
            return
        with _bars()(console=console(), transient=console().is_terminal) as progress:
            task = progress.add_task(what, total=total)
            yield lambda steps=1: progress.advance(task, steps)
    finally:
        _asked_for.set(around)


def track(items: Iterable[Item], what: str, total: float, wanted: bool | None = None) -> Iterator[Item]:
    """Yield the items, with a bar beside: one step each."""
    with bar(what, total, wanted) as advance:
        for item in items:
            yield item
            advance()


@cache
def _bars() -> type[Progress]:
    """Return the class of bars; rich is loaded when the first one is shown."""
    from rich.progress import BarColumn, Progress, ProgressColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    class Bars(Progress):
        @classmethod
        def get_default_columns(cls) -> tuple[ProgressColumn, ...]:
            name = TextColumn("{task.description}", markup=False)  # clusters may be called "[B]"
            percent = TextColumn("{task.percentage:>3.0f}%")
            return name, BarColumn(), percent, TimeElapsedColumn(), TimeRemainingColumn()

        def get_renderables(self) -> Iterable[RenderableType]:
            if not console().is_terminal or any((task.elapsed or 0) >= _AFTER for task in self.tasks):
                yield from super().get_renderables()

    return Bars
