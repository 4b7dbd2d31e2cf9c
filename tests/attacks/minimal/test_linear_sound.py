"""Proofs about weighted sums, judged by trying all sets of genes of tiny random models."""

from __future__ import annotations

import itertools
from math import comb

import numpy as np
import pytest

from adverscarial.attacks.minimal import exact as exact_programs
from adverscarial.attacks.minimal import few_left
from adverscarial.attacks.minimal.own_sets import OwnSets
from adverscarial.attacks.minimal.race import Race
from adverscarial.attacks.minimal.search import Time, smallest
from adverscarial.attacks.minimal.shared_set import refuted
from adverscarial.classifiers.scorers.linear_branches import largest_behind, next_set
from adverscarial.classifiers.scorers.linear_moves import LinearMoves
from adverscarial.classifiers.scorers.linear_votes import combination_reaching, combinations_above
from adverscarial.classifiers.scorers.linear_votes import winner as winner_of
from attacks.minimal.brute import (
    Case,
    cases,
    check_flips,
    check_signature,
    minimum,
    names,
    subsets,
    tight,
)

CASES = cases(100)  # of each kind


def linear_case(seed: int, *, signature: bool = False) -> Case:
    """A model with few cells: whole numbers and many ties, or real ones, or steps that differ little between cells."""
    rng = np.random.default_rng(seed)
    n_cells, n_genes, n_labels = rng.integers(1, 7), rng.integers(2, 8), rng.integers(2, 6)
    if seed % 3:
        weights, steps = rng.normal(size=(n_genes, n_labels)), rng.normal(0.3, 1, size=(n_cells, n_genes))
        scores = rng.normal(0, 1.5, size=(n_cells, n_labels))
        if seed % 3 == 2:
            steps = rng.normal(size=(1, n_genes)) + 0.1 * steps
            scores[:, 0] += 1.0
    else:
        weights, steps = rng.integers(-2, 3, (n_genes, n_labels)), rng.integers(-2, 3, (n_cells, n_genes))
        scores = rng.integers(-3, 4, (n_cells, n_labels)).astype(float)
    scores, steps, weights = np.round(scores, 1), steps.astype(float), weights.astype(float)
    if n_labels == 2 and seed % 2:  # one sum, as a binary machine has
        scores, weights = scores[:, :1], weights[:, :1]
    moves = LinearMoves(scores, steps, weights, np.abs(scores).max(axis=1) + 1)
    if signature:
        moves = LinearMoves(moves.scores + steps @ moves.weights, -steps, moves.weights, moves.size + 10)
    sets = subsets(n_genes)
    codes = np.array([np.argmax(moves.scores_with(genes), axis=1) for genes in sets])
    codes[0] = moves.codes
    return Case(moves, names(moves.scores.shape[1], rng), codes, np.array([len(genes) for genes in sets]))


@pytest.mark.slow
@pytest.mark.parametrize("named", [False, True])
def test_intervals_of_flips_hold_the_truth(named: bool) -> None:
    tallies = [check_flips(linear_case(seed), seed, named=named) for seed in range(CASES)]
    assert min(tight(tallies)) > 0.85
    assert np.mean([cell for t in tallies for cell in t.cells]) > 0.99  # all but where rounding could decide a tie


@pytest.mark.slow
def test_intervals_of_signatures_hold_the_truth() -> None:
    tried = [check_signature(linear_case(seed, signature=True), seed) for seed in range(CASES)]
    tallies = [tally for tally in tried if tally is not None]
    assert len(tallies) > CASES / 2
    assert min(tight(tallies)) > 0.7


@pytest.mark.slow
def test_no_size_is_refuted_at_which_a_set_exists() -> None:
    refutations = 0
    for seed in range(CASES):
        case = linear_case(seed)
        race = Race.of(case.moves.codes, list(case.labels), [])
        loser, own = race.winner(race.codes), OwnSets(case.moves, race)
        for winner in range(race.n_labels):
            truth = minimum(case, [str(case.labels[winner])]) if winner != loser else 0
            for m in range(1, case.moves.n_genes + 1) if winner != loser else ():
                if refuted(own, winner, loser, m, mixtures=[], go_on=lambda: True):
                    refutations += 1
                    assert m < truth
    assert refutations > CASES


