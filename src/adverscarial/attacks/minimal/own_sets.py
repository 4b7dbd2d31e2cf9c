"""Bounds for a cluster that give each cell its own best set of genes.

With m genes, a cell can be won at most if its *own* best m genes win it. So the number of genes after which enough
cells could be won, each with its own set, is a lower bound for one set that serves all cells.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import InitVar, dataclass, field

import numpy as np

from adverscarial.attacks.minimal.race import Race
from adverscarial.classifiers.scorers.moves import Moves, pair
from adverscarial.classifiers.scorers.prefixes import NEVER
from adverscarial.classifiers.scorers.relu_moves import ReluMoves


@dataclass
class OwnSets:
    """Genes that each cell needs at least, to leave its label or to join another.

    Attributes
    ----------
    moves, race
        The cells.
    prove
        False: be content with what needs no proof, one gene.
    go_on
        Asked again and again; once it is False nothing more is proven, and the rest needs one gene at least.
    own
        Genes that each cell needs at least before a label beats the cell's own, shape (cells, labels); NEVER for the
        cell's own label.
    joins
        For each label: genes that each cell needs at least to get it; 0 for cells that have it.
    """

    moves: Moves
    race: Race
    prove: InitVar[bool] = True
    go_on: InitVar[Callable[[], bool]] = lambda: True
    own: np.ndarray = field(init=False)
    joins: dict[int, np.ndarray] = field(init=False)

    def __post_init__(self, prove: bool, go_on: Callable[[], bool]) -> None:
        codes, n = self.moves.codes, self.race.n_labels
        self.own = np.ones((len(codes), n), dtype=np.int64)  # at least one gene: without any, the label is what it is
        self.own[np.arange(len(codes)), codes] = NEVER
        self._rough: np.ndarray | None = None  # which bounds can be raised by what is left to prove
        if prove and isinstance(self.moves, ReluMoves):
            self.own, self._rough = own_of_nearest(self.moves, go_on)
        elif prove:
            for label in np.unique(codes):
                cells = np.flatnonzero(codes == label)
                for rival in range(n):
                    if rival != label and go_on():
                        c, strict = pair(rival, label, n), bool(rival > label)
                        self.own[cells, rival] = np.maximum(self.moves.fewest(c, cells, strict=strict), 1)
        rows = np.arange(len(codes))
        self.joins = {}
        for rival in range(n):
            joins = self.own[:, rival].copy()
            joins[rows[codes == rival]] = 0
            self.joins[rival] = joins

    @property
    def leave(self) -> np.ndarray:
        """Genes that each cell needs at least to leave its label: some other label must beat it."""
        fewest: np.ndarray = self.own.min(axis=1)
        return fewest

    def join(self, winner: int) -> None:
        """Prove what cells need to join a label, if nothing was proven at first: it must beat the cell's own."""
        codes, n = self.moves.codes, self.race.n_labels
        for label in np.unique(codes[codes != winner]):
            cells = np.flatnonzero(codes == label)
            needed = self.moves.fewest(pair(winner, int(label), n), cells, strict=bool(winner > label))
            self.own[cells, winner] = self.joins[winner][cells] = np.maximum(self.own[cells, winner], needed)

    def raised(self, winner: int, go_on: Callable[[], bool]) -> bool:
        """Prove what was left to prove about joining a label, as far as its bound hangs on it; return whether any was.

        Only of networks anything is left, since their proofs cost most.
        """
        if self._rough is None:
            return False
        decisive = self._rough[:, winner] & (self.joins[winner] <= self.lower(winner)[0])
        cells = np.flatnonzero(decisive & (self.moves.codes != winner))
        done = False
        for cell in cells:
            if not go_on():
                break
            label = int(self.moves.codes[cell])
            c, strict = pair(winner, label, self.race.n_labels), bool(winner > label)
            needed = int(self.moves.fewest(c, np.array([cell]), strict=strict)[0])
            self.own[cell, winner] = self.joins[winner][cell] = max(needed, int(self.own[cell, winner]))
            self._rough[cell, winner], done = False, True
        return done

    def beat_all(self, winner: int, within: int) -> None:
        """Raise the bounds on joining a label: it must beat every other one, not only the cell's own.

        Cells that need more than `within` genes already are left as they are.
        """
        codes, n = self.moves.codes, self.race.n_labels
        for other in range(n):
            if other == winner:
                continue
            cells = np.flatnonzero((self.joins[winner] <= within) & (codes != winner) & (codes != other))
            if len(cells):
                needed = self.moves.fewest(pair(winner, other, n), cells, strict=bool(winner > other))
                self.joins[winner][cells] = np.maximum(self.joins[winner][cells], needed)

    def beat_mixture(self, winner: int, mixture: np.ndarray, within: int) -> None:
        """Raise the bounds on joining a label: its score must reach any weighted mean of the others' scores.

        A label that beats all others beats each weighted mean of them, so each mixture gives a bound of its own.

        Parameters
        ----------
        winner
            The label to join.
        mixture
            Weights of the labels, not negative, shape (labels,); 0 for the winner.
        within
            As for :meth:`beat_all`.
        """
        cells = np.flatnonzero((self.joins[winner] <= within) & (self.moves.codes != winner))
        if len(cells) and mixture.sum() > 0:
            c = -mixture / mixture.sum()
            c[winner] += 1.0
            needed = self.moves.fewest(c, cells, strict=False)
            self.joins[winner][cells] = np.maximum(self.joins[winner][cells], needed)

    def lower(self, winner: int) -> tuple[int, str]:
        """Return the fewest genes after which this label can win the vote, and the argument that proves it."""
        return fewest_to_win(self.race, self.leave, self.joins[winner], winner)


