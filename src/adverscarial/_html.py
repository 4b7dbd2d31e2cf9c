"""What objects look like in a notebook: a heading, lines of text, the first rows of a table; all escaped."""

from __future__ import annotations

from html import escape

import pandas as pd

_ROWS = 10
#: colours come from the notebook, so that it may be dark
_TABLE = "<style>.adverscarial td,.adverscarial th{text-align:left!important;white-space:normal!important}</style>"


def card(heading: str, text: str = "", table: pd.DataFrame | None = None, *, rows: int = _ROWS) -> str:
    """Return an object as HTML.

    Parameters
    ----------
    heading
        One sentence, in bold.
    text
        Lines that stand as they are, folded away behind "Details" where there is a table.
    table
        Of which the first rows are shown.
    rows
        How many.

    Examples
    --------
    >>> card("2 < 3", "a & b")
    '<div class="adverscarial"><p><b>2 &lt; 3</b></p><pre>a &amp; b</pre></div>'
    """
    parts = [f"<p><b>{escape(heading)}</b></p>"]
    lines = f"<pre>{escape(text)}</pre>" if text else ""
    if table is None:
        parts.append(lines)
    else:
        parts.append(_TABLE + table.head(rows).to_html(index=False, border=0, na_rep="", float_format="{:.3g}".format))
        if len(table) > rows:
            parts.append(f"<p>The first {rows} of {len(table):,} rows.</p>")
        parts.append(f"<details><summary>Details</summary>{lines}</details>" if lines else "")
    return f'<div class="adverscarial">{"".join(parts)}</div>'
