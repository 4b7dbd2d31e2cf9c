"""Progress bars: on a terminal only, unless told otherwise."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from functools import cache
from typing import Any


@cache
def console() -> Any:
    """Return the one console of all bars, so that a bar inside another stands below it."""
    from rich.console import Console

    return Console(stderr=True)


def shown(wanted: bool | None) -> bool:
    """Return whether to show a bar: as `wanted`, or when None only on a terminal."""
    return sys.stderr.isatty() if wanted is None else wanted


def track(items: Iterable[Any], what: str, total: float, wanted: bool | None) -> Iterable[Any]:
    """Yield the items, with a bar beside."""
    if not shown(wanted):
        return items
    from rich.progress import track as rich_track

    return rich_track(items, what, total=total, transient=True, console=console())
