"""Each rule of the verdict, on cells whose true answer is known."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData

import adverscarial as adv
from adverscarial.attacks import MinChange, SingleGene
from adverscarial.errors import InputRejected, ParameterError
from adverscarial.evaluation.verdicts import headline

#: gene 0 is high in A, gene 1 in B; the others carry nothing
GENES = ["a", "b", *(f"g{i}" for i in range(6))]
Function = Callable[[np.ndarray], np.ndarray]


def cells(**sizes: int) -> AnnData:
    rng = np.random.default_rng(0)
    names = np.repeat(list(sizes), list(sizes.values()))
    X = rng.uniform(0, 0.4, (len(names), len(GENES)))
    X[names == "A", 0] += 1
    X[names == "B", 1] += 1
    return AnnData(X, obs=pd.DataFrame({"group": names}, index=[f"c{i}" for i in range(len(names))]),
                   var=pd.DataFrame(index=GENES))  # fmt: skip


def sums(X: np.ndarray) -> np.ndarray:
    """Five genes speak for A against the two last ones: no single gene decides."""
    return np.where(X[:, 0] + X[:, 2:6].sum(axis=1) > X[:, 1] + X[:, 6:].sum(axis=1), "A", "B")


def one_gene(X: np.ndarray) -> np.ndarray:
    return np.where(X[:, 0] > 0.8, "A", "B")


def of(model: object, adata: AnnData, *attacks: object, cluster: str = "A", **rules: float) -> pd.Series:
    chosen = list(attacks) or [SingleGene("perc1", search="exact"), SingleGene("perc99", search="exact")]
    found = adv.survey(adata, {"model": model}, attacks=chosen, groupby="group", targets=[cluster])
    ((_, row),) = found.verdicts(**rules).iterrows()
    return row


def test_a_label_that_one_gene_flips_is_fragile():
    row = of(one_gene, cells(A=20, B=20))
    assert row["verdict"] == "fragile"
    assert row["reason"] == "a alone (perc1) flips it to B (100% of the cells)."
    assert row["next"].startswith("Look at a in these cells; where the label hangs on it, call the cell “unsure”.")
    assert (row["flipping"], row["fewest"], row["right"]) == (1, 1, 20)


def test_a_label_that_no_gene_flips_is_robust():
    row = of(lambda X: np.full(len(X), "A"), cells(A=20, B=20))
    assert row["verdict"] == "robust"
    assert row["reason"] == "None of 8 genes alone flips it (perc1, perc99)."
    assert "MinChange tells how many genes together flip it." in row["next"]
    assert not row["apart"]


def test_the_nearest_gene_and_the_proven_bound_are_named():
    markers = adv.classifiers.Markers({"A": ["a", "g0", "g1"], "B": ["b", "g2", "g3"]})
    attacks = [SingleGene("perc1"), MinChange("perc1")]
    row = of(markers, cells(A=40, B=40), *attacks, few=1)
    direct = MinChange("perc1")(cells(A=40, B=40), markers, groupby="group", target="A")
    assert row["lower"] == direct.lower
    if direct.lower > 1:
        assert row["verdict"] == "robust"
        assert f"at least {direct.lower} genes must change together (proven)" in row["reason"] or direct.impossible
    assert row["nearest"] == "a" or row["flipping"]


def test_a_small_set_makes_a_label_fragile():
    """Two of three genes must fall: none alone flips the label, two together do."""

    def two_of_three(X: np.ndarray) -> np.ndarray:
        return np.where((X[:, [0, 2, 3]] > 0.8).sum(axis=1) > 1, "A", "B")

    adata = cells(A=20, B=20)
    adata.X[:20, 2:4] += 1
    attacks = [SingleGene("perc1", search="exact"), MinChange("perc1")]
    row = of(two_of_three, adata, *attacks)
    assert (row["verdict"], row["fewest"], row["flipping"]) == ("fragile", 2, 0)
    assert row["reason"].startswith("2 genes together (")
    assert of(two_of_three, adata, *attacks, few=1)["verdict"] == "robust"
    assert "a set of 2 was found that does" in of(two_of_three, adata, *attacks, few=1)["reason"]


def test_a_gene_that_takes_the_majority_makes_it_fragile():
    """Half of the cells hang on gene a: they go three ways, so the label stays the most frequent one."""

    def split(X: np.ndarray) -> np.ndarray:
        lost = np.where(X[:, 3] > 0.2, "B", "C")
        return np.where((X[:, 0] > 0.8) | (X[:, 2] > 0.2), "A", lost)

    adata = cells(A=40, B=40)
    adata.X[:40, 2] = np.where(np.arange(40) < 16, 0.3, 0.1)
    adata.X[:40, 3] = np.where(np.arange(40) % 2 == 0, 0.3, 0.1)
    row = of(split, adata, SingleGene("perc1", search="exact"))
    assert row["flipping"] == 0
    assert row["verdict"] == "fragile"
    assert row["reason"] == "a (perc1) takes the majority: only 40% of the cells keep the label."
    assert of(split, adata, SingleGene("perc1", search="exact"), majority=0.3)["verdict"] == "robust"


def test_a_cluster_that_was_called_something_else_is_not_recognised():
    row = of(lambda X: np.full(len(X), "B"), cells(A=20, B=20))
    assert row["verdict"] == "not recognised"
    assert row["reason"].startswith("0 of 20 cells get this label before any attack; most are called B (100%)")
    assert row["next"].startswith("Do not read its flips.")
    assert (row["right"], row["cells"]) == (0, 20)


def test_names_that_the_classifier_does_not_use_say_nothing_of_recognition():
    row = of(lambda X: np.full(len(X), "T cell"), cells(A=20, B=20))
    assert row["verdict"] == "robust"
    assert pd.isna(row["right"])
    assert row["next"].startswith("The label may be used, if T cell is what these cells are.")


def test_a_label_that_means_unknown_is_not_recognised():
    row = of(lambda X: np.full(len(X), "Unassigned"), cells(A=20, B=20))
    assert row["verdict"] == "not recognised"
    assert "gives no cell type to these cells" in row["reason"]


@pytest.mark.parametrize("size", [4, 9])
def test_tiny_clusters_stand_apart(size):
    row = of(one_gene, cells(A=size, B=20))
    assert (row["verdict"], row["apart"]) == ("not decided", True)
    assert row["reason"].startswith(f"Only {size} cells: 100% of them are called A (95% interval ")
    assert row["share_low"] < 0.75
    assert of(one_gene, cells(A=size, B=20), min_cells=size)["verdict"] == "fragile"


def test_a_tie_is_no_majority():
    def tie(X: np.ndarray) -> np.ndarray:
        return np.where(np.arange(len(X)) % 2 == 0, "A", "B")

    row = of(tie, cells(A=20, B=20), SingleGene("perc1", search="exact"))
    assert (row["verdict"], row["apart"]) == ("not decided", True)
    assert row["reason"].startswith("No label has a majority: 50% of them are called A (95% interval 30% to 70%)")


def refusing(X: np.ndarray) -> np.ndarray:
    if (X == 7).any():
        raise InputRejected("too large")
    return np.full(len(X), "A")


@pytest.mark.parametrize(
    ("model", "attack", "why"),
    [
        (refusing, SingleGene("fixed:7", search="exact"), "the classifier refused all 8 changes of fixed:7"),
        (refusing, SingleGene("perc1", search="bisect"), "changed genes in groups, in which effects can cancel"),
        (refusing, SingleGene("perc1", genes=GENES[:3], search="exact"), "tested 3 of 8 genes"),
        (refusing, SingleGene("random", search="exact"), "drew its values once, by chance"),
        (refusing, SingleGene("decile+0", search="exact"), "changed the value of no gene that the classifier reads"),
    ],
)  # fmt: skip
def test_what_was_not_tested_is_never_robust(model, attack, why):
    row = of(model, cells(A=20, B=20), attack)
    assert row["verdict"] == "not decided"
    assert why in row["reason"]
    assert row["next"]
    assert of(model, cells(A=20, B=20), SingleGene("perc1", search="exact"), attack)["verdict"] == "not decided"


def test_a_search_that_stopped_early_is_never_robust():
    adata = cells(A=20, B=20)
    found = adv.survey(adata, {"m": lambda X: np.full(len(X), "A")}, attacks=SingleGene("perc1", search="exact"),
                       groupby="group", targets=["A"], budget=6)  # fmt: skip
    ((_, row),) = found.verdicts().iterrows()
    assert row["verdict"] == "not decided"
    assert "stopped early, when its budget was spent" in row["reason"]


def test_impossible_values_decide_nothing():
    def odd(X: np.ndarray) -> np.ndarray:
        return np.where((X > 50).any(axis=1), "B", "A")

    adata = cells(A=20, B=20)
    aberrant = SingleGene("positive_aberrant", search="exact")
    row = of(odd, adata, SingleGene("perc1", search="exact"), aberrant)
    assert (row["verdict"], row["flipping"], row["impossible"]) == ("robust", 0, 8)
    assert row["reason"].endswith("Impossible values of 8 genes flip it.")
    assert "Filter out impossible values before classification." in row["next"]
    only = of(odd, adata, aberrant)
    assert only["verdict"] == "not decided"
    assert only["reason"].startswith("No attack changed single genes to values that cells can have.")


def test_an_attack_that_failed_leaves_it_open():
    def fails(X: np.ndarray) -> np.ndarray:
        if (X == 7).any():
            raise RuntimeError("broken")
        return np.full(len(X), "A")

    attacks = [SingleGene("perc1", search="exact"), SingleGene("fixed:7", search="exact")]
    row = of(fails, cells(A=20, B=20), *attacks)
    assert row["verdict"] == "not decided"
    assert "SingleGene (fixed:7) failed (ClassifierError: fails failed with RuntimeError: broken" in row["reason"]
    row = of(fails, cells(A=20, B=20), attacks[1])
    assert row["reason"].startswith("Every attack failed; the first:")


def test_genes_that_did_not_move_are_told_beside_robust():
    adata = cells(A=20, B=20)
    adata.X[:, 2:7] = 0
    row = of(lambda X: np.full(len(X), "A"), adata)
    assert row["verdict"] == "robust"
    assert "perc99 did not raise 62% of the 8 genes that the classifier reads: try perc99:expressing" in row["next"]


@pytest.mark.parametrize("rules", [{"min_cells": 0}, {"right": 2}, {"majority": -1}, {"few": 1.5}])
def test_thresholds_must_make_sense(rules):
    with pytest.raises(ParameterError, match="must be a"):
        of(one_gene, cells(A=20, B=20), **rules)


def test_one_sentence_counts_the_verdicts():
    table = pd.DataFrame({"verdict": ["fragile", "not decided"], "cluster": ["B", "T"]})
    assert headline(table) == "0 of 2 clusters are robust, 1 fragile (B), 1 not decided (T)."


def stressed(at: float, change: str = "ambient", unit: str = "share of counts that is ambient") -> adv.StressResult:
    """Return a stress test of 40 cells in which the label of A is lost at one strength; infinite: never."""
    strengths = [0.1, 0.2, 0.4]
    rows = {"change": change, "classifier": "model", "cluster": "A", "unit": unit}
    draws = [
        {**rows, "strength": s, "draw": 0, "label": "B" if s >= at else "A", "kept": float(s < at), "accuracy": 1.0}
        for s in strengths
    ]
    table = pd.DataFrame([{**rows, "strength": 0.0, "baseline": "A"}])
    plan = {"data": {"cells": 40, "genes": 8, "groupby": "group"}, "classifiers": {"model": "x"}}
    return adv.StressResult(plan, table, pd.DataFrame(draws), {})


def test_a_label_that_a_small_technical_change_takes_is_fragile():
    adata, held = cells(A=20, B=20), lambda X: np.full(len(X), "A")
    row = of(held, adata, stress=stressed(0.2))
    assert row["verdict"] == "fragile"
    assert "lost by a small change. Its label is lost when 20% of the counts are ambient RNA" in row["reason"]
    assert (row["lost_at"], row["lost_when"]) == (0.2, "20% of the counts are ambient RNA")
    later = of(held, adata, stress=stressed(0.4))
    assert later["verdict"] == "robust"
    assert later["reason"].endswith("Its label is lost when 40% of the counts are ambient RNA (it becomes B).")
    assert of(held, adata, stress=stressed(0.4), small=0.4)["verdict"] == "fragile"
    assert of(held, adata, stress=stressed(0.2), small=0.1)["verdict"] == "robust"
    with pytest.raises(ParameterError, match="small must be a share"):
        of(held, adata, small=2)


def test_a_label_that_no_change_takes_keeps_its_verdict():
    adata = cells(A=20, B=20)
    row = of(lambda X: np.full(len(X), "A"), adata, stress=stressed(np.inf))
    assert row["verdict"] == "robust"
    assert row["reason"].endswith("The stress test tried 1 change, and none takes its label.")
    assert np.isnan(row["lost_at"])
    assert row["lost_when"] == ""
    assert of(one_gene, adata, stress=stressed(0.1))["reason"].startswith("a alone (perc1) flips it to B")


def test_a_fold_is_no_share_and_never_small():
    row = of(lambda X: np.full(len(X), "A"), cells(A=20, B=20), stress=stressed(0.1, "dissociation", "log2 fold"))
    assert row["verdict"] == "robust"
    assert "the genes of the stress response are 1.07 times as high" in row["reason"]
