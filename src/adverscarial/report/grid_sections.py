"""Attacks that count something: one section per attack, with a coloured table for each classifier."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from adverscarial.report.caveats import caveats
from adverscarial.report.figures import Figure
from adverscarial.report.sections import Shown, Titled, section_of
from adverscarial.surveys.grid import Grid, counted, grids
from adverscarial.surveys.table import Survey


@dataclass(frozen=True)
class GridTable:
    """The grid of one classifier, with what is said about it; `largest` and `legend` are of the colours.

    `rows` are the clusters as they are listed, `cells` what is shown of each attack that has a result.
    """

    grid: Grid
    rows: tuple[str, ...]
    cells: dict[tuple[str, str], Shown]
    sentences: list[str]
    caveats: list[str]
    largest: int
    legend: list[int]

    @property
    def meanings(self) -> dict[str, str]:
        """The marks that are shown, with their meaning."""
        used = "".join(cell.marks for cell in self.cells.values())
        return {mark: text for mark, text in self.grid.meanings.items() if mark in used}


@dataclass(frozen=True)
class GridSection(Titled):
    """All grids of one attack; `folded` is the heading of all figures but the first."""

    what: str
    tables: list[GridTable]
    folded: str
    figures: list[Figure] = field(default_factory=list)


def grid_sections(
    survey: Survey, labels: dict[str, set[str]], apart: Mapping[str, Mapping[str, str]] = MappingProxyType({})
) -> list[GridSection]:
    """Return one section for each attack of a survey that counts something.

    Parameters
    ----------
    survey
        The survey.
    labels
        Labels that each classifier is known to give.
    apart
        For each classifier, clusters that belong in no headline, with the reason.
    """
    found = []
    for name in counted(survey):
        tables = grid_tables(survey, name, labels, apart)
        attack = next(iter(tables[0].grid.entries.values())).attack
        section = section_of(attack)
        what = tables[0].grid.count.title
        pictures = section.pictures(survey, name)
        found.append(GridSection(name, *section.opening(attack), what, tables, section.folded, pictures))
    return found


def grid_tables(
    survey: Survey,
    kind: str,
    labels: dict[str, set[str]],
    apart: Mapping[str, Mapping[str, str]] = MappingProxyType({}),
) -> list[GridTable]:
    """Return one table per classifier; all share one colour scale, so that they can be compared."""
    found = [replace(grid, apart=frozenset(apart.get(grid.classifier, ()))) for grid in grids(survey, kind)]
    section = section_of(next(iter(found[0].entries.values())).attack)
    shown = [{key: section.shown(e) for key, e in grid.entries.items() if e.result is not None} for grid in found]
    scaled = [cell.value for cells in shown for cell in cells.values() if cell.value is not None and not cell.endless]
    largest = max(scaled, default=0)
    top = max(10, largest)
    legend = [10**k for k in range(len(str(top))) if 10**k < top] + [top]  # ends where the colours do
    tables = []
    for grid, cells in zip(found, shown, strict=True):
        limits = caveats(grid, int(survey.plan["data"]["genes"]), labels.get(grid.classifier, ()))
        rows, said = tuple(section.order(grid)), section.statements(grid)
        tables.append(GridTable(grid, rows, cells, said, limits, largest, legend))
    return tables
