"""Proofs from below and sets from above, in turn, until they meet or time is over."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

import numpy as np

from adverscarial.attacks.minimal.exact import close
from adverscarial.attacks.minimal.few_left import tried
from adverscarial.attacks.minimal.own_sets import OwnSets
from adverscarial.attacks.minimal.race import Race
from adverscarial.attacks.minimal.sets import TEMPERATURES, Finder
from adverscarial.attacks.minimal.shared_set import refuted
from adverscarial.attacks.minimal.sharper import sharpen
from adverscarial.classifiers.scorers.moves import Moves
from adverscarial.classifiers.scorers.prefixes import NEVER
from adverscarial.classifiers.scorers.tree_moves import TreeMoves

_MOST = 3_000_000  # genes x cells x labels, beyond which a quick search proves nothing: that would take longer
_FEW_SIZES = 3  # between the bounds, for which all combinations of the genes left are tried
_RIVALS = 4  # labels for which greedy sets are looked for


class Time(NamedTuple):
    """How long a search may take."""

    #: asked between steps; False ends the search
    go_on: Callable[[], bool] = lambda: True
    #: asked before what cannot be interrupted: seconds that it may take
    left: Callable[[], float] = lambda: np.inf


_ENDLESS = Time()


@dataclass
class Smallest:
    """Between which numbers the smallest set lies.

    Attributes
    ----------
    lower
        No set of fewer genes reaches a goal; NEVER: no set at all does.
    genes
        A set that does, confirmed; None where none was found.
    winner
        The label that wins with it, -1 without one.
    by_goal
        For each goal the lower bound and the argument that proves it.
    """

    lower: int
    genes: np.ndarray | None
    winner: int
    by_goal: dict[int, tuple[int, str]]
    search: _Search = field(repr=False)

    @property
    def own(self) -> OwnSets:
        """What each cell needs at least."""
        return self.search.own

    @property
    def proof(self) -> str:
        """The argument that proves the lower bound; where no label counts, that is all there is to prove."""
        return min(self.by_goal.values(), default=(NEVER, "no other label"))[1]


def smallest(  # noqa: PLR0913
    moves: Moves,
    race: Race,
    confirm: Callable[[np.ndarray], bool],
    *,
    at_least: int = 1,
    exact: bool | str = "auto",
    sharper: bool = True,
    time: Time = _ENDLESS,
    quick: bool = False,
    effort: float = 1.0,
    cells: bool = True,
) -> Smallest:
    """Bound the fewest genes with which a goal wins the vote, and look for a set.

    Parameters
    ----------
    moves
        What each gene does.
    race
        The vote now, in which no goal wins, and the goals.
    confirm
        Asks the classifier about a set: whether a goal wins.
    at_least
        A lower bound that is known already.
    exact
        Whether small cases are closed by a mixed-integer program: "auto", True (larger ones too) or False.
    sharper
        In a quick search, look for sets twice, and of trees also prove what takes longer.
    time
        What was proven and found until it is over is returned.
    quick
        Search in large steps, and prove only what costs no more than that.
    effort
        What share of the usual work is done to try all combinations of the genes that are left.
    cells
        What each cell needs is wanted, too; else it is proven only where the search needs it.
    """
    return _Search(moves, race, confirm, at_least, exact, sharper, time, quick, effort, cells).run()


class _Search:
    def __init__(  # noqa: PLR0913
        self,
        moves: Moves,
        race: Race,
        confirm: Callable[[np.ndarray], bool],
        at_least: int,
        exact: bool | str,
        sharper: bool,
        time: Time,
        quick: bool,
        effort: float,
        cells: bool,
    ) -> None:
        self.exact, self.sharper, self.quick, self.effort, self.cells = exact, sharper, quick, effort, cells
        self.moves, self.race, self.go_on, self.at_least = moves, race, time.go_on, at_least
        self.seconds_left = time.left
        self.finder = Finder(moves, race, confirm, quick=quick)
        self.mixtures: dict[int, list[np.ndarray]] = {goal: [] for goal in race.goals}
        self.bounds = {goal: (at_least, "single-gene scan") for goal in race.goals}
        self._tried: set[tuple[int, float, float]] = set()

    @cached_property
    def own(self) -> OwnSets:
        return OwnSets(self.moves, self.race, self._thorough, self.go_on)

    def run(self) -> Smallest:
        if not self.cells and self.moves.exact and len(self.race.goals) == 1:
            self._mean(self.race.goals[0], 1.0)  # the first step whatever is proven, and it may be all that is needed
        if self.finder.genes is None or self.lower < self.finder.upper:
            self._search()
        return Smallest(self.lower, self.finder.genes, self.finder.winner, self.bounds, self)

    def _search(self) -> None:
        trees = isinstance(self.moves, TreeMoves) and self.sharper
        for goal in self.race.goals if trees and not self._thorough else ():
            self.own.join(goal)
        self.bounds = {goal: self._lower(goal) for goal in self.race.goals}
        while self.bounds and self.own.raised(nearest := min(self.bounds, key=lambda k: self.bounds[k][0]), self.go_on):
            self.bounds[nearest] = self._lower(nearest)
        steps: tuple[Callable[[], None], ...]
        if self.moves.exact:
            steps = (
                self._means,
                self._prove_own,
                self._greedy,
                self._prove_shared,
                self._more_means,
                self._exchange,
                self._close,
                self._try_all,
            )
        elif (
            len(self.race.goals) == 1 and not self.quick
        ):  # proofs cost most here, and only a given winner gains by more of them
            steps = (self._greedy, self._prove_own, self._sharpen)
        else:
            steps = (self._greedy, self._sharpen)
        for step in steps:
            if self.lower >= self.finder.upper or self.lower >= NEVER or not self.go_on():
                break
            step()
        for goal, (lower, proof) in self.bounds.items():
            if lower > self.moves.n_genes:  # every size is refuted
                self.bounds[goal] = (NEVER, proof)

    @property
    def _thorough(self) -> bool:
        """Whether it is proven for all labels what each cell needs."""
        moves = self.moves
        return not self.quick or (moves.cheap and moves.n_genes * len(moves.codes) * self.race.n_labels <= _MOST)

    @property
    def lower(self) -> int:
        return min((lower for lower, _ in self.bounds.values()), default=NEVER)

    def _lower(self, goal: int) -> tuple[int, str]:
        lower, proof = self.own.lower(goal)
        return (lower, proof) if lower > self.at_least else (self.at_least, "single-gene scan")

    def _nearest(self) -> list[int]:
        """Return the goals that may still be reached with fewer genes than the best set has, the nearest first."""
        open_goals = [goal for goal in self.race.goals if self.bounds[goal][0] < self.finder.upper]
        return sorted(open_goals, key=lambda goal: self.bounds[goal][0])

    def _mean(self, goal: int, share: float, slack: float = 0.0) -> None:
        if (goal, share, slack) in self._tried:
            return
        self._tried.add((goal, share, slack))
        found = self.finder.by_mean(goal, share, slack)
        if found is not None and found.mixture.any():
            self.mixtures[goal].append(found.mixture)

    def _means(self) -> None:
        for goal in self._nearest()[: 2 * _RIVALS]:
            for share in (1.0, 0.75, 0.5):
                if self.bounds[goal][0] < self.finder.upper and self.go_on():
                    self._mean(goal, share)

    def _prove_own(self) -> None:
        """Raise the bound of the nearest goal, until the nearest one cannot be raised any more."""
        done: set[int] = set()
        while (goals := self._nearest()) and goals[0] not in done and self.go_on():
            goal = goals[0]
            within = self.finder.upper - 1
            self.own.beat_all(goal, within)
            for mixture in self.mixtures[goal]:
                self.own.beat_mixture(goal, mixture, within)
            self.bounds[goal] = max(self.bounds[goal], self._lower(goal))
            done.add(goal)

    def _sharpen(self) -> None:
        """Raise the bound of the nearest goal by sharper proofs, as long as another one is not nearer."""
        done: set[int] = set()
        while (goals := self._nearest()) and goals[0] not in done and self.go_on():
            if not isinstance(self.moves, TreeMoves) or not self.sharper:
                return
            goal = goals[0]
            sharpen(self.own, goal, self.finder.upper, self.go_on, leaves=self._thorough)
            self.bounds[goal] = max(self.bounds[goal], self._lower(goal))
            done.add(goal)

    def _more_means(self) -> None:
        for goal in self._nearest()[:_RIVALS]:
            for share, slack in ((0.9, 0.0), (0.6, 0.0), (0.4, 0.0), (1.0, 0.05), (0.75, 0.1), (0.5, 0.2)):
                if self.bounds[goal][0] < self.finder.upper and self.go_on():
                    self._mean(goal, share, slack)

    def _greedy(self) -> None:
        exact = self.moves.exact
        loser = self.race.winner(self.race.codes)
        for goal in self._nearest()[: _RIVALS if exact else _RIVALS // 2]:

            def go_on(goal: int = goal) -> bool:
                return self.bounds[goal][0] < self.finder.upper and self.go_on()

            if not exact:
                self.finder.climb(goal, loser, TEMPERATURES[1 : 3 if self.sharper else 2], go_on)
            for temperature in TEMPERATURES if exact else ():
                if go_on():
                    self.finder.greedily(goal, loser, temperature, self.go_on)
        if self.finder.genes is None and not self.quick:
            self.finder.all_of_them()

    def _exchange(self) -> None:
        """Exchange genes of the best set, towards the two nearest goals, until none less is found."""
        loser, found = self.race.winner(self.race.codes), True
        while found and self.lower < self.finder.upper and self.go_on():
            found = any(
                self.go_on() and self.finder.with_one_fewer(goal, loser, temperature)
                for goal in self._nearest()[:2]
                for temperature in TEMPERATURES
            )

    def _prove_shared(self) -> None:
        """Refute the sizes between the bounds with one set for all, the nearest goal first."""
        loser = self.race.winner(self.race.codes)
        done: set[int] = set()
        while (goals := self._nearest()) and goals[0] not in done and self.go_on():
            goal = goals[0]
            done.add(goal)
            low, high = self.bounds[goal][0], self.finder.upper
            while low < high and self.go_on():  # sizes below `low` are refuted, those from `high` on are not asked
                m = (low + high) // 2
                if refuted(self.own, goal, loser, m, mixtures=self.mixtures[goal], go_on=self.go_on):
                    low = m + 1
                    self.bounds[goal] = (low, "one set for all")
                else:
                    high = m

    def _try_all(self) -> None:
        """Close an interval of a few sizes by all combinations of the genes that a bound leaves."""
        loser = self.race.winner(self.race.codes)
        while (
            self.exact and (goals := self._nearest()) and self.finder.upper - self.lower <= _FEW_SIZES and self.go_on()
        ):
            goal, size = goals[0], self.lower
            mixtures = self.mixtures[goal]
            found = tried(self.own, goal, loser, size, mixtures=mixtures, go_on=self.go_on, effort=self.effort)
            if found is None or (found.genes is not None and not self.finder.offer(found.genes)):
                return
            if found.genes is None:
                self.bounds[goal] = (size + 1, "all combinations")

    def _close(self) -> None:
        """Close the interval by a mixed-integer program, the nearest goal first."""
        done: set[int] = set()
        while self.exact and (goals := self._nearest()) and goals[0] not in done and self.go_on():
            goal = goals[0]
            done.add(goal)
            low, high = self.bounds[goal][0], self.finder.upper
            closed = close(
                self.own, goal, low, high, thorough=self.exact is True, seconds=self.seconds_left()
            )  # fmt: skip
            if closed is None:
                return
            if closed.genes is not None:
                self.finder.offer(closed.genes)
            if closed.lower > self.bounds[goal][0]:
                self.bounds[goal] = (closed.lower, "milp")
