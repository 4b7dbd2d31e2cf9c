"""What changed genes do to the votes of trees: bounds from the leaves that can be reached."""

from __future__ import annotations

from functools import cached_property
from typing import Protocol

import numpy as np

from adverscarial.classifiers.scorers.moves import Moves
from adverscarial.classifiers.scorers.tree_duals import needed_by_slopes
from adverscarial.classifiers.scorers.tree_ensemble import TreeEnsemble
from adverscarial.classifiers.scorers.tree_paths import (
    NO_TURNS,
    Paths,
    Since,
    Turns,
    Walk,
    credits,
    first_order,
    reachable,
    turns,
)

_PASSES = 3
_ROUNDING = 1e-11  # of sums in float64
_SINGLE = 4e-6  # of the sums of a package that adds up in float32
_REMEMBERED = 5_000_000  # ways of a cell through a tree of which it is kept what turns them: some 200 MB
_KNOWN = 25_000_000  # trees x genes, up to which proofs begin with what those before them found: some 100 MB
_AT_ONCE = 64  # cells whose reachable leaves are held at a time
_SPARE = 1.2  # room for the leaves of a cell, times what the last one had


class _State(Protocol):
    """What is asked of the scorer: its state, and the state after more changes."""

    _X: np.ndarray
    _leaf: np.ndarray
    _sums: np.ndarray
    _codes: np.ndarray
    _cut: float

    def sums_with(self, genes: np.ndarray, values: np.ndarray) -> np.ndarray: ...

    def after(self, genes: np.ndarray, values: np.ndarray) -> _State: ...

    def part(self, cells: np.ndarray) -> _State: ...


