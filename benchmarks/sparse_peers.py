"""How many genes a cell needs, beside sparse attacks of others: sigma-zero, FMN-L0 and JSMA on the same models and cells.

sigma-zero and FMN are those of adv-lib 0.2.8, which is not among the packages of the test environment:
``pip install --no-deps adv-lib==0.2.8`` (the image tools that it names are not used here). JSMA is that of the
Adversarial Robustness Toolbox.
"""

from __future__ import annotations

import importlib.util
import sys
import types
import warnings
from collections.abc import Callable
from dataclasses import dataclass

import anndata
import numpy as np
import pandas as pd
import torch

import adverscarial as adv
from adverscarial.cells.cluster import Cluster
from common import QUICK, clock, halves, save, show

CHANGE = "perc99"
CELLS = 9 if QUICK else 100
STEPS = (20,) if QUICK else (100, 1000)
COLUMN = "attacked"


@dataclass
class Question:
    """One model, and cells whose genes may move from their old values towards the new ones.

    Attributes
    ----------
    old, new
        Of the genes that can move, shape (cells, genes).
    codes
        Labels of the cells now, positions among the model's classes.
    """

    family: str
    model: adv.classifiers.Classifier
    layers: list[tuple[np.ndarray, np.ndarray]]
    cells: anndata.AnnData
    genes: np.ndarray
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


class Box(torch.nn.Module):
    """A network whose inputs say how far each gene has gone from its old value (0) to its new one (1).

    In float32, as the attacks are meant to be used.
    """

    def __init__(self, question: Question) -> None:
        super().__init__()
        parts: list[torch.nn.Module] = []
        for W, b in question.layers:
            layer = torch.nn.Linear(*W.shape)
            with torch.no_grad():
                layer.weight.copy_(torch.from_numpy(np.ascontiguousarray(W.T)))
                layer.bias.copy_(torch.from_numpy(b))
            parts += [layer, torch.nn.ReLU()]
        self.network = torch.nn.Sequential(*parts[:-1]).requires_grad_(False)
        X = np.asarray(question.cells.X[question.inside], dtype=np.float64)
        W = question.layers[0][0]
        #: the first layer's sums of what cannot move, once for all
        rest = X @ W - question.old @ W[question.genes]
        self.rest = torch.from_numpy(rest + question.layers[0][1]).float()
        self.first = torch.from_numpy(np.ascontiguousarray(W[question.genes])).float()
        self.old, self.step = (torch.from_numpy(a).float() for a in (question.old, question.new - question.old))
        self.rows = slice(None)  # of the cells that are asked about

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        sums = self.rest[self.rows] + (self.old[self.rows] + z * self.step[self.rows]) @ self.first
        for layer in self.network[1:]:
            sums = layer(sums)
        return sums


def adv_lib() -> tuple[Callable[..., torch.Tensor], Callable[..., torch.Tensor]]:
    """Return sigma-zero and FMN, past the rest of their package, which needs tools for images."""
    found = importlib.util.find_spec("adv_lib")
    if found is None or not found.submodule_search_locations:
        raise SystemExit("adv-lib is not installed here: pip install --no-deps adv-lib==0.2.8")
    package = types.ModuleType("adv_lib.attacks")
    package.__path__ = [f"{found.submodule_search_locations[0]}/attacks"]
    sys.modules["adv_lib.attacks"] = package
    from adv_lib.attacks.fast_minimum_norm import fmn
    from adv_lib.attacks.sigma_zero import sigma_zero

    return sigma_zero, fmn


def jsma(box: Box) -> np.ndarray:
    """Return how far JSMA moves each gene: whole moves, the better one of the two labels that are next by score."""
    from art.attacks.evasion import SaliencyMapMethod
    from art.estimators.classification import PyTorchClassifier

    genes, classes = box.old.shape[1], box.network[-1].out_features
    with torch.no_grad():
        order = torch.argsort(-box(torch.zeros_like(box.old)), dim=1).numpy()
    theirs = PyTorchClassifier(
        box, torch.nn.CrossEntropyLoss(), (genes,), classes, clip_values=(0.0, 1.0), device_type="cpu"
    )
    method = SaliencyMapMethod(theirs, theta=1.0, gamma=1.0, verbose=False)
    best = np.zeros((len(order), genes), dtype=np.float32)
    for cell in range(len(order)):
        box.rows = slice(cell, cell + 1)
        tried = [method.generate(np.zeros((1, genes), np.float32), np.eye(classes)[[k]])[0] for k in order[cell, 1:3]]
        reached = [z for z, k in zip(tried, order[cell, 1:3], strict=True) if theirs.predict(z[None]).argmax() == k]
        best[cell] = min(reached, key=np.count_nonzero, default=best[cell])
    box.rows = slice(None)
    return best


def peers(question: Question) -> dict[str, Callable[[], np.ndarray]]:
    """Return the attacks by name; each returns how far each gene goes, shape (cells, genes)."""
    sigma_zero, fmn = adv_lib()
    box = Box(question)
    start = torch.zeros_like(box.old)
    with torch.no_grad():
        labels = box(start).argmax(dim=1)
    asked: dict[str, Callable[[], np.ndarray]] = {}
    for steps in STEPS:
        asked[f"sigma-zero, {steps:,} steps"] = lambda n=steps: sigma_zero(box, start, labels, num_steps=n).numpy()
        asked[f"FMN-L0, {steps:,} steps"] = lambda n=steps: fmn(box, start, labels, norm=0, steps=n).numpy()
    return asked | {"JSMA": lambda: jsma(box)}


def ours(question: Question) -> tuple[np.ndarray, np.ndarray, float]:
    """Return what is proven and found for each cell, and the processor seconds of the whole call."""

    def ask(cells: anndata.AnnData) -> pd.DataFrame:
        found = adv.fragility(
            cells, question.model, modification=CHANGE, groupby=COLUMN, sets=True, copy=True, progress=False
        )
        return found.obs.iloc[np.flatnonzero(cells.obs[COLUMN].notna())]

    few = question.cells.copy()
    two = few.obs[COLUMN].dropna().drop_duplicates().index[:2]
    few.obs[COLUMN] = few.obs[COLUMN].where(few.obs_names.isin(two))
    ask(few)  # compiles
    start = clock()
    obs = ask(question.cells)
    return obs["fragility_lower"].to_numpy(), obs["fragility_upper"].fillna(np.inf).to_numpy(), clock() - start


def rows(question: Question) -> list[dict[str, object]]:
    """Return one row per method."""
    proven, found, seconds = ours(question)
    before = question.labels(question.old)
    filled = [row(question, "ours, found", found, found, seconds)]
    filled.append(dict.fromkeys(filled[0], "") | {
        "model": question.family, "method": "ours, proven", "median genes": f"{np.median(proven):g}",
    })  # fmt: skip
    for name, attack in peers(question).items():
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
