"""The report says what chance would give, with the numbers of null_flips."""

from __future__ import annotations

from pathlib import Path

import pytest
from anndata import AnnData

import adverscarial as adv
from adverscarial.evaluation.null import beyond_chance, null_flips
from adverscarial.report.chance import chance_of


def test_its_numbers_are_those_of_null_flips(everything: adv.Survey, cells: AnnData) -> None:
    chance = chance_of(everything, cells, None)
    assert chance is not None
    table = beyond_chance(null_flips(everything, cells))
    assert [row.classifier for row in chance.rows] == table["classifier"].to_list()
    assert [row.more for row in chance.rows] == table["more_than_chance"].to_list()
    assert [float(row.flips) for row in chance.rows] == pytest.approx(table["flips"].to_list(), abs=0.06)
    assert f"of {table['pairs'].sum():,} comparisons" in chance.sentence


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
