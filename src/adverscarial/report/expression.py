"""Beside each gene that flips a label: does it differ between the two types? Attacks find what statistics do not."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pandas as pd
from anndata import AnnData

from adverscarial.errors import AdverscarialError
from adverscarial.evaluation.differential import differential
from adverscarial.report.figures import Figure, embed
from adverscarial.report.sections import Cell
from adverscarial.report.sentences import count, listed, percent
from adverscarial.surveys.table import Survey

_MOST = 200  # rows


@dataclass(frozen=True)
class ExpressionRow:
    """One flip, with the statistics of its gene."""

    classifier: str
    cluster: str
    gene: str
    change: str
    label: str
    share: str
    against: str
    fold_change: Cell
    p: Cell


@dataclass(frozen=True)
class Expression:
    """All flips by values that cells can have; `left_out` of them have no row."""

    sentence: str
    rows: list[ExpressionRow]
    left_out: int = 0
    figures: list[Figure] = field(default_factory=list)


def expression_of(survey: Survey, adata: AnnData) -> Expression | None:
    """Return the section; None where no single gene flips a label, or nothing can be computed."""
    try:
        table = differential(survey, adata, layer=survey.plan["data"]["layer"])
    except AdverscarialError:
        return None
    if not len(table):
        return None
    genes = list(dict.fromkeys(table.loc[~table["significant"], "gene"]))
    by = "is by a gene that does" if len(table) == 1 else "are by genes that do"
    missed, size = int((~table["significant"]).sum()), count(len(table), "flip")
    text = f"{missed:,} of {size} {by} not differ between the groups compared"
    if genes:
        text += f" (adjusted p at least 5%): {listed(genes, 8)}. Attacks find them, and statistics do not"
    order = table.sort_values(["significant", "share"], ascending=[True, False], kind="stable")
    rows = [_row(row) for row in order.head(_MOST).itertuples()]
    return Expression(f"{text}.", rows, max(0, len(table) - _MOST), _figure(table))


def _row(row: Any) -> ExpressionRow:
    fold, p = row.log_fold_change, row.p_adjusted
    return ExpressionRow(
        row.classifier, row.cluster, row.gene, row.modification, row.label, percent(row.share), row.against,
        Cell("–", 0.0) if pd.isna(fold) else Cell(f"{fold:+.2f}", float(fold)),
        Cell("–", 1.0) if pd.isna(p) else Cell(f"{p:.2g}", float(p)),
    )  # fmt: skip


def _figure(table: pd.DataFrame) -> list[Figure]:
    from adverscarial import pl

    if not table[["log_fold_change", "p_adjusted"]].notna().all(axis=1).any():
        return []  # z-scores have no fold change
    found = int(table["significant"].sum())
    alt = (
        "Scatter plot of flips, log2 fold change across and adjusted p-value up. "
        f"{found:,} significant, {len(table) - found:,} not."
    )
    caption = "Genes that flip a label, in the plane of statistics. Orange: attacks find them, statistics do not."
    return [embed(lambda: pl.differential(table), alt=alt, caption=caption)]
