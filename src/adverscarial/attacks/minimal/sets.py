"""Ways to find small sets of genes that reach a goal. Nothing is proven here: each set is judged by a query."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from adverscarial.attacks.minimal.exchanges import LARGEST, Exchanges
from adverscarial.attacks.minimal.mean_cell import MeanCell, mean_cell, nearest
from adverscarial.attacks.minimal.race import Race
from adverscarial.attacks.minimal.smooth_votes import median_margin, slope
from adverscarial.classifiers.scorers.linear_moves import LinearMoves
from adverscarial.classifiers.scorers.linear_votes import best_added
from adverscarial.classifiers.scorers.moves import Moves

_CANDIDATES = 48  # genes whose effect is computed exactly in each greedy step
_MANY = 64  # chosen genes, from which on fewer candidates are enough: one gene more or less decides little
_POOL = 768  # genes among which they are chosen, which is made anew
_LOOKED_ON = 16  # after as many steps as there are chosen genes, divided by this
TEMPERATURES = (0.05, 0.15, 0.6)  # of the median margin


class Finder:
    """Looks for small sets and keeps the best one.

    Attributes
    ----------
    genes
        The smallest set so far, ascending; None before one is found. In a quick search, genes that can be spared are
        still there, and the most useful ones come first.
    """

    def __init__(self, moves: Moves, race: Race, confirm: Callable[[np.ndarray], bool], *, quick: bool = False) -> None:
        self.moves, self.race, self._confirm, self._quick = moves, race, confirm, quick
        self._goals = np.zeros(race.n_labels, dtype=bool)
        self._goals[list(race.goals)] = True
        self.genes: np.ndarray | None = None
        self.winner = -1

    @property
    def upper(self) -> int:
        """Size of the smallest set so far; more than all genes before one is found."""
        return self.moves.n_genes + 1 if self.genes is None else len(self.genes)

    def offer(self, genes: np.ndarray) -> bool:
        """Take a set that reaches a goal, without the genes that can be spared, if it is the smallest and confirmed.

        The genes are tried in their order, so the least useful ones should come first.
        """
        winner = self._winner(genes)
        if winner not in self.race.goals:
            return False
        genes = genes[::-1] if self._quick else np.sort(self.moves.thinned(genes, self.race.rank, self._goals))
        if len(genes) >= self.upper or not self._confirm(genes):
            return False
        self.genes, self.winner = genes, winner if self._quick else self._winner(genes)
        return True

    def all_of_them(self) -> None:
        """Take the set of all genes, if it reaches a goal: it is too large, but an upper end.

        The classifier is asked whatever the moves say: where its scores are rounded, only it knows how ties end.
        """
        genes = np.arange(self.moves.n_genes)
        if self._confirm(genes):
            self.genes, self.winner = genes, self._winner(genes)

    def _winner(self, genes: np.ndarray) -> int:
        return self.race.winner(np.argmax(self.moves.scores_with(genes), axis=1))

    def by_mean(self, winner: int, share: float, slack: float = 0.0) -> MeanCell | None:
        """Try the support of the mean cell's program, and the shortest prefix of its order.

        Parameters
        ----------
        winner
            The label that should win.
        share
            Share of the cells to average: those that lack least to the label.
        slack
            See :func:`mean_cell`.
        """
        cells = nearest(self.moves, self.race.codes, winner, share)
        if not len(cells):
            return None
        found = mean_cell(self.moves, winner, cells, slack=slack)
        if found is None:
            return None
        support = np.flatnonzero(found.use > 1e-9)
        self.offer(support[np.argsort(found.gain[support], kind="stable")])
        order = np.argsort(-found.gain, kind="stable")
        self.by_order(order[found.gain[order] > 0])
        return found

    def by_order(self, order: np.ndarray) -> None:
        """Try the shortest prefix of an order, most useful genes first, that reaches a goal."""
        length = self.moves.first_reaching(order, self.race.rank, self._goals)
        if length > 0:
            self.offer(order[:length][::-1])

    def greedily(self, winner: int, loser: int, temperature: float, go_on: Callable[[], bool]) -> bool:
        """Add the gene that raises the smooth votes most, again and again, until a goal wins.

        A smooth vote is the softmax of a cell's scores over a temperature; the winner's count, the loser's against.
        """
        moves, tilt = self.moves, self._tilt(winner, loser)
        scores, chosen = moves.scores.copy(), np.empty(0, dtype=np.int64)
        width = temperature * median_margin(scores)
        assert isinstance(moves, LinearMoves)
        pool, known = moves, np.empty(0, dtype=np.int64)  # the genes that are looked at, and where they stand
        anew = 0  # so many chosen genes, and the pool is made anew
        while len(chosen) < self.upper - 1 and go_on():
            steepness = slope(scores, tilt, width)
            if len(chosen) >= anew:
                anew = len(chosen) + 1 + len(chosen) // _LOOKED_ON
                effect = moves.effects(steepness)
                effect[chosen] = -np.inf
                known = np.argpartition(-effect, min(_POOL, len(effect) - 1))[:_POOL]
                pool, effect = moves.among(known), effect[known]
            else:
                effect = pool.effects(steepness)
                effect[np.isin(known, chosen)] = -np.inf
            most = _CANDIDATES if len(chosen) < _MANY else _CANDIDATES // 4
            some = np.argpartition(-effect, min(most, len(effect) - 1))[:most]
            some = some[np.isfinite(effect[some])]
            if not len(some) or effect[some].max() <= 0:
                return False
            steps = np.ascontiguousarray(pool.steps[:, some].T)
            gene = some[best_added(scores, steps, pool.weights[some], tilt, width)]
            scores += pool.steps[:, [gene]] * pool.weights[gene]
            chosen = np.append(chosen, known[gene])
            if self.race.reached(np.argmax(scores, axis=1)):
                return self.offer(chosen[::-1]) | self.offer(chosen)
        return False

    def with_one_fewer(self, winner: int, loser: int, temperature: float) -> bool:
        """Try the best set with one gene less and others exchanged; return whether a smaller one was found."""
        moves, tilt = self.moves, self._tilt(winner, loser)
        if self.genes is None or not 1 < len(self.genes) <= LARGEST or not isinstance(moves, LinearMoves):
            return False
        width = temperature * median_margin(moves.scores)
        fewer = Exchanges(moves, self.race, self.genes, tilt, width).one_fewer()
        return fewer is not None and self.offer(fewer)

    def _tilt(self, winner: int, loser: int) -> np.ndarray:
        tilt = np.zeros(self.race.n_labels)
        tilt[winner], tilt[loser] = 1.0, -1.0
        return tilt

    def climb(
        self, winner: int, loser: int, temperatures: Sequence[float], go_on: Callable[[], bool]
    ) -> None:  # fmt: skip
        """Like :meth:`greedily`, for any family: change the genes with the largest effect, some at a time; repeat.

        The effect of each gene is that on the smooth votes as they stand, of one temperature; each has its turn. A
        step takes a twentieth of what is chosen, in a quick search a quarter.
        """
        width = median_margin(self.moves.scores)
        widths = [temperature * width for temperature in temperatures]
        self._climb(self.moves, np.empty(0, dtype=np.int64), self._tilt(winner, loser), widths, go_on)

    def _climb(
        self, moves: Moves, chosen: np.ndarray, tilt: np.ndarray, widths: list[float], go_on: Callable[[], bool]
    ) -> None:  # fmt: skip
        """Climb on from some chosen genes; as long as all widths choose the same ones, that is done once."""
        while len(chosen) < self.upper - 1 and go_on():
            steps = [self._best(moves, chosen, tilt, width) for width in widths]
            best = steps[0]
            alike = [np.array_equal(best, other) for other in steps]
            if not all(alike):
                self._climb(moves, chosen, tilt, [w for w, same in zip(widths, alike, strict=True) if same], go_on)
                widths = [w for w, same in zip(widths, alike, strict=True) if not same]
                continue
            if not len(best):
                return
            moves, chosen = moves.changed(best), np.concatenate([chosen, best])
            if self.race.reached(np.argmax(moves.scores, axis=1)):
                if not self.offer(chosen[::-1]) and not self._quick:
                    self.offer(chosen)
                return

    def _best(self, moves: Moves, chosen: np.ndarray, tilt: np.ndarray, width: float) -> np.ndarray:
        """Return the genes that the next step of :meth:`climb` changes."""
        effect = moves.effects(slope(moves.scores, tilt, width))
        effect[chosen] = -np.inf
        n = max(1, len(chosen) // (4 if self._quick else 20))
        best = np.argpartition(-effect, min(n, len(effect) - 1))[:n]
        best = best[np.argsort(-effect[best], kind="stable")]
        some: np.ndarray = best[effect[best] > 0]
        return some
