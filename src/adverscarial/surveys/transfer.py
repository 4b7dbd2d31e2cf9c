"""How a data set reaches another process: in a file that both read, or as the name of its own where it is on disk."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pandas as pd
from anndata import AnnData

from adverscarial._types import Matrix
from adverscarial.cells.remembered import Remembered
from adverscarial.errors import ParameterError, StorageError

_FILES: Remembered[Path] = Remembered()


class OnDisk(NamedTuple):
    """A backed ``.h5ad``, whose open file no process can hand to another."""

    path: str
    obs: pd.DataFrame
    layer: str | None
    values: Matrix  # of the layer: anndata holds layers in memory


def sendable(adata: AnnData, layer: str | None) -> AnnData | OnDisk:
    """Return what can be sent in place of `adata`.

    Raises
    ------
    ParameterError
        If it is a part of a backed data set, which has no file of its own.
    """
    if not adata.isbacked:
        return adata
    if adata.is_view:
        raise ParameterError(
            "This is a part of a data set on disk, and other processes can only open the whole. Use n_jobs=1 and no "
            "time_limit, or write the part to a file of its own: adata.copy('part.h5ad')."
        )
    values = None if layer is None else adata.layers[layer]
    return OnDisk(str(adata.filename), adata.obs, layer, values)


_open: dict[str, AnnData] = {}  # one entry: a process works on one survey at a time


def received(sent: AnnData | OnDisk) -> AnnData:
    """Return the data set that was sent; a file is opened once per process and survey."""
    if isinstance(sent, AnnData):
        return sent
    import anndata

    if sent.path not in _open:
        _open.clear()
        _open[sent.path] = anndata.read_h5ad(sent.path, backed="r")
    adata = _open[sent.path]
    adata.obs = sent.obs
    if sent.layer is not None:
        adata.layers[sent.layer] = sent.values
    return adata


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """Give a folder for the data of other processes, which is removed in the end.

    Raises
    ------
    StorageError
        If there is none to be had.
    """
    try:
        folder = tempfile.TemporaryDirectory(prefix="adverscarial-", ignore_cleanup_errors=True)
    except OSError as error:
        raise StorageError(
            f"There is no temporary folder for the data of other processes ({error}). Name one with the environment "
            "variable TMPDIR, or use n_jobs=1 and no time_limit."
        ) from error
    with folder as name:
        yield Path(name)


def written(adata: AnnData | OnDisk | None, path: Path) -> Path:
    """Write cells into a file whose large arrays other processes map into their memory, and return it.

    Raises
    ------
    StorageError
        If there is no room.
    """
    import joblib

    try:
        joblib.dump(adata, path)
    except OSError as error:
        raise StorageError(
            f"The data for other processes cannot be written to '{path.parent}' ({error.strerror or error}). Name a "
            "folder with more room with the environment variable TMPDIR, or use n_jobs=1 and no time_limit."
        ) from error
    return path


def mapped(adata: AnnData, path: Path) -> AnnData:
    """Return the same cells as they lie in a new file: what all processes read of it is in memory only once.

    They must not be changed: other processes read the file.
    """
    import joblib

    found: AnnData = joblib.load(written(adata, path), mmap_mode="r")
    _FILES.keep(found, path)
    return found


def file_of(adata: AnnData | OnDisk | None) -> Path | None:
    """Return the file in which cells lie since :func:`mapped`; None for all others."""
    return _FILES.find(adata) if isinstance(adata, AnnData) else None
