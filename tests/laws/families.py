"""Small random cells, and a classifier of every kind that answers its queries in another way."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from importlib.util import find_spec

import numpy as np
import pandas as pd
from anndata import AnnData
from hypothesis import settings
from hypothesis import strategies as st

import adverscarial as adv
from adverscarial.classifiers import Classifier, wrap

N_CELLS, N_GENES = 30, 8
GENES = [f"G{i}" for i in range(N_GENES)]
TYPES = np.array(["B", "NK", "T"])
TARGETS = ["c0", "c1"]
MODIFICATIONS = ["perc1", "perc99", "decile+5", "positive_aberrant", "negative_aberrant", "random", "fixed:2"]

few = settings(max_examples=5, deadline=None, derandomize=True)
seeds = st.integers(0, 10**6)
modifications = st.sampled_from(MODIFICATIONS)


def cells(seed: int) -> AnnData:
    """Cells with ties and zeros, whose types follow their first three genes and whose clusters mostly their types."""
    rng = np.random.default_rng(seed)
    X = np.round(np.maximum(rng.normal(0.5, 1.2, size=(N_CELLS, N_GENES)), 0), 1)
    kind = np.arange(N_CELLS) % 3
    X[np.arange(N_CELLS), kind] += 1.5
    strays = rng.random(N_CELLS) < 0.2
    cluster = np.where(strays, rng.integers(0, 3, N_CELLS), kind)
    cluster[:3] = [0, 1, 2]
    obs = {"cluster": [f"c{k}" for k in cluster], "type": TYPES[kind]}
    return AnnData(X, obs=pd.DataFrame(obs, index=[f"x{i}" for i in range(N_CELLS)]), var=pd.DataFrame(index=GENES))


def bent(X: np.ndarray) -> np.ndarray:
    """Scores that no scorer can take apart: genes help each other."""
    pairs = X[:, :3] + np.tanh(X[:, 3:6] * X[:, [1, 2, 0]]) - 0.7 * X[:, [6, 7, 6]]
    return pairs / (1 + np.abs(pairs).max(axis=1, keepdims=True))


@cache
def classifier(name: str) -> Classifier:
    """Return the classifier of that name, trained once on cells of its own."""
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.neural_network import MLPClassifier

    train, classifiers = cells(10**7), adv.classifiers
    make: dict[str, Callable[[], Classifier]] = {
        "markers": lambda: classifiers.Markers({"B": ["G0", "G3"], "NK": ["G1", "G4"], "T": ["G2"]}, unknown_below=0.9),
        "logistic": lambda: wrap(LogisticRegression().fit(train.X, train.obs["type"]), genes=GENES),
        "perceptron": lambda: wrap(
            MLPClassifier((8, 4), max_iter=300, learning_rate_init=0.01, random_state=0).fit(
                train.X, train.obs["type"]
            ),
            genes=GENES,
        ),
        "forest": lambda: wrap(
            RandomForestClassifier(12, min_samples_leaf=2, random_state=0).fit(train.X, train.obs["type"]), genes=GENES
        ),
        "scMLP": lambda: classifiers.MLP(
            (8, 4), epochs=60, batch_size=8, dropout=0, learning_rate=0.01, balance=None, validation=0, progress=False,
            device="cpu",
        ).fit(train, "type"),
        "CHETAH": lambda: classifiers.Chetah(n_genes=6).fit(train, "type"),
        "function": lambda: wrap(bent, classes=list(TYPES), genes=GENES),
    }  # fmt: skip
    return make[name]()


FAMILIES = ["markers", "logistic", "perceptron", "forest", "CHETAH", "function"]
if find_spec("torch"):  # which trains it
    FAMILIES.append("scMLP")
