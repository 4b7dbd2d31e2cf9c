"""The first thing on the page: which labels may be trusted, why, and what to do next."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pandas as pd

from adverscarial.evaluation.verdicts import VERDICTS, headline
from adverscarial.report.sections import Cell
from adverscarial.report.sentences import percent

#: what the four words mean, in the order of a reader's worry
MEANINGS = {
    "robust": "every single gene was tested, and none flips the label",
    "fragile": "one gene, or a few together, flip the label or take its majority, by values that cells can have",
    "not decided": "too few cells, no majority, or not everything was tested",
    "not recognised": "the classifier calls most of these cells something else before any attack",
}


def meanings(stress: bool) -> dict[str, str]:
    """Return what the words mean; with a stress test, one of them means more."""
    more = "; or a technical change as small as is written in the rules takes it"
    return {word: text + more if stress and word == "fragile" else text for word, text in MEANINGS.items()}


@dataclass(frozen=True)
class VerdictRow:
    """One cluster as one classifier sees it; `before` is what was known before any attack."""

    cluster: str
    anchor: str
    verdict: str
    reason: str
    todo: str
    before: str
    right: str

    @property
    def kind(self) -> str:
        """The verdict as the page's style knows it."""
        return self.verdict.replace(" ", "-")


@dataclass(frozen=True)
class VerdictTable:
    """All clusters of one classifier, with one sentence about them."""

    classifier: str
    anchor: str
    sentence: str
    rows: list[VerdictRow]

    @property
    def by_cluster(self) -> dict[str, VerdictRow]:
        """The rows by cluster."""
        return {row.cluster: row for row in self.rows}

    @property
    def accuracy(self) -> str:
        """How many cells of each cluster the classifier gets right before any attack; empty where that is not known."""
        return "; ".join(f"{row.cluster}: {row.right.removesuffix(' right')}" for row in self.rows if row.right)

    def ordered(self, clusters: list[str]) -> list[VerdictRow]:
        """Return the rows in the order of some clusters."""
        return [self.by_cluster[name] for name in clusters if name in self.by_cluster]


def verdict_tables(table: pd.DataFrame, anchors: dict[tuple[str, str], str]) -> list[VerdictTable]:
    """Return one table for each classifier.

    Parameters
    ----------
    table
        What :func:`adverscarial.evaluation.verdicts` returned.
    anchors
        Where on the page the genes of a cluster are, by classifier and cluster.
    """
    found = []
    for number, (name, part) in enumerate(table.groupby("classifier", sort=False), 1):
        rows = [_row(row, anchors.get((str(name), str(row.cluster)), "")) for row in part.itertuples()]
        found.append(VerdictTable(str(name), f"v{number}", headline(part), rows))
    return found


def counted(table: pd.DataFrame) -> list[str]:
    """Return the verdicts that occur, in the order of :data:`MEANINGS`."""
    return [verdict for verdict in VERDICTS if (table["verdict"] == verdict).any()]


def _row(row: Any, anchor: str) -> VerdictRow:
    if pd.isna(row.cells):
        return VerdictRow(str(row.cluster), anchor, row.verdict, row.reason, row.next, "no answer", "")
    interval = f"{row.share_low:.0%} to {row.share_high:.0%}" if row.share_low < row.share_high else ""
    before = f"{row.called}, {percent(row.share)} of {row.cells:,}"
    if row.apart and interval:
        before += f" (95% interval {interval})"
    right = "" if pd.isna(row.right) else f"{row.right:,} of {row.cells:,} right"
    return VerdictRow(str(row.cluster), anchor, row.verdict, row.reason, row.next, before, right)


def apart(table: pd.DataFrame) -> dict[str, dict[str, str]]:
    """Return for each classifier the clusters that belong in no headline, each with the reason.

    These are clusters of few cells, without a majority, and those that were not recognised.
    """
    odd = table[table["apart"].astype(bool) | (table["verdict"] == "not recognised")]
    found: dict[str, dict[str, str]] = {}
    for row in odd.itertuples():
        found.setdefault(str(row.classifier), {})[str(row.cluster)] = str(row.reason)
    return found


@dataclass(frozen=True)
class NearestRow:
    """The gene that comes nearest to a flip of one cluster; the shares of its votes and lead that the gene takes."""

    classifier: str
    cluster: str
    gene: str
    change: str
    votes: Cell
    lead: Cell


def lead_text(share: float) -> str:
    """Return how much of the lead a gene takes; where some cells still hold the label, that can be more than all.

    >>> lead_text(0.19), lead_text(1.85)
    ('19%', '185%')
    """
    return f"{share:.0%}" if share > 1 else percent(share)


def nearest_rows(table: pd.DataFrame) -> list[NearestRow]:
    """Return the nearest gene of each cluster and classifier, the nearest first, without clusters of no headline."""
    kept = table[(table["nearest"] != "") & ~table["apart"].astype(bool) & (table["verdict"] != "not recognised")]
    order = kept.sort_values(["nearest_votes", "nearest_lead"], ascending=False, kind="stable")
    found = []
    for row in order.itertuples():
        votes, lead = float(row.nearest_votes), 0.0 if pd.isna(row.nearest_lead) else float(row.nearest_lead)
        shares = Cell(percent(votes), votes), Cell(lead_text(lead) if lead > 0 else "–", lead)
        found.append(NearestRow(row.classifier, row.cluster, row.nearest, row.nearest_change, *shares))
    return found
