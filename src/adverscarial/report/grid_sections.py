"""Attacks that count something: one section per attack, with a coloured table for each classifier."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from adverscarial.report.caveats import caveats
from adverscarial.report.figures import Figure, counts
from adverscarial.report.sections import Titled, section_of
from adverscarial.surveys.grid import Grid, counted, grids
from adverscarial.surveys.table import Survey


@dataclass(frozen=True)
class GridTable:
    """The grid of one classifier, with what is said about it; `largest` and `legend` are of the colours."""

    grid: Grid
    sentences: list[str]
    caveats: list[str]
    largest: int
    legend: list[int]


@dataclass(frozen=True)
class GridSection(Titled):
    """All grids of one attack."""

    what: str
    tables: list[GridTable]
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
        found.append(GridSection(name, *section.opening(attack), what, tables, counts(survey, name)))
    return found


def grid_tables(
    survey: Survey,
    kind: str,
    labels: dict[str, set[str]],
    apart: Mapping[str, Mapping[str, str]] = MappingProxyType({}),
) -> list[GridTable]:
    """Return one table per classifier; all share one colour scale, so that they can be compared."""
    found = [replace(grid, apart=frozenset(apart.get(grid.classifier, ()))) for grid in grids(survey, kind)]
    largest = max((value for grid in found for value in grid.values), default=0)
    top = max(10, largest)
    legend = [10**k for k in range(len(str(top))) if 10**k < top] + [top]  # ends where the colours do
    tables = []
    for grid in found:
        section = section_of(next(iter(grid.entries.values())).attack)
        limits = caveats(grid, int(survey.plan["data"]["genes"]), labels.get(grid.classifier, ()))
        tables.append(GridTable(grid, section.statements(grid), limits, largest, legend))
    return tables
