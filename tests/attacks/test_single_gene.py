from __future__ import annotations

import json

import numpy as np
import pytest

import adverscarial as adv
import golden_classifiers as golden
from adverscarial.attacks import SingleGene


@pytest.fixture(scope="module")
def model(pbmc_small):
    return adv.classifiers.ScType(scaled=False)


def reference_cases(shared):
    return json.loads((shared / "golden" / "c_single_gene.json").read_text())["cases"]


@pytest.fixture(scope="module")
def settings(shared):
    return {name: golden.setting(shared, name) for name in ("linear_sim", "tree_sim", "ratio_sim", "MClassifier")}


def options_of(case):
    given = case["options"] or {}
    options = {"max_split_size": given.get("maxSplitSize", 1), "first": given.get("returnFirstFound", False)}
    options["change_type"] = "named" if given.get("changeType") == "not_na" else "any"
    if "exclGenes" in given:
        options["exclude"] = tuple(gene for gene in given["exclGenes"] if gene != "NOT_A_GENE")
    return options


@pytest.mark.fast("linear_sim")
@pytest.mark.parametrize("name", ["linear_sim", "tree_sim", "ratio_sim", "MClassifier"])
def test_exact_search_finds_what_a_full_loop_finds(shared, settings, name):
    adata, classifier = settings[name]
    cases = [case for case in reference_cases(shared) if case["classifier"] == name and not case["options"]]
    for case in cases:
        attack = SingleGene(golden.REFERENCE[case["method"]], search="exact")
        result = attack(adata, classifier, groupby="cluster", target=case["target"])
        found = result.to_frame().query("outcome == 'flipped'").set_index("gene")["label"].to_dict()
        assert found == case["truth"]
        assert result.baseline == case["initial"]
    assert len(cases) > 20


@pytest.mark.fast("linear_sim")
@pytest.mark.parametrize("name", ["linear_sim", "tree_sim", "ratio_sim", "MClassifier"])
def test_reference_bisection_asks_and_answers_as_the_r_code(shared, settings, name):
    adata, classifier = settings[name]
    seen = 0
    for case in reference_cases(shared):
        if case["classifier"] != name or "error" in case:
            continue
        attack = SingleGene(
            golden.REFERENCE[case["method"]],
            search="bisect",
            bins=case["firstDichot"],
            reference=True,
            **options_of(case),
        )
        result = attack(adata, classifier, groupby="cluster", target=case["target"])
        groups = result.groups
        grouped = {gene for group in groups for gene in group}
        found = {gene for gene in result.genes if gene not in grouped} | {"__".join(group) for group in groups}
        expected = case["found"] or {}
        assert {frozenset(key.split("__")) for key in expected} == {frozenset(key.split("__")) for key in found}
        # Both ask about the unmodified cluster; ours asks about it, and about a flip, again at the end, and asks a
        # function of cells once whether other cells matter.
        apart = name == "linear_sim"
        assert result.queries - case["calls"] - apart in ((2,) if found else (1, 2))
        labels = result.to_frame().set_index("gene")["label"]
        for key, answer in expected.items():
            assert labels[key.split("__")[0]] == answer["type"]
        seen += 1
    assert seen > 20


@pytest.mark.slow
def test_bisection_misses_what_the_reference_misses_and_says_so(shared, settings):
    missed = 0
    for case in reference_cases(shared):
        options = options_of(case)
        if not case.get("missed") or options["max_split_size"] > 1:
            continue
        adata, classifier = settings[case["classifier"]]
        modification = golden.REFERENCE[case["method"]]
        attack = SingleGene(modification, search="both", bins=case["firstDichot"], reference=True, **options)
        result = attack(adata, classifier, groupby="cluster", target=case["target"])
        assert sorted(result.missed_by_bisect) == sorted(case["missed"])
        assert set(result.genes) == set(case["truth"])
        missed += 1
    assert missed == len([case for case in reference_cases(shared) if case.get("missed")]) == 16
    assert "would have missed" in str(result)


