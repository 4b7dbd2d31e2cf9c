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
    """Return the section; None where no single genes were tested, or nothing can be computed.

    Parameters
    ----------
    survey
        The survey.
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
    genes = null.groupby(["kind", "classifier"], sort=False)["genes"].max()
    rows = [
        ChanceRow(
            row.classifier, _KINDS[row.kind], f"{genes[row.kind, row.classifier]:,}", row.pairs, decimal(row.flips),
            decimal(row.expected), row.more_than_chance, row.fewer_than_chance,
        )
        for row in beyond_chance(null).itertuples()
    ]  # fmt: skip
    more, pairs = sum(row.more for row in rows), count(len(null), "comparison")
    text = f"In {more:,} of {pairs} more genes flip the label than by chance (false discovery rate 5%)."
    return Chance(text, rows)
