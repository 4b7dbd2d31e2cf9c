"""What a classifier's bounds prove of a cluster, and what is true: all sets of genes are tried."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from anndata import AnnData

from adverscarial.attacks.minimal.own_sets import fewest_to_win
from adverscarial.attacks.minimal.race import Race
from adverscarial.cells.cluster import Cluster
from adverscarial.classifiers.answers import vote
from adverscarial.classifiers.scorers.needs import Needs
from adverscarial.classifiers.scorers.prefixes import NEVER
from attacks.minimal.brute import Tally, subsets


@dataclass
class Known:
    """What is proven of one cluster, and what is true."""

    needs: Needs
    labels: np.ndarray  # (sets, cells): of each cell after each set
    sizes: np.ndarray  # of the sets


def random_values(
    rng: np.random.Generator, n_cells: int, n_genes: tuple[int, int], decimals: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return values of random cells, cells x genes, rounded so that some tie, and the number of each cell's type."""
    genes, n_types = int(rng.integers(*n_genes)), int(rng.integers(2, 5))
    X = np.round(np.maximum(rng.normal(0.5, 1, (n_cells, genes)), 0), int(rng.integers(0, decimals)))
    return X, np.arange(n_cells) % n_types


def typed_cells(X: np.ndarray, kinds: np.ndarray) -> AnnData:
    """Return cells whose types are called A, B, ..."""
    obs = pd.DataFrame({"type": np.array(list("ABCD"))[kinds]}, index=[f"x{i}" for i in range(len(X))])
    return AnnData(X, obs=obs, var=pd.DataFrame(index=[f"G{j}" for j in range(X.shape[1])]))


def tried(model, train: AnnData, rng: np.random.Generator, most: int | None = None) -> Known:
    """Try every set of the genes that a model reads, or of `most` of them, on a cluster of one to four cells."""
    cells, n_genes = train[:6].copy(), train.n_vars
    n = int(rng.integers(1, 5))
    cells.obs["c"] = ["a"] * n + ["b"] * (6 - n)
    cluster = Cluster(cells, "c", "a")
    scorer = model.scorer(cluster)
    read = np.flatnonzero(scorer.reads(np.arange(n_genes)))
    if most is not None:
        read = np.sort(rng.choice(read, min(most, len(read)), replace=False))
    new = np.round(np.maximum(rng.normal(1, 2, (n, len(read))), 0))
    found = scorer.needs(read, new)
    sets = subsets(len(read))
    changed = np.repeat(cluster.values(np.arange(n_genes))[None], len(sets), axis=0)
    for place, chosen in enumerate(sets):
        changed[place][:, read[chosen]] = new[:, chosen]
    columns = model.align(train.var_names)
    labels = model.decide(changed.reshape(-1, n_genes)[:, columns]).labels.reshape(len(sets), n).astype(str)
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
