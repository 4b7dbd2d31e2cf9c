"""Bounds for SingleR, judged by asking the package about cells with every set of genes changed."""

from __future__ import annotations

import numpy as np
import pytest

from adverscarial.classifiers import SingleR
from adverscarial.classifiers.scorers.prefixes import NEVER
from attacks.minimal.brute import cases
from attacks.minimal.known_needs import Known, check_needs, random_values, tried, typed_cells

pytest.importorskip("singler")

CASES = cases(60)


def singler_case(seed: int) -> Known:
    """A small reference of random cells, and a cluster of one to four; up to seven of its genes can change."""
    rng = np.random.default_rng(seed)
    X, kinds = random_values(rng, 30, (8, 60), decimals=3)
    n_genes, n_types = X.shape[1], kinds.max() + 1
    for kind in range(n_types):
        X[np.ix_(kinds == kind, np.arange(n_genes) % n_types == kind)] += rng.uniform(0, 3)
    X[:, 0] = kinds  # so that some gene tells the types apart
    train = typed_cells(X, kinds)
    model = SingleR(
        fine_tune=bool(rng.integers(2)), fine_tune_threshold=float(rng.choice([0.0, 0.05, 0.3])),
        quantile=float(rng.choice([0.5, 0.8, 1.0])),
    ).fit(train, "type")  # fmt: skip
    return tried(model, train, rng, most=7)


@pytest.mark.slow
def test_no_cell_and_no_cluster_gets_a_label_with_fewer_genes() -> None:
    known = [singler_case(seed) for seed in range(CASES)]
    tallies = [check_needs(case, seed) for seed, case in enumerate(known)]
    own = np.concatenate([case.needs.own.min(axis=1) for case in known])
    assert (own == 1).any()
    assert ((own > 2) & (own < NEVER)).any()
    assert np.mean([cell for tally in tallies for cell in tally.cells]) > 0.3
