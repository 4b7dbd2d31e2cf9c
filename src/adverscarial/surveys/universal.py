"""Universal genes: each alone flips many clusters of one classifier, by the same modification."""

from __future__ import annotations

from collections.abc import Iterable

import pandas as pd

from adverscarial.attacks.result import Result
from adverscarial.surveys.plan import Task

COLUMNS = ("classifier", "modification", "gene", "clusters", "of", "share", "which", "towards", "possible")


def universal_genes(rows: Iterable[tuple[Task, Result | None]]) -> pd.DataFrame:
    """Return how many clusters each gene flips alone, those with the most clusters first.

    Parameters
    ----------
    rows
        Tasks of a survey with their results; results that tell nothing of single genes are left out.

    Returns
    -------
    As :meth:`Survey.universal`.
    """
    tested: dict[tuple[str, str, str], set[str]] = {}
    flipped: dict[tuple[str, str, str], dict[str, list[str]]] = {}
    possible: dict[tuple[str, str, str], bool] = {}
    for task, result in rows:
        flips = None if result is None else result.flips()
        if flips is None:
            continue
        key = (task.classifier, task.attack.changes_text, task.attack.aim_text)
        tested.setdefault(key, set()).add(task.target)
        possible[key] = not task.attack.impossible
        genes = flipped.setdefault(key, {})
        for gene in map(str, flips.genes):
            clusters = genes.setdefault(gene, [])
            if task.target not in clusters:  # two searches may have found it
                clusters.append(task.target)
    table = [
        (key[0], key[1], gene, len(where), len(tested[key]), len(where) / len(tested[key]), ", ".join(where), key[2],
         possible[key])
        for key, genes in flipped.items()
        for gene, where in genes.items()
    ]  # fmt: skip
    found = pd.DataFrame(table, columns=list(COLUMNS))
    return found.sort_values("clusters", ascending=False, kind="stable", ignore_index=True)


def most_universal(table: pd.DataFrame) -> list[str]:
    """Return one line per classifier: the gene that flips the most clusters by values that cells can have.

    Genes that flip one cluster only are not universal: such a classifier has no line.
    """
    lines = []
    for classifier, part in table[table["possible"] & (table["clusters"] > 1)].groupby("classifier", sort=False):
        first = part.iloc[0]
        equal = part.loc[part["clusters"] == first["clusters"], "gene"].nunique() - 1
        more = f"; {equal:,} other{'s do' if equal > 1 else ' does'} as many" if equal else ""
        towards = f" to {first['towards']}" if first["towards"] else ""
        lines.append(
            f"{classifier} · {first['gene']} alone ({first['modification']}) flips {first['clusters']:,} of "
            f"{first['of']:,} clusters{towards}{more}."
        )
    return lines
