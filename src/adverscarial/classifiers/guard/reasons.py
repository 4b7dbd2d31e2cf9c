"""Why a guard finds a cell impossible, in words."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd

from adverscarial.classifiers.guard.limits import Limits

_FAR = "it lies further from the training cells than they lie from each other"


class Reason(NamedTuple):
    """What is said of one cell."""

    impossible: int  # values
    gene: str  # with the strangest value; empty where all are possible
    value: float
    reason: str  # empty for a possible cell


def reasons(limits: Limits, genes: pd.Index, X: np.ndarray, far: np.ndarray) -> list[Reason]:
    """Return what is wrong with each cell.

    Parameters
    ----------
    limits, genes
        What is possible, and the names of the watched genes.
    X
        Cells x watched genes.
    far
        Which cells lie far from the training cells.
    """
    bad, totals = limits.impossible(X, np.arange(X.shape[1])), limits.totals(X)
    # how far outside; a value that is only not whole counts last
    over = np.where(bad, np.maximum(np.maximum(X - limits.high, limits.low - X), 0.0), -1.0)
    worst = over.argmax(axis=1)
    found = []
    for cell, gene in enumerate(worst):
        texts, n = [], int(bad[cell].sum())
        if n:
            texts.append(_of_value(limits, str(genes[gene]), int(gene), float(X[cell, gene]), n))
        texts += _of_cell(limits, float(totals.size[cell]), float(totals.zeros[cell]) / X.shape[1])
        if far[cell]:
            texts.append(_FAR)
        value = float(X[cell, gene]) if n else float("nan")
        found.append(Reason(n, str(genes[gene]) if n else "", value, "; ".join(texts)))
    return found


def _of_value(limits: Limits, name: str, gene: int, value: float, n: int) -> str:
    more = f" (and {n - 1:,} more values)" if n > 1 else ""
    if limits.low[gene] <= value <= limits.high[gene]:
        return f"{name} is {value:,.6g}, and the training cells hold whole numbers only{more}"
    return (
        f"{name} is {value:,.6g}; in the training cells it goes from {limits.lowest[gene]:,.6g} to "
        f"{limits.highest[gene]:,.6g}, and {limits.low[gene]:,.6g} to {limits.high[gene]:,.6g} is allowed{more}"
    )


def _of_cell(limits: Limits, size: float, zeros: float) -> list[str]:
    texts = []
    if not limits.size[0] <= size <= limits.size[1]:
        a, b = limits.learnt_size
        texts.append(f"its values sum to {size:,.6g}; in the training cells to {a:,.6g} to {b:,.6g}")
    if not limits.zeros[0] <= zeros <= limits.zeros[1]:
        a, b = limits.learnt_zeros
        texts.append(f"{zeros:.1%} of its genes are 0; in the training cells {a:.1%} to {b:.1%}")
    return texts
