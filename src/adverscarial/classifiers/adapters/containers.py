"""What an estimator says of cells in the container that they come in: a sparse matrix may mean something else to it.

XGBoost takes the entries that a sparse matrix leaves out for missing values, not for zeros. Queries of attacks are
dense, so what an estimator answers for the user's own matrix is compared with what it answers for the dense form of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pandas as pd
import scipy.sparse as sp
from anndata import AnnData

from adverscarial.cells.cluster import check_genes
from adverscarial.cells.matrix import CellMatrix, layer_of
from adverscarial.classifiers.answers import Decision
from adverscarial.errors import ClassifierError, ParameterError

READINGS = ("zero", "missing")

_CELLS = 4096


def check_sparse(sparse: str | None) -> None:
    """Raise a ParameterError where ``sparse=`` is no reading that is known."""
    if sparse is not None and sparse not in READINGS:
        raise ParameterError(f"sparse must be 'zero' or 'missing', got {sparse!r}.")


def whole(adata: AnnData, layer: str | None) -> tuple[CellMatrix, np.ndarray, pd.Index]:
    """Return the matrix of all cells, checked, with their rows and the names of their genes."""
    check_genes(adata)
    matrix = CellMatrix(layer_of(adata, layer))
    matrix.check_finite(adata)
    return matrix, np.arange(matrix.shape[0]), pd.Index(adata.var_names.astype(str))


def rows_in_parts(matrix: CellMatrix, rows: np.ndarray, columns: np.ndarray) -> Iterator[sp.csr_matrix]:
    """Yield some cells of a sparse matrix as it holds them, in float32 or float64, a few thousand at a time."""
    for start in range(0, len(rows), _CELLS):
        part = matrix.part(rows[start : start + _CELLS])
        part = part.compute() if hasattr(part, "compute") else part
        yield sp.csr_matrix(part)[:, columns].astype(matrix.dtype)


def cells_apart(one: Decision, other: Decision) -> np.ndarray:
    """Return which cells get another label, or scores that differ by more than rounding, shape (cells,)."""
    apart = np.asarray(one.labels != other.labels, dtype=bool)
    if one.scores is None or other.scores is None:
        return apart
    size = np.abs(other.scores).max(axis=1, keepdims=True, initial=0)
    off = np.abs(np.asarray(one.scores, dtype=np.float64) - other.scores) > 1e-5 * size + 1e-8
    scores_apart: np.ndarray = off.any(axis=1)
    # two labels for the same scores are a tie that rounding decides
    return scores_apart if one.scores.shape[1] > 1 else apart | scores_apart


def readings_differ(
    name: str,
    parts: Iterator[sp.csr_matrix],
    own: Callable[[sp.csr_matrix], Decision],
    ours: Callable[[np.ndarray], Decision],
) -> None:
    """Raise a ClassifierError where `own` of sparse cells and `ours` of the same cells, dense, are not the same.

    Raises
    ------
    ClassifierError
        It says what to pass.
    """
    apart = total = 0
    for part in parts:
        apart += int(cells_apart(own(part), ours(part.toarray())).sum())
        total += part.shape[0]
    if apart:
        raise ClassifierError(ask_for_reading(name, f"gives other answers for {apart:,} of {total:,} cells"))


def ask_for_reading(name: str, found: str) -> str:
    """Return the message that asks which of the two readings is meant."""
    return (
        f"The data are sparse, and {name} {found} if the entries that the matrix leaves out are missing values instead "
        "of zeros. Say how the model was trained: sparse='missing' if on a sparse matrix (such as adata.X as it is), "
        "sparse='zero' if on a dense array, in wrap() or load() (command line: --sparse missing or --sparse zero)."
    )
