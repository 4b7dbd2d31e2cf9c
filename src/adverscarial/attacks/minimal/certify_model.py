"""Certificates of trees and networks: a claim, and what tells the classifier and the cells from all others.

Their checker proves the bound anew from the classifier itself, so no step of the proof is written down.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from adverscarial.attacks.minimal.movable import Movable
from adverscarial.attacks.minimal.own_sets import OwnSets, fewest_to_win
from adverscarial.attacks.minimal.race import Race
from adverscarial.cells.cluster import Cluster
from adverscarial.classifiers.plain import Plain, fingerprint
from adverscarial.classifiers.scorers.moves import Moves, pair
from adverscarial.classifiers.scorers.relu_moves import ReluMoves

FORMAT = 2


def by_model(plain: Plain, cluster: Cluster, found: Movable) -> dict[str, object]:
    """Return the parts of a certificate that tell which classifier, which cells and which new values are meant."""
    old = cluster.values(cluster.positions(plain.genes))
    new = np.broadcast_to(found.values, (cluster.n_cells, len(found.genes)))
    return {
        "format": FORMAT,
        "form": plain.form,
        "labels": plain.labels,
        "genes": cluster.gene_names[found.genes].tolist(),
        "fingerprints": {"model": fingerprint(plain), "old": fingerprint(old), "new": fingerprint(new)},
    }


def largest_bound(moves: Moves, race: Race, at_most: int) -> int:
    """Return the largest bound, at most `at_most`, that the checker can be expected to prove as well.

    It does for each number of genes what is done here: no bounds for more genes are tried for networks.
    """
    if at_most <= 2 or not moves.n_genes:
        return at_most
    if not isinstance(moves, ReluMoves):
        return _of_own_sets(moves, race, at_most)
    return next((m + 1 for m in range(at_most - 1, 1, -1) if _refuted(moves, race, m)), 2)


def _of_own_sets(moves: Moves, race: Race, at_most: int) -> int:
    own = OwnSets(moves, race)
    for goal in race.goals:
        if own.lower(goal)[0] < at_most:
            own.beat_all(goal, at_most - 1)
    lower = min((own.lower(goal)[0] for goal in race.goals), default=at_most)
    return max(2, min(at_most, lower))  # a bound of 2 is known from trying every gene alone


def _refuted(moves: ReluMoves, race: Race, m: int) -> bool:
    """Return whether no set of at most `m` genes lets a goal win, by lines that are drawn for `m` genes."""
    codes, n = race.codes, race.n_labels
    own = np.ones((len(codes), n), dtype=np.int64)  # m + 1 stands for all larger numbers
    for label in np.unique(codes):
        cells = np.flatnonzero(codes == label)
        for rival in range(n):
            if rival != label:
                own[cells, rival] += m * moves.need_more(pair(rival, int(label), n), cells, m)
    own[np.arange(len(codes)), codes] = m + 1
    return all(_lost(moves, race, own.min(axis=1), own[:, goal], goal, m) for goal in race.goals)


def _lost(moves: ReluMoves, race: Race, leave: np.ndarray, join: np.ndarray, goal: int, m: int) -> bool:
    """Return whether a goal cannot win; where need be, it is asked to beat every other label, too."""
    others = _others(race, goal)
    for other in [goal, *others]:
        if other != goal:
            cells = np.flatnonzero((join <= m) & (race.codes != goal) & (race.codes != other))
            join = join.copy()
            join[cells] += m * moves.need_more(pair(goal, other, race.n_labels), cells, m)
        if fewest_to_win(race, leave, join, goal)[0] > m:
            return True
    return False


def _others(race: Race, goal: int) -> Sequence[int]:
    return [k for k in range(race.n_labels) if k != goal]
