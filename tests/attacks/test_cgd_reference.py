"""Cluster gradient descent against the R package's own runs, and what is done where those make no sense."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData

import adverscarial as adv
import golden_classifiers as golden
from adverscarial.attacks import ClusterGradientDescent, ClusterGradientDescentResult
from adverscarial.classifiers import Classifier, RandomForest
from adverscarial.errors import ClassifierError, DataError, ParameterError
from golden_files import GOLDEN, read_json

COMPARED = ["n_cells_changed", "original_share", "new_share", "original_score", "new_score"]
CORNERS = read_json("e_cgd_corner_cases")
HALF, CASES = CORNERS["genes_half"], CORNERS["cases"]


def reference_setting(folder: Path, name: str) -> tuple[AnnData, Classifier]:
    """Return the input and the classifier of ``e_{name}_*.json``."""
    classifier, data = name.split("_")
    adata = golden.cells(folder / "inputs" / f"{data}.csv")
    if classifier == "linear":
        return adata, golden.linear(json.loads((folder / "inputs" / "classifiers.json").read_text())[name])
    spec = json.loads((folder / "inputs" / "forest.json").read_text())
    columns = ("left", "right", "status", "var", "split", "pred")
    trees = [
        pd.DataFrame({**{key: tree[key] for key in columns}, "tree": number, "node": np.arange(len(tree["left"])) + 1})
        for number, tree in enumerate(spec["trees"])
    ]
    return adata, RandomForest.from_table(pd.concat(trees), classes=spec["classes"], genes=spec["genes"])


def golden_steps(case: dict[str, Any]) -> tuple[list[str], np.ndarray]:
    rows = case["byGeneSummary"]["rows"][1:]
    numbers = [[np.nan if row[k] is None else float(row[k]) for k in (2, 3, 4, 7, 8)] for row in rows]
    return [row[1] for row in rows], np.array(numbers)


@pytest.mark.fast("linear_sim-dataframe-True")
@pytest.mark.parametrize(
    ("name", "branch", "reference"),
    [
        ("linear_sim", "dataframe", True),
        ("rf_sim", "dataframe", True),
        ("linear_scaled", "dataframe", True),
        ("linear_scaled", "seurat_branch", "seurat"),
    ],
)
def test_reference_is_the_r_code(shared, name, branch, reference):
    folder = shared / "golden"
    adata, model = reference_setting(folder, name)
    given = json.loads((folder / f"e_{name}_{branch}.json").read_text())
    assert len(given["cases"]) == 24
    for case in given["cases"]:
        attack = ClusterGradientDescent(
            case["alpha"], case["epsilon"], genes=given["genes"], stop_at_switch=case["stopAtSwitch"],
            reference=reference,
        )  # fmt: skip
        result = attack(adata, model, groupby="cluster", target=case["target"])
        genes, numbers = golden_steps(case)
        assert result.tested_genes == genes
        assert result.modified_genes == case["modGenes"]
        np.testing.assert_allclose(result.steps[COMPARED].to_numpy(float), numbers, rtol=1e-9, atol=1e-15)
        assert result.steps["new_label"].iloc[-1] == case["oneRowSummary"][2]
        # the last trial stays in the data where one cell was left
        assert set(result.moved) == {*case["modGenes"], *case["changed_but_not_in_modGenes"]}
        assert result.moved.tolist() == case["block"]["genes"]
        assert result.cell.tolist() == case["block"]["cells"]
        np.testing.assert_allclose(result.values, case["block"]["values"], rtol=1e-12)
        assert result.verify(adata, model)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["linear_sim", "rf_sim"])
def test_default_agrees_with_the_r_code_on_values_of_zero_and_more(shared, name):
    """Step by step the same; the R code wants strictly more votes to stop, and gives up with one cell left."""
    folder = shared / "golden"
    adata, model = reference_setting(folder, name)
    given = json.loads((folder / f"e_{name}_dataframe.json").read_text())
    same_length = 0
    for case in given["cases"]:
        attack = ClusterGradientDescent(
            case["alpha"], case["epsilon"], genes=given["genes"], stop_at_switch=case["stopAtSwitch"]
        )
        result = attack(adata, model, groupby="cluster", target=case["target"])
        genes, numbers = golden_steps(case)
        both = min(len(genes), len(result.steps))
        np.testing.assert_allclose(result.steps[COMPARED].to_numpy(float)[:both], numbers[:both], rtol=1e-9, atol=1e-15)
        assert result.tested_genes[:both] == genes[:both]
        if len(result.steps) < len(genes):  # stopped on a tie that the alphabet decides
            last = result.steps.iloc[-1]
            assert case["stopAtSwitch"]
            assert last["original_share"] == last["new_share"]
        elif len(result.steps) > len(genes):  # went on with the last cell
            assert not case["stopAtSwitch"]
            assert len(result.steps) == len(given["genes"])
        else:
            same_length += 1
            np.testing.assert_allclose(result.values, case["block"]["values"], rtol=1e-12)
        assert result.verify(adata, model)
    assert same_length == 20


# -- odd settings ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def sim() -> AnnData:
    return golden.cells(GOLDEN / "sim.csv")


@pytest.fixture(scope="module")
def linear() -> Classifier:
    return golden.linear(read_json("classifiers")["linear_sim"])


def run(sim: AnnData, model: Any, name: str, genes: list[str], **settings: Any) -> ClusterGradientDescentResult:
    """Run a case as it was run in R, and confirm its end by a full prediction."""
    case = CASES[name]
    settings = {"stop_at_switch": case["stopAtSwitch"], "reference": True, **settings}
    attack = ClusterGradientDescent(case["alpha"], case["epsilon"], genes=genes, **settings)
    result = attack(sim, model, groupby="cluster", target=case["target"])
    assert result.verify(sim, model)
    return result


def assert_as_in_r(result: ClusterGradientDescentResult, case: dict[str, Any]) -> None:
    genes, numbers = golden_steps(case)
    assert result.tested_genes == genes
    assert result.modified_genes == case["modGenes"]
    assert set(result.moved) == set(case["columns_changed"])
    np.testing.assert_allclose(result.steps[COMPARED].to_numpy(float), numbers, rtol=1e-9, atol=1e-15)
    if case["block"]:
        assert (result.cell.tolist(), result.moved.tolist()) == (case["block"]["cells"], case["block"]["genes"])
        np.testing.assert_allclose(result.values, case["block"]["values"], rtol=1e-12)


@pytest.mark.parametrize("reference", [True, False])
@pytest.mark.parametrize("name", [f"linear all genes T{k}" for k in (1, 2, 3, 4)])
def test_every_gene_in_the_order_of_the_data(sim, linear, name, reference):
    result = run(sim, linear, name, list(sim.var_names), reference=reference)
    assert_as_in_r(result, CASES[name])
    assert result.success
    assert result.label == CASES[name]["oneRowSummary"][2]


def test_r_forgets_the_new_target_after_the_first_gene_and_we_keep_it(sim, linear):
    """R turns T2 into T3 although T4 was asked for."""
    one = CASES["new_target_given_1gene"]
    first = run(sim, linear, "new_target_given_1gene", HALF[:1], new_target="T4")
    assert_as_in_r(first, one)
    assert (first.start["new_label"], one["oneRowSummary"][2]) == ("T4", "T4")
    theirs = run(sim, linear, "new_target_given", HALF, new_target="T4")
    assert_as_in_r(theirs, CASES["new_target_given"])
    assert theirs.label == "T3"
    ours = run(sim, linear, "new_target_given", HALF, new_target="T4", reference=False)
    assert set(ours.steps["new_label"]) == {"T4"}
    assert ours.steps["new_share"].iloc[-1] > np.mean(np.array(CASES["new_target_given"]["modCellTypes"]) == "T4")
    assert ours.success == (ours.label == "T4")


def test_r_dies_when_only_excluded_labels_are_voted_for_and_we_go_on(sim, linear):
    case = CASES["excluded_new_targets"]
    assert case["error"] == "undefined columns selected"
    with pytest.raises(ParameterError, match="Only excluded classes are voted for beside 'T2', and reference= stops"):
        run(sim, linear, "excluded_new_targets", HALF, exclude_targets=["T3"])
    ours = run(sim, linear, "excluded_new_targets", HALF, exclude_targets=["T3"], reference=False)
    assert "T3" not in {ours.start["new_label"], *ours.steps["new_label"]}


@pytest.mark.parametrize("reference", [True, False])
def test_negative_epsilon_looks_down_first(sim, linear, reference):
    assert_as_in_r(run(sim, linear, "negative_epsilon", HALF[:10], reference=reference), CASES["negative_epsilon"])


def with_few_of(sim: AnnData, target: str, n: int) -> AnnData:
    return sim[~np.isin(sim.obs_names, sim.obs_names[sim.obs["cluster"] == target][n:])].copy()


def test_r_leaves_a_single_cell_after_the_first_trial_and_we_attack_it(sim, linear):
    """R calls its new type "1" and its score NaN; what it does to the matrix is what the reference option does."""
    case, few = CASES["one_cell_cluster"], with_few_of(sim, "T4", 1)
    theirs = run(few, linear, "one_cell_cluster", list(sim.var_names))
    assert theirs.start["original_score"] == pytest.approx(float(case["oneRowSummary"][-4]), rel=1e-12)
    assert (theirs.tested_genes, theirs.modified_genes) == ([], case["modGenes"])
    assert theirs.moved.tolist() == case["columns_changed"]
    before = few[few.obs["cluster"] == "T4", "g01"].X
    np.testing.assert_array_equal(theirs.values, 2 * before + 1)  # the trial itself, alpha = epsilon = 1
    ours = run(few, linear, "one_cell_cluster", list(sim.var_names), reference=False)
    assert ours.success
    assert len(ours.modified_genes) > 1


def test_r_stops_when_no_cell_is_left_and_we_report_all_genes(sim, linear):
    """One huge step moves every cell; R then breaks off, and its summary claims that 60 genes were tested."""
    few = with_few_of(sim, "T4", 2)
    for name, cells in (("two_cell_cluster", few), ("big_steps_all_genes", sim)):
        case = CASES[name]
        theirs = run(cells, linear, name, list(sim.var_names))
        assert_as_in_r(theirs, case)
        assert (theirs.tested_genes, case["oneRowSummary"][7]) == (["g01"], "60")
        ours = run(cells, linear, name, list(sim.var_names), reference=False)
        assert ours.tested_genes == list(sim.var_names)
        assert ours.modified_genes == ["g01"]
        assert ours.success
        np.testing.assert_array_equal(ours.values, theirs.values)


def test_r_loses_the_means_of_unnamed_clusters_and_we_have_them(sim, linear):
    """Clusters without cell names: columns of NaN, in R. Cells always have names here."""
    case = CASES["unnamed_clusters"]
    result = run(sim, linear, "unnamed_clusters", HALF[:4])
    genes, numbers = golden_steps(case)
    assert np.isnan(numbers[:, 3:]).all()
    assert (result.tested_genes, result.modified_genes) == (genes, case["modGenes"])
    np.testing.assert_allclose(result.steps[COMPARED[:3]].to_numpy(float), numbers[:, :3])
    first = linear.scores(result.apply(sim))[(sim.obs["cluster"] == "T2").to_numpy()]
    assert result.steps["original_score"].iloc[-1] == pytest.approx(first["T2"].mean(), rel=1e-12)


@pytest.mark.parametrize("reference", [True, "seurat", False])
def test_an_unknown_gene_is_an_error_before_any_query(sim, linear, reference):
    """R: "subscript out of bounds" on tables; on Seurat objects no gene after it is ever tried, without a word."""
    assert CASES["unknown_gene"]["error"] == "subscript out of bounds"
    assert CASES["unknown_gene_seurat_branch"]["modGenes"] == []
    with pytest.raises(DataError, match="1 of 3 genes are not in the data: 'NOPE'"):
        run(sim, linear, "unknown_gene", ["NOPE", "g01", "g03"], reference=reference)


def test_the_original_is_reported_as_it_was(sim, linear):
    """R's `oriCellTypesMat` is the last prediction."""
    assert CASES["oriCellTypesMat_equals_modCellTypesMat"]
    assert not CASES["oriCellTypesMat_is_the_original"]
    result = run(sim, linear, "linear all genes T1", list(sim.var_names), reference=False)
    inside = (sim.obs["cluster"] == "T1").to_numpy()
    assert result.start["original_share"] == (linear.predict(sim)[inside] == "T1").mean()
    assert result.steps["original_share"].iloc[-1] == (linear.predict(result.apply(sim))[inside] == "T1").mean()


