"""What the report says of attacks that follow a gradient."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from adverscarial.attacks import GradientResult
from adverscarial.report.sections import AttackSection, Cell, describes, genes_cell, spread, value_cell
from adverscarial.report.sentences import percent

_MOVES = (
    "Every value moves a little in the direction in which the classifier's answer changes fastest, never by more than "
    "epsilon. "
)


class GradientSection(AttackSection[GradientResult]):
    """Cells with another label, and how far values moved."""

    columns: ClassVar[tuple[str, ...]] = ("Cells relabelled", "Genes changed", "Largest change", "Most changed genes")

    def cells(self, result: GradientResult) -> list[Cell]:  # noqa: D102
        relabelled = int(result.flipped.sum())
        cells = Cell(f"{relabelled:,} of {result.n_cells:,}", relabelled / result.n_cells)
        largest = float(result.linf.max()) if len(result.linf) else 0.0
        return [cells, value_cell(len(result.changed_genes)), value_cell(largest), genes_cell(result.genes)]

    def took(self, results: Sequence[GradientResult]) -> str:  # noqa: D102
        shares = [float(result.flipped.mean()) for result in results]
        genes = spread([len(result.changed_genes) for result in results], "gene")
        return f"with {percent(min(shares))} to {percent(max(shares))} of the cells relabelled and {genes} changed"


@describes("fgsm")
class FastGradientSignSection(GradientSection):
    """One step."""

    title: ClassVar[str] = "Fast gradient sign"
    meaning: ClassVar[str] = f"{_MOVES}One step."


@describes("pgd")
class ProjectedGradientSection(GradientSection):
    """Many steps."""

    title: ClassVar[str] = "Projected gradient descent"
    meaning: ClassVar[str] = f"{_MOVES}Many small steps."
