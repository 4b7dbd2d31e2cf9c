"""What the report says of how many genes must change at once: intervals, never one end of them alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, cast

from adverscarial.attacks import MinChangeResult
from adverscarial.report.figures import Figure, embed
from adverscarial.report.sections import AttackSection, Detail, Shown, describes, no_result
from adverscarial.report.sentences import count, listed
from adverscarial.surveys.grid import Entry, Grid, grids
from adverscarial.surveys.table import Survey

_BRIEF = 3  # intervals of one cluster that are told in a few words


@describes("min-change")
class MinChangeSection(AttackSection[MinChangeResult]):
    """Between which numbers the smallest set of genes lies that flips the label."""

    title: ClassVar[str] = "How many genes must change at once?"
    folded: ClassVar[str] = "The same by other changes"
    meaning: ClassVar[str] = (
        "How many genes must change at once before a cluster gets another label: no set of fewer genes than the first "
        "number does it (proven), a set of as many as the second does (found), and a single number is both. The "
        "clusters that need the fewest genes come first, and colours follow the first number."
    )

    def shown(self, entry: Entry) -> Shown:  # noqa: D102
        result = _result(entry)
        return Shown(_interval(result), result.lower, endless=result.impossible)

    def order(self, grid: Grid) -> list[str]:
        """Return the clusters by their smallest proven numbers, those without any last."""
        lowest: dict[str, list[tuple[bool, int]]] = {name: [] for name in grid.clusters}
        for entry in grid.done:
            lowest[entry.cluster].append((_result(entry).impossible, _result(entry).lower))
        return sorted(grid.clusters, key=lambda name: (not lowest[name], sorted(lowest[name])))

    def summary(self, grid: Grid) -> list[str]:
        """Return where the fewest genes are needed and where the most, and how much of it is exact."""
        done = _by_need(grid)
        if not done:
            return [f"{self.searches(len(grid.entries), len(grid.entries))} {no_result(grid)}."]
        results = [_result(entry) for entry in done]
        found, exact = sum(result.success for result in results), sum(result.optimal for result in results)
        searches = self.searches(found, len(grid.entries))
        said = [f"A set of genes that {_flips(results)} was found in {searches}{_smallest(exact, found)}."]
        possible = [entry for entry in done if not _result(entry).impossible]
        if possible:
            said.append(f"The smallest proven number is that of {_needs(possible[0])}.")
        if len(possible) > 1 and _result(possible[-1]).lower > _result(possible[0]).lower:
            said.append(f"The largest is that of {_needs(possible[-1])}.")
        if never := [f"{entry.cluster} ({entry.heading})" for entry in done if _result(entry).impossible]:
            said.append(f"It is proven that no set of genes {_flips(results)} of {listed(never)}.")
        return said

    def brief(self, entries: Sequence[Entry], title: str) -> str:  # noqa: D102
        done = [entry for entry in entries if entry.result is not None]
        if len(done) > _BRIEF:
            return f"genes needed: at least {min(_result(entry).lower for entry in done):,}"
        told = [_interval(_result(entry)) + (f" ({entry.heading})" if len(done) > 1 else "") for entry in done]
        return f"genes needed: {', '.join(told)}" if told else ""

    def detail(self, result: MinChangeResult) -> Detail:  # noqa: D102
        proof = "" if result.proof == "none" else f" What proves the first number: {result.proof}."
        return Detail(f"{result.sentence}{proof}", names=result.genes)

    def pictures(self, survey: Survey, kind: str) -> list[Figure]:
        """Return one figure for each column of the tables, so that each has as many lines as there are classifiers."""
        found = grids(survey, kind)
        columns = dict.fromkeys(heading for grid in found for heading in grid.headings)
        parts = {heading: [part for grid in found if (part := grid.kept([heading])).done] for heading in columns}
        return [_figure(survey, part, heading) for heading, part in parts.items() if part]


def _figure(survey: Survey, found: list[Grid], heading: str) -> Figure:
    """Return the intervals of one column of the tables as a picture."""
    from adverscarial import pl

    attacks = {repr(entry.attack) for grid in found for entry in grid.entries.values()}
    pairs = [(t, r) for t, r in zip(survey.tasks, survey.results, strict=True) if repr(t.attack) in attacks]
    part = Survey(survey.plan, tuple(t for t, _ in pairs), tuple(r for _, r in pairs), survey.errors)
    return embed(
        lambda: pl.genes_needed(part),
        alt=f"Genes that must change at once by {heading}, one interval per cluster and classifier. {_extremes(found)}",
        caption=f"How many genes must change at once by {heading}: a line from the proven number to that of the set "
        "that was found; a filled mark, where both are the same; an arrow, where no set was found; a triangle at the "
        "right edge, where none exists.",
    )


def _result(entry: Entry) -> MinChangeResult:
    return cast("MinChangeResult", entry.result)


def _by_need(grid: Grid) -> list[Entry]:
    """Return what has a result by its proven number, the smallest first."""
    return sorted(grid.done, key=lambda entry: (_result(entry).impossible, _result(entry).lower))


def _interval(result: MinChangeResult) -> str:
    """Return the interval as a cell of a table shows it."""
    if result.impossible:
        return "cannot flip (proven)"
    if result.upper is None:
        return f"none found; at least {result.lower:,}" if result.lower > 1 else "none found"
    return f"{result.upper:,}" if result.optimal else f"{result.lower:,} to {result.upper:,}"


def _flips(results: Sequence[MinChangeResult]) -> str:
    """Return what sets must do to count; in general words where that differs between the attacks."""
    texts = {result.flips_text for result in results}
    return texts.pop() if len(texts) == 1 else "flips the label as asked"


def _smallest(exact: int, found: int) -> str:
    """Return for how many of the sets it is proven that none is smaller, to follow their number."""
    if not exact:
        return ""
    if exact == found:
        return ", and none is smaller (proven)" if found == 1 else ", and each is a smallest one (proven)"
    return f"; in {exact:,} of them no set is smaller (proven)"


def _needs(entry: Entry) -> str:
    """Return a cluster with its interval."""
    result = _result(entry)
    return f"{entry.cluster} ({entry.heading}): {result.interval}"


def _extremes(found: list[Grid]) -> str:
    """Return the interval that begins lowest and the one that begins highest, for each classifier, as a text."""
    said = []
    for grid in found:
        order = _by_need(grid)
        low, high = (f"{_interval(_result(e))} ({e.cluster}, {e.heading})" for e in (order[0], order[-1]))
        exact = sum(_result(entry).optimal for entry in order)
        ends = f"from {low}; to {high}" if len(order) > 1 else low
        said.append(f"{grid.classifier}: {ends}; exact in {exact:,} of {count(len(order), 'search')}.")
    return " ".join(said)
