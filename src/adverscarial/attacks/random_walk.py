"""Which small combination of changes flips the label, when there are too many to test them all?"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass
from typing import ClassVar

import numpy as np
import pandas as pd

from adverscarial._types import Row
from adverscarial.attacks.columns import Column, Option
from adverscarial.attacks.combination import (
    FLIPPED,
    CombinationAttack,
    CombinationResult,
    Trials,
)
from adverscarial.attacks.kept import recursive_union
from adverscarial.attacks.run import BudgetSpent, Run
from adverscarial.attacks.settings import candidates, check_counts
from adverscarial.errors import ParameterError

_DRAWS = 1000  # steps drawn in a row that were all taken before: the neighbourhood counts as exhausted

_ENDINGS = {
    "minimum": "at one gene, and none is fewer",
    "exhausted": "every neighbour that was drawn had been tried",
    "steps": "after the steps given",
    "no start": "no combination drawn flips the label",
    "budget": "by the budget",
}


@dataclass(frozen=True, repr=False)
class RandomWalk(CombinationAttack["RandomWalkResult"], name="random-walk"):
    """Walk at random from a combination that flips the label to smaller ones (R: ``advRandWalkMinChange``).

    The start is the first of these that flips the label: each modification on all genes, then random combinations.
    A step removes some of the changed genes, and now and then gives one another modification or moves it to another
    gene; it is taken if the label is still flipped. No combination is asked about twice. At the end genes are removed,
    halves before single ones, until none can be spared, so the answer is *minimal*, which is not to say the smallest of
    all: :class:`Grid` finds that one, at the price of every combination.

    Parameters
    ----------
    %(genes_combined)s
    tries
        Random combinations to draw in search of a start.
    steps
        Steps of the walk.
    change_ratio
        Largest share of the genes that a step changes beyond the one it removes.
    %(change_type)s
    %(towards)s

    %(example)s
    >>> walk = RandomWalk(cells.var_names[:100])
    >>> result = walk(cells, model, groupby="cell_type", target="Dendritic", seed=1)
    >>> result.success, result.minimal
    (True, True)
    """

    _: KW_ONLY
    tries: int = 100
    steps: int = 100
    change_ratio: float = 0.2

    place: ClassVar[int] = 50
    question: ClassVar[str] = "Which small combination of changes, out of very many, flips the label?"
    options: ClassVar[tuple[Option, ...]] = (
        *CombinationAttack.options,
        Option("tries", int, "Random combinations to try as a start."),
        Option("steps", int, "Steps of the walk."),
        Option("change_ratio", float, "Part of the genes that one step changes."),
    )
    cost: ClassVar[str] = "about tries + steps queries, and some per gene of the answer"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_counts(tries=self.tries, steps=self.steps)
        if not isinstance(self.change_ratio, int | float | np.number) or not 0 <= self.change_ratio <= 1:
            raise ParameterError(f"change_ratio must be a number from 0 to 1, got {self.change_ratio!r}.")

    def length(self, run: Run) -> float:  # noqa: D102
        return float(self.tries + self.steps)

    def perform(self, run: Run) -> RandomWalkResult:  # noqa: D102
        genes = candidates(run.cluster, self.genes, ())
        trials = Trials(run, genes, self.changes)
        walk = _Walk(trials, self.change_ratio, np.random.default_rng(run.cluster.seed))
        minimal = False
        try:
            ended = "no start"
            if walk.find_start(self.tries, run.meter.advance):
                ended = walk.descend(self.steps, run.meter.advance)
                walk.spare_genes()
                minimal = True
        except BudgetSpent:
            ended = "budget"
        return RandomWalkResult(**trials.fields(complete=ended != "budget"), ended=ended, minimal=minimal)


class _Walk:
    """The combination where the walk stands, and how it goes on.

    Only genes that the classifier reads are ever changed: the others can neither flip the label nor keep it flipped.
    """

    def __init__(self, trials: Trials, change_ratio: float, rng: np.random.Generator) -> None:
        self._trials, self._ratio, self._rng = trials, change_ratio, rng
        self._read = np.flatnonzero(trials.reads)
        self._n = len(trials.modifications)
        self.code = trials.code()

    def _try(self, code: np.ndarray) -> bool:
        """Ask about a combination, and stand there if it flips the label."""
        if flips := self._trials.flips(code):
            self.code = code
        return flips

    def find_start(self, tries: int, advance: Callable[[], object]) -> bool:
        """Stand on a combination that flips the label; return False if none was found."""
        for modification in range(1, self._n + 1):
            code = self._trials.code()
            code[self._read] = modification
            if self._try(code):
                return True
        for _ in range(tries):
            code = self._trials.code()
            # any number of genes is as likely as any other: where changes cancel, only few of them may flip the label
            chosen = self._read[self._rng.random(len(self._read)) < self._rng.random()]
            code[chosen] = self._rng.integers(1, self._n + 1, len(chosen))
            if code not in self._trials and self._try(code):
                return True
            advance()
        return False

    def descend(self, steps: int, advance: Callable[[], object]) -> str:
        """Take steps to combinations with fewer genes; return why it ended."""
        for _ in range(steps):
            if np.count_nonzero(self.code) == 1:
                return "minimum"
            code = self._new_neighbour()
            if code is None:
                return "exhausted"
            self._try(code)
            advance()
        return "steps"

    def _new_neighbour(self) -> np.ndarray | None:
        for _ in range(_DRAWS):
            code = self._neighbour(self._ratio * self._rng.random())
            if code not in self._trials:
                return code
        return None

    def _neighbour(self, p: float) -> np.ndarray:
        """Return a combination with fewer genes.

        One gene is removed; each other one is removed, gets a modification drawn anew, or hands its modification to an
        unmodified gene, with probability `p` each. So every smaller combination can be reached in one step.
        """
        rng, code = self._rng, self._trials.code()
        changed = rng.permutation(np.flatnonzero(self.code))
        kept = changed[1 + rng.binomial(len(changed) - 1, p) :]
        drawn = rng.integers(1, self._n + 1, len(kept))
        modification = np.where(rng.random(len(kept)) < p, drawn, self.code[kept])
        place = kept.copy()
        unmodified = self._read[self.code[self._read] == 0]
        moved = np.flatnonzero(rng.random(len(kept)) < p)[: len(unmodified)]
        place[moved] = rng.choice(unmodified, len(moved), replace=False)
        code[place] = modification
        return code

    def spare_genes(self) -> None:
        """Remove genes, many at once where that goes, until none can be removed without losing the flip."""
        changed = np.flatnonzero(self.code)
        recursive_union(self._rng.permutation(changed), self._remove, lambda: bool(self._rng.random() < 0.5), 1)
        before = 0  # a gene that was needed may have become spare since
        while before != (now := int(np.count_nonzero(self.code))):
            before = now
            for gene in self._rng.permutation(np.flatnonzero(self.code)):
                self._remove(gene)

    def _remove(self, genes: np.ndarray) -> bool:
        code = self.code.copy()
        code[genes] = 0
        return self._try(code)


@dataclass(frozen=True, repr=False, kw_only=True)
class RandomWalkResult(CombinationResult):
    """Every combination that was tried, and the smallest of them that flips the label.

    Attributes
    ----------
    ended
        Why the walk ended: at one gene (``"minimum"``), every neighbour drawn had been tried (``"exhausted"``), after
        the ``"steps"`` given, with ``"no start"`` that flips the label, or by the ``"budget"``.
    minimal
        Whether no gene of the answer can be spared (checked, not assumed).
    """

    columns: ClassVar[tuple[Column, ...]] = (
        *CombinationResult.columns,
        Column("minimal", "yes-no", "Whether no gene of the answer can be spared."),
    )

    ended: str
    minimal: bool

    @property
    def path(self) -> pd.DataFrame:
        """The combinations where the walk stood, from its start to the answer; columns as :meth:`to_frame`."""
        return self._frame(np.flatnonzero(self.outcome == FLIPPED))

    def __str__(self) -> str:
        lines = [f"  tried     {len(self.codes):,} combinations; the walk ended {_ENDINGS[self.ended]}", *self._found()]
        if self.success:
            lines.append(f"  minimal   {'yes, no gene can be spared' if self.minimal else 'not shown'}")
            sizes = np.count_nonzero(self.codes[self.outcome == FLIPPED], axis=1)
            lines.append(
                f"  path      from {sizes[0]:,} to {sizes[-1]:,} changed genes over {len(sizes):,} combinations"
            )
        return "\n".join([self._headline(), *lines, self._footer()])

    def row(self) -> Row:  # noqa: D102
        return {**super().row(), "minimal": self.minimal}
