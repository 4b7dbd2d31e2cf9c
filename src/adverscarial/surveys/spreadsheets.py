"""Tables as CSV files that are safe to open in a spreadsheet."""

from __future__ import annotations

import pandas as pd

_RISKY = ("=", "+", "-", "@")


def csv(table: pd.DataFrame) -> str:
    """Return a table as CSV that is safe to open in a spreadsheet.

    Texts come from the data, and a spreadsheet runs those that begin with ``=``, ``+``, ``-`` or ``@``. They get a
    leading apostrophe, which marks a text there; numbers are written as they are.

    >>> csv(pd.DataFrame({"gene": ["=1+1", "CD3D"], "change": [-1.5, 2.0]})).splitlines()
    ['gene,change', "'=1+1,-1.5", 'CD3D,2.0']
    """
    return str(table.astype(object).map(_guarded).to_csv(index=False, lineterminator="\n"))


def _guarded(cell: object) -> object:
    if not isinstance(cell, str):
        return cell
    text = cell.replace("\r", " ")  # for many readers it ends a row, and what follows would be a cell of its own
    # spaces and tabs before a formula are dropped when a spreadsheet reads it
    return f"'{text}" if text.lstrip().startswith(_RISKY) or text.startswith("\t") else text
