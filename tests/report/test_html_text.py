"""What the report says of flips, signatures, limits of a search, weak baselines and failures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pandas as pd
import pytest

import adverscarial as adv
from adverscarial.attacks import Attack, MaxChange, Result, SingleGene
from adverscarial.report import write_report
from report.test_html import Page, by_two_genes, deaf, page_of, toy_survey


@pytest.mark.slow
def test_a_report_says_that_nothing_flips(toy, tmp_path):
    attacks = [SingleGene(name, search="exact") for name in ("perc1", "perc99", "fixed:0")]
    text = page_of(toy_survey(toy, *attacks, model=deaf), tmp_path).text
    assert (
        "No single gene flips any of the 2 clusters (12 genes × 2 clusters × 3 modifications, every gene tested)."
        in text
    )
    assert "To keep in mind" not in text


@pytest.mark.slow
def test_flips_are_counted_and_ranked(toy, tmp_path):
    # left (A): only g0 switched off flips; right (B): g1 off, or g0 on
    survey = toy_survey(toy, SingleGene("perc1", search="exact"), SingleGene("fixed:1", search="exact"))
    assert survey.to_frame()["flipped"].tolist() == [1, 0, 1, 1]
    text = page_of(survey, tmp_path).text
    assert (
        "3 of 48 single-gene attacks flip a label, by 2 different genes (12 genes × 2 clusters × 2 modifications"
        in text
    )
    assert "The most exposed cluster is right (2 flips), the safest left (1)." in text
    assert "Of the modifications, perc1 makes 2 flips, fixed:1 makes 1 flip." in text
    assert "1 gene flips all 2 clusters, by one modification or another: g0." in text


@pytest.mark.slow
def test_only_completely_tested_clusters_and_modifications_are_compared(toy, tmp_path):
    toy.obs.loc["c30":, "group"] = "third"
    attacks = [SingleGene(name, search="exact") for name in ("perc1", "fixed:1")]
    survey = toy_survey(toy, *attacks)
    bounded = toy_survey(toy, *attacks, budget=5)
    assert "The most exposed clusters are" in page_of(survey, tmp_path).text
    # clusters: left, right, third; the first search of "third" becomes one that its budget ended
    mixed = adv.Survey(survey.plan, survey.tasks, (*survey.results[:4], bounded.results[4], survey.results[5]), {})
    text = page_of(mixed, tmp_path).text
    assert "Of the 2 of 3 clusters that were tested completely, the most exposed cluster is right (2 flips)" in text
    assert "Of the modifications" not in text  # one of the two is not complete
    assert "not every gene was tested alone, so there can be more" in text
    text = page_of(bounded, tmp_path).text
    assert "most exposed" not in text


@pytest.mark.slow
def test_the_signature_is_told(toy, tmp_path):
    text = page_of(toy_survey(toy, MaxChange("perc1", restarts=1)), tmp_path).text
    assert (
        "The label of cluster left holds while 11 of 12 genes are rewritten at once (perc1); 1 gene carries it" in text
    )
    assert "The signature is the remaining 1 gene. Rewriting it as well would flip the label" in text
    text = page_of(toy_survey(toy, MaxChange("perc1", restarts=1), model=deaf), tmp_path).text
    assert "In 2 of 2 signature searches no gene has to stay; for example, the label of cluster left holds" in text
    assert "while all 12 genes are rewritten at once" in text


@pytest.mark.slow
def test_a_bisection_never_claims_that_every_gene_was_tested(toy, tmp_path):
    for model in (by_two_genes, deaf):
        page = page_of(toy_survey(toy, SingleGene("perc1", search="bisect", bins=2), model=model), tmp_path)
        assert "genes whose effects cancel each other can hide" in page.text
        assert "every gene tested" not in page.text
        assert page.cell(f"{model.__name__}: single genes that flip the label", "left", "perc1").endswith("†")
    assert "No flip by a single gene was found" in page.text


@pytest.mark.slow
def test_groups_are_not_called_single_genes(toy, tmp_path):
    attack = SingleGene("perc1", search="bisect", bins=2, max_split_size=3)
    page = page_of(toy_survey(toy, attack), tmp_path)
    assert page.cell("by_two_genes: single genes that flip the label", "left", "perc1") == "3†‡"
    assert "some only together, as a group" in page.text
    assert "‡ includes genes that were only changed together, as a group." in page.text


@pytest.mark.slow
def test_a_spent_budget_is_told(toy, tmp_path):
    attacks = (SingleGene("perc1", search="exact"), MaxChange("perc1"))
    page = page_of(toy_survey(toy, *attacks, budget=3), tmp_path)
    assert "2 of 2 single-gene searches ended early because the budget of queries was spent" in page.text
    assert "2 of 2 signature searches ended early because the budget of queries was spent" in page.text
    assert "3 queries per attack" in page.text
    assert "every gene tested" not in page.text
    assert page.cell("by_two_genes: single genes that flip the label", "left", "perc1") == "1†"
    assert page.cell("by_two_genes: signature: genes that must not change", "left", "perc1").endswith("†")
    assert "it (signature)" not in page.text
    assert "though fewer may do" in page.text


@pytest.mark.fast(1)
@pytest.mark.parametrize(
    ("attack", "words"),
    [
        (SingleGene("perc1", search="exact", first=True), "stopped at the first flip, as asked"),
        (SingleGene("perc1", search="exact", genes=["g0", "g5"]), "limited to some of the 12 genes"),
        (SingleGene("perc1", search="exact", change_type="named"), "count only flips to a real cell type"),
        (SingleGene("random", search="exact"), "another seed can give other genes"),
        (MaxChange("perc1", restarts=1, maximal=False), "did not check, as asked"),
    ],
    ids=repr,
)
def test_what_limits_a_search_is_told(toy, tmp_path, attack, words):
    assert words in page_of(toy_survey(toy, attack), tmp_path).text
    usual = type(attack)("perc1", **({"search": "exact"} if isinstance(attack, SingleGene) else {"restarts": 1}))
    assert words not in page_of(toy_survey(toy, usual), tmp_path).text


@pytest.mark.slow
def test_rejected_genes_are_counted_apart(toy, tmp_path):
    def strict(X: np.ndarray) -> np.ndarray:
        if X.max() > 100:
            raise ValueError("out of range")
        return by_two_genes(X)

    page = page_of(toy_survey(toy, SingleGene("positive_aberrant", search="exact"), model=strict), tmp_path)
    assert "24 gene changes were rejected" in page.text
    shown = page.cell("strict: single genes that flip the label", "left", "positive_aberrant")
    assert shown == "0\n12 rejected"


@pytest.mark.slow
def test_weak_and_missing_baselines_are_told(toy, tmp_path):
    def unsure(X: np.ndarray) -> np.ndarray:
        third = np.array(["A", "B", "C"])[np.arange(len(X)) % 3]
        return np.where(X[:, 0] > 0.5, third, "Unassigned")

    text = page_of(toy_survey(toy, SingleGene("perc1", search="exact"), model=unsure), tmp_path).text
    assert "gives no cell type to right." in text
    assert "fewer than half of the cells carry the label of left:" in text


@pytest.mark.slow
def test_failures_are_shown_and_nothing_is_claimed_there(toy, tmp_path):
    def broken(X: np.ndarray) -> np.ndarray:
        if X[:, 1].min() > 0.5:  # asked about cells of ``right`` alone
            raise RuntimeError("no licence for <right>")
        return by_two_genes(X)

    survey = toy_survey(toy, SingleGene("perc1", search="exact"), MaxChange("perc1", restarts=1), model=broken)
    assert len(survey.errors) == 2
    page = page_of(survey, tmp_path)
    assert "2 of 4 attacks failed." in page.text
    assert page.cell("broken: single genes that flip the label", "right", "perc1") == "failed"
    assert page.cell("broken: signature: genes that must not change", "right", "perc1") == "failed"
    assert page.text.count("no licence for <right>") >= 4  # under both tables, and at the cluster
    assert "1 of 2 single-gene searches failed, so nothing is known there" in page.text
    assert "12 genes × 2 clusters × 1 modification, without 1 that failed" in page.text


def test_a_report_of_failures_says_so(toy, tmp_path):
    def silent(X: np.ndarray) -> np.ndarray:
        raise RuntimeError("gone")

    page = page_of(toy_survey(toy, SingleGene("perc1"), MaxChange("perc1"), model=silent), tmp_path)
    assert "2 of 2 single-gene searches failed." in page.text
    assert "2 of 2 signature searches failed." in page.text
    assert "no answer" in page.text


class Shrugged(Result):
    """What it says it found."""

    genes: ClassVar[list[str]] = []

    def to_frame(self):
        return pd.DataFrame()


@dataclass(frozen=True, repr=False)
class Shrug(Attack[Shrugged]):
    """An attack that the report knows nothing about."""

    modification = None
    question = cost = ""

    def perform(self, run):
        return Shrugged(**run.shared(label="B<", share=0.75, complete=False))


def test_an_attack_without_a_table_of_its_own_is_shown_too(toy, tmp_path):
    page = page_of(toy_survey(toy, Shrug()), tmp_path)
    rows = page.table("Shrug: what was found")
    assert rows[1] == ["by_two_genes", "left", "A (100%)", "B< (75%)", "flipped; ended early", "3"]
    assert len(rows) == 3


def test_a_page_of_zeros_has_no_key_of_colours_and_options_stay_whole(toy, tmp_path):
    survey = adv.survey(toy, {"firm": deaf}, attacks=SingleGene("perc1"), groupby="group")
    page = write_report(survey, tmp_path / "r.html", made={"Command": "adverscarial survey a.h5ad --classifier mlp"})
    text = page.read_text()
    assert "Colour, logarithmic" not in text
    assert "a.h5ad <span>--classifier</span> mlp" in text


@pytest.mark.slow
def test_only_clusters_fit_for_a_headline_are_compared_with_statistics_and_chance(cells, models, tmp_path):
    """Flips of four cells say nothing: no test could tell them from others."""
    cells = cells.copy()
    cells.obs["group"] = ["few"] * 4 + ["left"] * 16 + ["right"] * 20
    survey = adv.survey(cells, models, attacks=SingleGene("perc1", search="exact"), groupby="group")
    assert "few" in set(survey.flipping()["cluster"])
    page = Page(write_report(survey, tmp_path / "r.html", adata=cells, classifiers=models).read_text())
    rows = page.table("Flipping genes and their differential expression, the ones that statistics miss first")
    assert {row[1] for row in rows[1:]} == {"left", "right"}
    assert {row[4] for row in page.table("Genes that flip a label, on average over clusters and modifications, "
                                         "beside chance")[1:]} == {"2"}  # fmt: skip
    left_out = (
        "Left out, for each classifier whose verdict sets it apart (too few cells, no majority, or not recognised): few"
    )
    assert page.text.count(left_out) == 3