def test_plain_bisection_tests_each_bin_once(pbmc_small):
    def held(X):
        return np.repeat("same", len(X))

    attack = SingleGene("perc99", search="bisect", bins=10)
    result = attack(pbmc_small, adv.classifiers.wrap(held), groupby="cell_type", target="Dendritic")
    assert result.queries == 10 + 3  # and the unmodified cluster, at the start, at the end, and beside other cells
    assert result.queries_saved == pbmc_small.n_vars - 10
    assert result.counts == {"flipped": 0, "held": pbmc_small.n_vars, "rejected": 0}
    assert not result.alone.any()


def test_every_flip_is_confirmed_by_full_reprediction(pbmc_small, model):
    result = SingleGene("positive_aberrant")(
        pbmc_small, model, groupby="cell_type", target="CD4+/CD45RA+/CD25- Naive T"
    )
    verification = result.verify(pbmc_small, model)
    assert len(result.genes) > 10
    assert len(verification.table) == len(result.genes)
    assert verification
    held = result.to_frame().query("outcome == 'held'")["gene"].tolist()
    assert result.verify(pbmc_small, model, genes=held[:20] + held[-20:])


def test_frame_is_sorted_and_complete(pbmc_small, model):
    result = SingleGene("perc99")(pbmc_small, model, groupby="cell_type", target="CD4+/CD25 T Reg")
    frame = result.to_frame()
    assert list(frame.columns[:4]) == ["gene", "outcome", "label", "share"]
    assert len(frame) == pbmc_small.n_vars == frame["gene"].nunique()
    flipped = frame.query("outcome == 'flipped'")
    assert len(flipped) > 0
    assert flipped.index[-1] == len(flipped) - 1
    assert flipped["share"].is_monotonic_decreasing
    assert (flipped["label"] != result.baseline).all()
    order = {gene: i for i, gene in enumerate(pbmc_small.var_names)}
    assert result.genes == sorted(flipped["gene"], key=order.get)


def test_first_stops_at_the_first_hit_in_gene_order(pbmc_small, model):
    common = {"groupby": "cell_type", "target": "CD4+/CD25 T Reg"}
    whole = SingleGene("perc99")(pbmc_small, model, **common)
    first = SingleGene("perc99", first=True)(pbmc_small, model, **common)
    assert first.genes == whole.genes[:1]
    assert first.gene[-1] == whole.genes[0]


def test_genes_and_exclude(pbmc_small, model):
    common = {"groupby": "cell_type", "target": "CD19+ B"}
    some = list(pbmc_small.var_names[:30])
    result = SingleGene("perc99", genes=some, exclude=some[:10])(pbmc_small, model, **common)
    assert list(result.gene) == some[10:]


def test_budget_ends_the_search_normally(pbmc_small, model):
    common = {"groupby": "cell_type", "target": "CD19+ B"}
    whole = SingleGene("perc99")(pbmc_small, model, **common)
    part = SingleGene("perc99")(pbmc_small, model, budget=7, **common)
    assert part.queries == 7
    assert not part.complete
    assert len(part.gene) < len(whole.gene)
    assert "stopped by the budget" in str(part)
    known = dict(zip(whole.gene, whole.outcome, strict=True))
    assert all(known[gene] == outcome for gene, outcome in zip(part.gene, part.outcome, strict=True))
    enough = SingleGene("perc99")(pbmc_small, model, budget=whole.queries, **common)
    assert enough.complete


def test_named_changes_only(pbmc_small):
    column = pbmc_small.var_names.get_loc("CD3D")

    def unsure(X):
        return np.where(X[:, column] > 100, "Unassigned", "T")

    common = {"groupby": "cell_type", "target": "CD19+ B"}
    assert SingleGene("fixed:200", genes=["CD3D"], search="exact")(pbmc_small, unsure, **common).genes == ["CD3D"]
    named = SingleGene("fixed:200", genes=["CD3D"], search="exact", change_type="named")(pbmc_small, unsure, **common)
    assert named.genes == []
    assert named.to_frame()["label"].tolist() == ["Unassigned"]


