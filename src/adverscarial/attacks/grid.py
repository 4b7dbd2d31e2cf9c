"""Which combination of changes to a few genes, of all there are, is the smallest that flips the label?"""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Iterator
from dataclasses import KW_ONLY, dataclass
from typing import ClassVar

import numpy as np

from adverscarial.attacks.columns import Option
from adverscarial.attacks.combination import (
    CombinationAttack,
    CombinationResult,
    Trials,
)
from adverscarial.attacks.run import BudgetSpent, Run
from adverscarial.attacks.settings import candidates
from adverscarial.errors import ParameterError

LIMIT = 100_000  # combinations that are tested without being asked twice
_SAMPLE = 3  # queries that a time is estimated from
_LARGE = 10**12  # numbers above this are not written out


@dataclass(frozen=True, repr=False)
class Grid(CombinationAttack["GridResult"], name="grid"):
    """Test every combination of changes to a few genes (R: ``advGridMinChange``).

    Each gene is left as it is, or gets one of the modifications: g genes and m modifications make (m + 1)^g
    combinations. They are asked about from few genes to many, so the first one that flips the label has the fewest
    genes there can be, even when a budget ends the search early. The R code starts with all genes changed and stops at
    its first hit, whatever its size; the paper tests all, as here.

    Parameters
    ----------
    %(genes_combined)s
    first
        Stop at the first combination that flips the label.
    confirm
        Really test more than 100,000 combinations. Without it such a grid is refused, and the refusal says how many
        there are and about how long they take.
    %(change_type)s
    %(towards)s

    %(example)s
    >>> grid = Grid(["CD79A", "CD79B", "MS4A1"])
    >>> result = grid(cells, model, groupby="cell_type", target="Dendritic")
    >>> result.n_combinations, len(result.to_frame())
    (27, 27)
    """

    _: KW_ONLY
    first: bool = False
    confirm: bool = False

    place: ClassVar[int] = 40
    question: ClassVar[str] = "Which combination of changes to a few genes is the smallest that flips the label?"
    options: ClassVar[tuple[Option, ...]] = (
        *CombinationAttack.options,
        Option("first", bool, "Stop at the first combination that flips the label."),
        Option("confirm", bool, "Run the grid even if it has more than 100,000 combinations."),
    )
    cost: ClassVar[str] = "(modifications + 1) ^ genes queries"

    @property
    def n_combinations(self) -> int:
        """Combinations in the whole grid, the unmodified one included."""
        return int((len(self.modifications) + 1) ** len(self.genes))

    def length(self, run: Run) -> float:  # noqa: D102
        return float(min(self.n_combinations, _LARGE))

    def perform(self, run: Run) -> GridResult:  # noqa: D102
        genes = candidates(run.cluster, self.genes, ())
        trials = Trials(run, genes, self.changes)
        if self.n_combinations > LIMIT and not self.confirm:
            raise ParameterError(self._refusal(run, trials))
        complete = True
        try:
            for code in fewest_first(len(genes), len(self.modifications)):
                flips = trials.flips(code)
                run.meter.advance()
                if flips and self.first:
                    break
        except BudgetSpent:
            complete = False
        return GridResult(**trials.fields(complete=complete))

    def _refusal(self, run: Run, trials: Trials) -> str:
        """Say how many combinations there are, and how long they would take, measured on a few of them."""
        rng = np.random.default_rng(run.cluster.seed)
        start = 0.0
        for query in range(_SAMPLE + 1):
            if query == 1:  # the first one may compile, and does not count
                start = time.perf_counter()
            code = rng.integers(0, len(self.modifications) + 1, len(self.genes)).astype(np.uint8)
            run.scorer.together(*trials.change(code))
        each = (time.perf_counter() - start) / _SAMPLE
        queries = (len(self.modifications) + 1) ** int(trials.reads.sum())
        unread = int((~trials.reads).sum())
        spared = f" The classifier does not read {unread:,} of the genes: leave those out." if unread else ""
        return (
            f"{len(self.genes):,} genes and {len(self.modifications):,} modifications make "
            f"{_number(self.n_combinations)} combinations, more than {LIMIT:,}; testing them takes about "
            f"{_duration(each * min(queries, 10**100))}, by the time of {_SAMPLE} queries.{spared} "
            "Give fewer genes or modifications, use RandomWalk, or pass confirm=True (command line: --confirm)."
        )


def fewest_first(n_genes: int, n_modifications: int) -> Iterator[np.ndarray]:
    """Yield every combination once: those that change no gene, one gene, two genes, ...

    >>> [code.tolist() for code in fewest_first(2, 1)]
    [[0, 0], [1, 0], [0, 1], [1, 1]]
    """
    for size in range(n_genes + 1):
        for changed in itertools.combinations(range(n_genes), size):
            for modifications in itertools.product(range(1, n_modifications + 1), repeat=size):
                code = np.zeros(n_genes, dtype=np.uint8)
                code[list(changed)] = modifications
                yield code


def _number(n: int) -> str:
    return f"{n:,}" if n <= _LARGE else f"about 10^{int(math.log10(n))}"


def _duration(seconds: float) -> str:
    """Return a time as a person says it.

    >>> _duration(30), _duration(7200), _duration(1e9)
    ('30 seconds', '2.0 hours', '32 years')
    """
    if seconds < 1 or seconds > 3e10:
        return "a second" if seconds < 1 else "a thousand years or more"
    for unit, length in (("years", 365 * 86_400), ("days", 86_400), ("hours", 3600), ("minutes", 60)):
        if seconds >= length:
            amount = seconds / length
            return f"{amount:.1f} {unit}" if amount < 10 else f"{amount:,.0f} {unit}"
    return f"{seconds:.0f} seconds"


@dataclass(frozen=True, repr=False, kw_only=True)
class GridResult(CombinationResult):
    """Every combination, and the smallest that flips the label: there is none with fewer genes."""

    attack: Grid

    @property
    def n_combinations(self) -> int:
        """Combinations in the whole grid; fewer were tested when it stopped at the first hit, or for a budget."""
        return int(self.attack.n_combinations)

    def __str__(self) -> str:
        tested = f"  tested    {len(self.codes):,} of {_number(self.n_combinations)} combinations, fewest genes first"
        return "\n".join([self._headline(), tested, *self._found(), self._footer()])
