"""Curves of a stress test, and the heat map of critical strengths."""

from __future__ import annotations

import numpy as np
import pytest

import adverscarial as adv
from adverscarial import pl
from adverscarial.errors import ParameterError
from adverscarial.pl._lines import look


@pytest.fixture(scope="module")
def found(pbmc_small) -> adv.StressResult:
    models = {"scType": adv.classifiers.ScType(scaled=False), "rule": lambda X: np.where(X[:, 3] > 0, "a", "b")}
    return adv.stress(
        pbmc_small, models, groupby="cell_type", targets=["Dendritic", "CD19+ B"], changes=["depth", "swapping"],
        strengths=[0.3, 0.99], draws=2,
    )  # fmt: skip


@pytest.mark.slow
def test_a_line_for_each_cluster_is_what_the_table_says(found) -> None:
    ax = pl.stress(found, "depth", classifier="scType")
    table = found.to_frame()
    lines = {line.get_label(): line.get_ydata() for line in ax.lines if len(line.get_xdata()) == 3}
    assert set(lines) == {"CD19+ B", "Dendritic"}
    for cluster, values in lines.items():
        part = table[(table["change"] == "depth") & (table["classifier"] == "scType") & (table["cluster"] == cluster)]
        np.testing.assert_array_equal(values, part["kept"])
    assert ax.get_xlabel() == "Share of counts lost"
    assert ax.get_title("left") == "depth · scType"


def test_accuracy_can_be_drawn_and_on_axes_that_are_given(found) -> None:
    first = pl.stress(found, "depth", cluster="Dendritic")
    assert pl.stress(found, "swapping", cluster="Dendritic", y="accuracy", ax=first) is first
    assert first.get_ylabel() == "Cells called as their cluster is"


def test_the_heat_map_shows_every_critical_strength(found) -> None:
    for kind in ("cells", "label"):
        ax = pl.critical(found, kind=kind)
        texts = sorted(text.get_text() for text in ax.texts if text.get_text() not in ("scType", "rule"))
        values = found.critical()[kind]
        assert texts == sorted("held" if np.isinf(value) else f"{value:.2f}" for value in values)
    assert len(pl.critical(found, classifier="rule").get_yticks()) == 2


def test_many_lines_look_different() -> None:
    assert len({look(number) for number in range(28)}) == 28


def test_wrong_questions_are_refused(found) -> None:
    with pytest.raises(ParameterError, match="several changes"):
        pl.stress(found)
    with pytest.raises(ParameterError, match="There is no change 'deph'"):
        pl.stress(found, "deph")
    with pytest.raises(ParameterError, match="y must be"):
        pl.stress(found, "depth", y="share")
    with pytest.raises(ParameterError, match="kind must be"):
        pl.critical(found, kind="cell")
    with pytest.raises(ParameterError, match="There is no classifier"):
        pl.critical(found, classifier="scRF")
