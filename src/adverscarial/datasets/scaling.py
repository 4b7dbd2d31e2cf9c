"""From counts to the values that most classifiers are trained on: log-normalised, then z-scores."""

from __future__ import annotations

import logging

import numpy as np
import scipy.sparse as sp
from anndata import AnnData

from adverscarial._types import Matrix
from adverscarial.cells.choice import Cells, meant
from adverscarial.cells.matrix import CellMatrix, copy_of, is_sparse, layer_of
from adverscarial.cells.zscores import zscores
from adverscarial.errors import DataError, ParameterError

logger = logging.getLogger(__name__)

_BLOCK = 512  # genes made dense in float64 at a time


def preprocess(
    adata: Cells, *, target_sum: float | None = 1e4, scale: bool = True, max_value: float | None = 10,
    mod: str | None = None,
) -> AnnData:  # fmt: skip
    """Normalise counts, take logarithms, and z-score each gene, as Seurat does.

    ``log(1 + count / cell's total * target_sum)``, then per gene minus its mean, divided by its standard deviation
    (n - 1), and at most `max_value`; there is no lower limit (Seurat's ``ScaleData``; scanpy's ``pp.scale`` clips both
    sides). A gene with one value in all cells becomes 0.

    Parameters
    ----------
    adata
        Cells x genes, counts in X; not changed. May be backed. Or a MuData with such a modality.
    target_sum
        Total of each cell after normalisation; None when X is log-normalised already. Cells without any count stay 0.
    scale
        Whether to z-score; otherwise X of the result is the log-normalised matrix.
    max_value
        Upper limit of z-scores; None for none.
    mod
        The modality of a MuData; its ``rna`` when left out.

    Returns
    -------
    A new AnnData. ``X``: z-scores, dense float32. ``layers["lognorm"]``: log-normalised, CSR float32 (the
    input's own numbers if `target_sum` is None). ``layers["counts"]``: the input, CSR (not if `target_sum` is None).

    Raises
    ------
    DataError
        If X is not counts although `target_sum` is given, holds NaN or infinite values, or there is no cell.
    ParameterError
        If `target_sum` or `max_value` is not positive.

    Notes
    -----
    Arithmetic is in float64, results are stored in float32: that gives the paper's published values of PBMC3k to the
    8 digits they were printed with, in half the memory. Z-scores are taken of the *stored* log-normalised values, so
    ``preprocess(lognorm, target_sum=None)`` gives the same X.

    Examples
    --------
    >>> import adverscarial as adv
    >>> scaled = preprocess(adv.datasets.embedded(), target_sum=None)
    >>> bool(scaled.X.max() <= 10)
    True
    """
    for name, value in (("target_sum", target_sum), ("max_value", max_value)):
        if value is not None and not value > 0:
            raise ParameterError(f"{name} must be positive, or None to leave that step out; got {value!r}.")
    adata = meant(adata, mod=mod)
    if adata.n_obs == 0:
        raise DataError("The data set has no cells.")
    new = copy_of(adata)
    X = layer_of(new, None)
    X = X.astype(np.float32) if X.dtype == np.float16 else X  # the same values; scipy knows no float16
    CellMatrix(X).check_finite(new)
    if target_sum is None:
        lognorm = sp.csr_matrix(X)
    else:
        _check_counts(X)
        counts = sp.csr_matrix(X)
        new.layers["counts"] = counts
        lognorm = _log_normalised(counts, target_sum)
    new.layers["lognorm"] = lognorm
    new.X = _z_scores(lognorm, max_value) if scale else lognorm.copy()
    return new


def _log_normalised(counts: sp.csr_matrix, target_sum: float) -> sp.csr_matrix:
    import scanpy as sc

    work = AnnData(counts.astype(np.float64))
    sc.pp.normalize_total(work, target_sum=target_sum)
    sc.pp.log1p(work)
    return work.X.astype(np.float32)


def _z_scores(lognorm: sp.csr_matrix, max_value: float | None) -> np.ndarray:
    matrix = CellMatrix(lognorm)
    n_genes = matrix.shape[1]
    out = np.empty(matrix.shape, dtype=np.float32)
    for start in range(0, n_genes, _BLOCK):
        genes = np.arange(start, min(start + _BLOCK, n_genes))
        block = matrix.columns(genes).astype(np.float64)
        z = zscores(block)
        out[:, genes] = z if max_value is None else np.minimum(z, max_value)
    return out


def _check_counts(X: Matrix) -> None:
    values = np.asarray(X.data if is_sparse(X) else X)
    broken = int(np.count_nonzero(values != np.rint(values))) if values.dtype.kind == "f" else 0
    negative = int(np.count_nonzero(values < 0))
    if not broken and not negative:
        return
    if negative:
        found = f"{negative:,} negative values (lowest {values.min():.4g})"
        cause = (
            "It looks scaled already (z-scores): use it as it is (command line: --preprocess none), or take the counts "
            "from a layer or adata.raw."
        )
    else:
        found = f"{broken:,} values that are not whole (largest {values.max():.4g})"
        # a log of counts per 10,000 stays below log(10,001) = 9.2; the margin allows for larger target sums
        cause = (
            "It looks log-normalised already: pass target_sum=None (command line: --preprocess scale to z-score it, "
            "none to leave it as it is)."
            if values.max() < 20
            else "It looks normalised but not logarithmic: apply scanpy.pp.log1p and pass target_sum=None "
            "(command line: --preprocess scale or none), or round estimated counts (numpy.rint)."
        )
    raise DataError(f"X holds {found}; counts are expected. {cause}")
