"""Intervals of genes that must change at once: both ends are shown wherever they are not proven to be the same."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import adverscarial as adv
from adverscarial.attacks import MinChange
from adverscarial.report import write_report
from adverscarial.report.clusters import cluster_parts
from adverscarial.report.grid_sections import grid_sections

GENES = np.array([f"g{i}" for i in range(1, 12)])


def with_ends(result, lower: int, upper: int | None, *, impossible: bool = False):
    """Return a result whose ends are known."""
    label = ("A" if result.baseline == "B" else "B") if upper else result.baseline
    ends = {"lower": lower, "impossible": impossible, "changed": GENES[: upper or 0], "label": label}
    return replace(result, proof="own sets", **ends)


def survey_of(cells, model, ends: list[tuple], *attacks: MinChange) -> adv.Survey:
    found = adv.survey(cells, model, attacks=attacks, groupby="group", progress=False)
    assert not found.errors
    results = [
        with_ends(result, *end[:2], impossible=len(end) > 2) for result, end in zip(found.results, ends, strict=True)
    ]
    return adv.Survey(found.plan, found.tasks, tuple(results), {})


@pytest.fixture(scope="module")
def found(cells, models) -> adv.Survey:
    """Tasks in their order: left by both changes, then right."""
    ends = [(4, 9), (13, None, "impossible"), (3, 3), (2, None)]
    return survey_of(cells, {"soft": models["soft"]}, ends, MinChange("perc1"), MinChange("perc99"))


def test_cells_show_intervals_and_the_most_vulnerable_clusters_come_first(found):
    (section,) = grid_sections(found, {})
    (table,) = section.tables
    shown = {key: cell.text for key, cell in table.cells.items()}
    assert shown == {
        ("left", "perc1"): "4 to 9",
        ("left", "perc99"): "cannot flip (proven)",
        ("right", "perc1"): "3",
        ("right", "perc99"): "none found; at least 2",
    }
    assert table.grid.clusters == ("left", "right")
    assert table.rows == ("right", "left")
    assert [cell.value for cell in table.cells.values()] == [4, 13, 3, 2]  # sorted and coloured by what is proven
    assert table.largest == 4  # what cannot flip is more than any number, and does not stretch the colours
    assert table.meanings == {}
    assert "no set of fewer genes than the first number does it (proven)" in section.meaning


def test_nothing_proven_is_not_called_a_bound(cells, models):
    survey = survey_of(cells, {"soft": models["soft"]}, [(1, None), (1, 4)], MinChange("perc1"))
    (table,) = grid_sections(survey, {})[0].tables
    assert [cell.text for cell in table.cells.values()] == ["none found", "1 to 4"]


def test_sentences_never_name_one_end_alone(found):
    (table,) = grid_sections(found, {})[0].tables
    assert table.sentences == [
        "A set of genes that flips the label was found in 2 of 4 searches; in 1 of them no set is smaller (proven).",
        "The smallest proven number is that of right (perc99): at least 2 genes must change; no set was found that "
        "flips the label.",
        "The largest is that of left (perc1): at least 4 and at most 9 genes must change.",
        "It is proven that no set of genes flips the label of left (perc99).",
    ]
    left, right = cluster_parts([table.grid])["soft"].values()
    assert left.briefs == ["genes needed: 4 to 9 (perc1), cannot flip (proven) (perc99)"]
    assert right.briefs == ["genes needed: 3 (perc1), none found; at least 2 (perc99)"]
    detail = left.attacked[0].findings[0].detail
    assert detail.text.endswith("at least 4 and at most 9 genes must change. What proves the first number: own sets.")
    assert detail.names == list(GENES[:9])


def test_sentences_say_which_labels_count(cells, models):
    named = MinChange("perc1", change_type="named")
    survey = survey_of(cells, {"soft": models["soft"]}, [(13, None, "impossible"), (2, 2)], named)
    (table,) = grid_sections(survey, {})[0].tables
    assert table.sentences[0].startswith("A set of genes that flips the label to a named type was found in 1 of 2")
    assert table.sentences[-1].startswith("It is proven that no set of genes flips the label to a named type of left")
    both = survey_of(
        cells, {"soft": models["soft"]}, [(13, None, "impossible")] * 4, MinChange("perc1"), named
    )  # two kinds of flips in one table
    (table,) = grid_sections(both, {})[0].tables
    assert table.sentences[0].startswith("A set of genes that flips the label as asked was found in 0 of 4 searches")


def test_intervals_are_drawn_instead_of_boxes(found, tmp_path):
    one, other = grid_sections(found, {})[0].figures
    assert one.caption.startswith("How many genes must change at once by perc1: a line from the proven number")
    assert one.alt.endswith("soft: from 3 (right, perc1); to 4 to 9 (left, perc1); exact in 1 of 2 searches.")
    assert "cannot flip (proven) (left, perc99); exact in 0 of 2 searches" in other.alt
    text = write_report(found, tmp_path / "report.html").read_text()
    assert '<td data-v="4"' in text
    assert ">4 to 9</td>" in text
    assert "The same by other changes" in text
    assert "Box plot" not in text
    assert "†</sup>" not in text


def test_failed_searches_stand_last_and_are_not_drawn(found):
    results = (None, None, *found.results[2:])
    errors = {found.tasks[0].number: "it broke", found.tasks[1].number: "it broke"}
    broken = adv.Survey(found.plan, found.tasks, results, errors)
    (section,) = grid_sections(broken, {})
    assert section.tables[0].rows == ("right", "left")
    assert len(section.figures) == 2
    none = adv.Survey(found.plan, found.tasks[:2], (None, None), errors)
    (section,) = grid_sections(none, {})
    assert section.figures == []
    assert section.tables[0].sentences == ["2 of 2 searches failed."]
