"""A survey as clusters x modifications, one grid per classifier: what both the report and the plots show.

Marks behind a number keep it from claiming more than was tested:

``†``
    a bound. Flips: not every gene was tested alone, so there can be more. Signature: not shown to be maximal.
``‡``
    some of the genes were only changed together, as a group (bisection with ``max_split_size`` above 1).
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, fields
from typing import Literal

from matplotlib import colormaps
from matplotlib.colors import LogNorm, to_hex

from adverscarial.attacks import Attack, MaxChange, MaxChangeResult, Result, SingleGene, SingleGeneResult
from adverscarial.evaluation.survey import Survey

Kind = Literal["single", "max"]

#: the attack that each kind of grid is about
ATTACK: dict[Kind, type[Attack]] = {"single": SingleGene, "max": MaxChange}

MEANING = {
    ("single", "†"): "not every gene was tested alone, so there can be more",
    ("single", "‡"): "includes genes that were only changed together, as a group",
    ("max", "†"): "not shown to be maximal, so fewer genes may do",
}


@dataclass(frozen=True)
class Entry:
    """One attack on one cluster.

    Attributes
    ----------
    cluster, heading
        Row and column of the grid.
    attack
        The attack, with its settings.
    result
        None where the attack failed.
    error
        Its message then, else an empty text.
    """

    cluster: str
    heading: str
    attack: Attack
    result: Result | None
    error: str

    @property
    def value(self) -> int | None:
        """Flipping genes, or genes of the signature; None where the attack failed."""
        if isinstance(self.result, SingleGeneResult):
            return self.result.counts["flipped"]
        return len(self.result.protected) if isinstance(self.result, MaxChangeResult) else None

    @property
    def marks(self) -> str:
        """What must be said beside the value: see the top of this file."""
        result = self.result
        if isinstance(result, SingleGeneResult):
            all_alone = result.search != "bisect" and len(result.gene) == result.n_genes
            grouped = bool((result.group >= 0).any())
            return ("" if all_alone else "†") + ("‡" if grouped else "")
        return "†" if isinstance(result, MaxChangeResult) and not result.maximal else ""


@dataclass(frozen=True)
class Grid:
    """Clusters x modifications of one classifier; clusters and headings in the survey's order."""

    kind: Kind
    classifier: str
    clusters: tuple[str, ...]
    headings: tuple[str, ...]
    entries: dict[tuple[str, str], Entry]

    def get(self, cluster: str, heading: str) -> Entry | None:
        """Return an entry; None where the survey had no such attack."""
        return self.entries.get((cluster, heading))

    @property
    def done(self) -> list[Entry]:
        """The entries that have a result."""
        return [entry for entry in self.entries.values() if entry.result is not None]

    @property
    def failed(self) -> list[Entry]:
        """The entries that have an error."""
        return [entry for entry in self.entries.values() if entry.result is None]


def grids(survey: Survey, kind: Kind) -> list[Grid]:
    """Return one grid per classifier that was attacked in this way."""
    names = headings([task.attack for task in survey.tasks if isinstance(task.attack, ATTACK[kind])])
    found: dict[str, dict[tuple[str, str], Entry]] = {}
    for task, result in zip(survey.tasks, survey.results, strict=True):
        if isinstance(task.attack, ATTACK[kind]):
            heading, error = names[repr(task.attack)], survey.errors.get(task.number, "")
            entry = Entry(task.target, heading, task.attack, result, error)
            found.setdefault(task.classifier, {})[task.target, heading] = entry
    all_grids = []
    for classifier, entries in found.items():
        clusters, columns = (tuple(dict.fromkeys(key[side] for key in entries)) for side in (0, 1))
        all_grids.append(Grid(kind, classifier, clusters, columns, entries))
    return all_grids


def headings(attacks: list[Attack]) -> dict[str, str]:
    """Return a short heading for each attack, by its repr: the modification, and more only where that repeats."""
    different = {repr(attack): attack for attack in attacks}
    short = {key: str(getattr(attack, "modification", "")) or key for key, attack in different.items()}
    times = Counter(short.values())
    for key, attack in different.items():
        if times[short[key]] > 1 and (extra := settings(attack)):
            short[key] += f" ({extra})"
    seen: Counter[str] = Counter()
    for key, name in short.items():  # two functions may have one name
        seen[name] += 1
        short[key] = name if seen[name] == 1 else f"{name} #{seen[name]}"
    return short


def settings(attack: Attack) -> str:
    """Return the settings that are not the default, without the modification; lists of genes are only counted."""
    chosen = {f.name: getattr(attack, f.name) for f in fields(attack) if getattr(attack, f.name) != f.default}
    chosen.pop("modification", None)
    texts = {k: f"{len(v):,} given" if isinstance(v, list | tuple) else str(v) for k, v in chosen.items()}
    return ", ".join(f"{name}={text}" for name, text in texts.items())


def heat(value: int, largest: int) -> tuple[str, str]:
    """Return background and text colour of a number of at least 1, on a logarithmic scale up to `largest`.

    The scale is viridis, made for colour-blind readers: yellow is few, dark violet is many. The text is black or white,
    whichever stands out more, a contrast of at least 4.5 to 1 on any background.
    """
    norm = LogNorm(1, max(10, largest), clip=True)
    background = to_hex(colormaps["viridis_r"](float(norm(value))))
    light = luminance(background)
    return background, "#000000" if (light + 0.05) / 0.05 >= 1.05 / (light + 0.05) else "#ffffff"


def luminance(colour: str) -> float:
    """Return the relative luminance of ``"#rrggbb"``, 0 (black) to 1 (white), as WCAG 2 defines it."""
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