def own_of_nearest(moves: ReluMoves, go_on: Callable[[], bool] = lambda: True) -> tuple[np.ndarray, np.ndarray]:
    """Return :attr:`OwnSets.own` as far as the nearest label of each cell goes, at a part of the cost.

    The label that is second is asked about first. Of each other one it is then only asked whether it needs more genes;
    its bound is raised no further, since it is not the nearest one. The second array says where that is so.
    """
    n = moves.scores.shape[1]
    own, rough = np.ones((len(moves.codes), n), dtype=np.int64), np.zeros((len(moves.codes), n), dtype=bool)
    own[np.arange(len(own)), moves.codes] = NEVER
    for cell, label in enumerate(moves.codes):
        some, fewest = np.array([cell]), NEVER
        for rival in np.argsort(-moves.scores[cell], kind="stable"):
            if rival == label:
                continue
            if not go_on():
                rough[cell, rival] = True
                continue
            c = pair(int(rival), int(label), n)
            if fewest < moves.n_genes and moves.need_more(c, some, int(fewest))[0]:
                own[cell, rival], rough[cell, rival] = fewest + 1, True
            else:
                own[cell, rival] = max(int(moves.fewest(c, some, strict=bool(rival > label))[0]), 1)
                fewest = min(fewest, own[cell, rival])
    return own, rough


def fewest_to_win(race: Race, leave: np.ndarray, join: np.ndarray, winner: int) -> tuple[int, str]:
    """Return the fewest genes after which a label can win the vote, and the argument that proves it.

    *Own sets*: to overtake a label, the winner must gain a number of votes on it. A cell that leaves that label gives
    one, a cell that joins the winner gives one. With m genes at most those cells can be won that need no more than m;
    cells that are lost only hurt. *Share of the vote*: of n votes for k labels, the winner has at least n / k, so
    enough cells must join it.

    Parameters
    ----------
    race
        The vote.
    leave, join
        Genes that each cell needs at least to leave its label, and to join the winner, shape (cells,).
    winner
        The label.
    """
    outside = join[race.codes != winner]
    best, proof = _nth(outside, race.quorum(winner)), "share of the vote"
    for loser in range(race.n_labels):
        if loser != winner:
            votes = np.concatenate([leave[race.codes == loser], outside])
            needed = _nth(votes, race.need(winner, loser))
            if needed >= best:
                best, proof = needed, "own sets"
    return best, proof


def _nth(votes: np.ndarray, need: int) -> int:
    """Return the `need`-th smallest number; 0 if nothing is needed, NEVER if there are not so many."""
    if need <= 0:
        return 0
    return int(np.partition(votes, need - 1)[need - 1]) if need <= len(votes) else NEVER
