"""How many genes a cell needs, beside sparse attacks of others: the same models and cells.

The attacks of others are in sparse_attacks.py.
"""

from __future__ import annotations

import re
import warnings
from dataclasses import dataclass
from typing import Self

import anndata
import numpy as np
import pandas as pd
import torch

import adverscarial as adv
from adverscarial.cells.cluster import Cluster
from common import QUICK, clock, halves, save, show
from sparse_attacks import Box, adv_lib, peers

CHANGE = "perc99"
CELLS = 9 if QUICK else 100
STEPS = (20,) if QUICK else (100, 1000)
COLUMN = "attacked"


@dataclass
class Question:
    """One model, and cells whose genes may move from their old values towards the new ones."""

    family: str
    model: adv.classifiers.Classifier
    #: Kernel and bias of each layer of the model.
    layers: list[tuple[np.ndarray, np.ndarray]]
    #: All that the percentiles are taken over; those that are attacked have a type in the column ``attacked``.
    cells: anndata.AnnData
    #: Positions of those that can move.
    genes: np.ndarray
    #: Their values, shape (attacked cells, genes).
    old: np.ndarray
    new: np.ndarray

    @property
    def inside(self) -> np.ndarray:
        """Positions of the attacked cells."""
        return np.flatnonzero(self.cells.obs[COLUMN].notna())

    def labels(self, values: np.ndarray) -> np.ndarray:
        """Let the model itself, in float64, label the attacked cells with these values."""
        changed = anndata.AnnData(
            np.asarray(self.cells.X[self.inside], dtype=np.float64), var=pd.DataFrame(index=self.cells.var_names)
        )
        changed.X[:, self.genes] = values
        return self.model.predict(changed).to_numpy().astype(str)


@dataclass(frozen=True, repr=False)
class Given(adv.modifications.Modification, name="given"):
    """Every cell gets the value of a list: peers are given the new values too, and need not look for them."""

    new: np.ndarray

    def values(self, cluster: Cluster, genes: np.ndarray) -> np.ndarray:
        return self.new[None, genes]

    @classmethod
    def parsed(cls, match: re.Match[str]) -> Self:
        raise NotImplementedError("values are given in Python only")


def ours(question: Question) -> tuple[np.ndarray, np.ndarray, float]:
    """Return what is proven and found for each cell, and the processor seconds of the whole call."""
    new = np.zeros(question.cells.n_vars)
    new[question.genes] = question.new[0]
    still = np.setdiff1d(np.arange(len(new)), question.genes)
    new[still] = np.asarray(question.cells.X[question.inside[0], still])  # the same in all cells: nothing moves
    asked = {"modification": Given(new), "sets": True, "progress": False}
    cells = anndata.AnnData(
        np.asarray(question.cells.X[question.inside]), obs=question.cells.obs.iloc[question.inside],
        var=pd.DataFrame(index=question.cells.var_names),
    )  # fmt: skip
    adv.fragility(cells[:4].copy(), question.model, **asked)  # compiles
    start = clock()
    adv.fragility(cells, question.model, **asked)
    seconds, obs = clock() - start, cells.obs
    return obs["fragility_lower"].to_numpy(), obs["fragility_upper"].fillna(np.inf).to_numpy(), seconds


def rows(question: Question) -> list[dict[str, object]]:
    """Return one row per method."""
    proven, found, seconds = ours(question)
    before = question.labels(question.old)
    filled = [row(question, "ours, found", found, found, seconds)]
    filled.append(dict.fromkeys(filled[0], "") | {
        "model": question.family, "method": "ours, proven", "median genes": f"{np.median(proven):g}",
    })  # fmt: skip
    X = np.asarray(question.cells.X[question.inside], dtype=np.float64)
    box = Box(question.layers, X, question.genes, question.old, question.new)
    for name, attack in peers(box, STEPS).items():
        start = clock()
        z = attack().astype(np.float64)
        theirs = clock() - start
        flipped = question.labels(question.old + z * (question.new - question.old)) != before
        whole = question.labels(np.where(z > 0, question.new, question.old)) != before
        genes = np.where(flipped & z.any(axis=1), np.count_nonzero(z, axis=1), np.inf)
        filled.append(row(question, name, genes, found, theirs))
        filled[-1] |= {"flip with whole moves": f"{(flipped & whole).sum()} of {flipped.sum()}"}
        filled[-1] |= {"their seconds over ours": f"{theirs / seconds:.1f}"}
    return filled


def row(question: Question, method: str, genes: np.ndarray, found: np.ndarray, seconds: float) -> dict[str, object]:
    """Return one row: `genes` of each cell, infinite without a set, beside those that ours `found`."""
    filled = {
        "model": question.family,
        "method": method,
        "cells with a set": f"{np.isfinite(genes).sum()} of {len(genes)}",
        "median genes": f"{np.median(genes):g}",
        "ours fewer, as many, more": ", ".join(
            str((sign(found, genes)).sum()) for sign in (np.less, np.equal, np.greater)
        ),
        "flip with whole moves": "",
        "seconds per cell": f"{seconds / len(genes):.4f}",
        "their seconds over ours": "",
    }
    print(filled, flush=True)
    return filled


def questions() -> list[Question]:
    """Return the models and their cells: as many of each type, which both models call by their own name."""
    from sklearn.linear_model import LogisticRegression

    train, test = halves()
    estimator = LogisticRegression(C=0.01, max_iter=100).fit(train.X, train.obs["cell_type"].astype(str))
    network = adv.classifiers.MLP(seed=0).fit(train, "cell_type")
    models = {
        "logistic regression": (
            adv.classifiers.wrap(estimator, genes=list(train.var_names)),
            [(np.asarray(estimator.coef_.T, dtype=np.float64), np.asarray(estimator.intercept_, dtype=np.float64))],
        ),
        "scMLP": (network, list(network.layers)),
    }
    truth = test.obs["cell_type"].astype(str).to_numpy()
    right = np.all([model.predict(test).astype(str).to_numpy() == truth for model, _ in models.values()], axis=0)
    order = pd.Series(truth).where(right).dropna().sample(frac=1, random_state=0)
    chosen = order.groupby(order).cumcount().sort_values(kind="stable").index[:CELLS]
    test = test.copy()
    test.obs[COLUMN] = pd.Series(truth, index=test.obs_names).where(np.isin(np.arange(test.n_obs), chosen))
    cluster = Cluster(test, COLUMN, truth[chosen[0]])
    new = adv.modifications.parse(CHANGE).new_values(cluster, np.arange(test.n_vars)).astype(test.X.dtype)
    old = np.asarray(test.X[np.sort(chosen)])
    genes = np.flatnonzero((old != new).any(axis=0))
    ends = [np.broadcast_to(values, old.shape)[:, genes].astype(np.float64) for values in (old, new)]
    return [Question(name, model, layers, test, genes, *ends) for name, (model, layers) in models.items()]


def main() -> None:
    torch.set_num_threads(1)  # or the processor's clock counts threads that wait for each other
    torch.manual_seed(0)
    warnings.filterwarnings("ignore")
    adv_lib()
    filled = [row for question in questions() for row in rows(question)]
    print(show(filled))
    save("sparse_peers", filled)


if __name__ == "__main__":
    main()
