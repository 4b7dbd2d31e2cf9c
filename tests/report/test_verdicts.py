"""What the page says first, and what it no longer says: headlines from ties, tiny clusters and wrong baselines."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData

import adverscarial as adv
from adverscarial.attacks import SingleGene
from adverscarial.errors import InputRejected, ParameterError
from adverscarial.report import write_report
from adverscarial.report.cells import clearest_flip
from adverscarial.report.sections import section_of
from adverscarial.report.single import single_gene
from adverscarial.report.verdicts import apart, nearest_rows, verdict_tables
from adverscarial.surveys.grid import grids

GENES = [f"g{i}" for i in range(8)]


@pytest.fixture(scope="module")
def cells() -> AnnData:
    """``A`` and ``B`` of 20 cells with a marker each; ``tiny`` of 4, half of which look like A, half like B."""
    rng = np.random.default_rng(0)
    names = np.repeat(["A", "B", "tiny"], [20, 20, 4])
    X = rng.uniform(0, 0.2, (44, 8))
    X[:20, 0] += 2
    X[20:40, 1] += 1
    X[40:42, 0] += 1
    X[42:, 1] += 1
    return AnnData(X, obs=pd.DataFrame({"group": names}, index=[f"c{i}" for i in range(44)]),
                   var=pd.DataFrame(index=GENES))  # fmt: skip


def two(X: np.ndarray) -> np.ndarray:
    return np.where(X[:, 0] > X[:, 1], "A", "B")


def everything_a(X: np.ndarray) -> np.ndarray:
    return np.full(len(X), "A")


@pytest.fixture(scope="module")
def found(cells) -> adv.Survey:
    attacks = [SingleGene(name, search="exact") for name in ("perc1", "fixed:1.5")]
    blind = adv.classifiers.wrap(lambda X: np.tile([0.9, 0.1], (len(X), 1)), classes=["A", "B"])
    return adv.survey(cells, {"two": two, "all A": blind}, attacks=attacks, groupby="group")


def page(survey: adv.Survey, folder: Path) -> str:
    return write_report(survey, folder / "report.html").read_text()


@pytest.mark.slow
def test_the_verdicts_stand_before_all_else(found, tmp_path):
    text = page(found, tmp_path)
    places = [text.index(f'<section id="{name}"') for name in ("verdict", "summary", "ranking", "single-gene")]
    assert places == sorted(places)
    assert '<b class="verdict fragile">fragile</b>' in text


def test_tables_have_the_rows_of_the_verdicts(found):
    table = found.verdicts()
    first, second = verdict_tables(table, {("two", "A"): "c1-1"})
    assert (first.classifier, second.classifier) == ("two", "all A")
    rows = {row.cluster: row for row in first.rows}
    assert (rows["A"].verdict, rows["A"].anchor, rows["A"].right) == ("fragile", "c1-1", "20 of 20 right")
    assert "95% interval 15% to 85%" in rows["tiny"].before
    rows = {row.cluster: row for row in second.rows}
    assert rows["B"].kind == "not-recognised"
    assert rows["B"].right == "0 of 20 right"
    assert second.sentence == "1 of 3 clusters is robust, 1 not decided (tiny), 1 not recognised (B)."


def test_tiny_clusters_and_wrong_baselines_are_no_headline(found):
    """``tiny`` is a tie of four cells that any gene tips: it must not be the most exposed cluster."""
    frame = found.to_frame()
    counts = frame[frame["classifier"] == "two"].groupby("cluster")["flipped"].sum()
    assert counts["tiny"] > 0
    odd = apart(found.verdicts())
    assert set(odd["two"]) == {"tiny"}
    assert set(odd["all A"]) == {"tiny", "B"}
    (grid, other) = grids(found, "single")
    plain = " ".join(single_gene(grid))
    said = " ".join(single_gene(replace(grid, apart=frozenset(odd["two"]))))
    assert "in tiny, which the verdicts set apart." in said
    assert "tiny" not in said.partition("set apart.")[2]
    assert plain != said
    assert "B" not in " ".join(single_gene(replace(other, apart=frozenset(odd["all A"])))[1:])


@pytest.mark.slow
def test_rows_say_how_many_cells_are_right(found, tmp_path):
    text = page(found, tmp_path)
    assert "A, 100%; 20 of 20 right</small>" in text
    assert "A, 100%; 0 of 20 right: under half</small>" in text


@pytest.mark.slow
def test_the_comparison_leaves_out_clusters_that_are_set_apart(found, tmp_path):
    """A classifier that calls B cells "A" holds that label well: this must not make it the better one."""
    text = page(found, tmp_path)
    assert "Left out: B, tiny, where for some classifier there are too few cells, no majority, or" in text
    assert "on 1 cluster" in text


def test_changes_are_explained_below_the_verdicts(found, tmp_path):
    text = page(found, tmp_path)
    first = text[text.index('<section id="verdict"') : text.index("<details")]
    assert "What is done to a gene: <code>perc1</code> switched off" in first


@pytest.mark.slow
def test_rejected_is_said_first(cells, tmp_path):
    def strict(X: np.ndarray) -> np.ndarray:
        if (X > 50).any():
            raise InputRejected("out of range")
        return two(X)

    only = adv.survey(cells, strict, attacks=SingleGene("positive_aberrant", search="exact"), groupby="group")
    (grid,) = grids(only, "single")
    said = single_gene(grid)
    assert said[1].startswith("The classifier rejected all 24 changes at impossible values")
    assert "nothing was tested" in said[1]
    text = page(only, tmp_path)
    assert "No single gene" not in text
    assert "every gene tested" not in text
    assert "all 8 changes were rejected by the classifier: nothing was tested" in text
    both = [SingleGene(name, search="exact") for name in ("fixed:60", "fixed:0")]
    (grid,) = grids(adv.survey(cells, strict, attacks=both, groupby="group", targets=["A"]), "single")
    assert single_gene(grid)[0].startswith(
        "In 1 of 2 single-gene searches every change was rejected, so nothing was tested there."
    )


def test_genes_that_did_not_move_are_told(cells, tmp_path):
    still = cells.copy()
    still.X[:, 4:] = 0
    found = adv.survey(
        still, everything_a, attacks=SingleGene("perc99", search="exact"), groupby="group", targets=["A"]
    )
    text = page(found, tmp_path)
    assert "Of these, 4 changes moved no cell’s value" in text
    assert '<small class="idle">4 idle</small>' in text
    assert "4 of them unchanged (no cell&#39;s value moved)" in text


@pytest.mark.slow
def test_columns_are_explained_where_they_stand(found, tmp_path):
    assert '<th scope="col">perc1<small>switched off</small></th>' in page(found, tmp_path)


@pytest.mark.slow
def test_a_cluster_counts_possible_and_impossible_flips_apart(cells, tmp_path):
    def odd(X: np.ndarray) -> np.ndarray:
        return np.where((X > 50).any(axis=1), "odd", two(X))

    attacks = [SingleGene(name, search="exact") for name in ("perc1", "positive_aberrant")]
    text = page(adv.survey(cells, odd, attacks=attacks, groupby="group", targets=["A"]), tmp_path)
    assert "; 1 flip, and 8 at impossible values" in text


def test_the_nearest_genes_are_listed_the_nearest_first(cells):
    def scores(X: np.ndarray) -> np.ndarray:
        return np.stack([X[:, 0], X[:, 1]], axis=1)

    model = adv.classifiers.wrap(scores, classes=["A", "B"])
    found = adv.survey(cells, {"m": model}, attacks=SingleGene("fixed:1.05", search="exact"), groupby="group")
    rows = nearest_rows(found.verdicts())
    assert all(row.cluster != "tiny" for row in rows)
    assert rows[0].gene in ("g0", "g1")
    values = [(row.votes.value, row.lead.value) for row in rows]
    assert values == sorted(values, reverse=True)


def test_the_drawn_flip_is_of_a_cluster_that_was_recognised(found):
    assert clearest_flip(found, "two").target in ("A", "B")


def test_signatures_at_impossible_values_are_told_apart(cells):
    attacks = [adv.attacks.MaxChange(name, restarts=1) for name in ("perc1", "positive_aberrant")]
    (grid,) = grids(adv.survey(cells, two, attacks=attacks, groupby="group", targets=["A", "B"]), "max")
    said = section_of(attacks[0]).statements(grid)
    usual = [text for text in said if not text.startswith("At impossible values: ")]
    assert usual
    assert not any("positive_aberrant" in text for text in usual)
    assert all("perc1" not in text for text in said if text not in usual)
    assert len(usual) < len(said)


@pytest.mark.slow
def test_thresholds_can_be_set_and_stand_on_the_page(found, tmp_path):
    text = write_report(found, tmp_path / "r.html", rules={"min_cells": 30}).read_text()
    assert "at least 30 cells; 50% of them right" in text
    assert "Only 20 cells: 100% of them are called A" in text
    with pytest.raises(ParameterError, match=r"no threshold 'min_cell'\. Did you mean 'min_cells'"):
        write_report(found, tmp_path / "r.html", rules={"min_cell": 30})
