"""Grid against the reference tables, against brute force, and in the situations where it could mislead."""

from __future__ import annotations

import itertools
import json
import re

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from hypothesis import given, settings
from hypothesis import strategies as st

import adverscarial as adv
import golden_classifiers as golden
from adverscarial.attacks import Grid, GridResult, Result
from adverscarial.attacks.grid import fewest_first
from adverscarial.modifications import Percentile

#: the modifications of the reference runs, as the R code computes them
MODIFICATIONS = {"perc1": "perc1", "perc99": "perc99", "fixed 10": "fixed:10", "decile+5": "decile+5:reference"}
B_CELLS = {"groupby": "cell_type", "target": "CD19+ B"}


def reference_cases(shared):
    """Yield each reference case with our whole grid: case, data, classifier, modifications, result."""
    for case in json.loads((shared / "golden" / "g_grid_randwalk.json").read_text())["cases"]:
        adata, model = golden.setting(shared, case["classifier"])
        modifications = [MODIFICATIONS[name] for name in case["modifications"]]
        result = Grid(case["genes"], modifications)(adata, model, groupby="cluster", target=case["target"])
        yield case, adata, model, modifications, result


def key(row, genes):
    """Return what a table row does to each gene; R writes NA where a gene is left alone."""
    return tuple("" if row[gene] == "NA" else MODIFICATIONS.get(row[gene], row[gene]) for gene in genes)


@pytest.mark.slow
def test_every_combination_is_answered_as_the_r_classifiers_answer_it(shared):
    rows = 0
    for case, _, _, _, result in reference_cases(shared):
        genes = case["genes"]
        assert result.baseline == case["initial"]
        ours = {key(row, genes): row for row in result.to_frame().to_dict("records")}
        assert len(ours) == len(case["full_grid"]) == len(result.codes)
        for *changes, label, share in case["full_grid"]:
            row = ours[key(dict(zip(genes, changes, strict=True)), genes)]
            assert row["label"] == label
            assert row["share"] == pytest.approx(float(share), rel=1e-12)
            assert (row["outcome"] == "flipped") == (label != case["initial"])
            rows += 1
    assert rows == 8 * 81 + 12 * 64 + 4 * 27


@pytest.mark.slow
def test_the_r_tables_follow_from_ours_by_r_own_rules(shared):
    """All genes changed first, the last gene turning fastest, until the label is not the cluster's *name*."""
    for case, _, _, modifications, result in reference_cases(shared):
        genes, columns = case["genes"], case["reference_table"]["columns"]
        ours = {key(row, genes): row for row in result.to_frame().to_dict("records")}
        expected = {}
        for changes in itertools.product([*modifications, ""], repeat=len(genes)):
            expected[changes] = ours[changes]["label"]
            if expected[changes] != case["target"]:
                break
        table = [dict(zip(columns, row, strict=True)) for row in case["reference_table"]["rows"]]
        assert {key(row, genes): row["prediction"] for row in table} == expected
        for row in table:
            missing = row["prediction"] == "NA"  # R counts this column as a gene
            assert int(row["genesModified"]) == ours[key(row, genes)]["n_genes"] - missing
            assert (row["typeModified"] == "TRUE") == (row["prediction"] != case["target"])


@pytest.mark.slow
def test_the_reported_answer_is_the_smallest_of_the_reference_grid(shared):
    """R stops at its first hit: for T1 and fixed values it reports three genes where one is enough."""
    for case, adata, model, _, result in reference_cases(shared):
        flips = [row[:-2] for row in case["full_grid"] if row[-2] != case["initial"]]
        sizes = [sum(change != "NA" for change in changes) for changes in flips]
        assert result.success == bool(flips)
        assert len(result.genes) == min(sizes, default=0)
        assert len(result.smallest) == (sizes.count(min(sizes)) if sizes else 0)
        assert result.verify(adata, model)


