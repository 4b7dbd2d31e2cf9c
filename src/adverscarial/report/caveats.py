"""What limits the numbers of a grid, in sentences. None of the report's sentences may claim more than was tested."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from adverscarial.attacks.result import Result
from adverscarial.attacks.settings import is_limited
from adverscarial.classifiers.answers import is_named
from adverscarial.report.sections import section_of
from adverscarial.report.sentences import count, listed
from adverscarial.surveys.grid import Grid


def caveats(grid: Grid, genes_of_data: int, known: Iterable[str] = ()) -> list[str]:
    """Return what limits the numbers of one grid; empty when nothing does.

    Parameters
    ----------
    grid
        The grid.
    genes_of_data
        Genes of the data set.
    known
        Labels that the classifier can give.
    """
    results = [entry.result for entry in grid.done if entry.result is not None]
    return [*_of_searches(grid, results, genes_of_data), *_rejected(results), *_of_baselines(results, known)]


def _of_searches(grid: Grid, results: list[Result], genes_of_data: int) -> list[str]:
    """Return what holds for some of the searches, with the number of them."""
    notes = {"failed, so nothing is known there; the errors are listed under the table": len(grid.failed)}
    notes |= {"had nothing to do: the cluster is already called what it was to become": len(grid.already)}
    notes |= Counter(note for result in results for note in result.notes)
    some = f"were limited to some of the {genes_of_data:,} genes; nothing is known of the others"
    notes[some] = sum(is_limited(result.attack, genes_of_data) for result in results)
    searches = section_of(next(iter(grid.entries.values())).attack).searches
    return [f"{searches(n, len(grid.entries))} {text}." for text, n in notes.items() if n]


def _rejected(results: list[Result]) -> list[str]:
    """Return how many changes the classifier refused."""
    refused = sum(result.n_rejected for result in results)
    if not refused:
        return []
    return [
        f"{count(refused, 'gene change')} {'was' if refused == 1 else 'were'} rejected: the classifier itself refused "
        "the input. They count neither as flipped nor as held."
    ]


def _of_baselines(results: list[Result], known: Iterable[str]) -> list[str]:
    """Return what is wrong with the labels before any attack."""
    said = []
    baselines = {result.target: result for result in results}
    if unsure := [name for name, r in baselines.items() if not is_named(r.baseline)]:
        said.append(f"Even before any attack the classifier gives no cell type to {listed(unsure, 12)}.")
    labels = {label.casefold() for label in known}
    called = {name: r.baseline for name, r in baselines.items() if name.casefold() in labels and is_named(r.baseline)}
    if other := [f"{name} is called {label}" for name, label in called.items() if name.casefold() != label.casefold()]:
        said.append(
            f"{listed(other, 12)} before any attack: if the names should agree, check the values that the classifier "
            "was given."
        )
    if weak := [name for name, r in baselines.items() if r.baseline_share < 0.5]:
        said.append(
            f"Even before any attack fewer than half of the cells carry the label of {listed(weak, 12)}: it is "
            "only the most frequent one, and little is needed to tip it."
        )
    return said
