from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

import adverscarial as adv
from adverscarial.report.outcome_tables import outcome_tables

A = adv.attacks


def cells_of(section, classifier, cluster):
    (row,) = [row for row in section.rows if (row.classifier, row.cluster) == (classifier, cluster)]
    return dict(zip([name for name, _ in section.columns[2:]], row.cells, strict=True))


@pytest.mark.slow
def test_every_kind_has_its_section_and_its_numbers(everything):
    descent, grid, walk = outcome_tables(everything)
    assert [s.title.split()[0] for s in (descent, grid, walk)] == ["Cluster", "Grid", "Random"]
    results = {
        (type(task.attack).__name__, task.classifier, task.target): result
        for task, result in zip(everything.tasks, everything.results, strict=True)
    }
    for classifier, cluster in (("soft", "left"), ("firm", "right")):
        found = results["ClusterGradientDescent", classifier, cluster]
        shown = cells_of(descent, classifier, cluster)
        assert shown["Genes modified"].value == len(found.modified_genes)
        assert shown["Genes tested"].value == len(found.gene)
        assert shown["Modified genes, in order"].text == (", ".join(found.modified_genes) or "none")
        for section, kind in ((walk, "RandomWalk"), (grid, "Grid")):
            found = results[kind, classifier, cluster]
            shown = cells_of(section, classifier, cluster)
            assert (shown["Flipping"].value, shown["Queries"].value) == (found.counts["flipped"], found.queries)
            changes = ", ".join(f"{gene} {modification}" for gene, modification in found.modifications.items())
            assert shown["Smallest flipping combination"].text == (changes or "none")
    assert descent.sentences["soft"] == "2 of 2 attacks give the cluster another label, after 1 modified gene."
    assert descent.sentences["firm"] == "0 of 2 attacks give the cluster another label."
    assert descent.setting == "alpha=0.5, genes=12 given"


@pytest.mark.parametrize("kind", [A.FastGradientSign, A.ProjectedGradientDescent])
def test_gradients_are_told_by_cells_and_genes(cells, kind):
    model = LogisticRegression().fit(cells.X, cells.obs["group"])
    model = adv.classifiers.wrap(model, genes=cells.var_names)
    survey = adv.survey(cells, model, attacks=[kind(epsilon=2.0)], groupby="group")
    (section,) = outcome_tables(survey)
    (name,) = section.sentences
    for task, result in zip(survey.tasks, survey.results, strict=True):
        shown = cells_of(section, name, task.target)
        assert result.flipped.any()
        assert shown["Cells relabelled"].text == f"{result.flipped.sum()} of 20"
        assert shown["Genes changed"].value == len(result.changed)
        assert shown["Largest change"].value == pytest.approx(2.0)
    assert "2 of 2 attacks give the cluster another label, with " in section.sentences[name]


def test_two_settings_are_told_apart_and_failures_are_counted(cells):
    def broken(X: np.ndarray) -> np.ndarray:
        if X[:, 0].mean() < 0.5:
            raise RuntimeError("no licence")
        return np.where(X[:, 0] > 0.5, "A", "B")

    attacks = [A.Grid(genes=["g1"]), A.Grid(genes=["g1", "g2"], first=True)]
    survey = adv.survey(cells, {"broken": broken}, attacks=attacks, groupby="group")
    (section,) = outcome_tables(survey)
    assert [row.cells[0].text for row in section.rows[:2]] == [
        "Grid(genes=1 given)",
        "Grid(genes=2 given, first=True)",
    ]
    assert section.setting == ""
    assert ["no licence" in row.error for row in section.rows] == [False, False, True, True]
    assert section.sentences["broken"].endswith("; 2 more failed.")