def made_up(seed, n_genes=4):
    """Return ten cells in two clusters, and a linear rule for three labels."""
    rng = np.random.default_rng(seed)
    X = np.round(rng.exponential(1.0, (10, n_genes)) * (rng.random((10, n_genes)) < 0.7), 3)
    obs = pd.DataFrame({"cluster": ["a"] * 4 + ["b"] * 6}, index=[f"c{i}" for i in range(10)])
    adata = AnnData(X, obs=obs, var=pd.DataFrame(index=[f"g{j}" for j in range(n_genes)]))
    weights = np.round(rng.normal(size=(n_genes, 3)), 2)
    weights[rng.random(n_genes) < 0.2] = 0
    names = np.array(["one", "two", "three"])
    return adata, lambda X: names[np.argmax(X @ weights + np.array([1.0, 0.5, 0.0]), axis=1)]


def by_brute_force(adata, rule, genes, modifications, seed=0):
    """Classify every combination from scratch: what is done to each gene -> label, share."""
    rows = np.flatnonzero(adata.obs["cluster"] == "a")
    column = {
        (gene, m): adv.modify(adata, [gene], m, groupby="cluster", target="a", seed=seed)[rows, gene].X
        for gene in genes
        for m in modifications
    }
    answers = {}
    for changes in itertools.product(["", *modifications], repeat=len(genes)):
        X = adata.X[rows].copy()
        for gene, m in zip(genes, changes, strict=True):
            if m:
                X[:, [adata.var_names.get_loc(gene)]] = column[gene, m]
        labels, counts = np.unique(rule(X), return_counts=True)
        answers[changes] = (labels[np.argmax(counts)], counts.max() / len(rows))
    return answers


@pytest.mark.slow
@given(
    seed=st.integers(0, 10_000),
    genes=st.lists(st.sampled_from(["g0", "g1", "g2", "g3"]), min_size=1, max_size=4, unique=True),
    modifications=st.lists(
        st.sampled_from(["perc1", "perc99", "random", "decile-4", "fixed:7"]), min_size=1, max_size=3, unique=True
    ),
)
@settings(max_examples=60, deadline=None)
def test_grid_is_brute_force(seed, genes, modifications):
    adata, rule = made_up(seed)
    result = Grid(genes, modifications)(adata, rule, groupby="cluster", target="a", seed=seed)
    truth = by_brute_force(adata, rule, genes, modifications, seed)
    frame = result.to_frame()
    ours = {key(row, genes): (row["label"], row["share"]) for row in frame.to_dict("records")}
    assert len(frame) == len(ours) == (len(modifications) + 1) ** len(genes)
    assert ours == truth
    baseline = truth[("",) * len(genes)][0]
    flips = {changes: answer for changes, answer in truth.items() if answer[0] != baseline}
    assert result.counts["flipped"] == len(flips)
    if flips:
        fewest = min(sum(map(bool, changes)) for changes in flips)
        smallest = {changes: answer for changes, answer in flips.items() if sum(map(bool, changes)) == fewest}
        assert {key(row, genes) for row in result.smallest.to_dict("records")} == set(smallest)
        best = tuple(result.modifications.get(gene, "") for gene in genes)
        assert smallest[best] == (result.label, result.share)
        assert result.share == max(share for _, share in smallest.values())
        assert result.verify(adata, rule)
    else:
        assert result.genes == []
        assert result.label == baseline


@pytest.mark.slow
@given(st.integers(0, 10_000), st.permutations(["g0", "g1", "g2", "g3"]))
@settings(max_examples=25, deadline=None)
def test_order_of_the_genes_does_not_matter(seed, genes):
    adata, rule = made_up(seed)
    one, two = (Grid(order)(adata, rule, groupby="cluster", target="a") for order in (genes, ["g0", "g1", "g2", "g3"]))
    pd.testing.assert_frame_equal(one.to_frame(), two.to_frame())
    assert one.modifications == two.modifications


@given(st.integers(0, 6), st.integers(1, 3))
def test_enumeration_holds_every_combination_once_and_few_genes_come_first(n_genes, n_modifications):
    codes = [tuple(code.tolist()) for code in fewest_first(n_genes, n_modifications)]
    assert sorted(codes) == sorted(itertools.product(range(n_modifications + 1), repeat=n_genes))
    sizes = [sum(map(bool, code)) for code in codes]
    assert sizes == sorted(sizes)


