from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import adverscarial as adv
from adverscarial import _store
from adverscarial.attacks import MaxChange, max_change
from adverscarial.attacks.kept import Kept, recursive_union
from adverscarial.cells.cluster import Cluster


def check_maximal(result, adata, model):
    """Full re-prediction: the modifiable genes keep the label, and no signature gene can be added."""
    common = {"groupby": result.groupby, "target": result.target}
    predict = {**common}
    changed = adv.modify(adata, result.genes, result.attack.modification, **common)
    assert adv.predict(changed, model, **predict).label == result.baseline
    for gene in result.signature:
        more = adv.modify(adata, [*result.genes, gene], result.attack.modification, **common)
        assert adv.predict(more, model, **predict).label != result.baseline


@pytest.mark.fast(3)
@pytest.mark.parametrize("modification", ["perc1", "perc99", "decile+5", "positive_aberrant", "negative_aberrant"])
def test_signature_is_maximal_by_full_reprediction(pbmc_small, modification):
    model = adv.classifiers.ScType(scaled=False)
    attack = MaxChange(modification, restarts=2)
    result = attack(pbmc_small, model, groupby="cell_type", target="CD8+ Cytotoxic T")
    assert result.maximal
    assert sorted([*result.genes, *result.signature]) == sorted(pbmc_small.var_names)
    check_maximal(result, pbmc_small, model)
    assert result.verify(pbmc_small, model)


@pytest.mark.slow
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


@pytest.mark.slow
@pytest.mark.parametrize("family", ["forest", "network", "chetah"])
def test_later_tries_share_what_the_first_ones_found(pbmc_small, family):
    """They never lengthen a signature, ask less than the first try did, and what comes out is maximal."""
    model = {
        "forest": lambda: adv.classifiers.RandomForest(30, seed=0),
        "network": lambda: adv.classifiers.MLP(epochs=3, seed=0),
        "chetah": lambda: adv.classifiers.Chetah(n_genes=40),
    }[family]().fit(pbmc_small, "cell_type")
    common = {"groupby": "cell_type", "target": "Dendritic"}
    one = MaxChange("perc99", restarts=1)(pbmc_small, model, **common)
    four = MaxChange("perc99", restarts=4)(pbmc_small, model, **common)
    assert len(four.signature) <= len(one.signature)
    assert one.lower <= len(four.signature)
    assert four.queries <= 4 * one.queries
    check_maximal(four, pbmc_small, model)


@given(st.sets(st.integers(0, 49)), st.integers(0, 5))
@settings(max_examples=60, deadline=None)
def test_adding_in_order_keeps_every_gene_that_can_always_be_kept(bad, seed):
    class Asked(Kept):
        def __init__(self) -> None:
            self.genes = np.empty(0, dtype=np.int64)

        def add(self, group):
            if bad & set(group.tolist()):
                return False
            self.genes = np.concatenate([self.genes, group])
            return True

    kept = Asked()
    added = kept.add_in_order(np.random.default_rng(seed).permutation(50))
    assert set(kept.genes) == set(range(50)) - bad
    assert added == (len(bad) < 50)


def test_same_seed_same_signature(pbmc_small):
    model = adv.classifiers.ScType(scaled=False)
    common = {"groupby": "cell_type", "target": "CD8+ Cytotoxic T"}
    one, two = (MaxChange("perc99", restarts=1)(pbmc_small, model, seed=5, **common) for _ in range(2))
    assert one.signature == two.signature


def test_budget_gives_a_partial_result_that_still_holds(pbmc_small):
    model = adv.classifiers.ScType(scaled=False)
    result = MaxChange("perc99")(pbmc_small, model, groupby="cell_type", target="CD8+ Cytotoxic T", budget=2)
    assert not result.complete
    assert not result.maximal
    assert result.queries <= 2
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
    assert max(seen) == 40  # the first query is about all of them
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


@pytest.mark.slow
def test_a_very_short_signature_is_looked_for_in_each_order_from_the_start(pbmc_small, monkeypatch):
    model, begun = adv.classifiers.Chetah(n_genes=40).fit(pbmc_small, "cell_type"), []
    monkeypatch.setattr(
        max_change,
        "recursive_union",
        lambda genes, *more: begun.append(genes.tolist()) or recursive_union(genes, *more),
    )
    result = MaxChange("perc99", restarts=3)(pbmc_small, model, groupby="cell_type", target="CD14+ Monocyte", seed=4)
    assert result.lower < len(result.signature) <= max_change._SHORTEST
    check_maximal(result, pbmc_small, model)
    read = np.flatnonzero(model.scorer(Cluster(pbmc_small, "cell_type", "CD14+ Monocyte")).reads(np.arange(765)))
    for number in range(3):
        assert np.random.default_rng([4, number]).permutation(read).tolist() in begun


def test_names_are_held_once_and_older_files_are_read(pbmc_small, tmp_path):
    """Older files hold the names of modifiable genes and those of the signature, each in an array of its own."""
    model, path = adv.classifiers.ScType(scaled=False), tmp_path / "result"
    result = MaxChange("perc1", restarts=1)(pbmc_small, model, groupby="cell_type", target="Dendritic")
    assert result.signature
    assert result.tested.tolist() == list(pbmc_small.var_names)
    result.save(path)
    new = max_change.MaxChangeResult.load(path)
    assert (new.tested.tolist(), new.changeable.tolist()) == (result.tested.tolist(), result.changeable.tolist())
    about, arrays = _store.load(path, "result")
    tested, free = arrays.pop("tested"), arrays.pop("changeable")
    _store.save(path, "result", about, {**arrays, "modifiable": tested[free], "protected": tested[~free]})
    old = max_change.MaxChangeResult.load(path)
    assert (old.genes, old.signature, old.row()) == (result.genes, result.signature, result.row())
