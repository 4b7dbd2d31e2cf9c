from __future__ import annotations

from base64 import b64decode

import matplotlib.pyplot as plt
import pytest

import adverscarial as adv
from adverscarial.attacks import ClusterGradientDescentResult
from adverscarial.pl._style import new_axes
from adverscarial.report import descents as descents_module
from adverscarial.report import figures, write_report
from adverscarial.report.descents import descents
from adverscarial.report.figures import Album, Figure, counts, embed


@pytest.mark.slow
def test_the_same_survey_gives_the_same_bytes_whatever_the_style(everything, cells, models, tmp_path):
    first = write_report(everything, tmp_path / "a.html").read_bytes()
    with plt.rc_context({"figure.dpi": 50, "font.size": 20, "svg.fonttype": "none", "svg.hashsalt": None}):
        assert write_report(everything, tmp_path / "b.html").read_bytes() == first
    assert plt.get_fignums() == []


@pytest.mark.slow
def test_pictures_of_points_repeat_too(everything, cells, tmp_path):
    one, two = (write_report(everything, tmp_path / f"{n}.html", adata=cells).read_bytes() for n in "ab")
    assert one == two
    assert b"data:image/png" in one


@pytest.mark.fast(1)
@pytest.mark.parametrize("kind", ["single", "max"])
def test_the_words_of_a_figure_have_its_numbers(everything, kind):
    impact, vulnerability = counts(everything, kind)
    frame = everything.to_frame()
    column = "flipped" if kind == "single" else "signature"
    own = frame[frame["attack"] == ("SingleGene" if kind == "single" else "MaxChange")]
    for (classifier, modification), part in own.groupby(["classifier", "modification"]):
        assert f"{classifier}: median" in impact.alt
        low, high = part[column].min(), part[column].max()
        spread = f" ({low} to {high})" if low < high else ""
        assert f"{modification} {part[column].astype(float).median():g}{spread}" in impact.alt
    assert "firm: 0 everywhere." in vulnerability.alt
    assert b64decode(impact.link.split(",")[1]).startswith(b"<?xml")


def test_only_zeros_are_not_drawn(cells, models):
    firm = adv.survey(cells, {"firm": models["firm"]}, attacks=adv.attacks.SingleGene("perc1"), groupby="group")
    assert counts(firm, "single") == []


@pytest.mark.slow
def test_descents_take_turns_and_say_what_is_left(everything, monkeypatch):
    paths = [
        (task.classifier, result)
        for task, result in zip(everything.tasks, everything.results, strict=True)
        if isinstance(result, ClusterGradientDescentResult)
    ]
    monkeypatch.setattr(descents_module, "_PATHS", 3)
    drawn, left = descents(paths)
    assert ([figure.caption for figure in drawn], left) == (["soft, left", "firm, left", "soft, right"], 1)
    assert "The cluster's label becomes unknown." in drawn[0].alt
    assert "Cells labelled A: from 100% to 0%" in drawn[0].alt
    assert "The cluster's label stays." in drawn[1].alt


def test_an_album_takes_what_fits():
    album = Album()
    album.room = 25
    given = [Figure("x" * size, "", "", 1) for size in (10, 20, 15, 1)]
    assert [len(figure.link) for figure in album.take(given)] == [10, 15]
    assert album.left == 2


@pytest.mark.slow
def test_what_is_left_out_is_told(everything, monkeypatch, tmp_path):
    monkeypatch.setattr(figures, "_ROOM", 0)
    text = write_report(everything, tmp_path / "report.html").read_text()
    assert "<img" not in text
    assert "8 figures left out, to keep this file small" in text


def test_pictures_of_points_are_sharp():
    figure = embed(lambda: new_axes(7.2, 3), alt="", caption="", points=True)
    width = int.from_bytes(b64decode(figure.link.split(",")[1])[16:20], "big")  # PNG: width in its first block
    assert width == 1440 > 1.5 * figure.width
