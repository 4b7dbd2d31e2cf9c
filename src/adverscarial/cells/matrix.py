"""One way to read cells x genes, whatever holds them: numpy, scipy.sparse, a backed file, or dask.

Nothing here makes more dense than what was asked for: some rows, or some columns.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from copy import deepcopy
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING, TypeGuard

import numpy as np
import scipy.sparse as sp
from anndata import AnnData
from anndata.abc import CSCDataset, CSRDataset

from adverscarial._types import Ints, Matrix
from adverscarial.cells.remembered import Remembered
from adverscarial.errors import DataError, did_you_mean, some

if TYPE_CHECKING:
    import h5py
    import zarr

_FIRST = 8
_VALUES_PER_READ = 2**23  # of a file, at a time
_SMALL_FILE = 2**25  # bytes; a smaller matrix is read into memory once
_FEW = 32  # genes that are taken out of a matrix of cells, before all of it is turned
_LARGE = 2**18  # values that are looked through so fast that it is not worth remembering
_SAMPLE = 1024  # values by which a large array is known
_FINITE: Remembered[bytes] = Remembered()  # a sample of each array that held numbers only
_NEAR = 32  # cells nearer to each other than this are read in one go: a read costs as much as some cells


def layer_of(adata: AnnData, layer: str | None) -> Matrix:
    """Return ``adata.X``, or the layer of that name.

    Raises
    ------
    DataError
        If there is no such layer, or ``X`` is empty.
    """
    if layer is not None:
        if layer not in layers_of(adata):
            known = list(layers_of(adata))
            have = f"There are: {some(known)}." if known else "There are none."
            raise DataError(f"There is no layer '{layer}'.{did_you_mean(layer, known)} {have} Leave it out to use X.")
        return adata.layers[layer]
    if adata.X is None:
        raise DataError(f"adata.X is empty. {_elsewhere(adata)}")
    return adata.X


def _elsewhere(adata: AnnData) -> str:
    """Say where values are, if not in X."""
    remedies = []
    if layers := layers_of(adata):
        remedies.append(f"choose one of its layers with layer=: {some(layers)}")
    if adata.raw is not None:
        remedies.append("take the values of raw: adata = adata.raw.to_adata()")
    text = "; or ".join(remedies) or "there are no layers and no raw either: read the data again, with values"
    return f"{text[0].upper()}{text[1:]}."


def layers_of(adata: AnnData) -> dict[str, Matrix]:
    """Return the named layers; anndata 0.13 counts ``X`` among the layers, under the key None."""
    return {name: adata.layers[name] for name in adata.layers if name is not None}


def copy_of(adata: AnnData) -> AnnData:
    """Return a copy in memory, also of data whose matrices lie in a file."""
    return adata.to_memory(copy=True) if on_disk(adata) else adata.copy()


def on_disk(adata: AnnData) -> bool:
    """Return whether some of the values lie in a file."""
    held = [X for X in (adata.X, *layers_of(adata).values()) if X is not None]
    return adata.isbacked or not all(hasattr(X, "copy") for X in held)


def copy_with(adata: AnnData, X: Matrix, layer: str | None) -> AnnData:
    """Return a copy of data in memory, no view, with `X` in the place of a matrix, which itself is not copied."""
    parts = {name: getattr(adata, name).copy() for name in ("obs", "var", "obsm", "varm", "obsp", "varp")}
    layers = {name: X if name == layer else held.copy() for name, held in layers_of(adata).items()}
    if layer is not None:
        X = None if adata.X is None else adata.X.copy()
    raw = None if adata.raw is None else adata.raw.copy()
    return AnnData(X, layers=layers, uns=deepcopy(adata.uns), raw=raw, **parts)


def cells_of(adata: AnnData, rows: np.ndarray) -> AnnData:
    """Return a copy of some cells (sorted positions), in memory: X, layers and annotations.

    A backed file stays open; anndata's own ``to_memory`` would close it under whoever still reads from it.
    """
    part = adata[rows]
    if not adata.isbacked:
        return part.copy()
    layers = {name: layer.copy() for name, layer in layers_of(part).items()}
    return AnnData(CellMatrix(adata.X).part(rows), obs=part.obs.copy(), var=part.var.copy(), layers=layers)


def is_sparse(X: object) -> TypeGuard[sp.csr_array]:
    """Return whether a matrix is one of scipy's sparse ones, in whatever form."""
    return bool(sp.issparse(X))


