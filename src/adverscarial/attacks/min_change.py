"""How many genes must change at least before the label flips?"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any, ClassVar, Literal

import numpy as np

from adverscarial.attacks.base import Attack
from adverscarial.attacks.columns import WHICH_GENES, Option
from adverscarial.attacks.min_change_result import MinChangeResult
from adverscarial.attacks.minimal.by_labels import irreducible, thinned
from adverscarial.attacks.minimal.own_sets import fewest_to_win
from adverscarial.attacks.minimal.per_cell import PerCell, bounded, numbers_of_genes, per_cell
from adverscarial.attacks.minimal.race import Race
from adverscarial.attacks.minimal.search import Smallest, Time, smallest
from adverscarial.attacks.minimal.sets_of_cells import sets_of_cells
from adverscarial.attacks.run import BudgetSpent, Run
from adverscarial.attacks.settings import candidates, check_change_type
from adverscarial.classifiers.answers import is_named
from adverscarial.classifiers.scorers.moves import Moves
from adverscarial.classifiers.scorers.needs import Needs
from adverscarial.classifiers.scorers.prefixes import NEVER
from adverscarial.errors import ParameterError
from adverscarial.modifications import Modification

_ORDERS = 3  # random orders of the genes that a search by labels alone tries
_PARTS = (1.0, 0.5, 0.25, 0.1)  # of an order, changed together at the start
_FEW = 500  # genes that are asked about one by one even where each query costs a whole prediction


@dataclass(frozen=True, repr=False)
class MinChange(Attack[MinChangeResult], name="min-change"):
    """Find the smallest set of genes that flips the label when all of them are changed at once.

    The answer is an interval. No set of fewer than ``lower`` genes flips the label: this is proven. A set of ``upper``
    genes does: it was found, and the classifier was asked about it. Where both ends are equal, the answer is exact.

    Parameters
    ----------
    %(modification)s
    %(genes_attacked)s
    %(towards)s
    seconds
        Stop after this time. What was proven and found until then is a valid interval.
    exact
        Whether small cases are closed by a mixed-integer program, or by trying all combinations of the few genes that
        matter: ``"auto"`` where that is quick, True (larger programs too, up to a minute for each label that could
        win), or False.
    cell_sets
        Look for a set of each single cell as well: the genes in :attr:`MinChangeResult.cells`. It takes about as long
        per cell as a search for a small cluster.
    %(change_type)s

    %(example)s
    >>> result = MinChange("perc99")(cells, model, groupby="cell_type", target="Dendritic")
    >>> result.lower <= result.upper == len(result.genes)
    True
    """

    modification: Modification | str
    genes: Sequence[str] | None = None
    exclude: Sequence[str] = ()
    towards: Sequence[str] | str | None = None
    seconds: float | None = None
    exact: Literal["auto"] | bool = "auto"
    cell_sets: bool = False
    change_type: Literal["any", "named"] = "any"

    place: ClassVar[int] = 25
    question: ClassVar[str] = "How many genes must change at least before the label flips?"
    cost: ClassVar[str] = "one query per gene, then computation; some hundred queries where nothing is proven"
    options: ClassVar[tuple[Option, ...]] = (
        *WHICH_GENES,
        Option("seconds", float, "Stop after this time; what was proven and found until then holds."),
        Option("cell_sets", bool, "Look for a set of genes of each single cell, too."),
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        check_change_type(self.change_type)
        # True is a number of Python's, and 1 equals True: neither is meant
        if self.seconds is not None and not (_is_number(self.seconds) and self.seconds > 0):
            raise ParameterError(f"seconds must be a number of seconds above 0, got {self.seconds!r}.")
        if self.exact != "auto" and not isinstance(self.exact, bool):
            raise ParameterError(f"exact must be 'auto', True or False, got {self.exact!r}.")

    def perform(self, run: Run) -> MinChangeResult:  # noqa: D102
        return _Question(self, run).answer()


class _Question:
    """One run: a scan of single genes, then proofs and sets."""

    def __init__(self, attack: MinChange, run: Run) -> None:
        self.attack, self.run = attack, run
        self._end = None if attack.seconds is None else time.perf_counter() + attack.seconds
        self.complete = True
        self.genes = candidates(run.cluster, attack.genes, attack.exclude)
        self.best: np.ndarray | None = None
        self.label, self.share = run.baseline.label, run.baseline.share
        self.lower, self.proof = 1, "none"
        self.joint = run.modification is not None and run.modification.joint
        self.order = self.genes[:0]
        self.found: Smallest | None = None
        self.moves: Moves | None = None
        self.asked = self.genes  # the genes of the moves
        self.needs: Needs | None = None
        self.by_goal: dict[int, tuple[int, str]] = {}

    def go_on(self) -> bool:
        """Return whether there is time left; once there is none, the result says that the search was cut short."""
        self.complete = self.complete and (self._end is None or time.perf_counter() < self._end)
        return self.complete

    def seconds_left(self) -> float:
        """Return how long the search may still take."""
        return np.inf if self._end is None else max(self._end - time.perf_counter(), 0.0)

    def counts(self, label: str) -> bool:
        """Return whether a label of the cluster is a flip."""
        return bool(self.run.changed(label))

    def reaches(self, genes: np.ndarray) -> bool:
        """Ask whether changing these genes flips the label, and remember the smallest set that does."""
        answer = self.run.together(genes)
        if answer.rejected or not self.counts(answer.label):
            return False
        if self.best is None or len(genes) < len(self.best):
            self.best, self.label, self.share = np.sort(genes), answer.label, answer.share
        return True

    def _reaches_in_time(self, genes: np.ndarray) -> bool:
        """Like :meth:`reaches`; ends the search when time is over."""
        if not self.go_on():
            raise BudgetSpent
        return self.reaches(genes)

    def _confirms(self, genes: np.ndarray) -> bool:
        """Like :meth:`reaches`; a spent budget ends the search, and what is proven by then is kept."""
        try:
            return self.reaches(genes)
        except BudgetSpent:
            self.complete = False
            return False

    def answer(self) -> MinChangeResult:
        """Search, and return the result."""
        run = self.run
        read = self.genes[run.scorer.reads(self.genes)]
        run.meter.proven += len(self.genes) - len(read)
        run.remember(read)
        try:
            open_genes = self._scan(read)
            if self.best is None and self.go_on():
                self._prove(open_genes)
        except BudgetSpent:
            self.complete = False
        run.meter.advance()
        return self._result()

    def _scan(self, read: np.ndarray) -> np.ndarray:
        """Ask about every gene alone; return those that are not refused and whose value moves in some cell."""
        run = self.run
        if self.joint:  # a gene may move beside some genes and not beside others
            moving = read
        else:
            moving = np.array([gene for block in _blocks(read) for gene in block[self._moves(block)]], dtype=np.int64)
        if not len(moving):
            self.lower, self.proof = NEVER, "no gene moves"
            return moving
        if not run.scorer.incremental and len(moving) > _FEW:
            return moving
        answers = run.each(moving)
        flips = np.flatnonzero([self.counts(str(label)) for label in answers.label] & ~answers.rejected)
        if len(flips):
            best = flips[np.argmax(answers.share[flips])]
            self.lower, self.proof, self.best = 1, "single-gene scan", moving[[best]]
            self.label, self.share = str(answers.label[best]), float(answers.share[best])
        else:
            self.lower, self.proof = 2, "single-gene scan"
        # what lowers the share of the label alone may help to flip it
        self.order = np.argsort(np.where(answers.label == run.baseline.label, answers.share, 0.0), kind="stable")
        self.order = moving[self.order][~answers.rejected[self.order]]
        accepted: np.ndarray = moving[~answers.rejected]
        return accepted

    def _moves(self, genes: np.ndarray) -> np.ndarray:
        moves: np.ndarray = (self.run.values(genes) != self.run.cluster.values(genes)).any(axis=0)
        return moves

    def _prove(self, genes: np.ndarray) -> None:
        run = self.run
        if not len(genes):
            self.lower, self.proof = NEVER, "no gene moves"
            return
        self.asked = genes
        self.moves = None if self.joint else run.scorer.moves(genes, run.values(genes))
        if self.moves is None:
            self.needs = None if self.joint else run.scorer.needs(genes, run.values(genes))
            if self.needs is not None:
                self._bound(self.needs)
            if self.lower < NEVER:
                self._by_labels(genes)
            return
        race = self._race(self.moves.codes, self.moves.labels)
        at_least, scanned = self.lower, self.proof
        self.found = smallest(
            self.moves,
            race,
            lambda chosen: self._confirms(genes[chosen]),
            at_least=at_least,
            exact=self.attack.exact,
            time=Time(self.go_on, self.seconds_left),
        )
        self.lower, self.by_goal = max(self.found.lower, at_least), self.found.by_goal
        self.proof = self.found.proof if self.found.lower > at_least else scanned
        if self.lower < NEVER and (self.best is None or len(self.best) == len(genes)):
            self._by_labels(genes)  # nearly all genes may be needed, and no step of the search goes so far

    def _race(self, codes: np.ndarray, names: np.ndarray) -> Race:
        labels = [str(label) for label in names]
        return Race.of(codes, labels, [k for k, label in enumerate(labels) if self.counts(label)])

    def _bound(self, needs: Needs) -> None:
        """Raise the lower bound by what single cells need."""
        race, leave, own = self._race(needs.codes, needs.labels), needs.own.min(axis=1), needs.own
        scanned = self.lower, self.proof
        for goal in race.goals:
            self.by_goal[goal] = max(
                fewest_to_win(race, leave, own[:, goal], goal), scanned, key=lambda bound: bound[0]
            )
        lower, proof = min(self.by_goal.values(), default=(NEVER, "no other label"))
        if lower > self.lower:
            self.lower, self.proof = lower, proof

    def _by_labels(self, genes: np.ndarray) -> None:
        """Look for a set that no gene can be spared from, in several orders of the genes."""
        rng = np.random.default_rng([self.run.cluster.seed, 14])
        orders = [self.order] if len(self.order) == len(genes) else []
        orders += [rng.permutation(genes) for _ in range(_ORDERS)]
        for order in orders:
            for part in _PARTS:  # where all genes together do not flip the label, some of them may
                if not self.go_on() or (self.best is not None and len(self.best) <= self.lower):
                    return
                most = len(genes) if self.best is None else len(self.best) - 1
                found = irreducible(order[: max(1, round(part * len(order)))], self._reaches_in_time, most)
                if found is not None:
                    thinned(found, self._reaches_in_time)
                    break

    def _result(self) -> MinChangeResult:
        names, never = self.run.cluster.genes, self.lower >= NEVER
        rivals = sorted((bound, goal, proof) for goal, (bound, proof) in self.by_goal.items())
        known = self.moves if self.needs is None else self.needs
        labels = [] if known is None else [str(label) for label in known.labels]
        return MinChangeResult(
            **self.run.shared(label=self.label, share=self.share, complete=self.complete),
            lower=len(self.genes) + 1 if never else int(self.lower),
            impossible=never,
            proof=self.proof,
            changed=np.asarray(names[[] if self.best is None else self.best], dtype=str),
            rival=np.array([labels[goal] for _, goal, _ in rivals], dtype=str),
            rival_lower=numbers_of_genes([bound for bound, _, _ in rivals]),
            rival_proof=np.array([proof for *_, proof in rivals], dtype=str),
            **self._cells(),
        )

    def _cells(self) -> dict[str, Any]:
        """Return what was proven for each cell; empty arrays where nothing was."""
        if self.needs is not None:
            labels, codes, own = self.needs.labels, self.needs.codes, self.needs.own
            cells, found = bounded(own, self._rivals(labels)), {}
        elif self.found is not None and self.moves is not None:
            labels, codes = self.moves.labels, self.moves.codes
            cells = per_cell(self.moves, self._rivals(labels), self.found.own.own)
            cells = cells._replace(upper=cells.upper.copy())  # it may be `lower` itself
            found = self._sets_of_cells(cells)
        else:
            numbers, names = (np.empty(0, dtype=dtype) for dtype in (np.float64, "U1"))
            return {
                "cell": names, "cell_label": names, "cell_towards": names, "cell_lower": numbers, "cell_upper": numbers,
            }  # fmt: skip
        return {
            "cell": np.asarray(self.run.cluster.cells, dtype=str),
            "cell_label": labels[codes].astype(str),
            "cell_towards": labels[cells.towards].astype(str),
            "cell_lower": numbers_of_genes(cells.lower),
            "cell_upper": numbers_of_genes(cells.upper),
            **found,
        }

    def _sets_of_cells(self, cells: PerCell) -> dict[str, np.ndarray]:
        """Look for a set of each cell where that is asked for; `cells` gets the sizes of those that are smaller."""
        if not self.attack.cell_sets or self.moves is None or self.found is None:
            return {}
        names, genes = self.run.cluster.gene_names, np.full(len(cells.lower), "", dtype=object)
        rivals = self._rivals(self.moves.labels)
        for cell, chosen in sets_of_cells(self.moves, cells, self.found.own.own, rivals, self.go_on):
            cells.upper[cell] = len(chosen)
            genes[cell] = "\t".join(names[self.asked[chosen]])
        return {"cell_genes": genes.astype(str)}

    def _rivals(self, labels: np.ndarray) -> list[int]:
        """Return the labels that count as another one for a single cell."""
        return [k for k, label in enumerate(labels) if self.attack.change_type == "any" or is_named(str(label))]


def _is_number(value: object) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool)


def _blocks(genes: np.ndarray, size: int = 1024) -> list[np.ndarray]:
    return [genes[start : start + size] for start in range(0, len(genes), size)]