class TreeMoves(Moves):
    """Moves of sums of leaf values.

    Parameters
    ----------
    trees
        The ensemble.
    state
        The scorer.
    genes, values
        What can be changed, as for :meth:`Scorer.moves`.
    column
        Where each gene of the ensemble stands among `genes`, -1 for the others.
    new
        The new values as the trees compare them, shape (cells, genes).
    """

    def __init__(
        self, trees: TreeEnsemble, state: _State, genes: np.ndarray, values: np.ndarray, column: np.ndarray,
        new: np.ndarray,
    ) -> None:  # fmt: skip
        self._trees, self._state, self._genes, self._values = trees, state, genes, values
        self._column, self._new = column, new
        self._binary = trees.value.shape[1] == 1
        self._whole = trees.rounding < 0 and not self._binary
        self.scores, self.codes, self.n_genes = self._both(state._sums), state._codes, len(genes)
        self.size = np.full(len(self.codes), trees.largest + abs(state._cut))
        self._slopes: tuple[np.ndarray | None, np.ndarray] = None, np.empty(0)
        self._room = {False: (0.0, 0.0), True: (0.0, 0.0)}  # leaves of a cell, and their genes
        self._last_lead: tuple[np.ndarray, np.ndarray, float] | None = None
        self._turns: Turns = NO_TURNS
        # the values and leaves of which the turns tell, and the genes that have been changed since
        self._before, self._since = (state._X, state._leaf), np.empty(0, dtype=np.int64)
        self.tolerance = _SINGLE if trees.single and not self._whole else _ROUNDING

    def _both(self, sums: np.ndarray) -> np.ndarray:
        return np.hstack([np.full_like(sums, self._state._cut), sums]) if self._binary else sums

    @cached_property
    def _kept_paths(self) -> dict[int, Paths]:
        return {}

    def _paths(self, block: int) -> Paths:
        """Return the reachable leaves of a block of cells."""
        if block not in self._kept_paths:
            cells = slice(block * _AT_ONCE, (block + 1) * _AT_ONCE)
            found = self._reachable(cells, False)
            if sum(len(paths.gene) for paths in self._kept_paths.values()) > 5e7:
                self._kept_paths.clear()
            self._kept_paths[block] = found
        return self._kept_paths[block]

    def bound(self, c: np.ndarray, cells: np.ndarray, m: int) -> tuple[np.ndarray, np.ndarray]:
        """See :meth:`Moves.bound`, and :func:`~adverscarial.classifiers.scorers.tree_paths.credits` for the proof."""
        t = self.scores[cells] @ c
        return t, self._credits(c, cells, -t, m)[0]

    def fewest(self, c: np.ndarray, cells: np.ndarray, *, strict: bool) -> np.ndarray:  # noqa: D102
        return self._credits(c, cells, self._missing(c, cells, strict), self.n_genes)[1]

    def _missing(self, c: np.ndarray, cells: np.ndarray, strict: bool) -> np.ndarray:
        need = -(self.scores[cells] @ c)
        if strict and self._whole and np.array_equal(c, np.rint(c)):
            need = need + 1.0  # votes are whole: to be ahead is to be ahead by one
        missing: np.ndarray = need - self.tolerance * self.size[cells]
        return missing

    def _reachable(self, cells: slice, whole: bool) -> Paths:
        """Return the leaves that some cells can reach, with room for somewhat more than the last ones had."""
        trees, X, new = self._trees, self._state._X[cells], self._new[cells]
        leaves, entries = (int(_SPARE * len(X) * share) for share in self._room[whole])
        walk = Walk.of(self.n_genes, trees.depth, whole)
        found = reachable(trees.nodes, trees.roots, X, new, self._column, walk, leaves, entries)
        self._room[whole] = len(found.leaf) / len(X), len(found.gene) / len(X)
        return found

    def _all_paths(self, cell: int) -> Paths:
        """Return all leaves that a cell can reach, and what each of them needs."""
        return self._reachable(slice(cell, cell + 1), True)

    def work(self, cell: int) -> int:
        """Return how much a step of :meth:`fewest_sharply` costs: numbers that are looked at."""
        return len(self._all_paths(cell).gene)

    def fewest_sharply(self, c: np.ndarray, cell: int, *, strict: bool, enough: int, steps: int) -> int:
        """Like :meth:`fewest` for one cell: much sharper, and much slower.

        Parameters
        ----------
        c, strict
            As for :meth:`fewest`.
        enough
            Proofs of more genes are of no use.
        steps
            After which the search for a proof ends.
        """
        paths, (lead_values, unit) = self._all_paths(cell), self._lead(c)
        gain = lead_values[paths.leaf] - lead_values[self._state._leaf[cell][paths.tree]]
        need = float(self._missing(c, np.array([cell]), strict)[0])
        return int(needed_by_slopes(paths, gain, need, unit, enough, steps, self._known_slopes(c), self.n_genes))

    def _known_slopes(self, c: np.ndarray) -> np.ndarray:
        """Return what the last proofs for the same weights found, NaN at first; no row where these are the first."""
        last, known = self._slopes
        if last is None or not np.array_equal(last, c):
            known = np.empty((0, self.n_genes), dtype=np.float32)
        elif not len(known) and len(self._trees.roots) * self.n_genes <= _KNOWN:
            known = np.full((len(self._trees.roots), self.n_genes), np.nan, dtype=np.float32)
        self._slopes = c, known
        return known

    def _lead(self, c: np.ndarray) -> tuple[np.ndarray, float]:
        """Return what each leaf adds to the weighted sum, and a usual gain of one leaf."""
        if self._last_lead is None or not np.array_equal(self._last_lead[0], c):
            values = self._trees.value @ (c[1:] if self._binary else c)
            self._last_lead = c, values, float(np.ptp(values)) / 2 or 1.0
        return self._last_lead[1:]

    def _credits(self, c: np.ndarray, cells: np.ndarray, need: np.ndarray, m: int) -> tuple[np.ndarray, np.ndarray]:
        lead_values, unit = self._lead(c)
        total, proven = np.zeros((len(cells), self.n_genes)), np.full(len(cells), -1)
        for block in np.unique(cells // _AT_ONCE):
            inside = np.flatnonzero(cells // _AT_ONCE == block)
            paths = self._paths(int(block))
            within = cells[inside] - block * _AT_ONCE
            for place, at in zip(inside, within, strict=True):
                first, last = paths.cell[at], paths.cell[at + 1]
                now = lead_values[self._state._leaf[cells[[place]]]]
                own = Paths(
                    np.array([0, last - first]), paths.tree[first:last], paths.leaf[first:last],
                    paths.start[first : last + 1], paths.gene,
                )  # fmt: skip
                found = total[place : place + 1], proven[place : place + 1]
                credits(own, lead_values, now, need[[place]], self.n_genes, m, _PASSES, unit, *found)
        return total, proven

    def scores_with(self, genes: np.ndarray) -> np.ndarray:  # noqa: D102
        return self._both(self._state.sums_with(self._genes[genes], self._values[:, genes]))

    def effects(self, omega: np.ndarray) -> np.ndarray:
        """See :meth:`Moves.effects`; each gene alone, exactly."""
        state, trees = self._state, self._trees
        omega = np.ascontiguousarray(omega[:, 1:] if self._binary else omega, dtype=np.float64)
        n_cells, many = len(state._X), max(1, _REMEMBERED // len(trees.roots))
        if n_cells <= many:
            if len(self._turns.start) == 1 or len(self._since):
                self._turns = self._turns_of(slice(None), self._turns)
                self._before, self._since = (state._X, state._leaf), self._since[:0]
            return first_order(self._turns, trees.value, state._leaf, omega, self.n_genes)
        total = np.zeros(self.n_genes)
        for start in range(0, n_cells, many):
            block = slice(start, start + many)
            found = self._turns_of(block, NO_TURNS)
            total += first_order(found, trees.value, state._leaf[block], omega[block], self.n_genes)
        return total

    def _turns_of(self, cells: slice, known: Turns) -> Turns:
        trees, X, new = self._trees, self._state._X[cells], self._new[cells]
        tests = np.isin(self._column, self._since)[trees.index.gene]
        since = Since(*self._before, trees.index.node[tests], trees.index.tree[tests], self._last)
        return turns(trees.nodes, trees.roots, X, self._column, new, trees.depth, known, since)

    @cached_property
    def _last(self) -> np.ndarray:
        """The last node that may stand below each node."""
        last, n = self._trees.last_below, len(self._trees.feature)
        return np.full(n, n) if last is None else last

    def changed(self, genes: np.ndarray) -> TreeMoves:  # noqa: D102
        state = self._state.after(self._genes[genes], self._values[:, genes])
        other = TreeMoves(self._trees, state, self._genes, self._values, self._column, self._new)
        other.labels = self.labels
        if len(self._turns.start) > 1:  # what the genes do not touch need not be found again
            other._turns, other._since = self._turns, np.concatenate([self._since, genes])
            other._before = self._before
        return other

    def part(self, cells: np.ndarray) -> TreeMoves:  # noqa: D102
        values = self._values if len(self._values) == 1 else self._values[cells]
        state = self._state.part(cells)
        other = TreeMoves(self._trees, state, self._genes, values, self._column, self._new[cells])
        other.labels = self.labels
        return other
