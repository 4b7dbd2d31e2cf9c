"""The columns that :func:`adverscarial.fragility` writes, for the figures of single cells."""

from __future__ import annotations

import numpy as np
from anndata import AnnData

from adverscarial.errors import ParameterError
from adverscarial.pl._style import ticks_of_counts


def needed(adata: AnnData, key: str, end: str = "lower") -> np.ndarray:
    """Return how many genes each cell needs; infinite: no number does it; NaN: no set was looked for.

    Raises
    ------
    ParameterError
        If there is no such column.
    """
    column = f"{key}_{end}"
    if column not in adata.obs:
        raise ParameterError(
            f"obs has no column '{column}'. Call adverscarial.fragility(adata, model, key_added={key!r}) first."
        )
    return np.asarray(adata.obs[column], dtype=np.float64)


def log_ticks(numbers: np.ndarray) -> tuple[np.ndarray, list[str], float]:
    """Return ticks of an axis of decimal logarithms, how they are written, and the largest finite number."""
    finite = numbers[np.isfinite(numbers)]
    top = float(finite.max(initial=2.0))
    ticks, texts = ticks_of_counts(top)
    return np.log10(np.array(ticks, dtype=np.float64)), texts, top
