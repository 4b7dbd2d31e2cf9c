"""Proofs about dense networks, judged by trying all sets of genes of tiny random networks."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from adverscarial.attacks.minimal.own_sets import OwnSets
from adverscarial.attacks.minimal.race import Race
from adverscarial.classifiers.scorers.moves import pair
from adverscarial.classifiers.scorers.prefixes import NEVER
from adverscarial.classifiers.scorers.relu_moves import ReluMoves
from attacks.minimal.brute import Case, cases, check_cell_sets, check_flips, names, subsets, tight

CASES = cases(60)


def network_case(seed: int) -> Case:
    rng = np.random.default_rng(seed)
    n_cells, n_genes, n_labels = int(rng.integers(1, 5)), int(rng.integers(2, 8)), int(rng.integers(2, 5))
    widths = [int(w) for w in rng.integers(2, 6, rng.integers(1, 4))] + [n_labels]
    first = rng.normal(size=(n_genes, widths[0]))
    layers = [(rng.normal(size=(a, b)), 0.3 * rng.normal(size=b)) for a, b in itertools.pairwise(widths)]
    if seed % 3 == 0:  # whole numbers: ties, and sums of exactly 0
        first, layers = np.rint(first), [(np.rint(W), np.rint(b)) for W, b in layers]
    sums, steps = np.round(rng.normal(size=(n_cells, widths[0]))), np.round(rng.normal(size=(n_cells, n_genes)), 1)
    moves = ReluMoves(sums, steps, first, layers, None, tolerance=2e-9, margin=1e-6)
    sets = subsets(n_genes)
    codes = np.array([np.argmax(moves.scores_with(genes), axis=1) for genes in sets])
    return Case(moves, names(n_labels, rng), codes, np.array([len(genes) for genes in sets]))


@pytest.mark.fast("False")
@pytest.mark.parametrize("named", [False, True])
def test_intervals_of_flips_hold_the_truth(named: bool) -> None:
    tallies = [check_flips(network_case(seed), seed, named=named) for seed in range(CASES)]
    assert min(tight(tallies)) > 0.5


def test_effects_are_the_gradient_times_the_steps() -> None:
    tiny, fewer = 1e-6, set()
    for moves in (network_case(seed).moves for seed in range(1, 40) if seed % 3):
        if (moves._A == 0).any():
            continue  # a ReLU at its kink has no gradient
        omega = np.random.default_rng(0).normal(size=moves.scores.shape)
        fewer.add(len(moves.codes) < moves._A.shape[1])
        for gene, effect in enumerate(moves.effects(omega)):
            sums = moves._A + tiny * moves._steps[:, [gene]] * moves._first[gene]
            change = (omega * (moves._above(sums) - moves.scores)).sum() / tiny
            assert change == pytest.approx(effect, rel=1e-4, abs=1e-6)
    assert fewer == {True, False}  # fewer cells than units, and not


def test_proofs_end_where_time_is_over() -> None:
    proven = []
    for case in map(network_case, range(CASES)):
        race, turns = Race.of(case.moves.codes, list(case.labels), []), iter([True, True])
        whole = OwnSets(case.moves, race).own
        cut = OwnSets(case.moves, race, True, lambda turns=turns: next(turns, False)).own
        others = np.arange(race.n_labels) != case.moves.codes[:, None]
        assert (cut[~others] == NEVER).all()
        assert (cut <= whole).all()
        assert (cut[others] > 1).sum() <= 2
        proven.append((whole[others] > 1).sum())
    assert max(proven) > 2


def test_what_is_left_unproven_lowers_no_bound() -> None:
    """The nearest label of each cell, and the smallest bound of a cluster, are no worse than with all proofs."""
    left, raised = 0, 0
    for seed in range(CASES):
        case = network_case(seed)
        moves, n = case.moves, case.moves.scores.shape[1]
        race = Race.of(moves.codes, list(case.labels), [])
        own, whole = OwnSets(moves, race), OwnSets(moves, race, False)
        for cell, rival in np.ndindex(len(moves.codes), n):
            label = int(moves.codes[cell])
            if rival != label:
                c = pair(rival, label, n)
                needed = moves.fewest(c, np.array([cell]), strict=rival > label)[0]
                whole.own[cell, rival] = whole.joins[rival][cell] = max(needed, 1)
        assert (own.leave >= whole.leave).all()
        goals = [k for k in range(n) if k != race.winner(race.codes)]
        left += int(own._rough.sum())
        while own.raised(min(goals, key=lambda k: own.lower(k)[0]), lambda: True):
            raised += 1
        assert min(own.lower(k)[0] for k in goals) >= min(whole.lower(k)[0] for k in goals)
    assert min(left, raised) > 0


def test_sets_of_single_cells_flip_them() -> None:
    assert np.mean([smallest for seed in range(CASES) for smallest in check_cell_sets(network_case(seed))]) > 0.9


def test_genes_that_were_changed_do_nothing_any_more() -> None:
    """The steps that are given are shared: what is left of them is what a copy without those genes says."""
    for seed in range(30):
        moves, rng = network_case(seed).moves, np.random.default_rng(seed)
        given = moves._steps.copy()
        gone = rng.permutation(moves.n_genes)[: rng.integers(1, moves.n_genes)]
        left = moves.changed(gone[:1]).changed(gone)
        steps, omega = given.copy(), rng.normal(size=moves.scores.shape)
        steps[:, gone] = 0.0
        sums = moves._A + given[:, gone] @ moves._first[gone]
        fresh = ReluMoves(sums, steps, moves._first, moves._layers, None, tolerance=2e-9, margin=1e-6)
        np.testing.assert_allclose(left.scores, fresh.scores, rtol=1e-9, atol=1e-12)
        every = np.arange(moves.n_genes)
        np.testing.assert_allclose(left.scores_with(every), fresh.scores_with(every), rtol=1e-9, atol=1e-12)
        if not (np.abs(sums) < 1e-9).any() and not (np.abs(left._A) < 1e-9).any():  # where a ReLU has its kink
            np.testing.assert_allclose(left.effects(omega), fresh.effects(omega), rtol=1e-7, atol=1e-9)
        assert (left._steps == steps).all()
        assert (left.effects(omega)[gone] == 0).all()
        assert (moves._steps == given).all()
