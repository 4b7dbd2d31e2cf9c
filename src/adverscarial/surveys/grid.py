"""A survey as clusters x modifications, one grid per classifier: what both the report and the plots show.

Any attack has grids whose result names a number to show (:attr:`Result.count`). Marks behind a number keep it from
claiming more than was tested; the attack says what they mean.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import TYPE_CHECKING

from adverscarial._names import numbered
from adverscarial.attacks.base import Attack
from adverscarial.attacks.columns import Count
from adverscarial.attacks.result import Result
from adverscarial.surveys.stored import already_there
from adverscarial.surveys.table import Survey

if TYPE_CHECKING:
    from matplotlib.colors import Colormap

#: short names of two kinds of grids; all others go by the name of their attack
ALIASES = {"single": "single-gene", "max": "max-change"}


@dataclass(frozen=True)
class Entry:
    """One attack on one cluster."""

    #: Row and column of the grid.
    cluster: str
    heading: str
    #: The attack, with its settings.
    attack: Attack[Result]
    #: None where the attack failed.
    result: Result | None
    #: Its message then, else an empty text.
    error: str

    @cached_property
    def value(self) -> int | None:
        """The number that the attack counts; None where it failed, or found nothing that could be counted."""
        if self.result is None or self.result.count is None:
            return None
        return self.result.number_in(self.result.count.column)

    @property
    def idle(self) -> int:
        """Genes that the classifier reads and that did not move, or moved against the intent of the modification."""
        row = {} if self.result is None else self.result.row()
        return int(row.get("unchanged") or 0) + int(row.get("opposite") or 0)

    @property
    def already(self) -> bool:
        """Whether there was nothing to do: the cluster is already called what it was to become."""
        return self.result is None and already_there(self.error)

    @property
    def marks(self) -> str:
        """What must be said beside the value; :attr:`Grid.meanings` explains it."""
        return "" if self.result is None else self.result.marks

    @property
    def text(self) -> str:
        """The value with its marks; "failed", "already", or "none" where there is no number."""
        if self.result is None:
            return "already" if self.already else "failed"
        return f"none{self.marks}" if self.value is None else f"{self.value:,}{self.marks}"


@dataclass(frozen=True)
class Grid:
    """Clusters x modifications of one classifier; clusters and headings in the survey's order."""

    #: Name of the attack.
    kind: str
    #: What its numbers count.
    count: Count
    #: Name of the classifier.
    classifier: str
    #: Rows and columns.
    clusters: tuple[str, ...]
    headings: tuple[str, ...]
    #: By cluster and heading.
    entries: dict[tuple[str, str], Entry]
    #: Clusters that belong in no headline: of few cells, without a majority, or not recognised.
    apart: frozenset[str] = frozenset()

    def get(self, cluster: str, heading: str) -> Entry | None:
        """Return an entry; None where the survey had no such attack."""
        return self.entries.get((cluster, heading))

    def kept(self, headings: Iterable[str] | None = None, clusters: Iterable[str] | None = None) -> Grid:
        """Return some columns and rows of the grid; all of them, where none are named."""
        columns = set(self.headings if headings is None else headings)
        rows = set(self.clusters if clusters is None else clusters)
        entries = {key: e for key, e in self.entries.items() if e.heading in columns and e.cluster in rows}
        clusters_left, headings_left = (
            tuple(name for name in names if name in wanted)
            for names, wanted in ((self.clusters, rows), (self.headings, columns))
        )
        return replace(self, clusters=clusters_left, headings=headings_left, entries=entries)

    @property
    def impossible(self) -> tuple[str, ...]:
        """The columns of values that no cell can have."""
        odd = {entry.heading for entry in self.entries.values() if entry.attack.impossible}
        return tuple(name for name in self.headings if name in odd)

    @property
    def done(self) -> list[Entry]:
        """The entries that have a result."""
        return [entry for entry in self.entries.values() if entry.result is not None]

    @property
    def failed(self) -> list[Entry]:
        """The entries that have an error."""
        return [entry for entry in self.entries.values() if entry.result is None and not entry.already]

    @property
    def already(self) -> list[Entry]:
        """The entries where there was nothing to do."""
        return [entry for entry in self.entries.values() if entry.already]

    @property
    def values(self) -> list[int]:
        """All numbers of the grid."""
        return [entry.value for entry in self.done if entry.value is not None]

    @property
    def meanings(self) -> dict[str, str]:
        """The marks that occur, with their meaning."""
        used = "".join(entry.marks for entry in self.done)
        return {mark: text for mark, text in self.count.marks.items() if mark in used}


def attack_name(attack: Attack[Result]) -> str:
    """Return the name of an attack, that of its class where it is not registered."""
    return attack.name or type(attack).__name__