@pytest.mark.fast("at once")
@pytest.mark.parametrize("how", ["at once", "by a bound", "by branches"])
def test_a_size_is_closed_only_if_no_smallest_set_has_it(monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    """By all combinations of all genes, by those that a bound leaves (some must be left out by it), or by branches."""
    if how != "at once":
        monkeypatch.setattr(few_left, "_AT_ONCE", 0)
        monkeypatch.setattr(few_left, "_HOPE", 10)
    if how == "by branches":
        monkeypatch.setattr(few_left, "_tightest", lambda *_: None)
    tried, closed, given, fewer = 0, 0, 0, []

    def counting(
        own: OwnSets, winner: int, genes: np.ndarray, gained: np.ndarray, least: float, m: int
    ) -> few_left.Tried:
        every = comb(own.moves.n_genes, m)
        fewer.append(combinations_above(gained, m, least, every) < every)
        return combined(own, winner, genes, gained, least, m)

    branched, branch = [], few_left._branched
    monkeypatch.setattr(few_left, "_branched", lambda *given: branched.append(branch(*given)) or branched[-1])
    combined = few_left._combined
    monkeypatch.setattr(few_left, "_combined", counting)
    for seed in range(CASES // 2):
        case = linear_case(seed)
        race = Race.of(case.moves.codes, list(case.labels), [])
        loser, own, votes = race.winner(race.codes), OwnSets(case.moves, race), case.votes()
        for winner, m in itertools.product(range(race.n_labels), range(1, case.moves.n_genes + 1)):
            goal = str(case.labels[winner])
            found = few_left.tried(own, winner, loser, m, mixtures=[], go_on=lambda: True) if winner != loser else None
            if found is None:
                continue
            tried += 1
            if found.genes is None:
                closed += 1
                assert minimum(case, [goal]) != m
            else:
                assert len(found.genes) == m
                place = [tuple(genes) for genes in subsets(case.moves.n_genes)].index(tuple(found.genes.tolist()))
                given += votes[place] == goal
    assert min(closed, given) > CASES / 2
    assert how != "by a bound" or sum(fewer) > CASES / 2
    assert how != "by branches" or sum(outcome is not None for outcome in branched) > CASES
    assert given > 0.9 * (tried - closed)  # all but where rounding could decide


def test_mixtures_hold_in_each_cell() -> None:
    for seed in range(CASES):
        case = linear_case(seed)
        rng = np.random.default_rng(seed)
        own = OwnSets(case.moves, Race.of(case.moves.codes, list(case.labels), []))
        for goal in range(own.race.n_labels):
            own.beat_all(goal, case.moves.n_genes)
            mixture = rng.random(own.race.n_labels)
            mixture[goal] = 0
            own.beat_mixture(goal, mixture, case.moves.n_genes)
            for cell, lower in enumerate(own.joins[goal]):
                reach = case.codes[:, cell] == goal
                assert not reach.any() or lower <= case.sizes[reach].min()


@pytest.mark.parametrize("seed", range(20))
def test_branches_give_every_set_that_wins_enough_votes_and_no_other(seed: int) -> None:
    rng = np.random.default_rng(seed)
    n, m, ends = int(rng.integers(4, 9)), int(rng.integers(1, 4)), np.array([2, 3, 6])  # three votes of 2, 1 and 3 rows
    coefficients = np.round(rng.random((n, 6)) * 2 / m, 2).astype(np.float32)
    behind = largest_behind(coefficients, m)
    for start, size in itertools.product(range(n + 1), range(m + 1)):
        largest = -np.sort(-coefficients[start:].astype(float), axis=0)[:size].sum(axis=0)
        np.testing.assert_allclose(behind[start, size], largest, rtol=1e-5)
    for need in (1, 2, 3):

        def wins(some: tuple[int, ...], need: int = need) -> bool:
            rows = coefficients[list(some)].astype(float).sum(axis=0) >= 1
            return sum(bool(part.all()) for part in (rows[:2], rows[2:3], rows[3:])) >= need

        expected = [list(some) for some in itertools.combinations(range(n), m) if wins(some)]
        found, last = [], np.empty(0, dtype=np.int64)
        while len(last := next_set(coefficients, behind, ends, need, last, 10**6)[0]):
            found.append(last.tolist())
        assert found == expected
        some = few_left._in_some_set(np.ascontiguousarray(coefficients.T), ends, need, m)
        assert {gene for genes in expected for gene in genes} <= set(some.tolist())
        none, looked = next_set(coefficients, behind, ends, need, last, 1)
        assert (len(none), looked) == (0, 1) or m == 1


@pytest.mark.parametrize("seed", range(20))
def test_combinations_are_counted_and_tried_as_far_as_they_gain_enough(seed: int) -> None:
    rng = np.random.default_rng(seed)
    n, r = int(rng.integers(3, 8)), int(rng.integers(1, 4))
    gained = -np.sort(-rng.integers(0, 5, n).astype(float))
    steps, weights = rng.integers(-2, 3, (n, 4)).astype(float), rng.integers(-2, 3, (n, 3)).astype(float)
    scores, rank, least = rng.integers(-4, 5, (4, 3)).astype(float), np.arange(3), float(rng.integers(0, 8))
    kept = [list(some) for some in itertools.combinations(range(n), r) if gained[list(some)].sum() >= least]
    assert combinations_above(gained, r, least, 10**6) == len(kept)
    assert combinations_above(gained, r, least, 2) == min(2, len(kept))
    wins = [some for some in kept if winner_of(scores + steps[some].T @ weights[some], rank) == 1]
    found, chosen = combination_reaching(scores, steps, weights, np.zeros(4), rank, 1, r, gained, least)
    assert found == bool(wins)
    assert not found or chosen.tolist() in wins


@pytest.mark.slow
def test_without_effort_a_size_is_left_open_or_closed_as_with_it() -> None:
    left = 0
    for seed in range(CASES // 2):
        case = linear_case(seed)
        race = Race.of(case.moves.codes, list(case.labels), [])
        loser, own = race.winner(race.codes), OwnSets(case.moves, race)
        for winner, m in itertools.product(range(race.n_labels), range(1, case.moves.n_genes + 1)):
            if winner == loser:
                continue
            usual, idle = (
                few_left.tried(own, winner, loser, m, mixtures=[], go_on=lambda: True, effort=effort)
                for effort in (1.0, 0.0)
            )
            left += usual is not None and idle is None
            if idle is not None:
                assert minimum(case, [str(case.labels[winner])]) != m or idle.genes is not None
    assert left > CASES


@pytest.mark.fast(1)
@pytest.mark.parametrize(
    ("exact", "left", "limits"),
    [("auto", np.inf, {None}), (True, np.inf, {60.0}), ("auto", 7.0, {7.0}), (True, 7.0, {7.0})],
)
def test_the_solver_is_told_how_long_it_may_take(
    exact: bool | str, left: float, limits: set[float | None], monkeypatch: pytest.MonkeyPatch
) -> None:
    told, solve = set(), exact_programs.milp

    def noted(*args, options: dict[str, object], **others):
        told.add(options.get("time_limit"))
        return solve(*args, options=options, **others)

    monkeypatch.setattr(exact_programs, "milp", noted)
    for seed in range(25):
        case = linear_case(seed)
        votes = case.votes()[0]
        goals = [k for k, label in enumerate(case.labels) if label != votes]
        race = Race.of(case.moves.codes, list(case.labels), goals)
        smallest(case.moves, race, lambda _: False, exact=exact, time=Time(left=lambda: left))
    assert told == limits
