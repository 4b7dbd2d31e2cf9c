from __future__ import annotations

import sys

import numpy as np
import pytest

import adverscarial as adv
from adverscarial.errors import DataError, ParameterError
from adverscarial.report import write_report
from adverscarial.report.cells import clearest_flip, draw_flips, flip_sentence

pytestmark = pytest.mark.slow


def test_the_clearest_flip_is_drawn_and_told(everything, cells, models):
    result = clearest_flip(everything, "soft")
    assert (result.baseline, result.label) == ("A", "B")  # a real cell type, by a value that occurs
    assert str(result.attack.modification) == "perc99"
    soft, firm = draw_flips(everything, cells, models)
    assert "Shown: SingleGene on left. A (100% of 20 cells) becomes B (100%) by the gene g1 alone" in soft.sentence
    umap, heatmap, plane = soft.figures
    assert all(soft.sentence in figure.alt for figure in (umap, heatmap))
    table = adv.evaluation.harm(cells, models["soft"], result)
    assert f"harm {table['harm'][0]:.0%}" in plane.alt
    assert f"visibility {table['visibility'][0]:.2f}" in plane.alt
    assert firm.figures == []
    assert "No attack gave any cluster of firm another label" in firm.sentence


def test_cells_have_the_colour_of_their_type_or_of_what_they_are_called(everything, cells, models, monkeypatch):
    asked = []
    drawn = adv.pl.umap

    def umap(*arguments, **options):
        asked.append(options["classifier"])
        return drawn(*arguments, **options)

    monkeypatch.setattr(adv.pl, "umap", umap)
    assert "left in orange" in draw_flips(everything, cells, None)[0].figures[0].caption
    called = draw_flips(everything, cells, models)[0].figures[0].caption
    assert "each in the colour of what the classifier calls it, those of left ringed" in called
    assert asked == [None, models["soft"]]

    def of_whole_clusters(expression, clusters, target):
        return models["soft"](expression.to_numpy())[0], 1.0

    by_cluster = {"soft": adv.classifiers.wrap(of_whole_clusters)}
    assert by_cluster["soft"].of_clusters
    assert "left in orange" in draw_flips(everything, cells, by_cluster)[0].figures[0].caption


@pytest.mark.parametrize(("names", "odd"), [(["positive_aberrant"], True), (["perc1", "positive_aberrant"], False)])
def test_impossible_values_are_shown_last_and_told(cells, names, odd):
    def model(X: np.ndarray) -> np.ndarray:  # huge values give a real type, possible ones none
        huge = (X > 50).any(axis=1)
        return np.where(huge, "B", np.where(X[:, 0] < 0.1, np.where(X[:, 1] > 0.5, "A", "unknown"), "A"))

    attacks = [adv.attacks.SingleGene(name, search="exact") for name in names]
    survey = adv.survey(cells, {"m": model}, attacks=attacks, groupby="group")
    sentence = flip_sentence(clearest_flip(survey, "m"))
    assert ("The value is impossible: no attack without such values flips a label, but for" in sentence) == odd
    assert (
        "becomes B (100%) by the gene =SUM(1) alone (positive_aberrant), one of 12 genes that do." in sentence
    ) == odd
    assert ("becomes unknown (100%) by the gene =SUM(1) alone (perc1)." in sentence) != odd


def test_no_tiny_cluster_is_drawn_where_another_flips(cells):
    def model(X: np.ndarray) -> np.ndarray:  # "few" has cells with g2 above 2, which possible values flip
        few = X[:, 2] > 2
        huge = (X > 50).any(axis=1)
        return np.where(few & (X[:, 1] < 1.5), "C", np.where(huge, "B", "A"))

    cells = cells.copy()
    cells.X = np.asarray(cells.X, dtype=float)
    cells.X[:4, 1], cells.X[:4, 2] = 1, 3
    cells.obs["group"] = ["few"] * 4 + ["many"] * (cells.n_obs - 4)
    attacks = [adv.attacks.SingleGene(name, search="exact") for name in ("fixed:1.75", "positive_aberrant")]
    survey = adv.survey(cells, {"m": model}, attacks=attacks, groupby="group")
    shown = clearest_flip(survey, "m")
    assert (shown.target, str(shown.attack.modification)) == ("many", "positive_aberrant")
    alone = adv.survey(cells, {"m": model}, attacks=attacks[:1], groupby="group", targets=["few"])
    (flip,) = draw_flips(alone, cells, None)
    assert flip.sentence.startswith("Not drawn: SingleGene on few.")
    assert "The verdicts set this cluster apart" in flip.sentence
    assert flip.figures == []


def test_without_marsilea_the_heatmap_is_left_out_in_words(everything, cells, monkeypatch):
    monkeypatch.setitem(sys.modules, "marsilea", None)
    soft, _ = draw_flips(everything, cells, None)
    assert len(soft.figures) == 1
    (note,) = soft.notes
    assert note.startswith("The heatmap is left out: ")
    assert "marsilea" in note


def test_other_cells_and_classifiers_are_refused(everything, cells, models, tmp_path):
    path = tmp_path / "report.html"
    with pytest.raises(DataError, match="39 cells x 12 genes, the survey attacked 40 x 12"):
        write_report(everything, path, adata=cells[:39].copy())
    other = cells.copy()
    other.X[0, 0] += 1
    with pytest.raises(DataError, match="not their values"):
        write_report(everything, path, adata=other)
    with pytest.raises(ParameterError, match="no classifier 'other'"):
        write_report(everything, path, adata=cells, classifiers={"other": models["soft"]})
    with pytest.raises(ParameterError, match="give adata=, too"):
        write_report(everything, path, classifiers=models)
    assert not path.exists()