def counted(survey: Survey) -> list[str]:
    """Return the names of the attacks of a survey that have grids, in the order of lists and tables."""
    return [name for name, attack in attacks_by_name(task.attack for task in survey.tasks).items() if count_of(attack)]


def attacks_by_name(attacks: Iterable[Attack[Result]]) -> dict[str, Attack[Result]]:
    """Return one attack of each name, in the order of lists and tables."""
    found: dict[str, Attack[Result]] = {}
    for attack in attacks:
        found.setdefault(attack_name(attack), attack)
    return dict(sorted(found.items(), key=lambda named: (named[1].place, named[0])))


def count_of(attack: Attack[Result]) -> Count | None:
    """Return the number that a grid of this attack shows; None where it has no grid."""
    return attack.result_type().count


def grids(survey: Survey, kind: str) -> list[Grid]:
    """Return one grid per classifier that was attacked in this way; none for an attack that counts nothing."""
    name = ALIASES.get(kind, kind)
    own = [(task, r) for task, r in zip(survey.tasks, survey.results, strict=True) if attack_name(task.attack) == name]
    count = count_of(own[0][0].attack) if own else None
    if count is None:
        return []
    names = headings([task.attack for task, _ in own])
    found: dict[str, dict[tuple[str, str], Entry]] = {}
    for task, result in own:
        heading, error = names[repr(task.attack)], survey.errors.get(task.number, "")
        entry = Entry(task.target, heading, task.attack, result, error)
        found.setdefault(task.classifier, {})[task.target, heading] = entry
    all_grids = []
    for classifier, entries in found.items():
        clusters, columns = (tuple(dict.fromkeys(key[side] for key in entries)) for side in (0, 1))
        all_grids.append(Grid(name, count, classifier, clusters, columns, entries))
    return all_grids


def headings(attacks: list[Attack[Result]]) -> dict[str, str]:
    """Return a short heading for each attack, by its repr: the modification, and more only where that repeats."""
    different = {repr(attack): attack for attack in attacks}
    short = {key: _short(attack) if len(attack.changes) == 1 else key for key, attack in different.items()}
    times = Counter(short.values())
    for key, attack in different.items():
        if times[short[key]] > 1 and (extra := settings(attack)):
            short[key] += f" ({extra})"
    return dict(zip(short, numbered(short.values()), strict=True))  # two functions may have one name


def _short(attack: Attack[Result]) -> str:
    """Return the modification, and the label that it shall lead to, where one is named."""
    return f"{attack.changes_text} → {attack.aim_text}" if attack.aim else attack.changes_text


def settings(attack: Attack[Result]) -> str:
    """Return the settings that are not the default, without the modification; lists of genes are only counted."""
    chosen = {f.name: getattr(attack, f.name) for f in fields(attack) if getattr(attack, f.name) != f.default}
    for said in ("modification", "towards"):
        chosen.pop(said, None)
    texts = {k: f"{len(v):,} given" if isinstance(v, list | tuple) else str(v) for k, v in chosen.items()}
    return ", ".join(f"{name}={text}" for name, text in texts.items())


def column_words(survey: Survey) -> dict[str, str]:
    """Return in plain words what each column of a coloured table does to a gene, by the column's heading."""
    by_name: dict[str, list[Attack[Result]]] = {}
    for task in survey.tasks:
        by_name.setdefault(attack_name(task.attack), []).append(task.attack)
    explained = {}
    for attacks in by_name.values():
        names = headings(attacks)
        for attack in attacks:
            if len(attack.changes) == 1 and attack.changes[0].brief != str(attack.changes[0]):
                explained[names[repr(attack)]] = attack.changes[0].brief
    return explained


def heat(value: int, largest: int, cmap: str | Colormap = "YlGnBu") -> tuple[str, str]:
    """Return background and text colour of a number of at least 1, on a logarithmic scale up to `largest`.

    The usual scale is one for colour-blind readers that begins quietly: pale yellow is one, dark blue is many. The text
    is black or white, whichever stands out more, a contrast of at least 4.5 to 1 on any background.
    """
    from matplotlib import colormaps
    from matplotlib.colors import LogNorm, to_hex

    norm = LogNorm(1, max(10, largest), clip=True)
    colour = colormaps[cmap] if isinstance(cmap, str) else cmap
    background = to_hex(colour(float(norm(value))))
    light = luminance(background)
    return background, "#000000" if (light + 0.05) / 0.05 >= 1.05 / (light + 0.05) else "#ffffff"


def luminance(colour: str) -> float:
    """Return the relative luminance of ``"#rrggbb"``, 0 (black) to 1 (white), as WCAG 2 defines it."""
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
