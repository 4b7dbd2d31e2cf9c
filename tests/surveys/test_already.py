"""Clusters that are already called what ``towards=`` names had nothing to do: no fault, and counted apart."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest

import adverscarial as adv
from adverscarial.errors import AlreadyThere
from surveys.small import cells, run

ATTACKS = [adv.attacks.SingleGene("perc99", towards="T", search="exact"), adv.attacks.MinChange("perc99", towards="T")]


def by_cell(X: np.ndarray) -> np.ndarray:
    """Call a cluster by its cells' first gene: B is called T, the others B."""
    return np.where(X[:, 0] > 1, "B", "T")


@pytest.mark.slow
def test_they_are_counted_apart(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        found = run({"m": by_cell}, attacks=ATTACKS, out=tmp_path)
    assert "is the label that the cluster has" not in caplog.text
    assert [task.target for task in found.already] == ["B", "B"]
    assert found.failed == {}
    assert set(found.errors) == {0, 1}
    assert "0 failed, 2 with nothing to do" in repr(found)
    back = adv.Survey.load(tmp_path)
    assert back.already == found.already
    verdict = found.verdicts().set_index("cluster").loc["B"]
    assert (verdict["verdict"], verdict["reason"]) == ("not decided", "It is already called what the attacks aim at")
    text = found.report(tmp_path / "report.html").read_text()
    assert ">already<" in text
    assert "failed:" not in text
    assert "attacks failed" not in text


def test_a_real_failure_stays_one() -> None:
    def moody(X: np.ndarray) -> np.ndarray:
        raise RuntimeError("no licence")

    found = run({"m": by_cell, "moody": moody}, attacks=ATTACKS[:1])
    assert len(found.already) == 1
    assert len(found.failed) == 3


def test_an_attack_alone_says_so() -> None:
    with pytest.raises(AlreadyThere, match="towards='T' is the label that the cluster has"):
        ATTACKS[0](cells(), by_cell, groupby="cell_type", target="B")
