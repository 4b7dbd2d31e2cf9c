"""RandomWalk: what it answers is true, minimal and repeatable, and it always comes to an end."""

from __future__ import annotations

import itertools
import json
import re
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from hypothesis import given, settings
from hypothesis import strategies as st

import adverscarial as adv
import golden_classifiers as golden
from adverscarial.attacks import Grid, RandomWalk, RandomWalkResult, Result
from adverscarial.attacks.random_walk import _Walk

#: the modifications of the reference runs, as the R code computes them
MODIFICATIONS = {"perc1": "perc1", "perc99": "perc99", "fixed 10": "fixed:10", "decile+5": "decile+5:reference"}
AB = {"groupby": "cluster", "target": "a"}


def cells(X):
    """Return an AnnData with a first half of cells in cluster a, the others in b."""
    n, n_genes = X.shape
    obs = pd.DataFrame({"cluster": ["a"] * (n // 2) + ["b"] * (n - n // 2)}, index=[f"c{i}" for i in range(n)])
    return AnnData(X, obs=obs, var=pd.DataFrame(index=[f"g{j}" for j in range(n_genes)]))


def made_up(seed, n_genes=5):
    """Return ten cells in two clusters, and a rule with thresholds, so that changes can cancel."""
    rng = np.random.default_rng(seed)
    weights = np.round(rng.normal(size=(n_genes, 3)), 2)
    names = np.array(["one", "two", "three"])
    adata = cells(np.round(rng.exponential(1.0, (10, n_genes)), 3))
    return adata, lambda X: names[np.argmax(np.sin(X @ weights) + X @ weights[:, ::-1] / 4, axis=1)]


def changes_of(frame, genes):
    return [tuple(row[gene] for gene in genes) for row in frame.to_dict("records")]


@pytest.mark.slow
def test_answers_lie_in_the_reference_grid_and_are_no_larger_than_r(shared):
    for case in json.loads((shared / "golden" / "g_grid_randwalk.json").read_text())["cases"]:
        adata, model = golden.setting(shared, case["classifier"])
        genes, modifications = case["genes"], [MODIFICATIONS[name] for name in case["modifications"]]
        truth = {
            tuple("" if change == "NA" else MODIFICATIONS[change] for change in changes): label
            for *changes, label, _ in case["full_grid"]
        }
        flips = {changes for changes, label in truth.items() if label != case["initial"]}
        for seed in range(4):
            result = RandomWalk(genes, modifications)(adata, model, groupby="cluster", target=case["target"], seed=seed)
            assert result.success == bool(flips)
            tried = changes_of(result.to_frame(), genes)
            assert {changes: truth[changes] for changes in tried} == dict(
                zip(tried, result.to_frame()["label"], strict=True)
            )
            if flips:
                assert tuple(result.modifications.get(gene, "") for gene in genes) in flips
                assert result.minimal
            for run in case.get("random_walk", {}).values():
                column = run["columns"].index("genesModified")
                hits = [int(row[column]) for row in run["rows"] if row[0] != case["initial"]]
                assert len(result.genes) <= min(hits, default=len(genes))


@pytest.mark.slow
@given(
    seed=st.integers(0, 10_000),
    modifications=st.lists(
        st.sampled_from(["perc1", "perc99", "random", "fixed:7"]), min_size=1, max_size=3, unique=True
    ),
    steps=st.integers(1, 40),
    change_ratio=st.floats(0, 1),
)
@settings(max_examples=60, deadline=None)
def test_every_answer_is_one_of_the_grid_and_minimal(seed, modifications, steps, change_ratio):
    adata, rule = made_up(seed)
    genes = list(adata.var_names)
    attack = RandomWalk(genes, modifications, steps=steps, change_ratio=change_ratio)
    result = attack(adata, rule, seed=seed, **AB)
    tried = changes_of(result.to_frame(), genes)
    assert len(set(tried)) == len(tried)  # each asked once
    # The unmodified cluster is among them. It is asked about again, beside other cells and at the end; so is a flip.
    assert result.queries - len(tried) == (3 if result.success else 2)
    grid = Grid(genes, modifications)(adata, rule, seed=seed, **AB)
    frame = grid.to_frame()
    truth = dict(
        zip(changes_of(frame, genes), zip(frame["outcome"], frame["label"], frame["share"], strict=True), strict=True)
    )
    mine = result.to_frame()
    for changes, answer in zip(tried, zip(mine["outcome"], mine["label"], mine["share"], strict=True), strict=True):
        assert truth[changes] == answer
    assert result.success <= grid.success
    if result.success:
        best = tuple(result.modifications.get(gene, "") for gene in genes)
        assert truth[best] == ("flipped", result.label, result.share)
        assert len(result.genes) >= len(grid.genes)
        assert result.minimal
        for gene in result.genes:  # no gene can be spared
            fewer = tuple("" if name == gene else change for name, change in zip(genes, best, strict=True))
            assert truth[fewer][0] == "held"
        assert result.verify(adata, rule)


@pytest.mark.slow
@given(st.integers(0, 10_000), st.permutations(["g0", "g1", "g2", "g3", "g4"]))
@settings(max_examples=25, deadline=None)
def test_same_seed_same_walk_whatever_the_order_of_the_genes(seed, genes):
    adata, rule = made_up(seed)
    one, two = (RandomWalk(order)(adata, rule, seed=seed, **AB) for order in (genes, list(adata.var_names)))
    pd.testing.assert_frame_equal(one.to_frame(), two.to_frame())
    pd.testing.assert_frame_equal(one.path, two.path)
    assert one.ended == two.ended


def test_other_seeds_walk_elsewhere():
    adata, rule = needle(60, 3)
    walks = {tuple(RandomWalk(adata.var_names)(adata, rule, seed=seed, **AB).path["n_genes"]) for seed in range(4)}
    assert len(walks) > 1


def needle(n_genes, needed):
    """Return cells of ones, and a rule that flips only when all of the first `needed` genes are at zero."""
    X = np.ones((8, n_genes))
    X[4:, :] = 0  # so that the first percentile is zero
    return cells(X), lambda X: np.where((X[:, :needed] == 0).all(axis=1), "T", "B")


@pytest.mark.parametrize("needed", [1, 4])
def test_the_needed_genes_are_found_among_many(needed):
    """R's walk draws a fifth of all genes anew, so that hardly any draw has fewer: it ends with 'infinite loop'."""
    adata, rule = needle(200, needed)
    result = RandomWalk(adata.var_names, ["perc1", "fixed:3"])(adata, rule, seed=2, **AB)
    assert result.genes == [f"g{j}" for j in range(needed)]
    assert set(result.modifications.values()) == {"perc1"}
    assert result.minimal
    assert result.verify(adata, rule)
    steps = result.path["n_genes"].tolist()
    assert steps[0] == 200
    assert steps[-1] == needed
    assert all(before > after for before, after in itertools.pairwise(steps))
    assert set(result.path["outcome"]) == {"flipped"}
    assert f"from 200 to {needed} changed genes" in str(result)


@pytest.mark.slow
@given(st.lists(st.integers(0, 2), min_size=4, max_size=4).filter(any))
@settings(max_examples=20, deadline=None)
def test_a_step_reaches_every_smaller_combination_and_no_other(start):
    genes = SimpleNamespace(reads=np.ones(4, bool), modifications=("off", "up"), code=lambda: np.zeros(4, np.uint8))
    walk = _Walk(genes, 0.2, np.random.default_rng(0))
    walk.code = np.array(start, dtype=np.uint8)
    reached = {tuple(walk._neighbour(0.5).tolist()) for _ in range(6000)}
    everything = itertools.product(range(3), repeat=4)
    assert reached == {code for code in everything if np.count_nonzero(code) < np.count_nonzero(start)}


def test_modifications_may_change_on_the_way():
    """All genes off flips the label, and so does one gene up."""
    adata = cells(np.ones((8, 3)))

    def rule(X):
        all_off = (X == 0).all(axis=1)
        only_third_up = (X[:, 0] == 1) & (X[:, 1] == 1) & (X[:, 2] == 9)
        return np.where(all_off | only_third_up, "T", "B")

    attack = RandomWalk(adata.var_names, ["fixed:0", "fixed:9"], change_ratio=0.5)
    result = attack(adata, rule, **AB)
    assert result.modifications == {"g2": "fixed:9"}
    assert result.path["n_genes"].tolist() == [3, 1]
    assert result.ended == "minimum"


def test_it_ends_when_nothing_new_is_left():
    adata, rule = needle(3, 2)
    result = RandomWalk(adata.var_names, "perc1", steps=10_000)(adata, rule, **AB)
    assert result.ended == "exhausted"
    assert result.genes == ["g0", "g1"]
    assert result.queries <= 2**3 + 2
    assert "every neighbour that was drawn had been tried" in str(result)


def test_after_the_last_step_genes_are_still_spared():
    adata, rule = needle(40, 2)
    result = RandomWalk(adata.var_names, "perc1", steps=1)(adata, rule, **AB)
    assert result.ended == "steps"
    assert result.genes == ["g0", "g1"]
    assert result.minimal


def test_no_start_is_a_result_not_an_error():
    adata, _ = needle(6, 2)
    result = RandomWalk(adata.var_names, tries=20)(adata, lambda X: np.repeat("B", len(X)), **AB)
    assert (result.ended, result.success, result.minimal, result.complete) == ("no start", False, False, True)
    assert result.genes == []
    assert len(result.path) == 0
    assert result.queries <= 2 + 20 + 2
    with pytest.raises(adv.errors.ParameterError, match="nothing to apply"):
        result.apply(adata)
    assert "none of the combinations tried flips" in str(result)


@pytest.mark.parametrize("budget", [2, 4, 7, 11])
def test_a_budget_gives_the_best_so_far(budget):
    adata, rule = needle(30, 2)
    result = RandomWalk(adata.var_names, "perc1")(adata, rule, budget=budget, **AB)
    assert (result.ended, result.complete, result.minimal) == ("budget", False, False)
    assert result.queries <= budget
    assert len(result.genes) == result.path["n_genes"].min()
    assert result.verify(adata, rule)
    assert "not shown" in str(result)


def test_genes_that_are_not_read_are_never_touched(pbmc_small):
    model = adv.classifiers.ScType(scaled=False)
    common = {"groupby": "cell_type", "target": "CD19+ B"}
    result = RandomWalk(pbmc_small.var_names)(pbmc_small, model, seed=1, **common)
    assert result.proven > 0
    touched = (result.codes > 0).any(axis=0)
    assert touched.sum() <= len(pbmc_small.var_names) - result.proven
    assert result.minimal
    assert result.verify(pbmc_small, model)
    rows = np.flatnonzero(pbmc_small.obs["cell_type"] == "CD19+ B")
    for gene in result.genes:  # by full re-prediction: each of them is needed
        fewer = pbmc_small.copy()
        fewer.X = fewer.X.toarray()
        for name, change in result.modifications.items():
            if name != gene:
                own = adv.modify(pbmc_small, [name], change, **common)[rows, name].X.toarray()
                fewer.X[rows, fewer.var_names.get_loc(name)] = own[:, 0]
        assert model.predict(fewer).iloc[rows].mode()[0] == result.baseline


def test_results_come_back_from_a_file(tmp_path):
    adata, rule = needle(30, 2)
    result = RandomWalk(adata.var_names, ["perc1", "random"], steps=30)(adata, rule, seed=3, **AB)
    result.save(tmp_path / "walk.npz")
    back = Result.load(tmp_path / "walk.npz")
    assert isinstance(back, RandomWalkResult)
    assert back.attack == result.attack
    assert (back.modifications, back.ended, back.minimal) == (result.modifications, result.ended, result.minimal)
    pd.testing.assert_frame_equal(back.path, result.path)
    np.testing.assert_array_equal(back.apply(adata).X, result.apply(adata).X)


def test_repr_rebuilds_the_attack():
    attack = RandomWalk(["A", "B"], "perc5", tries=3, steps=4, change_ratio=0.5)
    assert eval(repr(attack), {"RandomWalk": RandomWalk, "Percentile": adv.modifications.Percentile}) == attack
    assert repr(RandomWalk(["A"])) == "RandomWalk(('A',))"


@pytest.mark.parametrize(
    ("settings_", "message"),
    [
        ({"genes": ()}, "genes= is empty"),
        ({"modifications": "perc"}, "'perc' is no modification"),
        ({"modifications": ["perc1", "perc1"]}, "more than once: 'perc1'"),
        ({"tries": 0}, "tries must be a whole number of at least 1"),
        ({"steps": 1.5}, "steps must be a whole number of at least 1"),
        ({"change_ratio": 1.1}, "change_ratio must be a number from 0 to 1"),
        ({"change_ratio": float("nan")}, "change_ratio must be a number from 0 to 1"),
        ({"change_type": "label"}, "change_type must be"),
    ],
)
def test_impossible_settings_are_refused_in_words(settings_, message):
    with pytest.raises(adv.errors.ParameterError, match=re.escape(message)):
        RandomWalk(**{"genes": ["g0"], **settings_})


def test_genes_must_be_in_the_data_once():
    adata, rule = needle(4, 2)
    with pytest.raises(adv.errors.DataError, match="1 of 1 genes are not in the data: 'g9'"):
        RandomWalk("g9")(adata, rule, **AB)
    with pytest.raises(adv.errors.DataError, match="named more than once: 'g0'"):
        RandomWalk(["g0", "g0"])(adata, rule, **AB)