class CellMatrix:
    """Rows and columns of a cells x genes matrix, dense on request.

    Parameters
    ----------
    X
        numpy array, scipy sparse matrix or array, backed sparse dataset, h5py or zarr array, dask array.
        A small backed sparse matrix is read into memory once, still sparse, when columns are first asked for; a large
        one is read through, piece by piece.
    """

    def __init__(self, X: Matrix) -> None:
        self.X = X
        self.shape: tuple[int, int] = (int(X.shape[0]), int(X.shape[1]))
        self._csc: sp.csc_array | None = None
        self._picked = 0  # genes that were asked for before the matrix was turned
        self._checked = False

    @property
    def sparse(self) -> bool:
        """Whether zeros are left out."""
        return sp.issparse(self.X) or self._sparse_file

    @property
    def _sparse_file(self) -> bool:
        return isinstance(self.X, CSRDataset | CSCDataset)

    @property
    def _group(self) -> h5py.Group | zarr.Group:
        """Where the parts of a sparse matrix lie in its file."""
        assert isinstance(self.X, CSRDataset | CSCDataset)
        return self.X.group

    @property
    def gene_by_gene(self) -> bool:
        """Whether a file holds whole genes, one after the other."""
        return isinstance(self.X, CSCDataset)

    @property
    def stored(self) -> int:
        """Number of values that are written down."""
        if self._sparse_file:
            return int(self._group["data"].shape[0])
        return int(self.X.nnz) if is_sparse(self.X) else self.shape[0] * self.shape[1]

    @property
    def large_file(self) -> bool:
        """Whether it lies in a file, and is too large to be read whole without being asked."""
        if sp.issparse(self.X) or isinstance(self.X, np.ndarray):
            return False
        return self.stored * (self.dtype.itemsize + (4 if self.sparse else 0)) > _SMALL_FILE

    @property
    def dtype(self) -> np.dtype:
        """float32 stays float32; everything else is read as float64."""
        kind = np.dtype(self.X.dtype)
        return kind if kind == np.float32 else np.dtype(np.float64)

    def _dense(self, part: Matrix) -> np.ndarray:
        part = part.compute() if hasattr(part, "compute") else part
        part = part.toarray() if is_sparse(part) else np.asarray(part)
        return np.ascontiguousarray(part, dtype=self.dtype)

    def rows(self, index: np.ndarray) -> np.ndarray:
        """Return the cells at the sorted positions `index`, dense, shape (len(index), genes)."""
        return self._dense(self.part(index))

    def part(self, index: np.ndarray) -> Matrix:
        """Return the cells at the sorted positions `index` as they are held: sparse stays sparse."""
        index = np.asarray(index)
        if not self._sparse_file or not len(index):
            part = self._held(index)
            self._check_read(part)
            return part
        if self.gene_by_gene:
            return sp.hstack([genes[index] for _, genes in self.pieces()], format="csc")
        return sp.vstack([self._stretch(near) for near in np.split(index, self._gaps(index))], format="csr")

    def _stretch(self, index: np.ndarray) -> sp.csr_matrix:
        return self._read(int(index[0]), int(index[-1]) + 1)[index - index[0]]

    @cached_property
    def _bounds(self) -> np.ndarray:
        """Where in a file each cell starts (or each gene, where it is held so)."""
        if self._sparse_file:
            with _in_words():
                bounds = np.asarray(self._group["indptr"][:], dtype=np.int64)
                if len(bounds) != self.shape[self.gene_by_gene] + 1 or bounds[0] or (np.diff(bounds) < 0).any():
                    raise ValueError("'indptr' is not where each row starts")
            return bounds
        return np.arange(self.shape[0] + 1) * self.shape[1]

    def _read(self, start: int, stop: int) -> Matrix:
        """Return some cells of a sparse file (or some genes, where it is held so).

        anndata's own slices cost milliseconds each where there are millions of cells. The indices are checked: wrong
        ones would crash compiled code.
        """
        form, shape = sp.csr_matrix, (stop - start, self.shape[1])
        if self.gene_by_gene:
            form, shape = sp.csc_matrix, (self.shape[0], stop - start)
        first, last = self._bounds[start], self._bounds[stop]
        with _in_words():
            data, indices = (self._group[name][first:last] for name in ("data", "indices"))
            piece = form((data, indices, self._bounds[start : stop + 1] - first), shape=shape)
            piece.check_format(full_check=True)
        return piece

    def _held(self, where: Ints | slice | tuple[slice, Ints]) -> Matrix:
        """Return a part as it is held."""
        if self.sparse or isinstance(self.X, np.ndarray) or hasattr(self.X, "compute"):
            return self.X[where]
        with _in_words():
            return self.X[where]

    def _gaps(self, index: np.ndarray) -> np.ndarray:
        """Return where to cut sorted positions of cells, so that each part is worth reading in one go."""
        per_cell = max(1.0, self.stored / self.shape[0])
        block = getattr(self._group["data"], "chunks", None) or (1,)  # a chunk is read whole anyway
        near = max(_NEAR, block[0] / per_cell)
        piece = index // max(1, int(_VALUES_PER_READ / per_cell))
        return np.flatnonzero((np.diff(index) > near) | (np.diff(piece) > 0)) + 1

    def pieces(self) -> Iterator[tuple[slice, Matrix]]:
        """Yield the whole matrix once, in order: some cells at a time, or some genes where it is held gene by gene.

        Each piece comes as it is held, with its position, and holds some million values; it is checked to be finite.
        """
        bounds, start = self._bounds, 0
        while start < len(bounds) - 1:
            stop = int(np.searchsorted(bounds, bounds[start] + _VALUES_PER_READ, side="right")) - 1
            here = slice(start, max(start + 1, stop))
            piece = self._read(here.start, here.stop) if self._sparse_file else self._dense(self._held(here))
            _refuse_not_finite(np.asarray(piece.data if is_sparse(piece) else piece))
            yield here, piece
            start = here.stop

    def columns(self, index: np.ndarray) -> np.ndarray:
        """Return the genes at the positions `index`, dense, shape (cells, len(index))."""
        index = np.asarray(index)
        if self.large_file and not self.gene_by_gene:
            out = np.empty((self.shape[0], len(index)), dtype=self.dtype)
            for cells, piece in self.pieces():
                out[cells] = self._dense(piece[:, index])
            return out
        if self.sparse and not self.large_file:
            return self._dense(self.picked(index))
        if isinstance(self.X, np.ndarray):
            run = len(index) and np.array_equal(index, np.arange(index[0], index[0] + len(index)))
            some = self.X[:, index[0] : index[0] + len(index)] if run else self.X[:, index]  # not copied twice
            self._check_read(some)
            return np.asarray(some, dtype=self.dtype)
        order = np.argsort(index)  # files want increasing positions
        block = self._dense(self._held((slice(None), index[order])))
        _refuse_not_finite(block)
        out = np.empty_like(block)
        out[:, order] = block
        return out

    def any_negative(self) -> bool:
        """Return whether a value is below 0; read until the first that is."""
        return any((values < 0).any() for values in self._stored_values())

    @cached_property
    def counts(self) -> bool:
        """Whether it holds counts: whole numbers, none below 0, some above 1; read until the first that is none."""
        largest = 0.0
        for values in self._stored_values():
            for part in (values[:_FIRST], values):  # the first few tell of most data that they are none
                if (part < 0).any() or (part.dtype.kind == "f" and (part != np.rint(part)).any()):
                    return False
            largest = max(largest, float(values.max(initial=0)))
        return largest > 1

    def _stored_values(self) -> Iterator[np.ndarray]:
        """Yield all values that are written down, some at a time, in whatever order."""
        held = self.X.data if sp.issparse(self.X) else self.X
        if isinstance(held, np.ndarray):
            step = max(1, _LARGE // max(1, held[:1].size))  # what is made of them stays in the cache
            yield from (held[start : start + step] for start in range(0, len(held), step))
        else:
            yield from (np.asarray(piece.data if is_sparse(piece) else piece) for _, piece in self.pieces())

    def picked(self, index: np.ndarray) -> sp.csc_array:
        """Return some genes of a sparse matrix, column by column, in canonical form; the data are a copy.

        The first few genes that are asked for are taken out of the rows; only then it is worth turning all of it.
        """
        self._picked += len(index)
        if self._csc is not None or self._picked > _FEW or not is_sparse(self.X):
            return self.csc()[:, index]
        if self.X.format != "csr":
            some = sp.csc_array(self.X[:, index], dtype=self.dtype, copy=True)
        else:  # scipy's own way to columns counts all entries first
            wanted = np.zeros(self.shape[1], dtype=bool)
            wanted[index] = True
            at = np.flatnonzero(wanted[self.X.indices])
            genes, place = np.unique(index, return_inverse=True)
            cells = np.searchsorted(self.X.indptr, at, side="right") - 1
            entries = self.X.data[at], (cells, np.searchsorted(genes, self.X.indices[at]))
            some = sp.csc_array(entries, shape=(self.shape[0], len(genes)), dtype=self.dtype)[:, place]
        some.sum_duplicates()
        self._check_read(some)
        return some

    def block(self, rows: Ints, genes: Ints) -> np.ndarray:
        """Return some genes of some cells of an array in memory, as it holds them."""
        assert isinstance(self.X, np.ndarray)
        part: np.ndarray = self.X[rows[:, None], genes]
        self._check_read(part)
        return part

    @property
    def turned(self) -> bool:
        """Whether a copy of a sparse matrix is kept, column by column."""
        return self._csc is not None

    def csc(self) -> sp.csc_array:
        """Return the sparse matrix column by column, in canonical form; made once."""
        if self._csc is None:
            X = self.X if sp.issparse(self.X) else self._read(0, len(self._bounds) - 1)
            csc = sp.csc_array(X, dtype=self.dtype)
            if X is not self.X:
                _refuse_not_finite(csc.data)
            self._check_read(csc)
            if not csc.has_canonical_format:
                csc = csc.copy()  # it may share its arrays with the caller's matrix
                csc.sum_duplicates()
            self._csc = csc
        return self._csc

    def check_finite(self, adata: AnnData | None = None, *, once: bool = False) -> None:
        """Raise a DataError when a value is NaN or infinite; with the data that it is of, say where the first one is.

        A matrix in memory is looked through here, once; columns of a file are when they are read.

        Parameters
        ----------
        adata
            The data that it is of.
        once
            Do not look through a large array again that has been looked through and still has the same values wherever
            a sample is taken. Then what is read of it is looked through when it is read: values may have been changed
            in between, one by one.
        """
        values = self._values_in_memory
        if self._checked or values is None:
            return
        sample = _sample(values) if once else None
        if sample is None or _FINITE.find(values) != sample:
            _refuse_not_finite(values, lambda: self._first_bad(adata))
            self._checked = True
            if sample is not None:
                _FINITE.keep(values, sample)

    def finite(self) -> bool:
        """Return whether it lies in memory and holds numbers only; it is looked through once."""
        with suppress(DataError):
            self.check_finite()
        return self._checked

    @property
    def _values_in_memory(self) -> np.ndarray | None:
        held = self.X.data if is_sparse(self.X) else self.X
        return held if isinstance(held, np.ndarray) else None

    @property
    def numbers_in_memory(self) -> bool:
        """Whether it lies in memory, and each part of it is looked through when it is read."""
        values = self._values_in_memory
        return values is not None and values.dtype.kind in "fiub"

    def _check_read(self, part: Matrix) -> None:
        """Look through a part that has been read, unless all of the matrix has just been."""
        if not self._checked and self.numbers_in_memory:
            _refuse_not_finite(np.asarray(part.data if is_sparse(part) else part))

    def _first_bad(self, adata: AnnData | None) -> str:
        if adata is None:
            return ""
        if is_sparse(self.X):
            entries = self.X.tocoo()
            bad = ~np.isfinite(entries.data)
            cells, genes = entries.row[bad], entries.col[bad]
        else:
            cells, genes = np.nonzero(~np.isfinite(self.X))
        first = np.lexsort((genes, cells))[0]
        return f", the first in cell '{adata.obs_names[cells[first]]}', gene '{adata.var_names[genes[first]]}'"


@contextmanager
def _in_words() -> Iterator[None]:
    """Turn what a library says about a matrix in a damaged file into a DataError."""
    try:
        yield
    except (OSError, LookupError, RuntimeError, TypeError, ValueError) as error:
        raise DataError(
            f"The matrix in the file is damaged: {error}. Copy the file again, or write it anew."
        ) from error


def _refuse_not_finite(values: np.ndarray, where: Callable[[], str] = str) -> None:
    if values.dtype.kind != "f":
        return
    with np.errstate(over="ignore", invalid="ignore"):
        # finite only if every value is, and read once: the fastest way numpy has of looking at all of them
        flat = values.ravel(order="K") if values.flags.forc else None
        total = np.sum(values, dtype=np.float64) if flat is None else np.dot(flat, flat)
    if not np.isfinite(total) and not np.isfinite(values).all():
        bad = int(values.size - np.isfinite(values).sum())
        raise DataError(
            f"The matrix holds {bad:,} NaN or infinite values{where()}. Attacks need numbers: "
            "remove those cells or genes, or fill them (for example numpy.nan_to_num)."
        )


def _sample(values: np.ndarray) -> bytes | None:
    """Return some values, spread evenly, by which a change of the whole array shows; None for small ones."""
    if values.size < _LARGE or not values.flags.forc:
        return None
    some: bytes = values.ravel(order="K")[:: values.size // _SAMPLE].tobytes()
    return some


def replace(X: Matrix, rows: np.ndarray, columns: np.ndarray, block: np.ndarray) -> Matrix:
    """Return a copy of `X` with ``block`` at `rows` x `columns`; sparse stays sparse, files come into memory.

    The number type stays when it can hold every new value; else it becomes float64. float32 may round a new value, but
    a finite one never becomes infinite.
    """
    X = X.to_memory() if isinstance(X, CSRDataset | CSCDataset) else X
    if is_sparse(X):
        return _replace_sparse(X.tocsr(), rows, columns, block).asformat(X.format)
    if hasattr(X, "compute"):
        X = X.compute()
    X = X[:] if not isinstance(X, np.ndarray) else X
    out = np.array(X, dtype=_wide_enough(X.dtype, block))
    out[np.ix_(rows, columns)] = block
    return out


def _replace_sparse(X: sp.csr_array, rows: np.ndarray, columns: np.ndarray, block: np.ndarray) -> sp.csr_array:
    """Return a copy of `X` with a block of new values; rows without any are copied as they are."""
    order = np.argsort(rows)
    rows, block = rows[order], block[order]
    dtype = _wide_enough(X.dtype, block)
    part = X[rows].astype(dtype)  # a copy
    part.sum_duplicates()
    stays = np.ones(X.shape[1], dtype=bool)
    stays[columns] = False
    part.data[~stays[part.indices]] = 0
    at, of = np.nonzero(block)
    part = type(X)(part + type(X)((block[at, of].astype(dtype), (at, columns[of])), shape=part.shape))  # drops zeros
    ends, inner = X.indptr, part.indptr
    starts = np.append(0, ends[rows + 1])  # of the stretches between the changed rows
    stops = np.append(ends[rows], X.nnz)
    stretches = [slice(start, stop) for start, stop in zip(starts, stops, strict=True)]
    changed = [slice(start, stop) for start, stop in pairwise(inner.tolist())]

    def joined(whole: np.ndarray, new: np.ndarray) -> np.ndarray:
        pieces = [whole[stretches[0]]]
        for row, stretch in zip(changed, stretches[1:], strict=True):
            pieces += [new[row], whole[stretch]]
        return np.concatenate(pieces)

    lengths = np.diff(ends)
    lengths[rows] = np.diff(inner)
    data, indices = joined(X.data, part.data).astype(dtype, copy=False), joined(X.indices, part.indices)
    return type(X)((data, indices, np.append(0, np.cumsum(lengths))), shape=X.shape)


def _wide_enough(dtype: np.dtype, block: np.ndarray) -> np.dtype:
    if block.size == 0 or dtype == np.float64:
        return dtype
    if dtype == np.float32:
        with np.errstate(over="ignore"):
            held = np.isfinite(block.astype(np.float32)) | ~np.isfinite(block)
        return dtype if held.all() else np.dtype(np.float64)
    if dtype.kind in "iu" and np.all(block == np.rint(block)):
        info = np.iinfo(dtype)
        if block.min() >= info.min and block.max() < float(info.max) + 1:
            return dtype
    return np.dtype(np.float64)  # as the values were computed, see CellMatrix.dtype
