"""What a result says it cost is what the classifier was asked, call by call."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from anndata import AnnData

import adverscarial as adv
import golden_classifiers as golden
from adverscarial.attacks import max_change
from adverscarial.attacks.registered import attacks

A = adv.attacks
N_CELLS = 30
GENES = [f"g{i}" for i in range(12)]


@pytest.fixture
def cells() -> AnnData:
    rng = np.random.default_rng(0)
    X = rng.uniform(0, 1, (2 * N_CELLS, len(GENES)))
    X[:N_CELLS, :3] += 1
    adata = AnnData(X)
    adata.var_names = GENES
    adata.obs["group"] = ["left"] * N_CELLS + ["right"] * N_CELLS
    return adata


class Counting:
    """Labels, or scores, of cells; counts the cells that it is asked about."""

    def __init__(self, scores: bool) -> None:
        self.cells, self.scores = 0, scores

    def __call__(self, X: np.ndarray) -> np.ndarray:
        self.cells += len(X)
        left = X[:, :3].sum(axis=1)
        return np.stack([left, np.full(len(X), 2.4)], axis=1) if self.scores else np.where(left > 2.4, "L", "R")


ATTACKS = [
    A.SingleGene("perc1", search="exact"),
    A.SingleGene("perc1", search="bisect", bins=3),
    A.MaxChange("perc1", restarts=2),
    A.MaxChange("perc1", restarts=1, reference=True, maximal=False),
    A.MinChange("perc1"),
    A.Grid(GENES[:3]),
    A.RandomWalk(GENES, steps=10, tries=5),
    A.ClusterGradientDescent(genes=GENES[:6]),
    A.FastGradientSign(0.5, genes=GENES[:4]),
    A.ProjectedGradientDescent(0.5, genes=GENES[:4], steps=3),
]


NEED_SCORES = A.ClusterGradientDescent | A.FastGradientSign | A.ProjectedGradientDescent
ASKED = [
    (attack, scores) for attack in ATTACKS for scores in (False, True) if scores or not isinstance(attack, NEED_SCORES)
]


def test_every_attack_is_here() -> None:
    assert {type(attack) for attack in ATTACKS} == set(attacks().values())


@pytest.mark.parametrize(("attack", "scores"), ASKED, ids=repr)
def test_every_call_of_the_classifier_is_a_query(cells: AnnData, attack: A.Attack[Any], scores: bool) -> None:
    function = Counting(scores)
    model = adv.classifiers.wrap(function, classes=["L", "R"])
    function.cells = 0
    result = attack(cells, model, groupby="group", target="left")
    # one query is about cells of other clusters, too: are labels the same beside them?
    assert function.cells == result.cells_rescored == (result.queries + 1) * N_CELLS


@pytest.mark.parametrize(("attack", "scores"), ASKED, ids=repr)
@pytest.mark.parametrize("budget", [1, 2, 5, 9, 20])
def test_a_budget_bounds_the_calls(cells: AnnData, attack: A.Attack[Any], scores: bool, budget: int) -> None:
    function = Counting(scores)
    model = adv.classifiers.wrap(function, classes=["L", "R"])
    function.cells = 0
    result = attack(cells, model, groupby="group", target="left", budget=budget)
    # with a budget of 4 or less, cells of other clusters are not asked about
    assert function.cells <= (budget + (budget > 4)) * N_CELLS
    assert result.queries <= budget


class Coins:
    """R's coin flips in place of a random generator."""

    def __init__(self, flips: str) -> None:
        self._flips = iter(flips)

    def random(self) -> float:
        return 0.0 if next(self._flips) == "1" else 1.0


@pytest.mark.fast("linear_sim")
@pytest.mark.parametrize("name", ["linear_sim", "tree_sim", "ratio_sim", "MClassifier"])
def test_max_change_asks_as_often_as_the_r_code(shared, monkeypatch, name) -> None:
    """The public attack, with the R code's own coin flips: its signature at its number of queries."""
    reference = json.loads((shared / "golden" / "d_max_change.json").read_text())
    adata, model = golden.setting(shared, name)
    replayed = 0
    for case in reference["cases"]:
        options = case["options"] or {}
        chosen = options.get("genes", list(adata.var_names))
        excluded = options.get("exclGenes", [])
        if case["classifier"] != name or len([gene for gene in chosen if gene not in excluded]) < 2:
            continue  # the R code fails on one gene
        attack = A.MaxChange(
            golden.REFERENCE[case["method"]], restarts=1, maximal=False, reference=True,
            max_split_size=case["maxSplitSize"], genes=options.get("genes"), exclude=excluded,
        )  # fmt: skip
        for seed, run in case["runs"].items():
            flips = reference["flips"][seed]
            monkeypatch.setattr(max_change.np.random, "default_rng", lambda _, flips=flips: Coins(flips))
            result = attack(adata, model, groupby="cluster", target=case["target"])
            tested = set(result.genes) | set(result.signature)
            assert set(result.signature) == set(run["signature"]) & tested
            # Both ask about the unmodified cluster. Ours asks twice more at the end, to hear its answers again, and of
            # a function of cells once at the start whether other cells matter.
            assert result.queries == run["calls"] + 2 + (name == "linear_sim")
            replayed += 1
    assert replayed >= 30
