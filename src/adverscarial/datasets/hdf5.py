"""HDF5 files that make the HDF5 library crash or run in circles: found out in a process of its own.

The library trusts much of what it reads: a flipped bit in the sizes of a heap of texts lets it go round and round, one
in a type lets it write where it must not. Nothing in the same process could end that.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py

from adverscarial.errors import DataError

logger = logging.getLogger(__name__)

_SECONDS = 5  # of computing, for one step of the look: some thousand texts, at most 16 MiB of numbers
_WALK = Path(__file__).with_name("hdf5_walk.py")
_sound: set[tuple[object, ...]] = set()  # looked over by this process: name, and what changes with the content


def look_over(path: Path) -> None:
    """Go through a file in another process; small arrays are read whole, of large ones only where they lie.

    A file that has not changed since is not looked over again. Where no process can be started, this does nothing.

    Raises
    ------
    DataError
        If the other process crashed, or ran in circles.
    """
    status = path.stat()
    known = (path.resolve(), status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
    if known in _sound:
        return
    said, code = _walked(path.resolve())
    if not said:
        logger.info("No other process could look '%s' over: a damaged file may end this one.", path)
        return
    if code:
        where = f" over '{said[-1]}'" if len(said) > 1 and said[-1] else ""
        raise DataError(
            f"'{path}', {status.st_size:,} bytes, makes the HDF5 library {_end(code)}{where}: it is damaged. Copy or "
            "download it again, or write it anew from the source. If you know that it is whole, read it with anndata "
            "and pass on what that returns."
        )
    _sound.add(known)


def _walked(path: Path) -> tuple[list[str], int]:
    """Return the lines that the other process wrote, and its exit code; no lines where there is no such process."""
    if getattr(sys, "frozen", False) or not Path(sys.executable or "").stem.lower().startswith(("python", "pypy")):
        return [], 0  # another program, with Python inside
    command = [sys.executable, "-I", str(_WALK), json.dumps(sys.path), str(path), str(_SECONDS)]
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
        )
    except OSError as error:
        logger.info("No process can be started: %s", error)
        return [], 0
    return done.stdout.decode(errors="replace").splitlines(), done.returncode


def _end(code: int) -> str:
    if code in (1, -getattr(signal, "SIGPROF", -1)):
        return "run in circles"
    try:
        return f"crash ({signal.Signals(-code).name})"
    except ValueError:
        return f"crash (exit code {code:#x})"


@contextmanager
def closed_after_failure(path: Path) -> Iterator[None]:
    """Close what a failed reader leaves open: HDF5 would go on with the old content when the file is replaced."""
    before = {file.id for file in _open_files(path)}
    try:
        yield
    except BaseException:
        for file in _open_files(path):
            if file.id not in before:
                h5py.File(file).close()
        raise


def _open_files(path: Path) -> list[h5py.h5f.FileID]:
    files = h5py.h5f.get_obj_ids(h5py.h5f.OBJ_ALL, h5py.h5f.OBJ_FILE)
    return [file for file in files if h5py.h5f.get_name(file) == os.fsencode(path)]
