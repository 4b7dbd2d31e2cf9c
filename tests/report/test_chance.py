"""The report says what chance would give, with the numbers of null_flips."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from anndata import AnnData

import adverscarial as adv
from adverscarial.evaluation.null import beyond_chance, null_flips
from adverscarial.report.chance import chance_of


def test_its_numbers_are_those_of_null_flips(everything: adv.Survey, cells: AnnData) -> None:
    chance = chance_of(everything, cells, None)
    assert chance is not None
    null = null_flips(everything, cells)
    table = beyond_chance(null)
    assert [row.classifier for row in chance.rows] == table["classifier"].to_list()
    assert [row.more for row in chance.rows] == table["more_than_chance"].to_list()
    assert [float(row.flips) for row in chance.rows] == pytest.approx(table["flips"].to_list(), abs=0.06)
    assert f"of {table['pairs'].sum():,} comparisons" in chance.sentence
    assert {row.values for row in chance.rows} == {"possible"}


@pytest.mark.slow
def test_a_table_that_is_given_is_shown(everything: adv.Survey, cells: AnnData, models, tmp_path: Path) -> None:
    null = null_flips(everything, cells, models, n=2)
    assert set(null["kind"]) == {"genes", "labels"}
    text = everything.report(tmp_path / "r.html", null=null).read_text()
    assert 'id="chance"' in text
    assert "the same attack on permuted gene names" in text


@pytest.mark.slow
def test_without_cells_or_single_genes_nothing_is_said(
    everything: adv.Survey, cells: AnnData, models, tmp_path
) -> None:
    assert chance_of(everything, None, None) is None
    assert 'id="chance"' not in everything.report(tmp_path / "r.html").read_text()
    other = adv.survey(cells, models, attacks=adv.attacks.MaxChange("perc1"), groupby="group")
    assert chance_of(other, cells, None) is None


def test_where_nothing_flips_there_is_nothing_to_compare(cells: AnnData, models) -> None:
    firm = adv.survey(cells, {"firm": models["firm"]}, attacks=adv.attacks.SingleGene("perc1"), groupby="group")
    assert null_flips(firm, cells)["flips"].sum() == 0
    assert chance_of(firm, cells, None) is None


def test_impossible_values_are_counted_apart(cells: AnnData, models) -> None:
    attacks = [adv.attacks.SingleGene(name, search="exact") for name in ("perc1", "positive_aberrant")]
    both = adv.survey(cells, {"soft": models["soft"]}, attacks=attacks, groupby="group")
    null = null_flips(both, cells)
    chance = chance_of(both, cells, null)
    assert chance is not None
    for row, name in zip(chance.rows, ("perc1", "positive_aberrant"), strict=True):
        own = null[null["modification"] == name]
        assert (row.values, row.pairs) == ("impossible" if name == "positive_aberrant" else "possible", len(own))
        assert float(row.flips) == pytest.approx(own["flips"].mean(), abs=0.06)
    assert "At impossible values, in " in chance.sentence


def test_other_clusters_of_a_given_table_are_left_out(everything: adv.Survey, cells: AnnData) -> None:
    null = null_flips(everything, cells)
    twice = pd.concat([null, null.assign(cluster="other")])
    assert chance_of(everything, None, twice) == chance_of(everything, None, null)
