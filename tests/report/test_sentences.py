from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import adverscarial as adv
from adverscarial.attacks import SingleGene
from adverscarial.report import write_report
from adverscarial.report.caveats import caveats
from adverscarial.report.grid_sections import grid_tables
from adverscarial.report.sentences import count, listed, percent
from adverscarial.surveys.grid import Entry, grids


@given(st.integers(1, 100_000), st.integers(1, 100_000))
def test_percent_says_all_or_nothing_only_of_all_or_nothing(a, b):
    part, whole = min(a, b), max(a, b)
    text = percent(part / whole)
    assert (text == "100%") == (part == whole)
    assert text != "0%"
    assert percent(0) == "0%"


@pytest.mark.parametrize(
    ("names", "text"),
    [([], ""), (["B"], "B"), (["B", "NK"], "B and NK"), ("ABCD", "A, B, C and D"), ("ABCDE", "A, B, C, D and 1 other")],
)
def test_names_are_listed_as_in_a_sentence(names, text):
    assert listed(names) == (text if names else "")


def test_a_count_has_the_fitting_noun():
    assert (count(0, "gene"), count(1, "search", "searches"), count(2, "search", "searches")) == (
        "0 genes",
        "1 search",
        "2 searches",
    )


@pytest.fixture
def swapped(cells) -> adv.Survey:
    """A classifier that knows both clusters' names and gives ``right`` to both; ``left`` only without g1."""

    def model(X: np.ndarray) -> np.ndarray:
        return np.where(X[:, 1] < 0.002, "left", "right")

    return adv.survey(cells, {"model": model}, attacks=[SingleGene("fixed:0", search="exact")], groupby="group")


@pytest.mark.slow
def test_a_cluster_called_by_anothers_name_is_told(swapped, cells, tmp_path):
    text = write_report(swapped, tmp_path / "report.html").read_text()
    told = (
        "left is called right before any attack: if the names should agree, check the values that the classifier was "
        "given."
    )
    assert told in text
    (grid,) = grids(swapped, "single")
    assert told in caveats(grid, 12, {"left", "right"})
    assert told in caveats(grid, 12, {"Left"})
    assert told not in caveats(grid, 12, {"right"})  # it cannot say "left"


@pytest.mark.slow
def test_labels_of_a_classifier_at_hand_are_known(cells, tmp_path):
    def scores(X: np.ndarray) -> np.ndarray:
        return np.tile([0.1, 0.9], (len(X), 1))

    model = adv.classifiers.wrap(scores, classes=["left", "right"])
    survey = adv.survey(cells, {"m": model}, attacks=[SingleGene("perc1", search="exact")], groupby="group")
    told = "left is called right before any attack"
    assert told in write_report(survey, tmp_path / "a.html", adata=cells, classifiers={"m": model}).read_text()
    assert told not in write_report(survey, tmp_path / "b.html").read_text()


@pytest.mark.parametrize(("number", "ticks"), [(12, [1, 10, 12]), (3, [1, 10]), (1_234, [1, 10, 100, 1000, 1234])])
def test_the_colour_scale_ends_at_the_largest_number(swapped, monkeypatch, number, ticks):
    monkeypatch.setattr(Entry, "value", number)
    (table,) = grid_tables(swapped, "single", {})
    assert (table.largest, table.legend) == (number, ticks)
