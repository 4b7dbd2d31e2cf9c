"""What the report says of each attack: a default for every attack, and more where one has registered its own.

A section registers itself by the name of its attack::

    @describes("my-attack")
    class MySection(AttackSection):
        title = "My attack"
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from inspect import getdoc
from typing import TYPE_CHECKING, Any, ClassVar, Generic, NamedTuple, TypeVar

import numpy as np

from adverscarial.attacks.base import Attack
from adverscarial.attacks.result import Result
from adverscarial.report.figures import Figure, counts
from adverscarial.report.sentences import count, listed
from adverscarial.surveys.grid import Entry, Grid, attack_name

if TYPE_CHECKING:
    from adverscarial.surveys.table import Survey

R = TypeVar("R", bound=Result)

_NAMED = 12  # genes that a cell of a table names


@dataclass(frozen=True)
class Titled:
    """What stands above all that is said of one attack: its heading, to which links lead, and what the attack does."""

    anchor: str
    title: str
    meaning: str


class Cell(NamedTuple):
    """One cell of a table: what it shows, and the number that it is sorted by where that is another."""

    text: str
    value: float | None = None


class Shown(NamedTuple):
    """One cell of a coloured table.

    `value` is the number that it is sorted and coloured by. One that is `endless` takes no part in the scale of
    colours: it is more than any number of the table.
    """

    text: str
    value: int | None
    marks: str = ""
    endless: bool = False


class Flip(NamedTuple):
    """One gene that flips the label; `alone` is False where it was only changed together with others."""

    gene: str
    label: str
    share: float
    alone: bool


class Compared(NamedTuple):
    """By which column classifiers are ranked, what it counts, and what is said of the one with the fewest."""

    column: str
    what: str
    first: str
    firsts: str


@dataclass(frozen=True)
class Detail:
    """What one attack found on one cluster: a text, flips of single genes, and a list of other genes."""

    text: str
    flips: list[Flip] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    names_title: str = "Changed genes"


class AttackSection(Generic[R]):
    """What is said of one attack; the default needs nothing but the contract of all attacks and results.

    Attributes
    ----------
    title
        Heading of the section; the attack's question when left empty.
    meaning
        What the attack does; the first sentence of its class when left empty.
    noun
        What one run of it is called.
    columns
        Headings of the table's own columns; those of the result when left empty.
    compared
        How classifiers are compared by it; None where they are not.
    figures
        Draws pictures of some results, and counts those that it left out.
    folded
        Heading of all :meth:`pictures` but the first, which the page shows closed.
    """

    title: ClassVar[str] = ""
    meaning: ClassVar[str] = ""
    noun: ClassVar[str] = "search"
    columns: ClassVar[tuple[str, ...]] = ()
    compared: ClassVar[Compared | None] = None
    folded: ClassVar[str] = "All these tables as one picture"

    def heading(self, attack: Attack[Result]) -> str:
        """Return the heading of the section."""
        return self.title or attack.question or type(attack).__name__

    def introduction(self, attack: Attack[Result]) -> str:
        """Return what the attack does."""
        return self.meaning or (getdoc(type(attack)) or "").split("\n\n")[0]

    def opening(self, attack: Attack[Result]) -> tuple[str, str]:
        """Return heading and introduction."""
        return self.heading(attack), self.introduction(attack)

    def searches(self, n: int, of: int) -> str:
        """Return, for example, ``3 of 45 single-gene searches``."""
        return f"{n:,} of {count(of, self.noun)}"

    def summary(self, grid: Grid) -> list[str]:
        """Return what one classifier's grid shows, in sentences."""
        if not grid.done:
            return [f"{self.searches(len(grid.entries), len(grid.entries))} {no_result(grid)}."]
        size = self.searches(len(grid.values), len(grid.entries))
        if not grid.values:
            return [f"{_capital(grid.count.title)}: none was found in {count(len(grid.done), self.noun)}."]
        return [f"{_capital(grid.count.title)}: {spread(grid.values)}, in {size}."]

    def statements(self, grid: Grid) -> list[str]:
        """Return the summary, with impossible values apart, and without clusters that belong in no headline."""
        kept = [name for name in grid.clusters if name not in grid.apart]
        grid = grid.kept(clusters=kept) if kept else grid
        if not grid.impossible:
            return self.summary(grid)
        usual = grid.kept([name for name in grid.headings if name not in grid.impossible])
        said = self.summary(usual) if usual.headings else []
        return said + [
            f"At impossible values: {text[:1].lower()}{text[1:]}" for text in self.summary(grid.kept(grid.impossible))
        ]

    def columns_of(self, attack: Attack[Result]) -> list[tuple[str, str]]:
        """Return heading and meaning of each of the table's own columns."""
        if self.columns:
            return [(name, "") for name in self.columns]
        return [(_capital(c.name.replace("_", " ")), c.meaning) for c in attack.result_type().columns]

    def cells(self, result: R) -> list[Cell]:
        """Return the cells of these columns."""
        row = result.row()
        return [value_cell(row.get(column.name)) for column in result.columns]

    def shown(self, entry: Entry) -> Shown:
        """Return what a coloured table shows of one attack on one cluster, given that it has a result."""
        return Shown("none" if entry.value is None else f"{entry.value:,}", entry.value, entry.marks)

    def order(self, grid: Grid) -> Sequence[str]:
        """Return the clusters as the coloured table lists them."""
        return grid.clusters

    def pictures(self, survey: Survey, kind: str) -> list[Figure]:
        """Return the figures beside the coloured tables of all classifiers; none where there is nothing to draw."""
        return counts(survey, kind)

    def took(self, results: Sequence[R]) -> str:
        """Return what the successful attacks took, as the end of a sentence; empty where there is nothing to add."""
        needed = [n for result in results if (n := result.genes_needed)]
        return f"by {spread(needed, 'changed gene')}" if needed else ""

    def cause(self, result: R) -> str:
        """Return by what a successful attack flipped the label, to follow "by"."""
        genes = result.changed_genes
        return f"{count(len(genes), 'changed gene')} ({listed(genes)})"

    def brief(self, entries: Sequence[Entry], title: str) -> str:
        """Return the numbers of one cluster in a few words."""
        values = [entry.value for entry in entries if entry.value is not None]
        return f"{title}: {span(values)}" if values else ""

    def detail(self, result: R) -> Detail:
        """Return what one attack found on one cluster."""
        return Detail(result.sentence, names=list(result.changed_genes) if result.success else [])

    def figures(self, results: Sequence[tuple[str, R]]) -> tuple[list[Figure], int]:
        """Return figures of results, given with their classifier's name, and how many are left out."""
        return [], 0


