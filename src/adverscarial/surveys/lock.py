"""A lock on a folder, held by one survey at a time; the system frees it when the process ends, however it ends."""

from __future__ import annotations

import errno
import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from adverscarial.errors import StorageError

logger = logging.getLogger(__name__)

NAME = ".lock"

_TAKEN = (errno.EACCES, errno.EAGAIN, errno.EDEADLK)
_held: set[int] = set()  # open files, which a fork of this process must not keep


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the lock of a folder while the block runs; the folder is made if need be.

    The file ``.lock`` goes away with the block. A killed process leaves it behind, which does not matter: what counts
    is who has it open.

    Raises
    ------
    StorageError
        If another process, or another thread of this one, holds the lock; or the folder cannot be written to.
    """
    path = folder / NAME
    file = _opened(path)
    while True:
        _held.add(file)
        _lock(file, folder)
        if _is_at(file, path):
            break
        # its holder has removed it between our opening and our locking it: a lock on it would hold nobody back
        _close(file)
        file = _opened(path)
    try:
        yield
    finally:
        if file in _held:  # not so in a fork of this process, which closed it
            try:
                with suppress(OSError):  # a system may keep files that are open
                    path.unlink()
            finally:  # also when it is interrupted here: the process may go on, as a notebook does
                _close(file)


def _opened(path: Path) -> int:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    except OSError as error:
        raise StorageError(
            f"'{path.parent}' cannot be written to ({type(error).__name__}: {error.strerror or error}). Name a folder "
            "that you may write to, on a disk with space left."
        ) from error


def _is_at(file: int, path: Path) -> bool:
    """Return whether the open file is the one that the path names now."""
    try:
        return os.path.samestat(os.fstat(file), path.stat())
    except FileNotFoundError:
        return False


def _close(file: int) -> None:
    _held.discard(file)
    _unlock(file)
    os.close(file)


def _lock(file: int, folder: Path) -> None:
    try:
        if sys.platform == "win32":
            import msvcrt

            msvcrt.locking(file, msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in _TAKEN:
            _held.discard(file)
            os.close(file)
            raise StorageError(
                f"Another survey is writing to '{folder}' at this moment. Wait until it has ended, then start this one "
                "again: it goes on from there. Or choose another folder."
            ) from error
        logger.warning("'%s' lies where files cannot be locked (%s): start one survey on it at a time.", folder, error)


def _unlock(file: int) -> None:
    """Free the lock at once, also where a fork of this process still has the file open."""
    with suppress(OSError):  # it was never locked
        if sys.platform == "win32":
            import msvcrt

            msvcrt.locking(file, msvcrt.LK_UNLCK, 1)
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_UN)


def _close_in_a_fork() -> None:
    for file in _held:
        os.close(file)
    _held.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_close_in_a_fork)
