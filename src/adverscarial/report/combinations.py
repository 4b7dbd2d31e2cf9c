"""What the report says of attacks that try combinations of genes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from adverscarial.attacks.combination import CombinationResult
from adverscarial.report.sections import AttackSection, Cell, describes, genes_cell, spread, value_cell


class CombinationSection(AttackSection[CombinationResult]):
    """The smallest combination that flips the label."""

    columns: ClassVar[tuple[str, ...]] = ("Flipping", "Tried", "Fewest genes", "Smallest flipping combination")
    least: ClassVar[str] = "combinations of"

    def cells(self, result: CombinationResult) -> list[Cell]:  # noqa: D102
        counts = result.counts
        changes = [f"{gene} {modification}" for gene, modification in result.modifications.items()]
        numbers = (counts["flipped"], sum(counts.values()), len(changes))
        return [*map(value_cell, numbers), genes_cell(changes)]

    def took(self, results: Sequence[CombinationResult]) -> str:  # noqa: D102
        return f"by {self.least} {spread([len(result.genes) for result in results], 'gene')}"


@describes("random-walk")
class RandomWalkSection(CombinationSection):
    """Combinations that a random walk met."""

    title: ClassVar[str] = "Random walk over combinations"
    meaning: ClassVar[str] = (
        "Starting from a combination of changed genes that flips the label, genes are changed back and forth by "
        "chance, to find a combination of fewer genes that still does."
    )


@describes("grid")
class GridSection(CombinationSection):
    """All combinations of some genes."""

    title: ClassVar[str] = "Grid of combinations"
    meaning: ClassVar[str] = "Every combination of the given genes and modifications is tried."
    least: ClassVar[str] = "combinations of as few as"