@pytest.mark.parametrize("form", ["csr_matrix", "csc_matrix"])
def test_containers_give_the_same(sim, linear, form):
    """R takes data frames and DelayedMatrix, and fails on a plain matrix; AnnData holds dense or sparse."""
    import scipy.sparse

    assert CASES["input given as matrix"]["error"] == "the condition has length > 1"
    assert CASES["input given as DelayedMatrix"]["ok"]
    other = sim.copy()
    other.X = getattr(scipy.sparse, form)(sim.X)
    assert_as_in_r(run(other, linear, "linear all genes T2", list(sim.var_names)), CASES["linear all genes T2"])


@pytest.mark.parametrize("reference", [True, False])
@pytest.mark.parametrize("case", CASES["slope_7_digits"])
def test_gradients_that_agree_in_seven_digits_are_the_same(case, reference):
    def scores(X: np.ndarray) -> np.ndarray:
        moved = X[:, 0] > 1
        return np.stack([0.6 + case["delta_ctype1"] * moved, 0.4 + case["delta_ctype2"] * moved], axis=1)

    obs = pd.DataFrame({"k": ["a"] * 3 + ["b"]}, index=["c0", "c1", "c2", "c3"])
    adata = AnnData(np.array([[1.0], [1.0], [1.0], [0.0]]), obs=obs, var=pd.DataFrame(index=["g0"]))
    model = adv.classifiers.wrap(scores, classes=["A", "B"])
    attack = ClusterGradientDescent(genes=["g0"], reference=reference)
    after = attack(adata, model, groupby="k", target="a").apply(adata).X.ravel()
    assert after.tolist() == [*case["after"], 0]