@pytest.mark.parametrize("family", ["sctype", "forest"])
def test_incremental_answers_are_those_of_a_full_reprediction(pbmc_small, family):
    if family == "sctype":
        model, genes = adv.classifiers.ScType(scaled=False), ["BANK1", "MS4A1", "LYZ", "HES4"]  # HES4 is not read
    else:
        model = adv.classifiers.RandomForest(5, seed=0).fit(pbmc_small, "cell_type")
        weakest = adv.attacks.SingleGene("random")(pbmc_small, model, **B_CELLS)
        genes = weakest.to_frame()["gene"].head(4).tolist()
    result = Grid(genes, ["perc1", "random"])(pbmc_small, model, seed=3, **B_CELLS)
    rows = np.flatnonzero(pbmc_small.obs["cell_type"] == "CD19+ B")
    new = {
        (gene, m): adv.modify(pbmc_small, [gene], m, seed=3, **B_CELLS)[rows, gene].X.toarray()
        for gene in genes
        for m in ("perc1", "random")
    }
    frame = result.to_frame()
    assert frame["share"].nunique() > 5  # the changes matter
    X = pbmc_small.X.toarray()
    for row in frame.to_dict("records"):
        changed = pbmc_small.copy()
        changed.X = X.copy()
        for gene in genes:
            if row[gene]:
                changed.X[rows, changed.var_names.get_loc(gene)] = new[gene, row[gene]][:, 0]
        votes = model.predict(changed).iloc[rows].value_counts()
        assert row["label"] == min(votes.index[votes == votes.max()])
        assert row["share"] == votes.max() / len(rows)
    if family == "sctype":
        assert result.proven == 1
        assert result.queries == 3**3 - 1  # one per combination of the genes that are read
    assert result.verify(pbmc_small, model)


def loud(X):
    return np.where(X.sum(axis=1) > 60, "loud", "quiet")


def flat(n_genes=6):
    """Return 8 cells of ones, two clusters."""
    obs = pd.DataFrame({"cluster": list("aaaabbbb")}, index=[f"c{i}" for i in range(8)])
    return AnnData(np.ones((8, n_genes)), obs=obs, var=pd.DataFrame(index=[f"g{j}" for j in range(n_genes)]))


GENES = [f"g{j}" for j in range(6)]
AB = {"groupby": "cluster", "target": "a"}


def test_first_stops_at_a_hit_with_the_fewest_genes():
    found = Grid(GENES, "fixed:30", first=True)(flat(), loud, **AB)
    whole = Grid(GENES, "fixed:30")(flat(), loud, **AB)
    assert len(found.genes) == len(whole.genes) == 2  # 30 + 30 + 4 > 60
    # with the unmodified cluster, alone and beside other cells, and two queries at the end that hear answers again
    assert (found.queries, whole.queries) == (7 + 4, 63 + 4)
    assert found.complete
    assert found.counts["flipped"] == 1


def test_budget_gives_a_partial_grid_whose_hits_are_still_the_smallest():
    held = Grid(GENES, "fixed:30")(flat(), loud, budget=5, **AB)
    assert (held.complete, held.queries, held.success) == (False, 4, False)  # one is kept for a flip
    hit = Grid(GENES, "fixed:30")(flat(), loud, budget=11, **AB)
    assert (hit.complete, hit.queries, len(hit.genes)) == (False, 11, 2)
    assert "stopped by the budget" in str(hit)


