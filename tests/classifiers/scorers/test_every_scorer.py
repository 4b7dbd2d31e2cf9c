"""The law of scorers for every family at once: random clusters, genes and values, against classifying from scratch."""

from __future__ import annotations

import math
from functools import cache

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from hypothesis import given, settings
from hypothesis import strategies as st

import adverscarial as adv
import needs
from classifiers.scorer_law import check_scorer_law

N_CELLS, N_GENES = 36, 14
GENES = [f"G{i}" for i in range(N_GENES)]
TYPES = np.array(["B", "NK", "T"])


@cache
def values(dtype: str) -> np.ndarray:
    """Values with ties, a constant gene and a gene of zeros."""
    rng = np.random.default_rng(7)
    X = np.round(rng.normal(1, 1.5, size=(N_CELLS, N_GENES)), 1)
    X[:, 3], X[:, 4] = 2.0, 0.0
    X[np.arange(N_CELLS), np.arange(N_CELLS) % 3] += 2
    return X.astype(dtype)


def cells(seed: int, dtype: str) -> AnnData:
    """The same values in clusters drawn anew; one cluster has one cell."""
    clusters = np.random.default_rng(seed).choice(["c0", "c1", "c2"], N_CELLS).astype(object)
    clusters[:4] = ["c0", "c1", "c2", "lone"]
    obs = pd.DataFrame(
        {"cluster": clusters, "type": TYPES[np.arange(N_CELLS) % 3]}, index=[f"x{i}" for i in range(N_CELLS)]
    )
    return AnnData(values(dtype).copy(), obs=obs, var=pd.DataFrame(index=GENES))


MARKERS = {"B": ["G0", "G5"], "NK": ["G1", "G6", "G7"], "T": {"positive": ["G2", "G5"], "negative": ["G8"]}}


@cache
def model(name: str) -> adv.classifiers.Classifier:
    """Return a classifier, trained once."""
    from sklearn.ensemble import GradientBoostingClassifier, HistGradientBoostingClassifier, RandomForestClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.neighbors import KNeighborsClassifier

    adata, classifiers = cells(0, "float64"), adv.classifiers
    wrapped = {
        "logistic": LogisticRegression(),
        "forest": RandomForestClassifier(15, min_samples_leaf=3, random_state=0),
        "boosting": GradientBoostingClassifier(n_estimators=4, random_state=0),
        "histograms": HistGradientBoostingClassifier(max_iter=4, min_samples_leaf=3, random_state=0),
        "neighbours": KNeighborsClassifier(3),
    }
    if name in wrapped:
        return classifiers.wrap(wrapped[name].fit(adata.X, adata.obs["type"]), genes=GENES)
    first_three = np.eye(N_GENES)[:, :3]

    def by_mean(expression, clusters, target):
        inside = expression.loc[(clusters == target).to_numpy(), GENES[:3]].to_numpy(dtype=float)
        return ["B", "NK", "T"][int(np.argmax([math.fsum(column) for column in inside.T]))]  # in no order, so exact

    made = {
        "scType": lambda: classifiers.ScType(MARKERS),
        "scType, unscaled": lambda: classifiers.ScType(MARKERS, scaled=False),
        "markers": lambda: classifiers.Markers({"B": ["G0"], "NK": ["G1", "G9"], "T": ["G2"]}, unknown_below=0.5),
        "scRF": lambda: classifiers.RandomForest(20, balance=None, seed=0).fit(adata, "type"),
        "CHETAH": lambda: classifiers.Chetah(n_genes=8).fit(adata, "type"),
        "scAnnotatR": lambda: classifiers.ScAnnotatR(4, seed=0).fit(adata, "type"),
        "scMLP": lambda: classifiers.MLP((8, 4), epochs=2, balance=None, progress=False).fit(adata, "type"),
        "function of cells": lambda: classifiers.wrap(lambda X: X @ first_three, classes=list(TYPES)),
        "function of labels": lambda: classifiers.wrap(lambda X: TYPES[np.argmax(X[:, :3], axis=1)]),
        "function of clusters": lambda: classifiers.wrap(by_mean),
    }
    return made[name]()


EXACT = [
    "scType",
    "scType, unscaled",
    "markers",
    "scRF",
    "CHETAH",
    "scAnnotatR",
    pytest.param("scMLP", marks=needs.torch),
    "logistic",
    "forest",
    "boosting",
    "histograms",
]
GENERAL = ["neighbours", "function of cells", "function of labels", "function of clusters"]
# others of their kind are in both lanes
COSTLY = {"scType, unscaled", "markers", "forest", "boosting", "histograms", "neighbours", "function of labels"}
CHEAP = ["scMLP", *(name for name in EXACT + GENERAL if isinstance(name, str) and name not in COSTLY)]


@pytest.mark.fast(*CHEAP)
@pytest.mark.parametrize("name", EXACT + GENERAL)
@given(
    seed=st.integers(0, 10**6), target=st.sampled_from(["c0", "c1", "lone"]), 
    dtype=st.sampled_from(["float32", "float64"]),
)  # fmt: skip
@settings(max_examples=12, deadline=None)
def test_scorer_answers_as_classifying_from_scratch(name: str, seed: int, target: str, dtype: str) -> None:
    scorer = check_scorer_law(
        model(name), cells(seed, dtype), groupby="cluster", target=target, seed=seed, games=1, moves=6,
        rounding_ties=name in ("scMLP", "neighbours", "function of cells"),
    )  # fmt: skip
    assert scorer.incremental == (name not in GENERAL)
