from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.ensemble import ExtraTreesClassifier, GradientBoostingClassifier, RandomForestClassifier
from sklearn.tree import DecisionTreeClassifier
from tests.classifiers.scorer_law import check_scorer_law

from adverscarial.classifiers import wrap
from adverscarial.classifiers.adapters.scikit_trees import tree_ensemble
from adverscarial.classifiers.families.random_forest import hard_votes
from adverscarial.classifiers.scorers.prefixes import Top, heaped, take
from adverscarial.classifiers.scorers.tree_ensemble import TreeEnsemble
from adverscarial.classifiers.scorers.trees import TreeScorer
from adverscarial.errors import DataError

GENES = 6


def ensemble(**change: Any) -> TreeEnsemble:
    """Return two trees over three genes: (g0 <= 0.5 ? a : (g1 <= 1.5 ? b : a)) and a lone leaf that says b."""
    arrays = {
        "roots": np.array([0, 5]),
        "feature": np.array([0, -1, 1, -1, -1, -1]),
        "threshold": np.array([0.5, 0, 1.5, 0, 0, 0]),
        "left": np.array([1, 0, 3, 0, 0, 0]),
        "right": np.array([2, 0, 4, 0, 0, 0]),
        "value": np.array([[0, 0], [1, 0], [0, 0], [0, 1], [1, 0], [0, 1.0]]),
        "bias": np.array([0.25, 0.0]),
    }
    return TreeEnsemble(**(arrays | change))


def toy(seed: int) -> tuple[AnnData, np.ndarray]:
    """Whole numbers from 0 to 2, so that values, thresholds and scores tie often; one cluster is a single cell."""
    rng = np.random.default_rng(seed)
    X = rng.integers(0, 3, size=(60, GENES)).astype(float)
    clusters = np.array([f"c{i % 3}" for i in range(60)], dtype=object)
    clusters[-1] = "lone"
    obs = pd.DataFrame({"cluster": clusters}, index=[f"cell{i}" for i in range(60)])
    return AnnData(X, obs=obs, var=pd.DataFrame(index=[f"g{i}" for i in range(GENES)])), rng.choice(list("abc"), 60)


def answered_by(trees: TreeEnsemble, X: np.ndarray) -> np.ndarray:
    """Walk every tree for every cell, one node at a time."""
    sums = np.tile(trees.bias, (len(X), 1))
    for c, cell in enumerate(X):
        for root in trees.roots:
            node = root
            while trees.feature[node] >= 0:
                value = np.float32(cell[trees.feature[node]]) if trees.single else cell[trees.feature[node]]
                node = trees.left[node] if float(value) <= trees.threshold[node] else trees.right[node]
            sums[c] += trees.value[node]
    return sums


def test_sums_by_hand() -> None:
    X = np.array([[0.5, 9, 0], [0.6, 1.5, 0], [0.6, 1.6, 0]])
    np.testing.assert_array_equal(ensemble().sums(X), [[1.25, 1], [0.25, 2], [1.25, 1]])


@pytest.mark.parametrize("single", [True, False])
def test_values_are_compared_in_the_precision_of_the_trees(single: bool) -> None:
    """0.1 is above its neighbour in float64; as float32 it is above 0.1 itself."""
    trees = ensemble(threshold=np.array([0.1, 0, 1.5, 0, 0, 0]), single=single)
    at, above = trees.sums(np.array([[0.1, 0, 0]])), trees.sums(np.array([[np.nextafter(0.1, 1), 0, 0]]))
    assert float(np.float32(0.1)) > 0.1
    assert (at[0, 1] == 2.0) == single
    assert above[0, 1] == 2.0


@pytest.mark.parametrize(
    "change",
    [
        {"left": np.array([0, 0, 3, 0, 0, 0])},  # a node that is its own child: a walk would not end
        {"left": np.array([1, 0, 1, 0, 0, 0])},  # back to an earlier node
        {"right": np.array([2, 0, 6, 0, 0, 0])},  # outside the table
        {"left": np.array([-1, 0, 3, 0, 0, 0])},
        {"roots": np.array([0, 6])},
        {"roots": np.array([-1])},
        {"roots": np.array([], dtype=int)},
        {"threshold": np.array([np.nan, 0, 1.5, 0, 0, 0])},
        {"value": np.full((6, 2), np.inf)},
        {"value": np.zeros((5, 2))},
    ],
)
def test_damaged_trees_are_refused(change: dict[str, Any]) -> None:
    with pytest.raises(DataError, match="damaged"):
        ensemble(**change)


def test_hard_votes_give_each_leaf_one_vote() -> None:
    value = np.array([[0, 0], [0.6, 0.4], [0, 0], [0.5, 0.5], [0.1, 0.9], [0.2, 0.8]])
    trees = hard_votes(ensemble(value=value, bias=np.zeros(2)))
    np.testing.assert_array_equal(trees.value[[1, 3, 4, 5]], [[1, 0], [1, 0], [0, 1], [0, 1]])