def test_a_refusal_is_the_outcome_rejected(pbmc_small):
    def guarded(X):
        if X.max() > 50:
            raise ValueError("values above 50 cannot be log-normalised")
        return np.repeat("T", len(X))

    common = {"groupby": "cell_type", "target": "CD19+ B"}
    result = SingleGene("fixed:60", search="exact")(pbmc_small, guarded, **common)
    assert result.counts == {"flipped": 0, "held": 0, "rejected": pbmc_small.n_vars}


def test_apply_changes_one_gene_of_one_cluster(pbmc_small, model):
    result = SingleGene("perc99")(pbmc_small, model, groupby="cell_type", target="CD4+/CD25 T Reg")
    before = pbmc_small.X.toarray()
    changed = result.apply(pbmc_small)
    assert (pbmc_small.X.toarray() == before).all()
    rows, columns = np.nonzero(changed.X.toarray() != before)
    strongest = result.to_frame()["gene"][0]
    assert set(pbmc_small.var_names[columns]) == {strongest}
    assert set(pbmc_small.obs["cell_type"].iloc[rows]) == {"CD4+/CD25 T Reg"}
    assert changed.uns["adverscarial"]["genes"].tolist() == [strongest]
    assert adv.predict(changed, model, groupby="cell_type", target="CD4+/CD25 T Reg").label == result.label


def test_nothing_to_apply_is_said(pbmc_small):
    same = adv.classifiers.wrap(lambda X: np.repeat("T", len(X)))
    result = SingleGene("perc99", bins=2)(pbmc_small, same, groupby="cell_type", target="CD19+ B")
    with pytest.raises(adv.errors.ParameterError, match="nothing to apply"):
        result.apply(pbmc_small)


def test_random_is_seeded_and_independent_of_order(pbmc_small, model):
    common = {"groupby": "cell_type", "target": "CD4+/CD25 T Reg"}
    one = SingleGene("random")(pbmc_small, model, seed=3, **common)
    again = SingleGene("random")(pbmc_small, model, seed=3, **common)
    assert one.to_frame().equals(again.to_frame())
    rng = np.random.default_rng(0)
    mixed = pbmc_small[rng.permutation(pbmc_small.n_obs), rng.permutation(pbmc_small.n_vars)].copy()
    other = SingleGene("random")(mixed, model, seed=3, **common)
    assert set(other.genes) == set(one.genes)
    assert SingleGene("random")(pbmc_small, model, seed=4, **common).genes != one.genes


def test_repr_rebuilds_the_attack():
    from adverscarial import Aberrant, Percentile  # noqa: F401  names that eval needs

    for attack in (SingleGene("perc99"), SingleGene(adv.Aberrant(-1), search="bisect", bins=7, exclude=("A",))):
        assert eval(repr(attack)) == attack


def test_saved_results_come_back_whole(pbmc_small, model, tmp_path):
    result = SingleGene("perc99")(pbmc_small, model, groupby="cell_type", target="CD4+/CD25 T Reg")
    result.save(tmp_path / "result.npz")
    back = adv.attacks.Result.load(tmp_path / "result.npz")
    assert back.attack == result.attack
    assert back.to_frame().equals(result.to_frame())
    assert str(back) == str(result)
    assert (back.queries, back.baseline, back.versions) == (result.queries, result.baseline, result.versions)
    assert back.verify(pbmc_small, model)
    with pytest.raises(adv.errors.StorageError, match="expected a MaxChangeResult"):
        adv.attacks.MaxChangeResult.load(tmp_path / "result.npz")


def test_a_long_list_of_genes_does_not_hide_the_summary():
    cells = adv.datasets.embedded()
    model = adv.classifiers.ScType(scaled=False)
    attack = SingleGene("perc99", genes=list(cells.var_names[:100]), exclude=[cells.var_names[0]])
    shown = str(attack(cells, model, groupby="cell_type", target="Dendritic")).splitlines()[0]
    assert shown.startswith("SingleGene(Percentile(99), genes=[100 genes], exclude=['" + cells.var_names[0])
