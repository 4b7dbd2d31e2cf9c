"""The attack that looks for the smallest set of genes, and what it says."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression

import adverscarial as adv
from adverscarial.attacks import MaxChange, MinChange, RandomWalk, Result
from adverscarial.cells.cluster import Cluster
from adverscarial.classifiers.scorers.base import Scorer
from adverscarial.classifiers.scorers.wrapped import WrappedScorer
from adverscarial.modifications import Modification
from laws.families import FAMILIES, GENES, TARGETS, cells, classifier


def truth(adata: AnnData, model, modification: str, where: dict, goal) -> int | None:
    """The smallest set of genes after which the label is a goal, by trying all."""
    for size in range(1, len(GENES) + 1):
        for genes in itertools.combinations(GENES, size):
            changed = adv.modify(adata, list(genes), modification, **where)
            if goal(adv.predict(changed, model, **where).label):
                return size
    return None


@pytest.mark.fast(
    *(f"{change}-{family}" for change in ("perc99", "decile+5") for family in ("logistic", "markers", "function")),
    "perc99-scMLP",
)
@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("modification", ["perc99", "decile+5"])
def test_the_interval_holds_the_truth_for_every_family(family: str, modification: str) -> None:
    adata, model, where = cells(3), classifier(family), {"groupby": "cluster", "target": TARGETS[0]}
    result = MinChange(modification)(adata, model, **where)
    smallest = truth(adata, model, modification, where, lambda label: label != result.baseline)
    if smallest is None:
        assert result.upper is None
        return
    assert not result.impossible
    assert result.lower <= smallest
    assert result.upper is not None
    assert result.upper >= smallest
    assert result.verify(adata, model)
    assert len(result.genes) == result.upper


@pytest.mark.parametrize("family", FAMILIES)
def test_no_signature_is_shorter_than_what_max_change_proves(family: str) -> None:
    adata, model, where = cells(5), classifier(family), {"groupby": "cluster", "target": TARGETS[1]}
    result = MaxChange("perc99", restarts=2)(adata, model, **where)
    for size in range(result.lower):
        for left in itertools.combinations(GENES, size):
            changed = adv.modify(adata, [gene for gene in GENES if gene not in left], "perc99", **where)
            assert adv.predict(changed, model, **where).label != result.baseline
    assert result.lower <= len(result.signature)


@pytest.fixture(scope="module")
def found(pbmc_small: AnnData):
    model = adv.classifiers.ScType(scaled=False)
    return model, MinChange("perc1")(pbmc_small, model, groupby="cell_type", target="Dendritic")


def test_it_needs_no_more_genes_than_a_random_walk(pbmc_small: AnnData, found) -> None:
    model, result = found
    walk = RandomWalk(result.genes, ["perc1"], steps=30)(pbmc_small, model, groupby="cell_type", target="Dendritic")
    assert result.upper is not None
    assert not walk.success or result.upper <= len(walk.genes)


def test_the_result_survives_storage(tmp_path, found) -> None:
    result = found[1]
    result.save(tmp_path / "r.npz")
    back = Result.load(tmp_path / "r.npz")
    assert (back.lower, back.upper, back.proof, back.interval) == (
        result.lower,
        result.upper,
        result.proof,
        result.interval,
    )
    pd.testing.assert_frame_equal(back.cells, result.cells)
    pd.testing.assert_frame_equal(back.lower_by_rival, result.lower_by_rival)


def test_cells_are_exact_for_weighted_sums(found) -> None:
    cells_found = found[1].cells
    assert len(cells_found) == found[1].n_cells
    finite = np.isfinite(cells_found["lower"])
    assert finite.any()
    assert (cells_found["upper"] >= cells_found["lower"]).all()
    assert (cells_found["upper"] - cells_found["lower"])[finite].max() <= 1


@pytest.mark.fast("ScType-any")
@pytest.mark.parametrize("change_type", ["any", "named"])
@pytest.mark.parametrize("family", ["ScType", "logistic", "forest"])
def test_each_cell_gets_another_label_with_the_genes_of_its_own(
    family: str, change_type: str, pbmc_small: AnnData, tmp_path
) -> None:
    where = {"groupby": "cell_type", "target": "Dendritic"}
    if family == "ScType":
        model, change = adv.classifiers.ScType(scaled=False), "perc1"
    else:
        estimator = (
            LogisticRegression(max_iter=30) if family == "logistic" else RandomForestClassifier(20, random_state=0)
        )
        estimator.fit(pbmc_small.X.toarray(), pbmc_small.obs["cell_type"].astype(str))
        model, change = adv.classifiers.wrap(estimator, genes=list(pbmc_small.var_names)), "perc99"
    result = MinChange(change, cell_sets=True, change_type=change_type)(pbmc_small, model, **where)
    table = result.cells
    sizes = table["genes"].map(len)
    assert sizes.max() > 1
    for row in table[sizes > 0].iloc[:12].itertuples():
        changed = adv.modify(pbmc_small, row.genes, change, **where)
        assert model.predict(changed)[row.cell] != row.label
        assert row.lower <= row.upper == len(row.genes)
    assert (table["upper"][sizes == 0].isna() | np.isinf(table["upper"][sizes == 0])).all()
    result.save(tmp_path / "r.npz")
    pd.testing.assert_frame_equal(Result.load(tmp_path / "r.npz").cells, table)


def test_towards_counts_flips_to_one_label_only(pbmc_small: AnnData, found) -> None:
    model, result = found
    other = next(str(label) for label in result.rival if label != result.label)
    aimed = MinChange("perc1", towards=other)(pbmc_small, model, groupby="cell_type", target="Dendritic")
    assert aimed.towards in (None, other)
    assert aimed.lower >= result.lower


def test_words_say_an_interval_unless_it_is_closed(found) -> None:
    result = found[1]
    if result.optimal:
        assert result.interval.startswith("exactly")
    else:
        assert result.interval.startswith("at least")
    assert result.interval in str(result)


@pytest.mark.parametrize(
    "wrong",
    [
        {"seconds": 0}, {"seconds": "3"}, {"seconds": True}, {"seconds": float("nan")},
        {"exact": "yes"}, {"exact": 1}, {"exact": 0}, {"change_type": "other"},
    ],
    ids=str,
)  # fmt: skip
def test_impossible_settings_are_said(wrong: dict) -> None:
    said = {
        "seconds": "seconds must be a number of seconds above 0, got",
        "exact": "exact must be 'auto', True or False, got",
        "change_type": "change_type must be 'any' or 'named'",
    }
    with pytest.raises(adv.errors.ParameterError, match=said[next(iter(wrong))]):
        MinChange("perc1", **wrong)


def two_labels(names: list[str]):
    """A linear model that gives the first label where G0 is large, and else the second."""
    adata = cells(3)
    fitted = LogisticRegression().fit(adata.X, np.where(adata.obs["type"] == "B", *names))
    return adata, adv.classifiers.wrap(fitted, genes=GENES)


def test_where_no_other_label_counts_the_proof_has_a_name(tmp_path) -> None:
    adata, model = two_labels(["B", "unknown"])
    where = {"groupby": "cluster", "target": "c0"}
    result = MinChange("perc1", change_type="named")(adata, model, **where)
    assert result.baseline == "B"
    assert (result.impossible, result.upper, result.proof) == (True, None, "no other label")
    assert result.interval == "no set of these genes flips the label to a named type (proven)"
    assert result.interval in result.sentence
    check = adv.evaluation.verify_certificate(result.certificate(adata, model).save(tmp_path / "c.json"), adata, model)
    assert check
    assert check.claim.endswith("no set flips the label to a named type.")
    assert not MinChange("perc1")(adata, model, **where).impossible  # "unknown" is another label, too
    adata, model = two_labels(["unassigned", "unknown"])
    result = MinChange("perc1", change_type="named")(adata, model, **where)
    assert (result.impossible, result.proof) == (True, "no other label")
    assert np.isinf(result.cells[["lower", "upper"]]).all(axis=None)


def test_only_a_bound_about_all_labels_speaks_in_a_verdict() -> None:
    adata, model = two_labels(["B", "unknown"])
    for attack, setting in ((MinChange("perc1", change_type="named"), "change_type"),
                            (MinChange("perc1", towards="unknown"), "towards")):  # fmt: skip
        result = attack(adata, model, groupby="cluster", target="c0")
        covered = result.coverage(len(GENES))
        assert (covered.tested, covered.lower, covered.never) == (False, None, False)
        if not result.success:
            assert covered.why.startswith("MinChange (perc1) counted only flips to")
            assert covered.todo == f"Count flips to all labels: leave out {setting}."
    survey = adv.survey(
        adata, model, attacks=MinChange("perc1", change_type="named"), groupby="cluster", targets=["c0"]
    )
    (row,) = survey.verdicts().itertuples()
    assert row.verdict != "robust"
    assert "no set" not in row.reason


@pytest.mark.parametrize(
    ("settings", "counted"), [({"change_type": "named"}, "a named type"), ({"towards": "NK"}, "NK"), ({}, "")]
)
def test_every_sentence_says_which_labels_count(settings: dict, counted: str) -> None:
    result = MinChange("perc99", **settings)(cells(3), classifier("logistic"), groupby="cluster", target="c0")
    to, flip = (f" to {counted}", f" for a flip to {counted}") if counted else ("", "")
    none, some = np.empty(0, dtype=str), np.array(GENES[:4])
    said = {
        (9, True, 0): f"no set of these genes flips the label{to} (proven)",
        (2, False, 0): f"at least 2 genes must change; no set was found that flips the label{to}",
        (4, False, 4): f"exactly 4 genes must change{flip} (proven)",
        (1, False, 4): f"at most 4 genes must change{flip}; fewer may do",
        (2, False, 4): f"at least 2 and at most 4 genes must change{flip}",
    }
    for (lower, impossible, upper), text in said.items():
        one = replace(result, lower=lower, impossible=impossible, changed=some if upper else none)
        assert one.interval == text
        assert text in one.sentence


def test_a_spent_budget_leaves_a_valid_interval(pbmc_small: AnnData) -> None:
    model = adv.classifiers.ScType(scaled=False)
    result = MinChange("perc1")(pbmc_small, model, groupby="cell_type", target="Dendritic", budget=3)
    assert not result.complete
    assert result.lower == 1
    assert result.upper is None


def test_a_label_that_cannot_be_reached_is_said(pbmc_small: AnnData, found) -> None:
    model, result = found
    where = {"groupby": "cell_type", "target": "Dendritic"}
    with pytest.raises(adv.errors.ParameterError, match="the label that the cluster has"):
        MinChange("perc1", towards=result.baseline)(pbmc_small, model, **where)
    with pytest.raises(adv.errors.ParameterError, match="never gives"):
        MinChange("perc1", towards="no such type")(pbmc_small, model, **where)


def test_block_functions_get_a_set_and_no_proof() -> None:
    """New values depend on which genes are changed together, so no bound holds; the set is still judged."""
    adata, model, where = cells(3), classifier("logistic"), {"groupby": "cluster", "target": TARGETS[0]}
    attack = MinChange(adv.Custom(lambda block: block.max() + 0 * block, scope="cluster_block"))
    result = attack(adata, model, **where)
    assert result.lower <= 2
    assert len(result.cells) == 0
    assert result.upper is None or result.verify(adata, model)


@pytest.mark.slow
def test_a_scorer_in_a_wrapper_keeps_its_proofs() -> None:
    """A wrapper that left out a method would answer with that of the base class: nothing is proven."""
    public = {name for name, value in vars(Scorer).items() if not name.startswith("_") and callable(value)}
    assert {"moves", "needs", "refused"} <= public <= set(vars(WrappedScorer))
    adata = cells(3)
    cluster = Cluster(adata, "cluster", TARGETS[0])
    genes, values = np.arange(len(GENES)), np.ones((1, len(GENES)))
    assert WrappedScorer(classifier("logistic").scorer(cluster)).moves(genes, values) is not None
    assert WrappedScorer(classifier("CHETAH").scorer(cluster)).needs(genes, values) is not None


@pytest.mark.slow
def test_ranks_prove_more_than_a_scan_of_single_genes(pbmc_small: AnnData) -> None:
    model = adv.classifiers.Chetah(n_genes=100).fit(pbmc_small, "cell_type")
    result = MinChange("perc1")(pbmc_small, model, groupby="cell_type", target="Dendritic")
    assert result.lower > 2
    assert result.proof in ("own sets", "share of the vote")
    assert result.upper is None or result.upper >= result.lower
    assert result.lower_by_rival["lower"].min() == result.lower
    assert (result.cells["lower"] >= 1).all()


@pytest.mark.slow
def test_a_forest_finds_the_same_sets_in_float64(pbmc_small) -> None:
    """There it may refuse values of every gene, so that genes that no tree tests are counted, too."""
    genes, found = list(pbmc_small.var_names), []
    trees = RandomForestClassifier(15, max_depth=4, random_state=0).fit(pbmc_small.X, pbmc_small.obs["cell_type"])
    for dtype in (np.float32, np.float64):
        adata = pbmc_small.copy()
        adata.X = adata.X.astype(dtype)
        found.append(
            MinChange("perc99")(
                adata, adv.classifiers.wrap(trees, genes=genes), groupby="cell_type", target="Dendritic"
            )
        )
    assert found[0].success
    assert found[0].genes == found[1].genes
    assert found[0].lower == found[1].lower > 1


@dataclass(frozen=True, repr=False)
class Moved(Modification):
    """The values to which CGD has moved each gene in each cell."""

    result: adv.attacks.ClusterGradientDescentResult

    def values(self, cluster: Cluster, genes: np.ndarray) -> np.ndarray:
        return self.result.changed_values(cluster, genes).astype(np.float64)


@pytest.mark.slow
def test_a_set_is_found_where_nearly_all_genes_are_needed() -> None:
    """CGD stops where its moves begin to flip the label, so few of its genes can be spared."""
    cells = adv.datasets.embedded()
    model = adv.classifiers.MLP((64, 16)).fit(cells, "cell_type")
    asked = {"groupby": "cell_type", "target": "Dendritic"}
    descent = adv.attacks.ClusterGradientDescent(0.3, 0.1)(cells, model, **asked)
    assert descent.success
    moved = descent.changed_genes
    result = MinChange(Moved(descent), genes=moved)(cells, model, **asked, budget=1000)
    assert result.upper is not None
    assert 1 < result.lower <= result.upper <= len(moved)
    assert result.verify(cells, model)
