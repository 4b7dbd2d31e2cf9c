"""A signature of one gene or two is found wherever there is one, and more are proven elsewhere: by all subsets."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from sklearn.ensemble import RandomForestClassifier

import adverscarial as adv
from adverscarial.classifiers.answers import vote

N_GENES, N_CELLS = 7, 24
GENES = [f"G{j}" for j in range(N_GENES)]


def cells_of(seed: int) -> AnnData:
    rng = np.random.default_rng(seed)
    kinds = np.arange(N_CELLS) % 3
    X = rng.poisson(1.0, (N_CELLS, N_GENES)).astype(float)
    X[np.arange(N_CELLS), kinds] += 3
    return AnnData(
        X,
        obs=pd.DataFrame({"type": np.array(list("ABC"))[kinds]}, index=[f"c{k}" for k in range(N_CELLS)]),
        var=pd.DataFrame(index=GENES),
    )


def forest(cells: AnnData, seed: int) -> adv.classifiers.Classifier:
    model = RandomForestClassifier(15, max_depth=3, random_state=seed).fit(cells.X, cells.obs["type"])
    return adv.classifiers.wrap(model, genes=GENES)


def chetah(cells: AnnData, seed: int) -> adv.classifiers.Classifier:
    return adv.classifiers.Chetah(N_GENES - seed % 2, progress=False).fit(cells, "type")


def network(cells: AnnData, seed: int) -> adv.classifiers.Classifier:
    pytest.importorskip("torch")
    settings = {"epochs": 30, "batch_size": 8, "dropout": 0, "learning_rate": 0.01, "balance": None, "validation": 0}
    return adv.classifiers.MLP((6,), seed=seed, progress=False, device="cpu", **settings).fit(cells, "type")


def shortest(cells: AnnData, model: adv.classifiers.Classifier, changed: AnnData, own: np.ndarray) -> int:
    """Return the fewest genes that must keep their values so that the label holds, by trying all sets."""
    baseline = vote(model.predict(cells).to_numpy()[own])[0]
    for size in range(N_GENES + 1):
        for kept in combinations(range(N_GENES), size):
            X = changed.X.copy()
            X[:, kept] = cells.X[:, kept]
            labels = model.predict(AnnData(X, obs=cells.obs, var=cells.var)).to_numpy()[own]
            if vote(labels)[0] == baseline:
                return size
    raise AssertionError("all genes keep their values, so the label holds")


@pytest.mark.fast("forest", "chetah")
@pytest.mark.parametrize("made", [forest, chetah, network])
def test_one_gene_or_two_are_found_where_they_are_enough(made) -> None:
    truths = []
    for seed in range(8):
        cells = cells_of(seed)
        model = made(cells, seed)
        own = (cells.obs["type"] == "A").to_numpy()
        for value in (0, 6):
            result = adv.attacks.MaxChange(f"fixed:{value}")(cells, model, groupby="type", target="A")
            changed = cells.copy()
            changed.X[own] = value
            truth = shortest(cells, model, changed, own)
            assert min(truth, 3) <= result.lower <= truth <= len(result.signature)
            assert len(result.signature) == truth or truth > 2
            truths.append(truth)
    assert len(set(truths)) > 1