# -- the bundled marker rules, on real cells ------------------------------------------------------------------------

RULE_TARGETS = ["DC", "NK", "B", "CD8 T", "Platelet"]
RULE_GENES = ["LTB", "CD79A", "S100A9", "GZMB", "GZMK", "LDHB", "CCR7", "LST1", "CD74", "PF4"]


def test_label_only_rules_are_refused(shared):
    adata, rules = golden.setting(shared, "MClassifier")
    with pytest.raises(ClassifierError, match=r"labels only.*SingleGene, MinChange and others"):
        ClusterGradientDescent(genes=RULE_GENES)(adata, rules, groupby="cluster", target="NK")


@pytest.mark.parametrize("target", RULE_TARGETS)
def test_rules_with_a_score_of_one_for_their_label_are_as_in_r(shared, target):
    """R's marker classifier gives the cluster's label a score of 1 in every cell, and the others 0."""
    adata, rules = golden.setting(shared, "MClassifier")
    case = read_json("e_cgd_corner_cases", shared / "golden")["cases"][f"MClassifier {target}"]
    first = case["oneRowSummary"][2]
    classes = [first, *sorted({*adata.obs["cluster"], "UNDETERMINED"} - {first})]  # all at 0: the first is the next

    def scores(X: np.ndarray) -> np.ndarray:
        obs = pd.DataFrame({"k": [*["x"] * len(X), "another"]}, index=[f"c{i}" for i in range(len(X) + 1)])
        cells = AnnData(np.vstack([X, X[:1]]), obs=obs, var=adata.var)
        label = adv.predict(cells, rules, groupby="k", target="x").label
        return np.tile(np.array(classes) == label, (len(X), 1)).astype(float)

    model = adv.classifiers.wrap(
        scores, classes=classes, needs_all_cells=False
    )  # the rules judge all asked cells as one
    attack = ClusterGradientDescent(genes=RULE_GENES, reference=True)
    result = attack(adata, model, groupby="cluster", target=target)
    assert_as_in_r(result, case)
    assert result.verify(adata, model)
