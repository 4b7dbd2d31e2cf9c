"""The sorted genes of a file too large for memory: the file is read once, the answer is kept beside it.

One pass writes each piece's values to a temporary file, ordered by gene. Then some genes at a time are taken: each
piece has them in one stretch, so they are gathered, sorted and written as
:class:`~adverscarial.cells.distinct.DistinctValues`. Memory holds some million values at any time, whatever the size
of the file.
"""

from __future__ import annotations

import logging
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, BinaryIO

import h5py
import numpy as np
import scipy.sparse as sp

from adverscarial import _store
from adverscarial._progress import track
from adverscarial._types import Ints, Matrix
from adverscarial.cells import matrix as matrices
from adverscarial.cells.distinct import DistinctValues, distinct_values
from adverscarial.cells.matrix import CellMatrix
from adverscarial.cells.source import Source, cache_path, content_key, source_of
from adverscarial.errors import StorageError

logger = logging.getLogger(__name__)

_FORMAT = 2
_ENDING = "sorted-genes.h5"


class SortedFile:
    """The distinct values of all genes of a file; computed when first asked for, read block by block.

    What is kept is checked: it belongs to this very content of the file
    (:func:`~adverscarial.cells.source.content_key`), and every block carries a checksum. If not, it is computed anew.
    """

    def __init__(self, matrix: CellMatrix) -> None:
        self.matrix = matrix
        self._kept = Path()
        self._temporary: tempfile.TemporaryDirectory[str] | None = None
        self._starts: Ints | None = None

    def blocks(self, genes: np.ndarray) -> Iterator[tuple[slice, DistinctValues]]:
        """Yield distinct values of some of `genes` at a time, and which of `genes` they are of; a gene is never cut."""
        starts = self._open()
        ends = np.cumsum(starts[genes + 1] - starts[genes])
        first = 0
        while first < len(genes):
            before = ends[first - 1] if first else 0
            last = max(first + 1, int(np.searchsorted(ends, before + matrices._VALUES_PER_READ, side="right")))
            yield slice(first, last), self._read(genes[first:last])
            first = last

    def _open(self) -> Ints:
        """Return where each gene starts, once the values are there."""
        if self._starts is None:
            source = source_of(self.matrix.X)
            key = "" if source is None else content_key(self.matrix.X, source)
            self._kept = self._place(source)
            try:
                self._starts = _starts(self._kept, key, self.matrix.shape[1])
            except (OSError, KeyError, ValueError, RuntimeError) as error:
                if self._kept.exists():
                    logger.warning("'%s' is not of this file, or damaged (%s); computing it anew.", self._kept, error)
                self._starts = self._compute(source, key)
        return self._starts

    def _place(self, source: Source | None) -> Path:
        if source is not None:
            return cache_path(source, _ENDING)
        self._temporary = tempfile.TemporaryDirectory(prefix="adverscarial-")
        return Path(self._temporary.name) / _ENDING

    def _compute(self, source: Source | None, key: str) -> Ints:
        _store.write_atomically(self._kept, lambda file: _write(file, self.matrix, key, self._kept.parent))
        if source is not None and content_key(self.matrix.X, source) != key:
            self._kept.unlink(missing_ok=True)
            raise StorageError(f"'{source.path}' was changed while it was read. Let its writer finish, and try again.")
        return _starts(self._kept, key, self.matrix.shape[1])

    def _read(self, genes: np.ndarray) -> DistinctValues:
        for attempt in range(2):
            starts = self._open()
            try:
                return _read(self._kept, starts, genes)
            except (OSError, KeyError, ValueError, RuntimeError) as error:
                if attempt:
                    raise StorageError(f"'{self._kept}' cannot be read: {error}. Is its disk sound?") from error
                logger.warning("'%s' is damaged (%s); computing it anew.", self._kept, error)
                self._kept.unlink(missing_ok=True)
                self._starts = None
        raise AssertionError


def _starts(path: Path, key: str, n_genes: int) -> Ints:
    """Return where each gene starts in a kept file; a ValueError if it is of another content."""
    with h5py.File(path, "r") as file:
        if file.attrs["format"] != _FORMAT or file.attrs["key"] != key.encode():
            raise ValueError("its key is another")
        starts: Ints = file["starts"][:]
        if len(starts) != n_genes + 1 or not starts[-1] == len(file["values"]) == len(file["ends"]):
            raise ValueError("its parts do not fit each other")
    return starts


