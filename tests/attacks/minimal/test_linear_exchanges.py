"""One gene less in a set that flips a cluster: what is returned does flip it, and sets get shorter."""

from __future__ import annotations

import numpy as np

from adverscarial.attacks.minimal.exchanges import Exchanges
from adverscarial.attacks.minimal.race import Race
from adverscarial.attacks.minimal.smooth_votes import median_margin
from adverscarial.classifiers.scorers.linear_moves import LinearMoves


def model(seed: int) -> tuple[LinearMoves, Race]:
    """Nine cells of the first of three labels, and forty genes that move each cell in its own way."""
    rng = np.random.default_rng(seed)
    scores = rng.normal(0, 0.3, (9, 3)) + np.array([3.0, 0.0, 0.0])
    moves = LinearMoves(scores, rng.exponential(0.6, (9, 40)), rng.normal(size=(40, 3)), np.full(9, 10.0))
    return moves, Race.of(moves.codes, ["A", "B", "C"], [1, 2])


def reaches(moves: LinearMoves, race: Race, genes: np.ndarray) -> bool:
    return race.reached(np.argmax(moves.scores_with(genes), axis=1))


def test_sets_that_cannot_spare_a_gene_get_shorter_by_exchanges() -> None:
    shorter = 0
    for seed in range(20):
        moves, race = model(seed)
        order = np.flatnonzero(moves.weights[:, 1] > moves.weights[:, 0])
        genes = moves.thinned(np.random.default_rng(seed).permutation(order), race.rank, np.array([False, True, True]))
        assert reaches(moves, race, genes)
        assert not any(reaches(moves, race, np.delete(genes, place)) for place in range(len(genes)))
        exchanges = Exchanges(moves, race, genes, np.array([-1.0, 1.0, 0.0]), 0.15 * median_margin(moves.scores))
        fewer = exchanges.one_fewer()
        if fewer is not None:
            shorter += 1
            assert len(np.unique(fewer)) == len(genes) - 1
            assert reaches(moves, race, fewer)
    assert shorter > 10


def test_a_single_gene_has_none_to_spare() -> None:
    moves, race = model(0)
    assert Exchanges(moves, race, np.array([3]), np.array([-1.0, 1.0, 0.0]), 1.0).one_fewer() is None
