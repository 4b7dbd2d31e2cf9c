"""One cluster as one classifier sees it: what each attack found there, and how many of the genes are listed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from adverscarial.attacks.result import Result
from adverscarial.report.sections import Detail, Flip, section_of
from adverscarial.surveys.grid import Entry, Grid

#: flips that get a table row, and genes that are listed by name, in the whole report: a file that opens at once
ROWS, NAMES = 6_000, 40_000
_MOST = 1_000  # rows of one attack on one cluster


@dataclass(frozen=True)
class Finding:
    """What one attack found on one cluster; `detail` is None where it failed."""

    entry: Entry
    detail: Detail | None

    @property
    def flips(self) -> list[Flip]:
        """Genes that flip the label alone, the strongest first."""
        return self.detail.flips if self.detail else []


@dataclass(frozen=True)
class Attacked:
    """What all attacks of one kind found on one cluster; `rows` and `names` are the most that each of them lists."""

    title: str
    findings: list[Finding]
    brief: str
    rows: int
    names: int

    @property
    def flips(self) -> list[tuple[str, Flip]]:
        """One row per flipping gene and modification, with the heading of its column."""
        return [(found.entry.heading, flip) for found in self.findings for flip in found.flips[: self.rows]]

    @property
    def unlisted(self) -> list[tuple[Entry, list[str], int]]:
        """For each attack with more flipping genes than rows: the names of the next ones, and how many are left."""
        rest = [(found.entry, [flip.gene for flip in found.flips[self.rows :]]) for found in self.findings]
        return [(entry, genes[: self.names], max(0, len(genes) - self.names)) for entry, genes in rest if genes]


@dataclass(frozen=True)
class ClusterPart:
    """One cluster as one classifier sees it; `result` is any of its results, for the label before the attack."""

    anchor: str
    cluster: str
    result: Result | None
    attacked: list[Attacked] = field(default_factory=list)

    @property
    def n_flips(self) -> int:
        """Flips of all modifications."""
        return sum(len(found.flips) for attacked in self.attacked for found in attacked.findings)

    @property
    def n_rows(self) -> int:
        """Those of them that have a row."""
        return sum(len(attacked.flips) for attacked in self.attacked)

    @property
    def briefs(self) -> list[str]:
        """The numbers of each kind of attack in a few words."""
        return [attacked.brief for attacked in self.attacked if attacked.brief]


def cluster_parts(found: list[Grid]) -> dict[str, dict[str, ClusterPart]]:
    """Return one part per classifier and cluster."""
    findings = {id(entry): _finding(entry) for grid in found for entry in grid.entries.values()}
    details = [finding.detail for finding in findings.values() if finding.detail]
    rows = min(_MOST, fair((len(detail.flips) for detail in details), ROWS))
    names = fair((len(detail.flips) + len(detail.names) for detail in details), NAMES)
    parts: dict[str, dict[str, ClusterPart]] = {}
    for classifier in dict.fromkeys(grid.classifier for grid in found):
        own = [grid for grid in found if grid.classifier == classifier]
        row = parts.setdefault(classifier, {})
        for cluster in dict.fromkeys(cluster for grid in own for cluster in grid.clusters):
            entries = [entry for grid in own for entry in _of(grid, cluster)]
            result = next((entry.result for entry in entries if entry.result is not None), None)
            attacked = [_attacked(grid, cluster, findings, rows, names) for grid in own if cluster in grid.clusters]
            row[cluster] = ClusterPart(f"c{len(parts)}-{len(row) + 1}", cluster, result, attacked)
    return parts


def _finding(entry: Entry) -> Finding:
    return Finding(entry, None if entry.result is None else section_of(entry.attack).detail(entry.result))


def _of(grid: Grid, cluster: str) -> Iterator[Entry]:
    return (entry for entry in grid.entries.values() if entry.cluster == cluster)


def _attacked(grid: Grid, cluster: str, findings: dict[int, Finding], rows: int, names: int) -> Attacked:
    own = [findings[id(entry)] for entry in _of(grid, cluster)]
    entries = [found.entry for found in own]
    attack = own[0].entry.attack
    brief = section_of(attack).brief(entries, grid.count.title) if any(found.detail for found in own) else ""
    title = grid.count.title
    return Attacked(title[:1].upper() + title[1:], own, brief, rows, names)


def fair(counts: Iterable[int], room: int) -> int:
    """Return the limit under which every list may have its items so that all fit; none is cut that need not be.

    >>> fair([2, 3, 50], 15), fair([2, 3, 50], 100)
    (10, 50)
    """
    ordered = sorted(counts)
    for place, n in enumerate(ordered):
        share = room // (len(ordered) - place)
        if n > share:
            return max(1, share)
        room -= n
    return ordered[-1] if ordered else room
