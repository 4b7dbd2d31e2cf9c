"""Bounds for z-scores over all cells, judged by classifying the changed cells from scratch for all sets of genes."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData

from adverscarial.cells.cluster import Cluster
from adverscarial.classifiers import ScAnnotatR
from attacks.minimal.brute import Case, cases, check_flips, subsets, tight

CASES = cases(40)


def scannotatr_case(seed: int) -> Case:
    """A few types with random machines, and a cluster among other cells; every third seed has steep probabilities."""
    rng = np.random.default_rng(seed)
    n_genes, n_types, n_cells = int(rng.integers(2, 7)), int(rng.integers(1, 4)), int(rng.integers(1, 5))
    genes = [f"G{j}" for j in range(n_genes)]
    X = np.round(np.maximum(rng.normal(0.5, 1.5, (n_cells + int(rng.integers(4, 9)), n_genes)), 0))
    obs = pd.DataFrame({"c": ["a"] * n_cells + ["b"] * (len(X) - n_cells)}, index=[f"x{i}" for i in range(len(X))])
    adata = AnnData(X, obs=obs, var=pd.DataFrame(index=genes))
    steep = 40.0 if seed % 3 == 0 else 1.5
    model = ScAnnotatR.from_models(
        {
            "cell_type": f"{'TBK'[t]}", "feature_order": genes, "center": np.zeros(n_genes), "scale": np.ones(n_genes),
            "w": np.round(rng.normal(size=n_genes), 1), "b": float(np.round(rng.normal(), 1)), "platt_A": steep,
            "platt_B": 0.0, "p_thres": 0.5 if seed % 2 else 0.8,
        }
        for t in range(n_types)
    )  # fmt: skip
    scorer = model.scorer(Cluster(adata, "c", "a"))
    new = np.round(np.maximum(rng.normal(1, 2, (n_cells, n_genes)), 0))
    moves = scorer.moves(np.arange(n_genes), new)
    assert moves is not None
    sets, codes = subsets(n_genes), []
    for chosen in sets:
        changed = adata.copy()
        changed.X[np.ix_(range(n_cells), chosen)] = new[:, chosen]
        labels = model.predict(changed).to_numpy()[:n_cells]
        codes.append([moves.labels.tolist().index(label) for label in labels])
    return Case(moves, moves.labels, np.array(codes), np.array([len(chosen) for chosen in sets]))


@pytest.mark.slow
@pytest.mark.parametrize("named", [False, True])
def test_intervals_of_flips_hold_the_truth(named: bool) -> None:
    tallies = [check_flips(scannotatr_case(seed), seed, named=named) for seed in range(CASES)]
    assert min(tight(tallies)) > 0.6
    assert max(tight([t for seed, t in enumerate(tallies) if seed % 3])) > 0.9


@pytest.mark.parametrize("seed", [1000248, 1000458, 1001190])
def test_a_set_is_found_where_rounded_probabilities_decide(seed: int) -> None:
    """All genes together flip the cluster, by ties of probabilities that its sums do not show."""
    case = scannotatr_case(seed)
    assert case.votes()[-1] != case.votes()[0]
    assert check_flips(case, seed) is not None


def test_thresholds_that_differ_and_parents_prove_nothing() -> None:
    parts = {
        "feature_order": ["G"],
        "center": [0.0],
        "scale": [1.0],
        "w": [1.0],
        "b": 0.0,
        "platt_A": 1.0,
        "platt_B": 0.0,
    }
    cells = AnnData(np.array([[0.0], [1.0], [2.0]]), obs=pd.DataFrame({"c": list("aab")}, index=list("xyz")))
    cells.var_names = ["G"]
    for second in ({"p_thres": 0.9}, {"parent": "T"}):
        model = ScAnnotatR.from_models([{"cell_type": "T", **parts}, {"cell_type": "B", **parts, **second}])
        scorer = model.scorer(Cluster(cells, "c", "a"))
        assert scorer.moves(np.array([0]), np.array([[3.0]])) is None
