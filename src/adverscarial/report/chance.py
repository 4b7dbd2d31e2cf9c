"""Do labels flip more often than by chance? Counts of flips beside random genes and permuted gene names."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd
from anndata import AnnData

from adverscarial.errors import AdverscarialError
from adverscarial.evaluation.null import beyond_chance, null_flips
from adverscarial.report.sentences import count, decimal
from adverscarial.surveys.table import Survey

#: what a kind of null is, in words
_KINDS = {
    "genes": "as many random genes of the same detection rate",
    "labels": "the same attack on permuted gene names",
}


@dataclass(frozen=True)
class ChanceRow:
    """One classifier beside one kind of chance, as texts."""

    classifier: str
    values: str
    beside: str
    genes: str
    pairs: int
    flips: str
    expected: str
    more: int
    fewer: int


@dataclass(frozen=True)
class Chance:
    """Flips beside chance; `sentence` sums it up."""

    sentence: str
    rows: list[ChanceRow]


def chance_of(survey: Survey, adata: AnnData | None, null: pd.DataFrame | None) -> Chance | None:
    """Return the section; None where no single genes were tested, none flips, or nothing can be computed.

    Parameters
    ----------
    survey
        The survey; what `null` says of other classifiers or clusters is left out.
    adata
        The cells that were attacked, for random genes; None where they are not given.
    null
        What :func:`adverscarial.evaluation.null_flips` returned, in its place.
    """
    if null is None:
        if adata is None:
            return None
        try:
            null = null_flips(survey, adata, progress=False)
        except AdverscarialError:
            return None
    if not len(null):
        return None
    asked = {(task.classifier, task.target) for task in survey.tasks}
    null = null[[pair in asked for pair in zip(null["classifier"], null["cluster"], strict=True)]]
    if not null[["flips", "expected"]].to_numpy().any():
        return None  # nothing to compare: no flip, and none expected
    odd = null["modification"].isin({task.attack.changes_text for task in survey.tasks if task.attack.impossible})
    parts = {"possible": null[~odd], "impossible": null[odd]}  # never pooled: only the first can happen
    said = {values: _counted(part) for values, part in parts.items() if len(part)}
    text = f"In {said['possible']} (false discovery rate 5%)." if "possible" in said else ""
    if "impossible" in said:
        text += f" At impossible values, in {said['impossible']}."
    return Chance(text.strip(), [row for values, part in parts.items() for row in _rows(part, values)])


def _counted(null: pd.DataFrame) -> str:
    """Return in how many comparisons more flips than by chance."""
    more = int(beyond_chance(null)["more_than_chance"].sum())
    return f"{more:,} of {count(len(null), 'comparison')} more genes flip the label than by chance"


def _rows(null: pd.DataFrame, values: str) -> list[ChanceRow]:
    genes = null.groupby(["kind", "classifier"], sort=False)["genes"].max()
    return [
        ChanceRow(
            row.classifier, values, _KINDS[row.kind], f"{genes[row.kind, row.classifier]:,}", row.pairs,
            decimal(row.flips), decimal(row.expected), row.more_than_chance, row.fewer_than_chance,
        )
        for row in beyond_chance(null).itertuples()
    ]  # fmt: skip
