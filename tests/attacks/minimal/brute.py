"""Tiny models whose smallest sets are found by trying all sets, to judge proofs by."""

from __future__ import annotations

import os
from dataclasses import dataclass

import numpy as np

from adverscarial.attacks.minimal.cell_sets import smallest_for_cell
from adverscarial.attacks.minimal.per_cell import UNKNOWN, per_cell
from adverscarial.attacks.minimal.race import Race
from adverscarial.attacks.minimal.search import Smallest, smallest
from adverscarial.classifiers.answers import is_named, vote
from adverscarial.classifiers.scorers.moves import Moves, pair
from adverscarial.classifiers.scorers.prefixes import NEVER


def cases(usual: int) -> int:
    """How many random models to try; the environment variable ADVERSCARIAL_CASES multiplies it."""
    return usual * int(os.environ.get("ADVERSCARIAL_CASES", "1"))


@dataclass
class Case:
    """Moves of a tiny cluster, the names of the labels, and the labels after each subset of the genes."""

    moves: Moves
    labels: np.ndarray
    codes: np.ndarray  # (2 ** genes, cells): label of each cell after each subset
    sizes: np.ndarray  # (2 ** genes,)

    def votes(self) -> np.ndarray:
        """The cluster's label after each subset."""
        return np.array([vote(self.labels[codes])[0] for codes in self.codes])


def subsets(n: int) -> list[np.ndarray]:
    return [np.flatnonzero([(mask >> j) & 1 for j in range(n)]) for mask in range(2**n)]


def names(n: int, rng: np.random.Generator) -> np.ndarray:
    """Labels in a random order, one of which is no cell type."""
    return rng.permutation(np.array(["B", "NK", "T", "unknown", "Z"])[:n])


def cell_minimum(case: Case, cell: int) -> int:
    flips = case.codes[:, cell] != case.codes[0, cell]
    return int(case.sizes[flips].min()) if flips.any() else NEVER


def minimum(case: Case, goals: list[str]) -> int:
    reach = np.isin(case.votes(), goals)
    return int(case.sizes[reach].min()) if reach.any() else NEVER


def search(case: Case, goals: list[str], *, quick: bool = False) -> Smallest:
    sets = {tuple(genes): place for place, genes in enumerate(subsets(case.moves.n_genes))}
    votes = case.votes()
    places = [int(np.flatnonzero(case.labels == goal)[0]) for goal in goals]

    def confirm(genes: np.ndarray) -> bool:
        return votes[sets[tuple(sorted(genes.tolist()))]] in goals

    return smallest(case.moves, Race.of(case.moves.codes, list(case.labels), places), confirm, quick=quick)


def flip_goals(case: Case, *, named: bool) -> list[str]:
    now = case.votes()[0]
    return [str(label) for label in case.labels if label != now and (not named or is_named(str(label)))]


def check_bounds(case: Case, rng: np.random.Generator) -> None:
    """The majorant's inequality, for a random m, all cells and all subsets."""
    m, n = int(rng.integers(1, case.moves.n_genes + 1)), case.moves.scores.shape[1]
    k, other = rng.choice(n, 2, replace=False)
    c = pair(int(k), int(other), n) if rng.random() < 0.5 else rng.dirichlet(np.ones(n)) - rng.dirichlet(np.ones(n))
    t, G = case.moves.bound(c, np.arange(len(case.moves.codes)), m)
    assert G.min(initial=0) >= 0
    for genes in subsets(case.moves.n_genes):
        if len(genes) <= m:
            truth = case.moves.scores_with(genes) @ c
            assert np.all(truth <= t + G[:, genes].sum(axis=1) + 1e-9 * (1 + np.abs(truth)))


def check_cells(case: Case, found: Smallest) -> list[bool]:
    """Each cell's interval holds the truth; return for which cells the lower end is the truth."""
    rivals = range(case.moves.scores.shape[1])
    lower, upper, _ = per_cell(case.moves, rivals, found.own.own)
    truth = np.array([cell_minimum(case, cell) for cell in range(len(lower))])
    assert (lower <= truth).all()
    assert ((upper == UNKNOWN) | (upper >= truth)).all()
    return (lower == truth).tolist()


def check_cluster(case: Case, found: Smallest, goals: list[str]) -> tuple[bool, bool]:
    """The interval holds the truth; return whether each end is the truth."""
    truth = minimum(case, goals)
    assert found.lower <= truth
    assert found.lower == NEVER or found.lower <= case.moves.n_genes
    if found.genes is not None:
        assert truth <= len(found.genes)
    else:
        assert case.votes()[-1] not in goals, "all genes together reach a goal, and no set was found"
    for goal, (lower, _) in found.by_goal.items():
        assert lower <= minimum(case, [str(case.labels[goal])])
    return found.lower == truth, (NEVER if found.genes is None else len(found.genes)) == truth


@dataclass
class Tally:
    """What trying all sets of one case said of the proofs."""

    cells: list[bool]  # for each cell whether its lower bound is the truth
    lower: bool  # whether that of the cluster is
    upper: float  # whether the set that was found is a smallest one; NaN: none was looked for


def check_flips(case: Case, seed: int, *, named: bool = False) -> Tally:
    """Every interval and every bound of one case holds."""
    goals = flip_goals(case, named=named)
    found = search(case, goals)
    cells = check_cells(case, found)
    check_bounds(case, np.random.default_rng(seed))
    return Tally(cells, *check_cluster(case, found, goals))


def check_signature(case: Case, seed: int) -> Tally | None:
    """All genes are changed, and a given label must win again; None where it wins already."""
    goal = str(case.labels[np.random.default_rng(seed).integers(len(case.labels))])
    if goal == case.votes()[0]:
        return None
    return Tally([], *check_cluster(case, search(case, [goal]), [goal]))


def tight(tallies: list[Tally]) -> tuple[float, float]:
    """The share of clusters whose lower and whose upper end are the truth."""
    return float(np.mean([t.lower for t in tallies])), float(np.mean([t.upper for t in tallies]))


def check_cell_sets(case: Case) -> list[bool]:
    """Sets that are found for single cells flip them; return which of them are smallest ones."""
    place = {tuple(genes): number for number, genes in enumerate(subsets(case.moves.n_genes))}
    smallest_ones = []
    for cell, code in enumerate(case.moves.codes):
        rivals = [k for k in range(case.moves.scores.shape[1]) if k != code]
        found = smallest_for_cell(case.moves.part(np.array([cell])), rivals, 1)
        if found is not None:
            assert case.codes[place[tuple(found.tolist())], cell] != code
            smallest_ones.append(len(found) == cell_minimum(case, cell))
    return smallest_ones