def test_large_grids_are_refused_with_their_size_and_time(pbmc_small):
    model = adv.classifiers.ScType(scaled=False)
    names = list(pbmc_small.var_names)
    with pytest.raises(adv.errors.ParameterError, match=r"531,441 combinations.*takes about .*confirm=True") as refusal:
        Grid(names[:12])(pbmc_small, model, **B_CELLS)
    assert re.search(r"about (a|[\d.,]+) (thousand|second|minute|hour|day|year)", str(refusal.value))
    with pytest.raises(adv.errors.ParameterError, match=r"about 10\^364 combinations.*a thousand years or more"):
        Grid(names)(pbmc_small, model, **B_CELLS)
    result = Grid(names, confirm=True)(pbmc_small, model, budget=30, **B_CELLS)
    assert (result.queries, result.complete) == (30, False)


def test_the_limit_is_the_number_of_combinations(monkeypatch):
    monkeypatch.setattr("adverscarial.attacks.grid.LIMIT", 64)
    assert len(Grid(GENES, "fixed:30")(flat(), loud, **AB).codes) == 64
    monkeypatch.setattr("adverscarial.attacks.grid.LIMIT", 63)
    with pytest.raises(adv.errors.ParameterError, match="64 combinations, more than 63"):
        Grid(GENES, "fixed:30")(flat(), loud, **AB)


def test_a_misnamed_cluster_is_no_attack():
    """The classifier never says 'a': what counts is its own first answer."""
    result = Grid(["g0", "g1"], "fixed:3")(flat(), loud, **AB)
    assert result.baseline == "quiet"
    assert not result.success
    assert set(result.to_frame()["outcome"]) == {"held"}
    with pytest.raises(adv.errors.ParameterError, match="nothing to apply"):
        result.apply(flat())
    assert result.verify(flat(), loud)  # the claim is that the label stays


def test_named_changes_only():
    def rule(X):
        return np.where(X[:, 0] > 5, "unknown", np.where(X[:, 1] > 5, "T", "B"))

    everything = Grid(["g0", "g1"], "fixed:9")(flat(), rule, **AB)
    named = Grid(["g0", "g1"], "fixed:9", change_type="named")(flat(), rule, **AB)
    assert everything.counts["flipped"] == 3
    assert named.modifications == {"g1": "fixed:9"}
    assert named.counts == {"flipped": 1, "held": 3, "rejected": 0}


def test_refused_inputs_are_rejected_neither_flipped_nor_held():
    def rule(X):
        if X.max() > 50:
            raise ValueError("out of range")
        return loud(X)

    result = Grid(GENES[:3], ["fixed:30", "fixed:99"])(flat(), rule, **AB)
    frame = result.to_frame()
    touched = (frame[GENES[:3]] == "fixed:99").any(axis=1)
    assert (frame["outcome"] == "rejected").equals(touched)
    assert frame["outcome"].tolist() == ["flipped"] * 4 + ["rejected"] * 19 + ["held"] * 4
    assert set(result.modifications.values()) == {"fixed:30"}


def test_apply_does_what_the_best_row_says_and_leaves_the_original_alone():
    adata = flat()
    before = adata.X.copy()
    result = Grid(GENES, ["fixed:2", "fixed:29", "fixed:31"])(adata, loud, **AB)
    changed = result.apply(adata)
    np.testing.assert_array_equal(adata.X, before)
    expected = before.copy()
    for gene, modification in result.modifications.items():
        expected[:4, adata.var_names.get_loc(gene)] = float(modification.removeprefix("fixed:"))
    np.testing.assert_array_equal(changed.X, expected)
    assert adv.predict(changed, loud, **AB).label == result.label == "loud"
    assert changed.uns["adverscarial"]["genes"].tolist() == result.genes
    assert changed.uns["adverscarial"]["modifications"].tolist() == list(result.modifications.values())
    assert not result.verify(adata, lambda X: np.repeat("quiet", len(X)))


