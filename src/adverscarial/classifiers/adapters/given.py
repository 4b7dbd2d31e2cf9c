"""What a user's function of cells is given: an array, a table with named genes, or an AnnData."""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
import pandas as pd
from anndata import AnnData

from adverscarial.errors import ParameterError, did_you_mean

Takes = Literal["array", "frame", "adata"]


def check_takes(takes: str) -> None:
    """Raise a ParameterError where ``takes=`` names no form that is known."""
    known = get_args(Takes)
    if takes not in known:
        raise ParameterError(
            f"takes must be {', '.join(map(repr, known))}, got {takes!r}.{did_you_mean(str(takes), known)}"
        )


def in_form(takes: Takes, X: np.ndarray, genes: pd.Index) -> np.ndarray | pd.DataFrame | AnnData:
    """Return cells x genes in the form that a function takes.

    Parameters
    ----------
    takes
        ``"array"``: the values themselves; ``"frame"``: a DataFrame with the genes as columns; ``"adata"``: an AnnData
        with the values as ``X`` and the genes as ``var_names``, and nothing else.
    X
        Values, shape (cells, genes).
    genes
        Names of the genes.

    Examples
    --------
    >>> in_form("frame", np.eye(2), pd.Index(["CD3D", "LYZ"]))["LYZ"].tolist()
    [0.0, 1.0]
    """
    if takes == "array":
        return X
    cells = pd.Index([f"cell {i}" for i in range(len(X))])
    if takes == "frame":
        return pd.DataFrame(X, index=cells, columns=genes)
    return AnnData(X, obs=pd.DataFrame(index=cells), var=pd.DataFrame(index=genes))
