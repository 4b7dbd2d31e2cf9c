"""What the attacks of a survey show of one cluster, as far as its verdict needs it: flips, near misses, and gaps."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from adverscarial.attacks.coverage import Coverage
from adverscarial.attacks.result import Result
from adverscarial.surveys.plan import Task
from adverscarial.surveys.stored import already_there

#: a task of the survey, its result, and the message where there is none
Row = tuple[Task, Result | None, str]


class Flip(NamedTuple):
    """Genes that flip the label when they are changed together, and what it becomes."""

    genes: tuple[str, ...]
    change: str
    label: str
    share: float


class Near(NamedTuple):
    """The gene that comes nearest to a flip without one: see :meth:`SingleGeneResult.nearest`."""

    gene: str
    change: str
    votes: float
    lead: float


class Gap(NamedTuple):
    """Why a search proves nothing, and what to do about it."""

    why: str
    todo: str


class Unmoved(NamedTuple):
    """Genes that were to be raised and were not, of those that the classifier reads."""

    change: str
    genes: int
    of: int


@dataclass
class Evidence:
    """Of one classifier and one cluster; all but `impossible` is about values that cells can have.

    Attributes
    ----------
    flips
        Smallest sets of genes that flip the label, the fewest genes first, then the most cells.
    flipping
        Single genes that flip it, by any modification.
    near
        The nearest gene of all that do not flip it.
    tested
        Modifications under which every single gene was tested, and none was left out.
    genes
        Genes of these tests.
    lower
        No set of fewer genes flips the label, proven for every modification that was asked about; None where none was.
    never
        Whether no set of genes does, for any of these.
    gaps
        Searches that prove nothing.
    unmoved
        Modifications that were to raise genes, and left some as they were or lowered them.
    refused
        Changes that the classifier refused.
    impossible
        Genes that flip it by impossible values.
    """

    flips: list[Flip] = field(default_factory=list)
    flipping: set[str] = field(default_factory=set)
    near: Near | None = None
    tested: list[str] = field(default_factory=list)
    genes: int = 0
    lower: int | None = None
    never: bool = False
    gaps: list[Gap] = field(default_factory=list)
    unmoved: list[Unmoved] = field(default_factory=list)
    refused: int = 0
    impossible: set[str] = field(default_factory=set)


def gather(rows: Iterable[Row], genes_of_data: int) -> Evidence:
    """Return what the attacks of one classifier on one cluster show.

    Parameters
    ----------
    rows
        The tasks, with their results.
    genes_of_data
        Genes of the data set.
    """
    found = Evidence()
    covered: list[tuple[str, Coverage]] = []
    for task, result, error in rows:
        change = task.attack.changes_text
        if task.attack.impossible:
            found.impossible |= _flipping(result)
        elif result is None:
            if task.attack.result_type().covers and not already_there(error):
                why = f"{type(task.attack).__name__} ({change}) failed ({error})"
                covered.append((change, Coverage(False, why, "See the error, and run again.")))
        else:
            _add(found, change, result)
            if (coverage := result.coverage(genes_of_data)) is not None:
                covered.append((change, coverage))
    _add_coverage(found, covered, genes_of_data)
    found.flips.sort(key=lambda flip: (len(flip.genes), -flip.share))
    return found


def _flipping(result: Result | None) -> set[str]:
    flips = None if result is None else result.flips()
    return set() if flips is None else set(map(str, flips.genes))


def _add(found: Evidence, change: str, result: Result) -> None:
    """Add what a result found: its best flip, all single genes that flip, and the nearest one that does not."""
    if result.success and result.label != result.baseline and result.changed_genes:
        found.flips.append(Flip(tuple(result.changed_genes), change, result.label, result.share))
    found.flipping |= _flipping(result)
    table = result.nearest(1)
    for row in () if table is None else table.itertuples():
        near = Near(str(row.gene), change, float(row.votes), float(row.lead))
        if found.near is None or _closeness(near) > _closeness(found.near):
            found.near = near
    if table is not None:
        found.refused += result.n_rejected


def _closeness(near: Near) -> tuple[float, float]:
    return near.votes, 0.0 if np.isnan(near.lead) else near.lead


def _add_coverage(found: Evidence, covered: list[tuple[str, Coverage]], genes_of_data: int) -> None:
    """Add what is proven, and what is not."""
    found.tested = list(dict.fromkeys(change for change, one in covered if one.tested))
    found.genes = genes_of_data if found.tested else 0
    for change, one in covered:
        if one.why and not (one.second and change in found.tested):
            found.gaps.append(Gap(one.why, one.todo))
        if one.idle:
            found.unmoved.append(Unmoved(change, one.idle, one.read))
    bounds = [one for _, one in covered if one.lower is not None]
    if bounds:
        found.lower = min(one.lower for one in bounds if one.lower is not None)
        found.never = all(one.never for one in bounds)
