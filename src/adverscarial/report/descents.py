"""What the report says of cluster gradient descents, with pictures of their paths."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import partial
from typing import ClassVar

from adverscarial.attacks import ClusterGradientDescentResult
from adverscarial.report.figures import Figure, embed
from adverscarial.report.sections import AttackSection, Cell, describes, genes_cell, spread, value_cell
from adverscarial.report.sentences import count, percent

_PATHS = 12  # most descents drawn


@describes("cgd")
class DescentSection(AttackSection[ClusterGradientDescentResult]):
    """Genes that moved, and the path."""

    title: ClassVar[str] = "Cluster gradient descent"
    meaning: ClassVar[str] = (
        "Gene by gene, each cell's value moves a small step towards the runner-up label, and stays moved where that "
        "brings the cluster nearer to it, until the label switches."
    )
    columns: ClassVar[tuple[str, ...]] = ("Genes modified", "Genes tested", "Modified genes, in order")

    def cells(self, result: ClusterGradientDescentResult) -> list[Cell]:  # noqa: D102
        genes = result.modified_genes
        return [value_cell(len(genes)), value_cell(len(result.gene)), genes_cell(genes)]

    def took(self, results: Sequence[ClusterGradientDescentResult]) -> str:  # noqa: D102
        return f"after {spread([len(result.modified_genes) for result in results], 'modified gene')}"

    def figures(  # noqa: D102
        self, results: Sequence[tuple[str, ClusterGradientDescentResult]]
    ) -> tuple[list[Figure], int]:
        return descents(results)


def descents(paths: Sequence[tuple[str, ClusterGradientDescentResult]]) -> tuple[list[Figure], int]:
    """Return figures of descents, given with their classifier's name, and how many are not drawn.

    Classifiers take turns; of each, those that switch come first, with fewest genes on top.
    """
    from adverscarial import pl

    drawable = sorted(
        ((name, result) for name, result in paths if len(result.gene)),
        key=lambda pair: (not pair[1].success, len(pair[1].modified_genes)),
    )
    turn: Counter[str] = Counter()
    order = []
    for name, result in drawable:
        order.append((turn[name], name, result))
        turn[name] += 1
    chosen = sorted(order, key=lambda entry: entry[0])[:_PATHS]
    drawn = [
        embed(partial(pl.trajectory, result), alt=_path(result), caption=f"{name}, {result.target}")
        for _, name, result in chosen
    ]
    return drawn, len(drawable) - len(drawn)


def _path(result: ClusterGradientDescentResult) -> str:
    """Return what the path of a descent shows."""
    start, last = result.start, result.steps.iloc[-1]
    text = (
        f"Line plot over {count(len(result.gene), 'tested gene')}, {len(result.modified_genes):,} of them modified. "
        f"Cells labelled {result.baseline}: from {percent(start['original_share'])} to "
        f"{percent(last['original_share'])}; cells with the runner-up's label: from {percent(start['new_share'])} "
        f"({start['new_label']}) to {percent(last['new_share'])} ({last['new_label']}). "
    )
    return text + (f"The cluster's label becomes {result.label}." if result.success else "The cluster's label stays.")
