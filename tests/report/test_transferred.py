"""The report's section on flips that carry over."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

import adverscarial as adv
from adverscarial.report import write_report
from adverscarial.report.transferred import sentence_of

pytestmark = pytest.mark.slow


def test_the_report_says_what_carries_over(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    cells = adv.datasets.embedded()
    models = {
        "both": adv.classifiers.Markers({"B": ["CD79A", "MS4A1"], "NK": ["GNLY", "NKG7"]}),
        "one": adv.classifiers.Markers({"B": ["CD79A"], "NK": ["GNLY"]}),
    }
    attack, types = adv.attacks.SingleGene("perc99"), set(cells.obs["cell_type"])
    survey = adv.survey(cells, models, attacks=attack, groupby="cell_type")
    undecided = {"CD4+/CD45RA+/CD25- Naive T"}  # no label has a majority there, so the page sets it apart
    rest = adv.survey(cells, models, attacks=attack, groupby="cell_type", targets=sorted(types - undecided))
    table = adv.transfer(cells, rest, models, progress=False)
    assert sentence_of(table) != sentence_of(adv.transfer(cells, survey, models, progress=False))
    page = write_report(survey, tmp_path / "a.html", adata=cells, classifiers=models, progress=False).read_text()
    assert "Does what flips one classifier flip the others?" in page
    assert sentence_of(table) in page
    without = write_report(survey, tmp_path / "b.html", adata=cells, progress=False).read_text()
    assert 'id="transfer"' not in without


def test_flips_that_do_not_carry_over_are_said_not_to() -> None:
    none = pd.DataFrame({"n": [3, 0], "A": [1.0, None], "B": [0.0, None]}, index=["A", "B"])
    assert sentence_of(none) == "No flip carries over to another classifier."
    nothing = pd.DataFrame({"n": [0], "A": [None], "B": [None]}, index=["A"])
    assert "No flip was found" in sentence_of(nothing)


def test_the_names_of_the_axes_of_two_classifiers_are_drawn_whole() -> None:
    table = pd.DataFrame({"n": [28, 0], "A": [1.0, None], "B": [0.0, None]}, index=["A", "B"])
    ax = adv.pl.transfer(table)
    drawn = ax.get_figure()
    drawn.canvas.draw()
    name, whole = ax.yaxis.label.get_window_extent(), drawn.bbox
    assert 0 <= name.y0 < name.y1 <= whole.height
