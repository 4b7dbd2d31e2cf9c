"""What is said of the attacks that have no grid: descents, combinations and gradients, one section each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from adverscarial.attacks import (
    Attack,
    ClusterGradientDescent,
    ClusterGradientDescentResult,
    CombinationResult,
    FastGradientSign,
    GradientResult,
    Grid,
    MaxChange,
    ProjectedGradientDescent,
    RandomWalk,
    Result,
    SingleGene,
)
from adverscarial.evaluation.folder import Task
from adverscarial.evaluation.survey import Survey
from adverscarial.report.figures import Figure, descents
from adverscarial.report.grid import settings
from adverscarial.report.words import count, listed, percent

_NAMED = 12  # genes that a row names


class Cell(NamedTuple):
    """One cell of a table: what it shows, and the number that it is sorted by where that is another."""

    text: str
    value: float | None = None


@dataclass(frozen=True)
class Row:
    """One attack on one cluster: its cells; of one that failed, the setting only, and an error."""

    classifier: str
    cluster: str
    cells: list[Cell]
    error: str = ""


@dataclass(frozen=True)
class Section:
    """All attacks of one kind; `setting` where they share it, and `undrawn` paths have no figure."""

    anchor: str
    title: str
    meaning: str
    setting: str
    sentences: dict[str, str]
    columns: list[str]
    rows: list[Row]
    figures: list[Figure] = field(default_factory=list)
    undrawn: int = 0


class _Kind(NamedTuple):
    """How one kind of attack is told: its own columns and cells, and what flipping took."""

    attack: type  # of attacks
    title: str
    meaning: str
    columns: tuple[str, ...] = ()
    cells: Callable[[Any], list[Cell]] = lambda result: []
    took: Callable[[Sequence[Any]], str] = lambda results: ""


def sections(survey: Survey) -> list[Section]:
    """Return one section for each kind of attack of a survey that has no grid."""
    by_kind: dict[_Kind, list[tuple[Task, Result | None]]] = {}
    for task, result in zip(survey.tasks, survey.results, strict=True):
        if not isinstance(task.attack, SingleGene | MaxChange):
            kind = next(kind for kind in _KINDS if isinstance(task.attack, kind.attack))
            by_kind.setdefault(kind, []).append((task, result))
    return [_section(kind, by_kind[kind], survey.errors) for kind in _KINDS if kind in by_kind]


def _section(kind: _Kind, own: list[tuple[Task, Result | None]], errors: dict[int, str]) -> Section:
    different = {repr(task.attack): task.attack for task, _ in own}
    shown = len(different) > 1 or kind.attack is Attack
    rows = []
    for task, result in own:
        prefix = [Cell(f"{type(task.attack).__name__}({settings(task.attack)})")] if shown else []
        if result is None:
            rows.append(Row(task.classifier, task.target, prefix, errors[task.number]))
        else:
            cells = [*prefix, *_answer(result), *kind.cells(result), _number(result.queries)]
            rows.append(Row(task.classifier, task.target, cells))
    columns = ["Classifier", "Cluster", *(["Attack"] if shown else []), "Before", "After", "Label"]
    names = list(dict.fromkeys(task.classifier for task, _ in own))
    said = {name: _outcome(kind, [result for task, result in own if task.classifier == name]) for name in names}
    figures, undrawn = descents((t.classifier, r) for t, r in own if isinstance(r, ClusterGradientDescentResult))
    setting = "" if shown else settings(own[0][0].attack)
    columns += [*kind.columns, "Questions"]
    anchor = f"a-{kind.attack.__name__.lower()}"
    return Section(anchor, kind.title, kind.meaning, setting, said, columns, rows, figures, undrawn)


def flipped(result: Result) -> bool:
    """Return whether an attack reached what it was to reach: its own word where it has one, else another label."""
    return bool(getattr(result, "success", result.label != result.baseline))


def _outcome(kind: _Kind, results: Sequence[Result | None]) -> str:
    """Return what became of the clusters of one classifier."""
    done = [result for result in results if result is not None]
    if not done:
        return f"{count(len(results), 'attack')} failed."
    hits = [result for result in done if flipped(result)]
    held = list(dict.fromkeys(result.target for result in done if not flipped(result)))
    verb = "gives" if len(hits) == 1 else "give"
    text = f"{len(hits):,} of {count(len(done), 'attack')} {verb} the cluster another label"
    if hits and (took := kind.took(hits)):
        text += f", {took}"
    if hits and held:
        text += f"; {listed(held)} held"
    if early := sum(not result.complete for result in done):
        text += f"; {early:,} ended early, the budget was spent"
    if len(done) < len(results):
        text += f"; {len(results) - len(done):,} more failed"
    return f"{text}."


def _answer(result: Result) -> list[Cell]:
    """Return what the classifier said before and after, and whether that is a flip."""
    verdict = "flipped" if flipped(result) else "rejected" if getattr(result, "rejected", False) else "held"
    return [
        Cell(f"{result.baseline} ({percent(result.baseline_share)})"),
        Cell(f"{result.label} ({percent(result.share)})"),
        Cell(verdict if result.complete else f"{verdict}; ended early"),
    ]


def _number(n: float) -> Cell:
    return Cell(f"{n:,}" if isinstance(n, int) else f"{n:,.3g}", float(n))


def _names(genes: Sequence[str]) -> Cell:
    """Return the first genes by name, and how many more there are."""
    more = f" and {len(genes) - _NAMED:,} more" if len(genes) > _NAMED else ""
    return Cell(", ".join(genes[:_NAMED]) + more if len(genes) else "none")


def _spread(numbers: Sequence[int], noun: str) -> str:
    """Return a range with its median, as text."""
    if min(numbers) == max(numbers):
        return count(min(numbers), noun)
    return f"{min(numbers):,} to {count(max(numbers), noun)} (median {np.median(numbers):,g})"


def _descent_cells(result: ClusterGradientDescentResult) -> list[Cell]:
    genes = result.modified_genes
    return [_number(len(genes)), _number(len(result.gene)), _names(genes)]


def _combination_cells(result: CombinationResult) -> list[Cell]:
    counts = result.counts
    changes = [f"{gene} {modification}" for gene, modification in result.modifications.items()]
    return [_number(counts["flipped"]), _number(sum(counts.values())), _number(len(changes)), _names(changes)]


def _gradient_cells(result: GradientResult) -> list[Cell]:
    relabelled = int(result.flipped.sum())
    cells = Cell(f"{relabelled:,} of {result.n_cells:,}", relabelled / result.n_cells)
    largest = float(result.linf.max()) if len(result.linf) else 0.0
    return [cells, _number(len(result.changed)), _number(largest), _names(result.genes)]


def _relabelled(results: Sequence[GradientResult]) -> str:
    shares = [float(result.flipped.mean()) for result in results]
    genes = _spread([len(result.changed) for result in results], "gene")
    return f"with {percent(min(shares))} to {percent(max(shares))} of the cells relabelled and {genes} changed"


_COMBINED = ("Flipping", "Tried", "Fewest genes", "Smallest flipping combination")
_MOVED = ("Cells relabelled", "Genes changed", "Largest change", "Most changed genes")
_GRADIENT = (
    "Every value moves a little in the direction in which the classifier's answer changes fastest, never by more than "
    "epsilon. "
)
_KINDS = (
    _Kind(
        ClusterGradientDescent,
        "Cluster gradient descent",
        "Gene by gene, each cell's value moves a small step towards the runner-up label, and stays moved where that "
        "brings the cluster nearer to it, until the label switches.",
        ("Genes modified", "Genes tested", "Modified genes, in order"),
        _descent_cells,
        lambda results: f"after {_spread([len(r.modified_genes) for r in results], 'modified gene')}",
    ),
    _Kind(
        RandomWalk,
        "Random walk over combinations",
        "Starting from a combination of changed genes that flips the label, genes are changed back and forth by "
        "chance, to find a combination of fewer genes that still does.",
        _COMBINED,
        _combination_cells,
        lambda results: f"by combinations of {_spread([len(r.genes) for r in results], 'gene')}",
    ),
    _Kind(
        Grid,
        "Grid of combinations",
        "Every combination of the given genes and modifications is tried.",
        _COMBINED,
        _combination_cells,
        lambda results: f"by combinations of as few as {_spread([len(r.genes) for r in results], 'gene')}",
    ),
    _Kind(FastGradientSign, "Fast gradient sign", f"{_GRADIENT}One step.", _MOVED, _gradient_cells, _relabelled),
    _Kind(
        ProjectedGradientDescent,
        "Projected gradient descent",
        f"{_GRADIENT}Many small steps.",
        _MOVED,
        _gradient_cells,
        _relabelled,
    ),
    _Kind(Attack, "Other attacks", "What the classifier says before and after."),
)