def _read(path: Path, starts: np.ndarray, genes: np.ndarray) -> DistinctValues:
    stretches = np.split(genes, np.flatnonzero(np.diff(genes) != 1) + 1)
    with h5py.File(path, "r") as file:
        parts = [slice(starts[genes[0]], starts[genes[-1] + 1]) for genes in stretches]
        values = np.concatenate([file["values"][part] for part in parts])
        ends = np.concatenate([file["ends"][part] for part in parts]).astype(np.int64)
    return DistinctValues(np.concatenate([[0], np.cumsum(starts[genes + 1] - starts[genes])]), values, ends)


def _write(file: BinaryIO, matrix: CellMatrix, key: str, folder: Path) -> None:
    """Write the distinct values of all genes, in order."""
    starts = [np.zeros(1, dtype=np.int64)]
    # checksums: of the values by fletcher32, of everything else by the latest file format
    with h5py.File(file, "w", libver="latest") as out:
        settings = {"shape": (0,), "maxshape": (None,), "chunks": (2**16,), "fletcher32": True}
        values = out.create_dataset("values", dtype=matrix.dtype, **settings)
        ends = out.create_dataset("ends", dtype=np.uint32 if matrix.shape[0] < 2**32 else np.int64, **settings)
        for found in _sorted_genes(matrix, folder):
            for kept, part in ((values, found.values), (ends, found.counts)):
                kept.resize((len(kept) + len(part),))
                kept[len(kept) - len(part) :] = part
            starts.append(found.starts[1:] + starts[-1][-1])
        out.create_dataset("starts", data=np.concatenate(starts), fletcher32=True)
        # a text of any length would lie in a heap, which has no checksum: damaged, it lets HDF5 run in circles
        out.attrs.update(format=_FORMAT, key=np.bytes_(key))


def _sorted_genes(matrix: CellMatrix, folder: Path) -> Iterator[DistinctValues]:
    """Yield the distinct values of all genes in order, some genes at a time."""
    pieces = track(matrix.pieces(), "Reading the file", -(-matrix.stored // matrices._VALUES_PER_READ))
    if matrix.gene_by_gene:
        for _, piece in pieces:
            genes = _by_gene(piece, matrix.dtype)
            yield distinct_values(genes.indptr.astype(np.int64), genes.data, matrix.shape[0])
        return
    _check_space(folder, matrix.stored * matrix.dtype.itemsize)
    with tempfile.TemporaryFile(
        dir=folder, prefix=".adverscarial-"
    ) as spill:  # gone with the process, whatever ends it
        starts = []
        for _, piece in pieces:
            genes = _by_gene(piece, matrix.dtype)
            spill.write(genes.data)
            starts.append(genes.indptr.astype(np.int64))
        spill.flush()
        yield from _merged(spill, np.array(starts), matrix)


def _by_gene(piece: Matrix, dtype: np.dtype) -> sp.csc_array:
    genes = sp.csc_array(piece, dtype=dtype)
    if not genes.has_canonical_format:
        genes = genes.copy()
        genes.sum_duplicates()
    return genes


def _check_space(folder: Path, needed: int) -> None:
    free = shutil.disk_usage(folder).free
    if free < 2 * needed:
        raise StorageError(
            f"Sorting the genes of the file needs about {2 * needed / 1e9:,.1f} GB in '{folder}', which has "
            f"{free / 1e9:,.1f} GB left. Make room, or name another folder in ADVERSCARIAL_CACHE."
        )


def _merged(spill: IO[bytes], starts: np.ndarray, matrix: CellMatrix) -> Iterator[DistinctValues]:
    """Yield distinct values from what the pieces wrote to `spill`.

    `starts` says where each gene starts in each piece, shape (pieces, genes + 1).
    """
    offsets = np.concatenate([[0], np.cumsum(starts[:, -1])])
    lengths = np.diff(starts, axis=1)
    ends = np.cumsum(lengths.sum(axis=0))
    first = 0
    while first < len(ends):
        before = ends[first - 1] if first else 0
        last = max(first + 1, int(np.searchsorted(ends, before + matrices._VALUES_PER_READ, side="right")))
        of_gene = np.concatenate([[0], np.cumsum(lengths[:, first:last].sum(axis=0))])
        gathered = np.empty(of_gene[-1], dtype=matrix.dtype)
        free = of_gene[:-1].copy()
        for piece in range(len(starts)):
            spill.seek((offsets[piece] + starts[piece, first]) * matrix.dtype.itemsize)
            count = starts[piece, last] - starts[piece, first]
            part = np.frombuffer(spill.read(count * matrix.dtype.itemsize), dtype=matrix.dtype)
            size = lengths[piece, first:last]
            gathered[np.repeat(free - starts[piece, first:last] + starts[piece, first], size) + np.arange(count)] = part
            free += size
        yield distinct_values(of_gene, gathered, matrix.shape[0])
        first = last
