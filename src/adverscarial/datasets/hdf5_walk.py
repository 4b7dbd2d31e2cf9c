"""Go through an HDF5 file as readers do. Run as a script, in a process that may crash: it imports nothing of ours.

Arguments: the search path for modules, as JSON; the file; the seconds of computing that one step may take. It writes
``ready``, and then the name of each object before it reads it: the last line says where a file stopped it. What HDF5
reports as an error is no matter here: whoever reads the file later is told.
"""

from __future__ import annotations

import contextlib
import faulthandler
import json
import signal
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    import h5py


Found = TypeVar("Found")

_SMALL = 2**24  # bytes of numbers that are read; of more, only where they lie is looked up
_MANY = 2**17  # chunks of one array whose places are looked up
_PIECE = 2**16  # texts read in one step
_WAITING = 12  # where waiting cannot be told from computing, a step may take so many times as long


class Walk:
    """All names, attributes and texts of an open file, and the numbers of small arrays; `seconds` for each step."""

    def __init__(self, file: h5py.File, seconds: float) -> None:
        self.size = file.id.get_filesize()
        self.seconds = seconds
        left, visited = [file], set()
        while left:
            item = left.pop()
            with contextlib.suppress(Exception):
                say(ascii(item.name)[1:-1].strip("/")[:200])
            for name in self.step(lambda item=item: list(item.attrs)):
                self.step(lambda item=item, name=name: [item.attrs[name]])
            for place in self.step(lambda item=item: [_place(item)]):
                if place not in visited:
                    visited.add(place)
                    left += self.step(lambda item=item: self.below(item))

    def below(self, item: h5py.Group | h5py.Dataset) -> list[h5py.Group | h5py.Dataset]:
        """Return the members of a group; read an array."""
        if hasattr(item, "keys"):
            names = self.step(lambda: list(item))
            return [member for name in names for member in self.step(lambda name=name: [item[name]])]
        if getattr(item, "shape", None) is not None:
            self.read(item)
        return []

    def step(self, task: Callable[..., list[Found]], more: float = 0) -> list[Found]:
        """Return what `task` returns, nothing where HDF5 reports an error; or end this process: it runs in circles."""
        if hasattr(signal, "setitimer"):
            signal.setitimer(signal.ITIMER_PROF, self.seconds + more)  # stands still while a slow disk is waited for
        else:
            faulthandler.dump_traceback_later(_WAITING * (self.seconds + more), exit=True)
        try:
            return task()
        except Exception:  # noqa: BLE001  the reader that comes after is told the same
            return []

    def read(self, array: h5py.Dataset) -> None:
        """Read an array, or look up where it lies."""
        if array.chunks is not None:
            chunks = 1
            for length, chunk in zip(array.shape, array.chunks, strict=True):
                chunks *= -(-length // chunk)
            if chunks <= _MANY:
                self.step(lambda: [array.id.get_num_chunks()])
        if array.shape and array.dtype.hasobject:  # texts are kept in heaps, each of which can be damaged
            per_row = max(1, array.size // max(1, array.shape[0]))
            rows = max(1, _PIECE // per_row, (array.chunks or (1,))[0])
            for start in range(0, min(array.shape[0], self.size // per_row), rows):  # damage can announce any length
                here = slice(start, start + rows)
                self.step(lambda here=here: [array[here]], more=min(rows * per_row, self.size) / _PIECE)
        elif array.size * array.dtype.itemsize <= _SMALL:
            self.step(lambda: [array[()]])


def say(line: str) -> None:
    """Write a line that is read even if this process ends at once."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def _place(item: h5py.Group | h5py.Dataset) -> tuple[int, int]:
    from h5py import h5o

    info = h5o.get_info(item.id)
    return info.fileno, info.addr


def main(modules: str, path: str, seconds: str) -> None:
    """Walk through the file `path`."""
    sys.path[:] = json.loads(modules)
    import h5py

    if hasattr(signal, "SIGPROF"):
        signal.signal(signal.SIGPROF, signal.SIG_DFL)  # whoever started this may ignore it
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # and may be stopped: then it ends this
    say("ready")
    with contextlib.suppress(Exception), h5py.File(path, "r") as file:
        Walk(file, float(seconds))


if __name__ == "__main__":
    main(*sys.argv[1:])
