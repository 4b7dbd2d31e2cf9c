"""One cluster as one classifier sees it: which genes flip it, which carry it, and how many of them are listed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pandas as pd

from adverscarial.attacks import MaxChange, MaxChangeResult, Result, SingleGene, SingleGeneResult
from adverscarial.report.grid import Entry, Grid, Kind

#: flips that get a table row, and genes that are listed by name, in the whole report: a file that opens at once
ROWS, NAMES = 6_000, 40_000
_MOST = 1_000  # rows of one attack on one cluster


@dataclass(frozen=True)
class Place:
    """One cluster as one classifier sees it; `rows` and `names` are the most of each that one attack gets."""

    anchor: str
    cluster: str
    result: Result | None
    entries: list[Entry]
    rows: int
    names: int

    @cached_property
    def _flipped(self) -> list[tuple[Entry, pd.DataFrame]]:
        """The flipping genes of each attack, the strongest flips first."""
        found = [(entry, entry.result) for entry in self.entries]
        return [
            (entry, result.to_frame().query("outcome == 'flipped'"))
            for entry, result in found
            if isinstance(result, SingleGeneResult) and entry.value
        ]

    @property
    def flips(self) -> list[dict[str, Any]]:
        """One row per flipping gene and modification."""
        rows: list[dict[str, Any]] = []
        for entry, table in self._flipped:
            rows += table.head(self.rows).assign(heading=entry.heading).to_dict("records")
        return rows

    @property
    def unlisted(self) -> list[tuple[Entry, list[str], int]]:
        """For each attack with more flipping genes than rows: the names of the next ones, and how many are left."""
        behind = [(entry, table["gene"].tolist()[self.rows :]) for entry, table in self._flipped]
        return [(e, names[: self.names], max(0, len(names) - self.names)) for e, names in behind if names]

    @property
    def n_flips(self) -> int:
        """Flips of all modifications."""
        return sum(len(table) for _, table in self._flipped)

    @property
    def n_rows(self) -> int:
        """Those of them that have a row."""
        return sum(min(len(table), self.rows) for _, table in self._flipped)

    def of(self, kind: Kind) -> list[Entry]:
        """Return the entries of one kind of attack, failed ones too."""
        return [e for e in self.entries if isinstance(e.attack, SingleGene if kind == "single" else MaxChange)]

    @property
    def signature_range(self) -> str:
        """Shortest and longest signature, as text; empty when there is none."""
        lengths = sorted(len(e.result.protected) for e in self.entries if isinstance(e.result, MaxChangeResult))
        if not lengths:
            return ""
        return f"{lengths[0]:,}" if lengths[0] == lengths[-1] else f"{lengths[0]:,} to {lengths[-1]:,}"


def places(found: list[Grid]) -> dict[str, dict[str, Place]]:
    """Return one place per classifier and cluster."""
    done = [entry for grid in found for entry in grid.done]
    rows = min(_MOST, fair((e.value or 0 for e in done if isinstance(e.result, SingleGeneResult)), ROWS))
    names = fair((e.value or 0 for e in done), NAMES)
    all_places: dict[str, dict[str, Place]] = {}
    for classifier in dict.fromkeys(grid.classifier for grid in found):
        own = [entry for grid in found if grid.classifier == classifier for entry in grid.entries.values()]
        row = all_places.setdefault(classifier, {})
        for cluster in dict.fromkeys(entry.cluster for entry in own):
            entries = [entry for entry in own if entry.cluster == cluster]
            result = next((entry.result for entry in entries if entry.result is not None), None)
            anchor = f"c{len(all_places)}-{len(row) + 1}"
            row[cluster] = Place(anchor, cluster, result, entries, rows, names)
    return all_places


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
