"""The one place where numba, which has no types of its own, compiles a typed function."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import cache
from typing import ParamSpec, TypeVar, cast

import numba

logger = logging.getLogger(__name__)

P = ParamSpec("P")
R = TypeVar("R")


def compiled(function: Callable[P, R]) -> Callable[P, R]:
    """Return a function as machine code, beside which other threads can run.

    numba keeps the code beside the source or in the user's cache. Where neither folder can be written to, it refuses to
    compile at all; the function is then compiled anew by each process.
    """
    try:
        return cast("Callable[P, R]", numba.njit(cache=True, nogil=True)(function))
    except RuntimeError as error:
        if "cannot cache" not in str(error):
            raise
        _say_once()
        return cast("Callable[P, R]", numba.njit(nogil=True)(function))


@cache
def _say_once() -> None:
    logger.info(
        "numba can write to no folder in which to keep compiled loops, so each process compiles them again. Name one "
        "with the environment variable NUMBA_CACHE_DIR."
    )
