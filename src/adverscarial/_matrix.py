"""One way to read cells x genes, whatever holds them: numpy, scipy.sparse, a backed file, or dask.

Nothing here makes more dense than what was asked for: some rows, or some columns.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp
from anndata import AnnData
from anndata.abc import CSCDataset, CSRDataset

from adverscarial.errors import DataError, did_you_mean, some

_CELLS_PER_READ = 16_384


def layer_of(adata: AnnData, layer: str | None) -> Any:
    """Return ``adata.X``, or the layer of that name.

    Raises
    ------
    DataError
        If there is no such layer, or ``X`` is empty.
    """
    if layer is not None:
        if layer not in adata.layers:
            known = list(adata.layers)
            have = f"There are: {some(known)}." if known else "There are none."
            raise DataError(f"There is no layer '{layer}'.{did_you_mean(layer, known)} {have} Leave it out to use X.")
        return adata.layers[layer]
    if adata.X is None:
        raise DataError(f"adata.X is empty. Choose one of its layers with layer=: {some(adata.layers)}.")
    return adata.X


class CellMatrix:
    """Rows and columns of a cells x genes matrix, dense on request.

    Parameters
    ----------
    X
        numpy array, scipy sparse matrix or array, backed sparse dataset, h5py or zarr array, dask array.
        A backed sparse matrix is read into memory once, still sparse, when columns are first asked for.
    """

    def __init__(self, X: Any) -> None:
        self.X = X
        self.shape: tuple[int, int] = (int(X.shape[0]), int(X.shape[1]))
        self._csc: sp.csc_array | None = None
        self._checked = False

    @property
    def sparse(self) -> bool:
        """Whether zeros are left out."""
        return sp.issparse(self.X) or isinstance(self.X, CSRDataset | CSCDataset)

    @property
    def dtype(self) -> np.dtype:
        """float32 stays float32; everything else is read as float64."""
        kind = np.dtype(self.X.dtype)
        return kind if kind == np.float32 else np.dtype(np.float64)

    def _dense(self, part: Any) -> np.ndarray:
        part = part.compute() if hasattr(part, "compute") else part
        part = part.toarray() if sp.issparse(part) else np.asarray(part)
        return np.ascontiguousarray(part, dtype=self.dtype)

    def rows(self, index: np.ndarray) -> np.ndarray:
        """Return the cells at the sorted positions `index`, dense, shape (len(index), genes)."""
        return self._dense(self.X[np.asarray(index)])

    def columns(self, index: np.ndarray) -> np.ndarray:
        """Return the genes at the positions `index`, dense, shape (cells, len(index))."""
        index = np.asarray(index)
        if self.sparse:
            return self._dense(self.csc()[:, index])
        if isinstance(self.X, np.ndarray):
            if len(index) and np.array_equal(index, np.arange(index[0], index[0] + len(index))):
                return np.asarray(self.X[:, index[0] : index[0] + len(index)], dtype=self.dtype)  # not copied twice
            return np.asarray(self.X[:, index], dtype=self.dtype)
        order = np.argsort(index)  # files want increasing positions
        block = self._dense(self.X[:, index[order]])
        _refuse_not_finite(block)
        out = np.empty_like(block)
        out[:, order] = block
        return out

    def csc(self) -> sp.csc_array:
        """Return the sparse matrix column by column, in canonical form; made once."""
        if self._csc is None:
            X = self.X if sp.issparse(self.X) else self.X.to_memory()
            csc = sp.csc_array(X, dtype=self.dtype)
            if X is not self.X:
                _refuse_not_finite(csc.data)
            if not csc.has_canonical_format:
                csc = csc.copy()  # it may share its arrays with the caller's matrix
                csc.sum_duplicates()
            self._csc = csc
        return self._csc

    def check_finite(self) -> None:
        """Raise a DataError when a value is NaN or infinite.

        A matrix in memory is looked through here, once; columns of a file are when they are read.
        """
        if not self._checked and (sp.issparse(self.X) or isinstance(self.X, np.ndarray)):
            _refuse_not_finite(self.X.data if sp.issparse(self.X) else self.X)
            self._checked = True


def _refuse_not_finite(values: np.ndarray) -> None:
    if values.dtype.kind != "f":
        return
    with np.errstate(over="ignore", invalid="ignore"):
        total = np.sum(values, dtype=np.float64)
    if not np.isfinite(total) and not np.isfinite(values).all():
        bad = int(values.size - np.isfinite(values).sum())
        raise DataError(
            f"The matrix holds {bad:,} NaN or infinite values. Attacks need numbers: "
            "remove those cells or genes, or fill them (for example numpy.nan_to_num)."
        )


def replace(X: Any, rows: np.ndarray, columns: np.ndarray, block: np.ndarray) -> Any:
    """Return a copy of `X` with ``block`` at `rows` x `columns`; sparse stays sparse, files come into memory.

    Integers stay integers when their type can hold every new value, else they become float64; float32 stays float32.
    """
    if sp.issparse(X) or isinstance(X, CSRDataset | CSCDataset):
        X = X if sp.issparse(X) else X.to_memory()
        dtype = _wide_enough(X.dtype, block)
        changed = X.tocsr()[rows].toarray().astype(dtype)
        changed[:, columns] = block
        others = np.setdiff1d(np.arange(X.shape[0]), rows)
        stacked = sp.vstack([X.tocsr()[others].astype(dtype), type(X.tocsr())(changed)], format="csr")
        back = np.empty(X.shape[0], dtype=np.int64)
        back[np.concatenate([others, rows])] = np.arange(X.shape[0])
        return stacked[back].asformat(X.format)
    if hasattr(X, "compute"):
        X = X.compute()
    X = X[:] if not isinstance(X, np.ndarray) else X
    out = np.array(X, dtype=_wide_enough(X.dtype, block))
    out[np.ix_(rows, columns)] = block
    return out


def _wide_enough(dtype: np.dtype, block: np.ndarray) -> np.dtype:
    if block.size == 0 or dtype in (np.float32, np.float64):
        return dtype
    if dtype.kind in "iu" and np.all(block == np.rint(block)):
        info = np.iinfo(dtype)
        if block.min() >= info.min and block.max() < float(info.max) + 1:
            return dtype
    return np.dtype(np.float64)  # as the values were computed, see CellMatrix.dtype
