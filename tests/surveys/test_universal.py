"""Universal genes: one gene alone that flips most clusters, counted once per cluster."""

from __future__ import annotations

import json

import numpy as np
import pytest

import adverscarial as adv
from adverscarial.surveys.universal import most_universal

ATTACKS = [adv.attacks.SingleGene(text) for text in ("perc1", "perc99:expressing", "positive_aberrant")]


@pytest.mark.slow
def test_each_gene_is_counted_once_per_cluster(pbmc_small):
    models = [adv.classifiers.ScType(scaled=False), adv.classifiers.Markers().fit(pbmc_small, "cell_type")]
    attacks = [*ATTACKS, adv.attacks.SingleGene("perc1", first=True), adv.attacks.MaxChange("perc1", restarts=1)]
    targets = ["CD19+ B", "Dendritic", "CD56+ NK", "CD14+ Monocyte"]
    found = adv.survey(pbmc_small, models, attacks=attacks, groupby="cell_type", targets=targets)
    table, flips = found.universal(), found.flipping()
    assert len(table) == len(flips[["classifier", "modification", "gene"]].drop_duplicates())
    for row in table.itertuples():
        mine = flips[
            (flips["classifier"] == row.classifier)
            & (flips["modification"] == row.modification)
            & (flips["gene"] == row.gene)
        ]
        assert set(row.which.split(", ")) == set(mine["cluster"])
        assert (row.clusters, row.of) == (mine["cluster"].nunique(), 4)
        assert row.possible == (row.modification != "positive_aberrant")
    assert (np.diff(table["clusters"]) <= 0).all()
    assert table["clusters"].max() > 1
    for line in most_universal(table):
        name = line.split(" · ")[0]
        most = table[(table["classifier"] == name) & table["possible"]]["clusters"].max()
        assert f"flips {most} of 4 clusters" in line


def test_a_survey_without_flips_or_single_genes_has_none(pbmc_small):
    model = adv.classifiers.ScType(scaled=False)
    found = adv.survey(
        pbmc_small, model, attacks=adv.attacks.MaxChange("perc1", restarts=1), groupby="cell_type", targets=["CD56+ NK"]
    )
    assert found.universal().empty
    assert most_universal(found.universal()) == []


def test_the_command_line_tells_them(pbmc_small, tmp_path, capsys):
    from adverscarial.cli.tables import show_universal, universal_rows

    model = adv.classifiers.Markers().fit(pbmc_small, "cell_type")
    found = adv.survey(pbmc_small, model, attacks=ATTACKS, groupby="cell_type")
    show_universal(found)
    lines = most_universal(found.universal())
    assert capsys.readouterr().out.splitlines() == lines
    rows = universal_rows(found)
    assert json.loads(json.dumps(rows)) == rows
    assert all(row["clusters"] > 1 for row in rows)
