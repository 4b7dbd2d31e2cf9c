"""What was published, as numbers: ``facts.tsv``, one row per number, with its place in the paper.

Columns: ``id``; ``dataset, classifier, cluster, attack, modification, alpha, epsilon, metric`` (what was measured);
``value`` and ``relation`` ("=", ">", "about"); ``where`` in the paper, or in the authors' result files.
Source: Fievet et al., Bioinformatics 2025, and its supplementary repository.
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files

import pandas as pd

#: the paper's data sets that facts are about, as a reader knows them
DATASETS = {"PBMC3k_test": "PBMC3k", "PBMC3k_undivided": "PBMC3k", "KIDNEY10k_test": "KIDNEY10k"}


@cache
def _table() -> pd.DataFrame:
    with (files("adverscarial.reproduce") / "facts.tsv").open() as file:
        return pd.read_csv(file, sep="\t", dtype=str, keep_default_na=False, index_col="id")


def facts() -> pd.DataFrame:
    """Return the table, text as written, indexed by ``id``.

    Examples
    --------
    >>> facts().loc["fig2.single.CHETAH.percentiles", "value"]
    '2'
    """
    return _table().copy()


def published(fact: str) -> str:
    """Return a published value as the paper gives it: ``"7"``, ``"> 1,500"``; empty if there is none.

    Examples
    --------
    >>> published("fig2.single.scType.aberrant"), published("no such number")
    ('> 1,500', '')
    """
    table = _table()
    if fact not in table.index:
        return ""
    value, relation = table.loc[fact, ["value", "relation"]]
    shown = f"{int(value):,}" if value.isdigit() else value
    return shown if relation == "=" else f"{relation} {shown}"


def beside(rows: list[tuple[str, str, object]]) -> pd.DataFrame:
    """Return numbers found here beside those published.

    Parameters
    ----------
    rows
        What it is, the id of the fact ("" for none), the number found here (None if there is none).

    Returns
    -------
    DataFrame ``what, here, paper, dataset, where``; the last two say which data set of the paper, and where it stands.
    """
    table = _table()
    lines = []
    for what, fact, here in rows:
        known = fact in table.index
        dataset = DATASETS[table.loc[fact, "dataset"]] if known else ""
        lines.append((what, _shown(here), published(fact), dataset, table.loc[fact, "where"] if known else ""))
    return pd.DataFrame(lines, columns=["what", "here", "paper", "dataset", "where"])


def _shown(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.2f}"
    return f"{value:,}" if isinstance(value, int) else str(value)
