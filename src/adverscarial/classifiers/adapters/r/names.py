"""Gene names as R changes them when a matrix becomes a data.frame: ``HLA-DRA`` is ``HLA.DRA`` then."""

from __future__ import annotations

import re

import pandas as pd

_NOT_IN_NAMES = re.compile(r"[^\w.]")
_RESERVED = frozenset(
    ["if", "else", "repeat", "while", "function", "for", "next", "break", "TRUE", "FALSE", "NULL", "Inf", "NaN", "NA",
     "NA_integer_", "NA_real_", "NA_character_", "NA_complex_", "in"]
)  # fmt: skip


def make_name(name: str) -> str:
    """Return a name as R's ``make.names`` does.

    >>> [make_name(name) for name in ("HLA-DRA", "7SK", "CD79A", "_x", ".1", "if")]
    ['HLA.DRA', 'X7SK', 'CD79A', 'X_x', 'X.1', 'if.']
    """
    plain = _NOT_IN_NAMES.sub(".", name)
    starts = plain[:1].isalpha() or (plain[:1] == "." and not plain[1:2].isdigit())
    plain = plain if starts else f"X{plain}"
    return f"{plain}." if plain in _RESERVED else plain


def as_r_has_them(wanted: pd.Index, genes: pd.Index) -> pd.Index | None:
    """Return which genes of the data a model means that holds names as R changed them, in the model's order.

    Parameters
    ----------
    wanted
        Names that the model holds.
    genes
        Of the data.

    Returns
    -------
    The data's own names; None where a name is of no gene, or of several.

    Examples
    --------
    >>> as_r_has_them(pd.Index(["HLA.DRA", "CD79A"]), pd.Index(["CD79A", "HLA-DRA"])).tolist()
    ['HLA-DRA', 'CD79A']
    """
    changed = pd.Index([make_name(str(gene)) for gene in genes])
    positions = [genes.get_loc(name) if name in genes else None for name in wanted]
    for k, name in enumerate(wanted):
        if positions[k] is None:
            found = (changed == name).nonzero()[0]
            if len(found) != 1:
                return None
            positions[k] = int(found[0])
    return None if len(set(positions)) < len(positions) else genes[positions]
