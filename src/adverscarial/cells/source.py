"""Where a matrix lies on disk, what its content is known by, and where things computed from it may be kept."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import NamedTuple

import h5py
import numpy as np
from anndata.abc import CSCDataset, CSRDataset

from adverscarial._types import Matrix

_SAMPLES, _SAMPLE = 16, 4096  # stretches of each array that the key depends on, and values in each


class Source(NamedTuple):
    """A matrix in a file.

    Attributes
    ----------
    path
        The HDF5 file, or the zarr folder.
    inside
        Name of the matrix in it, such as ``X`` or ``layers/counts``.
    """

    path: Path
    inside: str


def source_of(X: Matrix) -> Source | None:
    """Return where `X` lies on this machine; None for a matrix in memory, elsewhere, or open for writing."""
    held = X.group if isinstance(X, CSRDataset | CSCDataset) else X
    if isinstance(held, h5py.Group | h5py.Dataset):
        path = Path(held.file.filename)
        return Source(path.resolve(), held.name.strip("/")) if held.file.mode == "r" and path.is_file() else None
    store = getattr(held, "store", None)
    root = getattr(store, "root", None)
    if isinstance(held, np.ndarray) or root is None or not getattr(store, "read_only", False):
        return None
    if not Path(root).is_dir():
        return None
    return Source(Path(root).resolve(), str(held.path).strip("/"))


def content_key(X: Matrix, source: Source) -> str:
    """Return a text that another content does not have: a file written to, replaced or renamed to has another key.

    It covers shape and types; size, time of the last write and time of the last change of every file that holds the
    matrix (the second cannot be set back, as a copy that keeps times would do with the first); and samples of the
    values themselves, which are the whole matrix where it is small. No file is read whole.
    """
    digest = hashlib.blake2b(digest_size=16)
    for file in _files(source):
        status = file.stat()
        name = str(file.relative_to(source.path)) if file != source.path else ""
        digest.update(repr((name, status.st_size, status.st_mtime_ns, status.st_ctime_ns)).encode())
    parts = [X.group[name] for name in ("indptr", "indices", "data")] if hasattr(X, "group") else [X]
    digest.update(repr((source.inside, type(X).__name__, tuple(map(int, X.shape)))).encode())
    for part in parts:
        digest.update(repr((str(part.dtype), tuple(map(int, part.shape)))).encode())
        step = max(1, _SAMPLE // int(np.prod(part.shape[1:], dtype=np.int64)))
        for start in np.unique(np.linspace(0, max(0, part.shape[0] - step), _SAMPLES, dtype=np.int64)).tolist():
            digest.update(np.ascontiguousarray(part[start : start + step]).data)
    return digest.hexdigest()


def _files(source: Source) -> list[Path]:
    if source.path.is_file():
        return [source.path]
    return sorted(file for file in (source.path / source.inside).rglob("*") if file.is_file())


def cache_path(source: Source, what: str) -> Path:
    """Return where to keep `what` was computed from a matrix.

    In the folder ``ADVERSCARIAL_CACHE`` if that is set; else beside the file; else, if that folder cannot be written
    to, in the user's cache.
    """
    name = f"{source.path.name}.{source.inside.replace('/', '.')}.{what}"
    chosen = os.environ.get("ADVERSCARIAL_CACHE")
    if not chosen and os.access(source.path.parent, os.W_OK):
        return source.path.parent / name
    folder = (
        Path(chosen) if chosen else Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "adverscarial")
    )
    folder_key = hashlib.blake2b(os.fsencode(source.path.parent), digest_size=6).hexdigest()
    return folder / f"{folder_key}.{name}"
