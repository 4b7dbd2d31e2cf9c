"""Small sets of genes that give one cell another label, for families whose lower bounds are not reached."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from adverscarial.classifiers.scorers.moves import Moves, pair

_RIVALS = 2  # labels that are tried for a cell, those with the lowest bounds first
_IN = 8  # genes that are tried exactly in place of one that is taken out
_NEAR = 512  # genes that these are chosen from: what is useful beside a set is useful beside all but one of its genes
_LARGEST = 60  # genes of a set up to which exchanges are tried: each costs a sweep per gene


def smallest_for_cell(moves: Moves, rivals: Sequence[int], at_least: int) -> np.ndarray | None:
    """Return the smallest set that was found to give a cell another label; None where none was.

    Parameters
    ----------
    moves
        Of this cell alone.
    rivals
        Labels to look for, the most promising ones first.
    at_least
        No smaller set does it, so the search ends there.
    """
    best: np.ndarray | None = None
    for rival in rivals if at_least <= 1 else ():
        one = _Cell(moves, rival).alone()
        if one is not None:
            return one
    for rival in rivals[:_RIVALS]:
        cell = _Cell(moves, rival)
        found = cell.climb(moves.n_genes if best is None else len(best) - 1)
        if found is not None:
            found = cell.exchanged(cell.thinned(found), at_least)
            if (best is None or len(found) < len(best)) and cell.lead(found) > 0:
                best = found
        if best is not None and len(best) <= at_least:
            break
    return None if best is None else np.sort(best)


class _Cell:
    """One cell, and a label that it should get instead of its own."""

    def __init__(self, moves: Moves, rival: int) -> None:
        self.moves = moves
        self.c = pair(rival, int(moves.codes[0]), moves.scores.shape[1])
        # a lead that rounding could take away does not count
        self.hidden = float(moves.tolerance * moves.size[0] + moves.margin)

    def lead(self, genes: np.ndarray) -> float:
        """Return by how much the rival is ahead with all `genes` changed; above 0 the cell has another label."""
        return float(self.moves.scores_with(genes)[0] @ self.c) - self.hidden

    def leads_without_each(self, genes: np.ndarray) -> np.ndarray:
        """Return :meth:`lead` with all `genes` changed but one, for each."""
        leads: np.ndarray = self.moves.scores_without_each(genes) @ self.c - self.hidden
        return leads

    def effects(self, moves: Moves, chosen: np.ndarray) -> np.ndarray:
        """Return what each gene that is not chosen does to the lead, to first order."""
        effects = moves.effects(self.c[None])
        effects[chosen] = -np.inf
        return effects

    def alone(self) -> np.ndarray | None:
        """Return a gene that is enough alone; only those are tried for which the bound does not rule it out."""
        t, G = self.moves.bound(self.c, np.array([0]), 1)
        for gene in np.flatnonzero(G[0] >= -t[0] - self.hidden):
            if self.lead(np.array([gene])) > 0:
                return np.array([gene])
        return None

    def climb(self, most: int) -> np.ndarray | None:
        """Change the genes with the largest effect, a twentieth of the set at a time, until the label is another."""
        moves, chosen = self.moves, np.empty(0, dtype=np.int64)
        while len(chosen) < most:
            effects = self.effects(moves, chosen)
            best = _largest(effects, max(1, len(chosen) // 20))
            best = best[effects[best] > 0]
            if not len(best):
                return None
            moves, chosen = moves.changed(best), np.concatenate([chosen, best])
            if self.lead(chosen) > 0:
                return chosen if len(chosen) <= most else None
        return None

    def thinned(self, genes: np.ndarray) -> np.ndarray:
        """Return the set without genes that can be spared, the least useful one first, again and again."""
        while len(genes) > 1:
            leads = self.leads_without_each(genes)
            spared = int(np.argmax(leads))
            if leads[spared] <= 0:
                break
            genes = np.delete(genes, spared)
        return genes

    def exchanged(self, genes: np.ndarray, at_least: int) -> np.ndarray:
        """Return a smaller set, if one gene less is enough once others are exchanged."""
        while at_least < len(genes) <= _LARGEST:
            fewer = np.delete(genes, np.argmax(self.leads_without_each(genes)))
            lead = self.lead(fewer)
            while lead <= 0:
                better, reached = self._best_exchange(fewer)
                if reached <= lead:
                    return genes
                fewer, lead = better, reached
            genes = self.thinned(fewer)
        return genes

    def _best_exchange(self, genes: np.ndarray) -> tuple[np.ndarray, float]:
        """Return the set with one gene exchanged that leads most, and its lead."""
        best, most = genes, -np.inf
        near = _largest(self.effects(self.moves.changed(genes), genes), _NEAR)
        near = near[~np.isin(near, genes)]
        for place in range(len(genes)):
            rest = np.delete(genes, place)
            some = np.append(near, genes[place])
            effects = self.moves.effects_with(rest, self.c[None], some)
            tried = some[_largest(effects, _IN)]
            leads = self.moves.scores_with_each(rest, tried) @ self.c - self.hidden
            if (lead := float(leads.max())) > most:
                best, most = np.append(rest, tried[leads.argmax()]), lead
        return best, most


def _largest(values: np.ndarray, n: int) -> np.ndarray:
    """Return the positions of the `n` largest values, in no order."""
    return np.argpartition(-values, n - 1)[:n] if n < len(values) else np.arange(len(values))
