"""Bounds for rank correlations, judged by classifying cells with every set of genes changed."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData

from adverscarial.attacks.minimal.own_sets import fewest_to_win
from adverscarial.attacks.minimal.race import Race
from adverscarial.cells.cluster import Cluster
from adverscarial.classifiers import Chetah
from adverscarial.classifiers.answers import vote
from adverscarial.classifiers.scorers.needs import Needs
from adverscarial.classifiers.scorers.prefixes import NEVER
from adverscarial.classifiers.scorers.rank_bounds import _effects, _most, rho_interval, ties_interval
from adverscarial.classifiers.scorers.ranks import _rho, centred_ranks
from attacks.minimal.brute import Tally, cases, subsets

CASES = cases(100)


@dataclass
class Known:
    """What is proven of one cluster, and what is true."""

    needs: Needs
    labels: np.ndarray  # (sets, cells): of each cell after each set
    sizes: np.ndarray  # of the sets


def chetah_case(seed: int) -> Known:
    """A small tree trained on random cells, and a cluster of one to four."""
    rng = np.random.default_rng(seed)
    n_genes, n_types = int(rng.integers(5, 8)), int(rng.integers(2, 5))
    genes = [f"G{j}" for j in range(n_genes)]
    kinds = np.arange(40) % n_types
    X = np.round(np.maximum(rng.normal(0.5, 1, (40, n_genes)), 0), int(rng.integers(0, 2)))
    X[np.arange(40), kinds] += 2
    obs = pd.DataFrame({"type": np.array(list("ABCD"))[kinds]}, index=[f"x{i}" for i in range(40)])
    train = AnnData(X, obs=obs, var=pd.DataFrame(index=genes))
    model = Chetah(n_genes=n_genes - int(rng.integers(0, 2)), threshold=float(rng.choice([0.01, 0.1, 0.5]))).fit(
        train, "type"
    )
    cells = train[:6].copy()
    n = int(rng.integers(1, 5))
    cells.obs["c"] = ["a"] * n + ["b"] * (6 - n)
    cluster = Cluster(cells, "c", "a")
    scorer = model.scorer(cluster)
    read = np.flatnonzero(scorer.reads(np.arange(n_genes)))
    new = np.round(np.maximum(rng.normal(1, 2, (n, len(read))), 0))
    found = scorer.needs(read, new)
    sets = subsets(len(read))
    changed = np.repeat(cluster.values(np.arange(n_genes))[None], len(sets), axis=0)
    for place, chosen in enumerate(sets):
        changed[place][:, read[chosen]] = new[:, chosen]
    columns = model.align(pd.Index(genes))
    labels = model.decide(changed.reshape(-1, n_genes)[:, columns]).labels.reshape(len(sets), n)
    return Known(found, labels, np.array([len(chosen) for chosen in sets]))


def check_needs(known: Known, seed: int) -> Tally:
    """No cell and no cluster gets a label with fewer genes than are proven to be needed."""
    needs, tight_cells = known.needs, []
    for cell, code in enumerate(needs.codes):
        assert needs.labels[code] == known.labels[0, cell]
        for place, label in enumerate(needs.labels):
            if place != code:
                truth = smallest_of(known.sizes, known.labels[:, cell] == label)
                assert 1 <= needs.fewest[cell, place] <= truth
                tight_cells.append(bool(needs.fewest[cell, place] == truth))
    votes, names = np.array([vote(row)[0] for row in known.labels]), [str(label) for label in needs.labels]
    race, leave, bounds = Race.of(needs.codes, names, []), needs.own.min(axis=1), [(NEVER, NEVER)]
    for goal, label in enumerate(names):
        if label != votes[0]:
            lower, _ = fewest_to_win(race, leave, needs.own[:, goal], goal)
            truth = smallest_of(known.sizes, votes == label)
            assert lower <= truth
            bounds.append((lower, truth))
    lower, truth = np.min(bounds, axis=0)
    return Tally(tight_cells, bool(lower == truth), float("nan"))


def smallest_of(sizes: np.ndarray, which: np.ndarray) -> int:
    return int(sizes[which].min()) if which.any() else NEVER


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