_SECTIONS: dict[str, AttackSection[Result]] = {}
_DEFAULT = AttackSection[Result]()

S = TypeVar("S", bound=type[AttackSection[Any]])  # which of them an attack has, is only known when it has run


def describes(*attacks: str) -> Callable[[S], S]:
    """Register a section for the attacks of these names."""

    def register(section: S) -> S:
        _SECTIONS.update(dict.fromkeys(attacks, section()))
        return section

    return register


def section_of(attack: Attack[Result]) -> AttackSection[Result]:
    """Return the section of an attack; the default one where it has none of its own."""
    return _SECTIONS.get(attack_name(attack), _DEFAULT)


def value_cell(value: object) -> Cell:
    """Return a cell that shows a value of a result's row."""
    if value is None or value is np.nan:
        return Cell("–")
    if isinstance(value, bool | np.bool_):
        return Cell("yes" if value else "no")
    if isinstance(value, int | np.integer):
        return Cell(f"{value:,}", float(value))
    return Cell(f"{value:,.3g}", float(value)) if isinstance(value, float) else Cell(str(value))


def genes_cell(genes: Sequence[str]) -> Cell:
    """Return a cell with the first genes by name, and how many more there are."""
    more = f" and {len(genes) - _NAMED:,} more" if len(genes) > _NAMED else ""
    return Cell(", ".join(genes[:_NAMED]) + more if len(genes) else "none")


def spread(numbers: Sequence[int], noun: str = "") -> str:
    """Return a range with its median, as text.

    >>> spread([3, 3], "gene"), spread([1, 4, 9])
    ('3 genes', '1 to 9 (median 4)')
    """
    most = count(max(numbers), noun) if noun else f"{max(numbers):,}"
    if min(numbers) == max(numbers):
        return most
    return f"{min(numbers):,} to {most} (median {np.median(numbers):,g})"


def span(numbers: Sequence[int]) -> str:
    """Return the smallest and the largest number, as text."""
    low, high = min(numbers), max(numbers)
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"


def outcome_text(section: AttackSection[Result], results: Sequence[Result | None]) -> str:
    """Return what became of the clusters of one classifier, in one sentence."""
    done = [result for result in results if result is not None]
    if not done:
        return f"{count(len(results), 'attack')} failed." if results else "No attack had anything to do."
    hits = [result for result in done if result.success]
    held = list(dict.fromkeys(result.target for result in done if not result.success))
    verb = "gives" if len(hits) == 1 else "give"
    text = f"{len(hits):,} of {count(len(done), 'attack')} {verb} the cluster another label"
    if hits and (took := section.took(hits)):
        text += f", {took}"
    if hits and held:
        text += f"; {listed(held)} held"
    if early := sum(not result.complete for result in done):
        text += f"; {early:,} ended early, the budget was spent"
    if len(done) < len(results):
        text += f"; {len(results) - len(done):,} more failed"
    return f"{text}."


def no_result(grid: Grid) -> str:
    """Return what became of attacks that have no result."""
    had_nothing = "had nothing to do"
    if not grid.already:
        return "failed"
    return f"failed or {had_nothing}" if grid.failed else had_nothing


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
