"""A stress test in the report, and in its verdicts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData

import adverscarial as adv
from adverscarial.errors import ParameterError, StorageError
from adverscarial.report import write_report
from adverscarial.report.stressed import sentence_of
from stresses.made import count_data


def most(X: np.ndarray) -> np.ndarray:
    """Call cells by the first count."""
    return np.where(X[:, 0] > 12, "B", "T")


def surveyed(adata: AnnData, model: object) -> adv.Survey:
    return adv.survey(adata, {"m": model}, attacks=adv.attacks.SingleGene("perc99"), groupby="cell_type", targets=["B"])


@pytest.fixture(scope="module")
def stressed(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("stress") / "run"
    adv.stress(
        count_data(), {"m": most}, groupby="cell_type", targets=["B"], changes=["depth", "ambient"],
        strengths=[0.1, 0.9], draws=2, progress=False, out=out,
    )  # fmt: skip
    return out


def test_the_report_says_when_labels_are_lost(stressed: Path, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    survey, found = surveyed(count_data(), most), adv.StressResult.load(stressed)
    page = write_report(survey, tmp_path / "a.html", stress=found, progress=False).read_text()
    assert "When are labels lost under technical and biological change?" in page
    assert sentence_of(found.critical()) in page
    assert "Its label is lost when 90% of the counts are lost (it becomes T)" in page
    assert "Coloured table of critical strengths" in page
    assert "a technical change of up to 20% counts as small" in page
    assert page == write_report(survey, tmp_path / "b.html", stress=stressed, progress=False).read_text()
    without = write_report(survey, tmp_path / "c.html", progress=False).read_text()
    assert 'id="stress"' not in without
    assert "technical change" not in without


def test_other_cells_are_refused(stressed: Path, tmp_path: Path) -> None:
    survey = surveyed(count_data(n=60), most)
    with pytest.raises(ParameterError, match=r"90 cells.*60 cells"):
        write_report(survey, tmp_path / "a.html", stress=stressed)
    other = adv.survey(
        count_data(), {"other": most}, attacks=adv.attacks.SingleGene("perc99"), groupby="cell_type", targets=["B"]
    )
    with pytest.raises(ParameterError, match="Name the classifiers alike"):
        write_report(other, tmp_path / "a.html", stress=stressed)
    with pytest.raises(StorageError, match="no finished stress test"):
        write_report(surveyed(count_data(), most), tmp_path / "a.html", stress=tmp_path)


def test_a_cluster_that_keeps_its_label_is_said_to() -> None:
    held = pd.DataFrame(
        {"cluster": ["B"], "change": ["depth"], "cells": [np.inf], "unit": ["share"], "label": [np.inf]}
    )
    assert sentence_of(held) == "No cluster loses its label."
