"""From a file of cells to what the classifiers are trained on: what do the values mean, and which cells count?"""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import scipy.sparse as sp
from anndata import AnnData

from adverscarial._docs import documented
from adverscarial.cells.cluster import cluster_labels
from adverscarial.datasets import preprocess
from adverscarial.errors import DataError, some

_LOG_MAXIMUM = 20  # logarithms of counts per 10,000 stay below 9.3; the margin allows for larger totals


@documented
def prepared(
    adata: AnnData, groupby: str, *, exclude: Collection[str] = (), min_cells: int = 1
) -> tuple[AnnData, list[str]]:
    """Return the labelled cells of the types that count, z-scored together, and notes on what was left out.

    Parameters
    ----------
    %(adata)s
    groupby
        Column of ``obs`` with the types.
    exclude, min_cells
        Types to leave out: these, where they occur, and those with fewer cells.

    Returns
    -------
    A new AnnData as of :func:`adverscarial.datasets.preprocess`, and sentences.

    Raises
    ------
    DataError
        If the values are neither counts nor log-normalised, or fewer than two types are left.
    """
    labels = cluster_labels(adata, groupby)
    names, sizes = np.unique([label for label in labels if label is not None], return_counts=True)
    unnamed = int(sum(label is None for label in labels))
    out = [str(name) for name in names if name in exclude]
    small = {str(name): int(n) for name, n in zip(names, sizes, strict=True) if n < min_cells and name not in exclude}
    kept = [name for name in names if name not in out and name not in small]
    if len(kept) < 2:
        raise DataError(
            f"obs['{groupby}'] has {len(kept)} type(s) of at least {min_cells} cells ({some(kept)}); two are needed. "
            "Name another column with groupby=, or lower min_cells=."
        )
    notes = []
    if unnamed:
        notes.append(f"{unnamed:,} cells have no type in obs['{groupby}'] and are left out.")
    if out:
        notes.append(f"Left out as asked: {some(out, 20)}.")
    if small:
        sizes_text = ", ".join(f"{name} ({n})" for name, n in small.items())
        notes.append(f"Types with fewer than {min_cells} cells are left out: {sizes_text}.")
    chosen = adata[np.isin(labels.astype(str), kept) & (labels != None)].copy()  # noqa: E711
    if "counts" in chosen.layers:
        chosen.X = chosen.layers["counts"]
    kind = value_kind(chosen)
    return preprocess(chosen, target_sum=1e4 if kind == "counts" else None), notes


def value_kind(adata: AnnData) -> str:
    """Return what ``X`` holds: ``"counts"`` or ``"lognorm"``.

    Raises
    ------
    DataError
        If it is neither.

    Examples
    --------
    >>> import adverscarial as adv
    >>> value_kind(adv.datasets.embedded())
    'lognorm'
    """
    values = adata.X.data if sp.issparse(adata.X) else np.asarray(adata.X)
    if not values.size or not np.isfinite(values).all():
        raise DataError("X is empty, or holds NaN or infinite values. Give raw counts, or log-normalised values.")
    if values.min() < 0:
        raise DataError(
            f"X holds negative values (lowest {values.min():.4g}), so it is scaled; the protocol starts from raw "
            "counts or log-normalised values. Put the counts into X, or into the layer 'counts'."
        )
    if (values == np.rint(values)).all():
        return "counts"
    if values.max() < _LOG_MAXIMUM:
        return "lognorm"
    raise DataError(
        f"X holds values that are not whole, up to {values.max():.4g}: neither counts nor logarithms. "
        "Put the counts into X or the layer 'counts', or apply scanpy.pp.normalize_total and scanpy.pp.log1p."
    )
