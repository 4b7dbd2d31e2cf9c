"""An attack that the report knows nothing about is shown by its own columns, sentence and count."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest

import adverscarial as adv
from adverscarial.attacks import Attack, Column, Count, Result
from adverscarial.report.clusters import cluster_parts
from adverscarial.report.grid_sections import grid_sections
from adverscarial.report.sections import _SECTIONS, AttackSection, describes, section_of, value_cell


@dataclass(frozen=True, repr=False, kw_only=True)
class FirstResult(Result):
    """The first genes, changed together."""

    columns = (Column("first_genes", "whole", "Genes that were changed."),)
    count = Count("first_genes", "first genes that flip the label together", {"†": "fewer may do"})
    n: int

    @property
    def genes(self) -> list[str]:
        return [f"g{i}" for i in range(1, 1 + self.n)]

    @property
    def marks(self) -> str:
        return "†" if self.n else ""

    def to_frame(self) -> pd.DataFrame:
        return pd.DataFrame({"gene": self.genes})

    def row(self) -> dict[str, object]:
        return {**super().row(), "first_genes": self.n or None}


@dataclass(frozen=True, repr=False)
class First(Attack[FirstResult]):
    """Change the first genes together.

    More about it.
    """

    modification: str = "fixed:9"
    question = "Do the first genes flip the label?"

    def perform(self, run):
        n = 2 if run.cluster.target == "left" else 0
        answer = run.together(np.arange(1, 1 + n)) if n else run.baseline
        return FirstResult(**run.shared(label=answer.label, share=answer.share, complete=True), n=n)


@pytest.fixture(scope="module")
def found(cells, models) -> adv.Survey:
    return adv.survey(cells, {"soft": models["soft"]}, attacks=[First()], groupby="group")


def test_its_count_makes_a_grid_with_its_own_words(found):
    (section,) = grid_sections(found, {})
    assert (section.anchor, section.title) == ("First", "Do the first genes flip the label?")
    assert section.meaning == "Change the first genes together."
    (table,) = section.tables
    assert [entry.text for entry in table.grid.entries.values()] == ["2†", "none"]
    assert table.grid.meanings == {"†": "fewer may do"}
    assert table.sentences == ["First genes that flip the label together: 2, in 1 of 2 searches."]


def test_each_cluster_gets_its_sentence_and_genes(found):
    left, right = cluster_parts([table.grid for section in grid_sections(found, {}) for table in section.tables])[
        "soft"
    ].values()
    detail = left.attacked[0].findings[0].detail
    assert (detail.text, detail.names) == (found.results[0].sentence, ["g1", "g2"])
    assert left.briefs == ["first genes that flip the label together: 2"]
    assert right.attacked[0].findings[0].detail.names == []


def test_a_section_registers_itself_by_the_name_of_its_attack(monkeypatch):
    monkeypatch.setattr("adverscarial.report.sections._SECTIONS", dict(_SECTIONS))

    @describes("First")
    class FirstSection(AttackSection):
        title = "My own words"

    assert section_of(First()).heading(First()) == "My own words"


@pytest.mark.parametrize(
    ("value", "text"), [(None, "–"), (True, "yes"), (1234, "1,234"), (0.12345, "0.123"), ("milp", "milp")]
)
def test_cells_show_every_kind_of_column(value, text):
    assert value_cell(value).text == text
