"""Standard streams that may be closed, lead nowhere, or not know all letters."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import TextIOWrapper
from typing import TextIO, cast


class Steady:
    """A standard stream whose reader may go away: what nobody can read is dropped, and the work goes on.

    Parameters
    ----------
    stream
        The stream to write to.
    tolerated
        The error that is no reason to stop. Any other error is raised once, and the stream is silent from then on.
    """

    def __init__(self, stream: TextIO, tolerated: type[OSError]) -> None:
        self._stream, self._tolerated = stream, tolerated

    def write(self, text: str) -> int:
        """Write `text`, or drop it where the reader is gone."""
        try:
            return self._stream.write(text)
        except OSError as error:
            self._drop(error)
            return len(text)

    def flush(self) -> None:
        """Hand on what was written."""
        try:
            self._stream.flush()
        except OSError as error:
            self._drop(error)

    def _drop(self, error: OSError) -> None:
        """Lead the stream to the null device: what it still holds would fail again when Python ends."""
        with suppress(OSError, ValueError):
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, self._stream.fileno())
            os.close(null)
        self._stream = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 - lives as long as the program
        if not isinstance(error, self._tolerated):
            raise error

    def __getattr__(self, name: str) -> object:
        return getattr(self._stream, name)


def open_closed() -> None:
    """Open standard streams that were closed when Python began (it sets them to None) on the null device.

    Otherwise the next file that is opened takes the number of the closed stream, and worker processes write into it.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            stream = open(os.devnull, mode, encoding="utf-8")  # noqa: SIM115 - lives as long as the program
            with suppress(OSError):
                os.set_inheritable(stream.fileno(), True)
            setattr(sys, name, stream)


@contextmanager
def steady() -> Iterator[None]:
    """Make standard output and standard error fit for work that should not stop for them, while the block runs.

    A reader of standard output that goes away (``| head``), a standard error that is closed or cannot be written to,
    and letters that the encoding of either does not have (shown as ``?``) stop nothing.
    """
    open_closed()
    out, err = sys.stdout, sys.stderr
    strict = {stream: getattr(stream, "errors", None) for stream in (out, err)}
    for stream in (out, err):
        _reconfigure(stream, "replace")
    sys.stdout = cast(TextIO, Steady(out, BrokenPipeError))
    sys.stderr = cast(TextIO, Steady(err, OSError))
    try:
        yield
    finally:
        with suppress(OSError):
            sys.stderr.flush()
        sys.stdout, sys.stderr = out, err
        for stream, errors in strict.items():
            _reconfigure(stream, errors)


def _reconfigure(stream: TextIO | None, errors: str | None) -> None:
    if errors is not None and isinstance(stream, TextIOWrapper):
        stream.reconfigure(errors=errors)