def test_reads_only_genes_that_a_tree_tests() -> None:
    trees = ensemble()
    # the model's genes g0, g1, g2 stand at 4, 2 and 0 of the data; 1 and 3 are no genes of the model
    scorer = TreeScorer(trees, np.zeros((2, 3)), np.array([4, 2, 0]), 5, ["a", "b"])
    assert scorer.reads(np.arange(5)).tolist() == [False, False, True, False, True]
    assert scorer.baseline.scores is not None
    np.testing.assert_array_equal(scorer.baseline.scores, [[1.25, 1], [1.25, 1]])
    answers = scorer.each(np.arange(5), np.full((1, 5), 1.0))
    assert answers.label.tolist() == ["a", "a", "a", "a", "b"]
    together = scorer.together(np.array([2, 4]), np.array([[2.0, 1.0]]))
    np.testing.assert_array_equal(together.scores, [[1.25, 1], [1.25, 1]])


def test_a_gene_tested_twice_on_one_path() -> None:
    """The first test that turns out otherwise leads into a part of the tree that tests the gene again."""
    trees = TreeEnsemble(
        roots=np.array([0]), feature=np.array([0, 0, -1, -1, -1]), threshold=np.array([1.0, 0.0, 0, 0, 0]),
        left=np.array([1, 2, 0, 0, 0]), right=np.array([4, 3, 0, 0, 0]),
        value=np.eye(3)[[0, 0, 0, 1, 2]], bias=np.zeros(3),
    )  # fmt: skip
    scorer = TreeScorer(trees, np.array([[5.0], [-5.0]]), np.array([0]), 1, ["low", "middle", "high"])
    assert scorer.baseline.labels is not None
    assert scorer.baseline.labels.tolist() == ["high", "low"]
    for value, label in ((-1.0, "low"), (0.0, "low"), (0.5, "middle"), (1.0, "middle"), (1.5, "high")):
        answers = scorer.each(np.array([0]), np.array([[value]]))
        assert (answers.label[0], answers.share[0]) == (label, 1.0)


MODELS = {
    "forest": lambda seed: RandomForestClassifier(4, max_depth=2, random_state=seed),
    "extra": lambda seed: ExtraTreesClassifier(4, max_depth=3, random_state=seed),
    "tree": lambda seed: DecisionTreeClassifier(max_depth=2, random_state=seed),
    "boosting": lambda seed: GradientBoostingClassifier(n_estimators=3, max_depth=2, random_state=seed),
    "leaves": lambda seed: RandomForestClassifier(3, max_leaf_nodes=5, random_state=seed),  # children far from parents
}


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("classes", [2, 3])
def test_sums_walk_the_trees_of_scikit_learn(name: str, classes: int) -> None:
    adata, y = toy(1)
    y = y if classes == 3 else np.where(y == "a", "a", "b")
    model = MODELS[name](1).fit(adata.X, y)
    trees = tree_ensemble(model)
    assert trees is not None
    np.testing.assert_array_equal(trees.sums(adata.X), answered_by(trees, adata.X))
    if name == "boosting":
        raw = model.decision_function(adata.X)
        np.testing.assert_allclose(trees.sums(adata.X), raw.reshape(len(raw), -1), rtol=1e-12)
    else:
        np.testing.assert_allclose(trees.sums(adata.X) / len(trees.roots), model.predict_proba(adata.X), rtol=1e-12)


@pytest.mark.fast("c0-tree")
@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("target", ["c0", "lone"])
@settings(max_examples=12, deadline=None)
@given(seed=st.integers(0, 10_000), binary=st.booleans())
def test_law_with_ties(name: str, target: str, seed: int, binary: bool) -> None:
    """Shares of leaves like 1/3 + 2/3 add up otherwise in another order: labels are scikit-learn's all the same."""
    adata, y = toy(seed)
    y = np.where(y == "a", "a", "b") if binary else y
    model = wrap(MODELS[name](seed).fit(adata.X, y))
    scorer = check_scorer_law(model, adata, groupby="cluster", target=target, seed=seed, games=2, moves=10)
    assert isinstance(scorer, TreeScorer)


@pytest.mark.slow
def test_thirds_that_tie_in_scikit_learn_tie_in_every_query() -> None:
    """Known seeds where adding the difference of two leaves, instead of all leaves in order, names another label."""
    for seed, name in ((6, "extra2"), (10, "extra2"), (15, "tree"), (19, "forest")):
        adata, y = toy(seed)
        build = MODELS[name] if name in MODELS else lambda s: ExtraTreesClassifier(4, max_depth=2, random_state=s)
        check_scorer_law(
            wrap(build(seed).fit(adata.X, y)), adata, groupby="cluster", target="c0", seed=seed, games=2, moves=10
        )