def test_block_functions_see_all_genes_that_they_change_and_no_others():
    """Each gene gets the number of genes changed together, times ten: two of them are needed."""
    seen = set()

    def crowd(block):
        seen.add(block.shape[1])
        return np.full(block.shape, 16.0 * block.shape[1])

    adata = flat()
    attack = Grid(GENES[:4], [adv.Custom(crowd, scope="cluster_block"), "fixed:-50"])
    result = attack(adata, loud, **AB)
    assert seen == {1, 2, 3, 4}
    frame = result.to_frame()
    crowded = (frame[GENES[:4]] == "custom:crowd").sum(axis=1)
    lowered = (frame[GENES[:4]] == "fixed:-50").sum(axis=1)
    total = 16 * crowded**2 - 50 * lowered + 6 - crowded - lowered
    assert ((frame["label"] == "loud") == (total > 60)).all()
    assert result.genes == ["g0", "g1"]
    assert result.verify(adata, loud)


def test_results_come_back_from_a_file(tmp_path):
    adata = flat()
    result = Grid(GENES, ["fixed:2", "random", "fixed:30"])(adata, loud, seed=4, **AB)
    result.save(tmp_path / "grid.npz")
    back = Result.load(tmp_path / "grid.npz")
    assert isinstance(back, GridResult)
    assert back.attack == result.attack
    assert (back.genes, back.modifications, back.n_combinations) == (result.genes, result.modifications, 4**6)
    pd.testing.assert_frame_equal(back.to_frame(), result.to_frame())
    np.testing.assert_array_equal(back.apply(adata).X, result.apply(adata).X)
    assert str(back) == str(result)


def test_functions_are_named_in_a_file_but_not_stored(tmp_path):
    def tenfold(values):
        return 100 * values

    adata = flat()
    result = Grid(["g0"], [adv.Custom(tenfold), "perc1"])(adata, loud, **AB)
    result.save(tmp_path / "grid.npz")
    back = Result.load(tmp_path / "grid.npz")
    assert back.modifications == {"g0": "custom:tenfold"}
    with pytest.raises(adv.errors.StorageError, match="tenfold"):
        back.apply(adata)


def test_repr_rebuilds_the_attack_and_the_summary_names_the_answer():
    for attack in (Grid(["A", "B"]), Grid("A", Percentile(5), first=True, confirm=True, change_type="named")):
        assert eval(repr(attack)) == attack
    assert repr(Grid(["A", "B"])) == "Grid(('A', 'B'))"
    text = str(Grid(GENES, "fixed:30")(flat(), loud, **AB))
    assert "64 of 64 combinations" in text
    assert "2 genes: g0 fixed:30, g1 fixed:30 -> loud (100%)" in text
    assert "and 14 others with as few" in text


def test_a_survey_takes_grids():
    adata = flat()
    found = adv.survey(adata, loud, attacks=[Grid(GENES[:3], ["fixed:30", "perc1"])], targets=["a"], groupby="cluster")
    row = found.to_frame().iloc[0]
    assert (row["attack"], row["modification"], row["label"]) == ("Grid", "fixed:30, perc1", "loud")
    assert (row["tested"], row["flipped"]) == (27, 7)  # two genes up, or all three


@pytest.mark.parametrize(
    ("settings_", "message"),
    [
        ({"genes": []}, "genes= is empty"),
        ({"genes": None}, "must be names of genes"),
        ({"genes": ["g0"], "modifications": []}, "1 to 255 modifications, got 0"),
        ({"genes": ["g0"], "modifications": ["perc1", "upside-down"]}, "'upside-down' is no modification"),
        ({"genes": ["g0"], "modifications": None}, "'None' is no modification"),
        ({"genes": ["g0"], "modifications": ["perc1", Percentile(1)]}, "more than once: 'perc1'"),
        ({"genes": ["g0"], "change_type": "all"}, "change_type must be"),
    ],
)
def test_impossible_settings_are_refused_in_words(settings_, message):
    with pytest.raises(adv.errors.ParameterError, match=re.escape(message)):
        Grid(**settings_)


def test_genes_must_be_in_the_data_once():
    with pytest.raises(adv.errors.DataError, match="1 of 2 genes are not in the data: 'G1'"):
        Grid(["g0", "G1"])(flat(), loud, **AB)
    with pytest.raises(adv.errors.DataError, match="named more than once: 'g1'"):
        Grid(["g1", "g0", "g1"])(flat(), loud, **AB)
