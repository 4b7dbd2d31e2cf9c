"""Figures say where they are defined which question they answer, those of other packages too."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import adverscarial as adv
from adverscarial.pl._figures import FIGURES

DOCS = Path(__file__).parents[2] / "docs"
OURS = {name: found for name, found in FIGURES.all().items() if found.draw.__module__ == f"adverscarial.pl.{name}"}


@pytest.mark.parametrize("name", OURS)
def test_each_figure_is_public_and_stands_in_the_documentation(name: str) -> None:
    assert getattr(adv.pl, name) is OURS[name].draw
    assert OURS[name].question.endswith("?")
    assert adv.pl.figures()[name] == OURS[name].question
    assert f"adv.pl.{name}(" in (DOCS / "gallery.md").read_text()
    listed = (DOCS / "api.md").read_text().split("currentmodule:: adverscarial.pl\n")[1].split("```")[0]
    assert f"   {name}\n" in listed


def test_what_is_no_figure_is_no_attribute() -> None:
    with pytest.raises(AttributeError, match=r"module 'adverscarial\.pl' has no attribute 'nothing'"):
        adv.pl.nothing  # noqa: B018
    assert set(OURS) < set(dir(adv.pl))


@pytest.mark.slow
def test_a_figure_of_another_package_is_found(tmp_path: Path) -> None:
    (tmp_path / "dots.py").write_text(
        "import adverscarial as adv\n\n@adv.pl.figure('Where are the dots?')\ndef dots(ax):\n    return ax\n"
    )
    info = tmp_path / "dots-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: dots\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[adverscarial.figures]\ndots = dots\n")
    code = "import adverscarial as adv\nprint(adv.pl.dots(3), adv.pl.figures()['dots'], 'dots' in dir(adv.pl))"
    places = [str(Path(adv.__file__).parents[1]), str(tmp_path)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(places)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)
    assert done.stdout == "3 Where are the dots? True\n", done.stderr
