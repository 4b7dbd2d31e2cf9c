"""The one place where numba, which has no types of its own, compiles a typed function."""

from __future__ import annotations

import gc
import itertools
import logging
import secrets
from collections.abc import Callable
from functools import cache
from typing import Any, ParamSpec, TypeVar, cast

import numba
from numba.core import event, types
from numba.core.bytecode import FunctionIdentity
from numba.core.registry import CPUDispatcher

logger = logging.getLogger(__name__)

# numba counts the functions that a process compiles from 1, names those inside np.sort, np.argsort and the like by that
# number, and keeps the names in files. Two files of two processes may so hold one name for two functions, and whoever
# loads both gets one of them for the other: argsort returned sorted values, or the process ended (numba 0.68).
FunctionIdentity._unique_ids = itertools.count(secrets.randbits(48))

P = ParamSpec("P")
R = TypeVar("R")


def compiled(function: Callable[P, R]) -> Callable[P, R]:
    """Return a function as machine code, beside which other threads can run.

    numba keeps the code beside the source or in the user's cache. Where neither folder can be written to, it refuses to
    compile at all; the function is then compiled anew by each process.
    """
    return _compiled(function, no_cfunc_wrapper=True)


def compiled_within(function: Callable[P, R]) -> Callable[P, R]:
    """Return the same of a function that other compiled functions call: that is sooner compiled.

    What Python needs to call a function that takes dozens of arrays is more code than many such functions. Called from
    Python, it runs as Python.
    """
    return _from_within(_compiled(function, no_cfunc_wrapper=True, no_cpython_wrapper=True))


def inlined(function: Callable[P, R]) -> Callable[P, R]:
    """Return the same of a function that is compiled as a part of each that calls it, not by itself as well."""
    return _from_within(_compiled(function, no_cfunc_wrapper=True, no_cpython_wrapper=True, inline="always"))


class _Loops(CPUDispatcher):  # type: ignore[misc]  # numba has no types
    """A compiled function that is not compiled once more for each number that its callers write out."""

    def compile(self, sig: Any) -> Any:
        """Compile without the garbage collector: it would look through numba's millions of objects again and again."""
        collecting = gc.isenabled()
        gc.disable()
        try:
            return super().compile(sig)
        finally:
            if collecting:
                gc.enable()

    def get_call_template(self, args: Any, kws: Any) -> Any:
        plain = {name: types.unliteral(type_) for name, type_ in dict(kws).items()}
        return super().get_call_template(tuple(types.unliteral(type_) for type_ in args), plain)


class _Within(_Loops):
    """A compiled function into which there is no way from Python: a call would end the process."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.py_func(*args, **kwargs)


class _Compilation(event.Listener):  # type: ignore[misc]  # numba has no types
    """Says that loops are compiled, before the first one is: it is a wait that nobody expects."""

    def on_start(self, event: Any) -> None:
        """Say it, unless the function is another library's."""
        if str(event.data["dispatcher"].py_func.__module__).startswith(f"{__package__}."):
            _say_compiling()

    def on_end(self, event: Any) -> None:
        """Nothing is said at the end."""


event.register("numba:compile", _Compilation())


@cache
def _say_compiling() -> None:
    logger.info("Compiling loops for this computer: some seconds, once per installation.")


def _from_within(function: Callable[P, R]) -> Callable[P, R]:
    if isinstance(function, CPUDispatcher):
        function.__class__ = _Within
    return function


def _compiled(function: Callable[P, R], **options: Any) -> Callable[P, R]:
    # Without these options numba makes each function callable from C and from Python as well.
    try:
        made = numba.njit(cache=True, nogil=True, **options)(function)
    except RuntimeError as error:
        if "cannot cache" not in str(error):
            raise
        _say_once()
        made = numba.njit(nogil=True, **options)(function)
    if isinstance(made, CPUDispatcher):  # it is none where NUMBA_DISABLE_JIT is set
        made.__class__ = _Loops
    return cast("Callable[P, R]", made)


@cache
def _say_once() -> None:
    logger.info(
        "numba can write to no folder in which to keep compiled loops, so each process compiles them again. Name one "
        "with the environment variable NUMBA_CACHE_DIR."
    )