def test_accepted_changes_pile_up_no_rounding() -> None:
    adata, y = toy(2)
    trees = tree_ensemble(MODELS["boosting"](2).fit(adata.X, y))
    assert trees is not None
    scorer = TreeScorer(trees, adata.X[:5], np.arange(GENES), GENES, ["a", "b", "c"])
    clean = scorer.baseline.scores
    genes = np.arange(GENES)
    for value in (1e9, -1e9, 0.3, 1.0):
        scorer.accept(genes, np.full((1, GENES), value))
    scorer.accept(genes, adata.X[:5])
    np.testing.assert_array_equal(scorer.baseline.scores, clean)


def test_one_column_of_scores_decides_by_the_cut() -> None:
    """A sum of exactly 0 is the first label, unless the cut lies just below."""
    trees = ensemble(value=np.zeros((6, 1)), bias=np.zeros(1))
    X, columns = np.zeros((1, 3)), np.arange(3)
    assert TreeScorer(trees, X, columns, 3, ["no", "yes"]).baseline.label == "no"
    assert TreeScorer(trees, X, columns, 3, ["no", "yes"], cut=-np.nextafter(0.0, 1.0)).baseline.label == "yes"


def test_boosting_that_sums_to_zero_is_the_second_class() -> None:
    """As in scikit-learn, where a half-and-half leaf on a half-and-half prior adds exactly 0."""
    X = np.repeat([[0.0, 1.0], [1.0, 1.0]], 20, axis=0)
    y = np.array(["a"] * 20 + ["a", "b"] * 10)
    model = GradientBoostingClassifier(n_estimators=1, max_depth=1, init="zero").fit(X, y)
    assert model.decision_function([[1.0, 1.0]])[0] == 0.0
    adata = AnnData(
        X, obs=pd.DataFrame({"c": y}, index=[f"{i}" for i in range(40)]), var=pd.DataFrame(index=["g", "h"])
    )
    classifier = wrap(model)
    assert classifier.predict(adata).tolist() == model.predict(X).tolist()
    scorer = check_scorer_law(classifier, adata, groupby="c", target="a", games=3)
    assert isinstance(scorer, TreeScorer)
    assert scorer.each(np.array([0]), np.array([[1.0]])).label[0] == "b"


def test_single_precision_is_kept_when_parts_are_replaced() -> None:
    assert not hard_votes(replace(ensemble(), single=False)).single


def test_the_largest_totals_are_those_of_a_full_sort():
    generator = np.random.default_rng(0)
    for k in range(300):
        n, m = int(generator.integers(1, 40)), int(generator.integers(1, 42))
        totals = generator.integers(-3, 6, n).astype(float) if k % 2 else generator.normal(size=n)
        floor, heap = float(generator.choice([0.0, 0.5, 2.0])), np.empty(n + 1, dtype=np.int64)
        best = sorted((value for value in totals if value > floor), reverse=True)
        size = heaped(totals, floor, heap)
        top = take(Top(heap, size, 0, 0.0, 0.0), totals, -np.inf, m)
        assert totals[heap[size - top.taken : size]][::-1].tolist() == best[:m]
        assert (top.taken, top.total) == (len(best[:m]), sum(best[:m]))
        need = float(generator.uniform(0, 1.2) * sum(best)) if best else 1.0
        top = take(Top(heap, heaped(totals, floor, heap), 0, 0.0, 0.0), totals, need, 0)
        assert top.taken == int(np.searchsorted(np.cumsum(best), need)) + (0 < need <= sum(best))
        assert top.least == (best[top.taken - 1] if top.taken else 0.0)


def test_a_change_that_was_just_asked_about_is_made_as_if_it_had_not_been():
    """Also where something else was asked, or changed, in between."""
    generator = np.random.default_rng(1)
    adata, y = toy(3)
    trees = tree_ensemble(MODELS["boosting"](3).fit(adata.X, y))
    assert trees is not None
    for asked_first, changed_first in ((False, False), (True, False), (False, True)):
        scorer, plain = (TreeScorer(trees, adata.X[:9], np.arange(GENES), GENES, ["a", "b", "c"]) for _ in range(2))
        for _ in range(20):
            genes = generator.permutation(GENES)[: generator.integers(1, GENES)]
            values, others = generator.integers(0, 3, (2, 9, len(genes))).astype(float)
            answer = scorer.together(genes, values)
            if asked_first:
                scorer.together(genes, others)
            if changed_first:
                scorer.accept(genes[:1], others[:, :1])
                plain.accept(genes[:1], others[:, :1])
            scorer.fork().accept(genes, others)
            scorer.accept_known(genes, values, answer)
            plain.accept(genes, values)
            np.testing.assert_array_equal(scorer.baseline.scores, plain.baseline.scores)
            np.testing.assert_array_equal(scorer._leaf, plain._leaf)
            np.testing.assert_array_equal(scorer._X, plain._X)
