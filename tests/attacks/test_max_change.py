from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import adverscarial as adv
import golden_classifiers as golden
from adverscarial.attacks import MaxChange
from adverscarial.attacks.max_change import recursive_union, reference_union
from adverscarial.cluster import Cluster


class Replay:
    """Answers the union's questions, counts them, and notes what is kept."""

    def __init__(self, adata, model, case):
        self.cluster = Cluster(adata, "cluster", case["target"])
        self.scorer = model.scorer(self.cluster)
        self.modification = adv.modifications.parse(golden.REFERENCE[case["method"]])
        self.initial = case["initial"]
        self.kept, self.calls = [], 1  # the baseline

    def holds(self, genes):
        self.calls += 1
        return self.scorer.together(genes, self.modification.values(self.cluster, genes)).label == self.initial

    def add(self, group):
        if self.kept and not self.holds(np.concatenate([*self.kept, group])):
            return False
        self.kept.append(group)
        return True


@pytest.mark.parametrize("name", ["linear_sim", "tree_sim", "ratio_sim", "MClassifier"])
def test_reference_union_replays_the_r_code(shared, name):
    """With the R code's own coin flips: the same genes kept, in the same order, at the same number of questions."""
    reference = json.loads((shared / "golden" / "d_max_change.json").read_text())
    adata, model = golden.setting(shared, name)
    replayed = 0
    for case in reference["cases"]:
        given_options = case["options"] or {}
        chosen = given_options.get("genes", list(adata.var_names))
        chosen = [gene for gene in chosen if gene not in given_options.get("exclGenes", [])]
        if case["classifier"] != name or len(chosen) < 2:  # the R code fails on one gene
            continue
        for seed, run in case["runs"].items():
            replay = Replay(adata, model, case)
            coin = map("1".__eq__, reference["flips"][seed])
            genes = replay.cluster.positions(chosen)
            reference_union(genes, replay.holds, replay.add, coin.__next__, case["maxSplitSize"])
            order = adata.var_names[np.concatenate(replay.kept)].tolist() if replay.kept else []
            if "kept_in_order" in run:
                assert order == run["kept_in_order"]
            assert set(adata.var_names) - set(order) == set(run["signature"])
            assert replay.calls == run["calls"]
            replayed += 1
    assert replayed >= 30


def check_maximal(result, adata, model):
    """Full re-prediction: the modifiable genes keep the label, and no signature gene can be added."""
    common = {"groupby": result.groupby, "target": result.target}
    predict = {**common}
    changed = adv.modify(adata, result.genes, result.attack.modification, **common)
    assert adv.predict(changed, model, **predict).label == result.baseline
    for gene in result.signature:
        more = adv.modify(adata, [*result.genes, gene], result.attack.modification, **common)
        assert adv.predict(more, model, **predict).label != result.baseline


@pytest.mark.parametrize("modification", ["perc1", "perc99", "decile+5", "positive_aberrant", "negative_aberrant"])
def test_signature_is_maximal_by_full_reprediction(pbmc_small, modification):
    model = adv.classifiers.ScType(scaled=False)
    attack = MaxChange(modification, restarts=2)
    result = attack(pbmc_small, model, groupby="cell_type", target="CD8+ Cytotoxic T")
    assert result.maximal
    assert sorted([*result.genes, *result.signature]) == sorted(pbmc_small.var_names)
    check_maximal(result, pbmc_small, model)
    assert result.verify(pbmc_small, model)


def test_forest_signature_is_maximal(pbmc_small):
    model = adv.classifiers.RandomForest(30, seed=0).fit(pbmc_small, "cell_type")
    result = MaxChange("perc99", restarts=2)(pbmc_small, model, groupby="cell_type", target="Dendritic")
    assert result.maximal
    assert result.signature
    check_maximal(result, pbmc_small, model)


def test_more_restarts_never_lengthen_the_signature(pbmc_small):
    model = adv.classifiers.ScType(scaled=False)
    lengths = [
        len(MaxChange("perc99", restarts=n)(pbmc_small, model, groupby="cell_type", target="CD19+ B").signature)
        for n in (1, 3, 6)
    ]
    assert lengths == sorted(lengths, reverse=True)


def test_same_seed_same_signature(pbmc_small):
    model = adv.classifiers.ScType(scaled=False)
    common = {"groupby": "cell_type", "target": "CD8+ Cytotoxic T"}
    one, two = (MaxChange("perc99", restarts=1)(pbmc_small, model, seed=5, **common) for _ in range(2))
    assert one.signature == two.signature


def test_budget_gives_a_partial_result_that_still_holds(pbmc_small):
    model = adv.classifiers.ScType(scaled=False)
    result = MaxChange("perc99")(pbmc_small, model, groupby="cell_type", target="CD8+ Cytotoxic T", budget=5)
    assert not result.complete
    assert not result.maximal
    assert result.queries <= 5
    assert result.verify(pbmc_small, model)
    assert "not shown to be maximal" in str(result)


def test_block_functions_are_asked_about_the_whole_union(pbmc_small):
    seen = []

    def double(block):
        seen.append(block.shape[1])
        return 2 * block

    def brightness(X):
        return np.where(X.sum(axis=1) < 440, "dim", "bright")

    attack = MaxChange(adv.Custom(double, scope="cluster_block"), restarts=1, genes=list(pbmc_small.var_names[:40]))
    result = attack(pbmc_small, brightness, groupby="cell_type", target="CD19+ B")
    assert max(seen) == 40  # the first question is about all of them
    assert len(result.genes) + len(result.signature) == 40


def test_not_asking_for_maximal_stops_after_the_union(pbmc_small):
    model = adv.classifiers.ScType(scaled=False)
    common = {"groupby": "cell_type", "target": "CD8+ Cytotoxic T"}
    quick = MaxChange("perc99", restarts=1, maximal=False, max_split_size=20)(pbmc_small, model, **common)
    full = MaxChange("perc99", restarts=1, max_split_size=20)(pbmc_small, model, **common)
    assert not quick.maximal
    assert full.maximal
    assert len(full.signature) < len(quick.signature)
    assert full.queries > quick.queries


@given(st.sets(st.integers(0, 49)), st.integers(1, 8), st.integers(0, 5))
@settings(max_examples=60, deadline=None)
def test_union_keeps_every_gene_that_can_always_be_kept(bad, size, seed):
    """If some genes flip the label whenever present, exactly the others are kept (pieces as small as one gene)."""
    rng = np.random.default_rng(seed)
    kept: list[int] = []

    def add(group):
        if bad & set(group.tolist()):
            return False
        kept.extend(group.tolist())
        return True

    recursive_union(np.arange(50), add, lambda: bool(rng.random() < 0.5), 1)
    assert set(kept) == set(range(50)) - bad
    kept.clear()
    recursive_union(np.arange(50), add, lambda: bool(rng.random() < 0.5), size)
    assert set(kept) <= set(range(50)) - bad


def test_results_come_back_from_a_file(pbmc_small, tmp_path):
    model = adv.classifiers.ScType(scaled=False)
    result = MaxChange("perc1", restarts=1)(pbmc_small, model, groupby="cell_type", target="Dendritic")
    result.save(tmp_path / "max.npz")
    back = adv.attacks.Result.load(tmp_path / "max.npz")
    assert (back.genes, back.signature, back.attack) == (result.genes, result.signature, result.attack)
    assert list(back.to_frame().columns) == ["gene", "outcome"]
