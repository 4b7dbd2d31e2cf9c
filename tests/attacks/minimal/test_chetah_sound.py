"""Bounds for rank correlations, judged by classifying cells with every set of genes changed."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from adverscarial.classifiers import Chetah
from adverscarial.classifiers.scorers.prefixes import NEVER
from adverscarial.classifiers.scorers.rank_bounds import _effects, _most, rho_interval, ties_interval
from adverscarial.classifiers.scorers.ranks import _rho, centred_ranks
from attacks.minimal.brute import cases
from attacks.minimal.known_needs import Known, check_needs, random_values, tried, typed_cells

CASES = cases(100)


def chetah_case(seed: int) -> Known:
    """A small tree trained on random cells, and a cluster of one to four."""
    rng = np.random.default_rng(seed)
    X, kinds = random_values(rng, 40, (5, 8), decimals=2)
    X[np.arange(40), kinds] += 2
    train = typed_cells(X, kinds)
    model = Chetah(n_genes=X.shape[1] - int(rng.integers(0, 2)), threshold=float(rng.choice([0.01, 0.1, 0.5])))
    return tried(model.fit(train, "type"), train, rng)


@pytest.mark.slow
def test_no_cell_and_no_cluster_gets_a_label_with_fewer_genes() -> None:
    known = [chetah_case(seed) for seed in range(CASES)]
    tallies = [check_needs(case, seed) for seed, case in enumerate(known)]
    assert np.mean([tally.lower for tally in tallies]) > 0.2
    assert np.mean([cell for tally in tallies for cell in tally.cells]) > 0.3
    assert any(((case.needs.own > 2) & (case.needs.own < NEVER)).any() for case in known)


@pytest.mark.slow
def test_correlations_stay_in_their_intervals() -> None:
    """The two steps of the proof, each for every set of genes of random values with ties."""
    for seed in range(2 * CASES):
        rng = np.random.default_rng(seed)
        n = int(rng.integers(3, 9))
        v, w = (rng.integers(0, int(rng.integers(2, 12)), n).astype(float) for _ in range(2))
        a = centred_ranks(rng.integers(0, 9, n).astype(float))
        moving = np.flatnonzero(v != w)
        product, alone, between = _effects(v, w, moving, a)
        assert product == a @ centred_ranks(v)
        for m in range(1, len(moving) + 1):
            high = product + _most(alone, between[:, 1], m)
            low = product - _most(-alone, -between[:, 0], m)
            fewest, most = ties_interval(v, w, moving, m)
            bottom, top = rho_interval(low, high, fewest, most, int(a @ a), n)
            for chosen in (set_ for size in range(m + 1) for set_ in combinations(moving, size)):
                x = v.copy()
                x[list(chosen)] = w[list(chosen)]
                counts = np.unique(x, return_counts=True)[1]
                ties, p = int((counts**3 - counts).sum()), int(a @ centred_ranks(x))
                assert low <= p <= high
                assert fewest <= ties <= most
                assert bottom <= _rho(p, ties, int(a @ a), n) <= top
