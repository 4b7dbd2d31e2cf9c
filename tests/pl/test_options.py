"""All figures have one signature, and their options do what they say."""

from __future__ import annotations

import inspect
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from matplotlib.colors import to_hex

import adverscarial as adv
from adverscarial.attacks import SingleGene
from adverscarial.errors import ParameterError
from adverscarial.pl._figures import FIGURES

OURS = [name for name, found in FIGURES.all().items() if found.draw.__module__.startswith("adverscarial.pl")]
OPTIONS = {"figsize": None, "save": None, "show": False, "palette": None, "cmap": None}


@pytest.mark.fast(5)
@pytest.mark.parametrize("name", OURS)
def test_every_figure_has_one_signature(name: str) -> None:
    draw = getattr(adv.pl, name)
    parameters = inspect.signature(draw).parameters
    places = [where for where in ("ax", "axes", "figure") if where in parameters]
    assert len(places) == 1
    assert places == ["figure"] if name == "heatmap" else places in (["ax"], ["axes"])
    for option, default in {**OPTIONS, places[0]: None}.items():
        assert parameters[option].kind is inspect.Parameter.KEYWORD_ONLY
        assert parameters[option].default == default
    assert list(parameters)[-5:] == list(OPTIONS)
    assert not any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters.values())
    assert not any(p.kind is inspect.Parameter.VAR_POSITIONAL for p in parameters.values())
    for option in OPTIONS:
        assert f"\n    {option}\n        " in draw.__doc__
    returned = str(inspect.signature(draw).return_annotation)
    assert returned == ("tuple[Axes, Axes]" if places != ["ax"] else "Axes")
    with pytest.raises(TypeError, match="figsiz"):
        draw(None, figsiz=(1, 1))


@pytest.fixture(scope="module")
def result(pbmc_small: AnnData) -> Any:
    model = adv.classifiers.ScType(scaled=False)
    return SingleGene("perc99")(pbmc_small, model, groupby="cell_type", target="CD19+ B")


def test_size_and_file(result: Any, tmp_path: Any) -> None:
    ax = adv.pl.nearest(result, n=3, figsize=(4, 2), save=tmp_path / "new" / "near.png")
    assert tuple(ax.figure.get_size_inches()) == (4, 2)
    picture = plt.imread(tmp_path / "new" / "near.png")
    assert picture.shape[1] > 900
    adv.pl.nearest(result, save=str(tmp_path / "near.svg"))
    assert "<svg" in (tmp_path / "near.svg").read_text()
    with pytest.raises(ParameterError, match=r"save= ends in '\.doc'; figures are written as .*pdf"):
        adv.pl.nearest(result, save=tmp_path / "near.doc")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["near.svg", "new"]


def test_show_opens_a_window(result: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[int] = []
    monkeypatch.setattr(plt, "show", lambda: shown.append(1))
    adv.pl.nearest(result)
    adv.pl.nearest(result, show=False)
    assert shown == []
    assert adv.pl.nearest(result, show=True) is not None
    assert shown == [1]


def test_colours_of_lines_and_bars(result: Any) -> None:
    ax = adv.pl.nearest(result, palette=["red", "blue"])
    assert {to_hex(bar.get_facecolor()) for bar in ax.patches} == {"#ff0000"}
    usual = adv.pl.nearest(result)
    assert {to_hex(bar.get_facecolor()) for bar in usual.patches} == {"#56b4e9"}
    named = adv.pl.nearest(result, palette="tab10")
    assert {to_hex(bar.get_facecolor()) for bar in named.patches} == {"#1f77b4"}


def test_map_of_numbers(survey: adv.Survey) -> None:
    def fills(ax: Any) -> set[str]:
        return {to_hex(patch.get_facecolor()) for patch in ax.patches} - {"#ffffff", "#eeeeee"}

    usual, grey = fills(adv.pl.vulnerability(survey)), fills(adv.pl.vulnerability(survey, cmap="Greys"))
    assert usual
    assert not usual & grey
    assert all(len({one[1:3], one[3:5], one[5:]}) == 1 for one in grey)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"cmap": "viridis"}, "pl.nearest cannot use cmap=: this figure shows no numbers by colour"),
        ({"figsize": (1, -1)}, "figsize must be a width and a height in inches, both positive"),
        ({"palette": ["reed"]}, "palette must hold colours, as matplotlib names them; got 'reed'"),
        ({"palette": "tab11"}, "no map of colours 'tab11'. Did you mean 'tab10'"),
        ({"palette": []}, "palette must hold colours"),
    ],
)
def test_options_that_mean_nothing_are_refused(result: Any, options: Any, message: str) -> None:
    with pytest.raises(ParameterError, match=message):
        adv.pl.nearest(result, **options)
    adv.pl.nearest(result)  # what was refused is forgotten


def test_a_size_for_axes_that_are_there_is_refused(result: Any) -> None:
    _, ax = plt.subplots()
    with pytest.raises(ParameterError, match="cannot use figsize=: it is the size of a new figure"):
        adv.pl.nearest(result, ax=ax, figsize=(3, 3))
    assert adv.pl.nearest(result, ax=ax) is ax


def test_a_palette_where_nothing_is_told_apart_is_refused(survey: adv.Survey) -> None:
    with pytest.raises(ParameterError, match="vulnerability cannot use palette=: this figure tells nothing apart"):
        adv.pl.vulnerability(survey, palette=["red"])
    with pytest.raises(ParameterError, match=r"no map of colours 'virids'\. Did you mean 'viridis'"):
        adv.pl.vulnerability(survey, cmap="virids")


def test_a_heat_map_says_what_its_colours_count(survey: adv.Survey) -> None:
    ax = adv.pl.vulnerability(survey)
    bar = ax.figure.axes[-1]
    assert bar.get_ylabel() == "Genes (white: none)"
    assert [tick.get_text() for tick in bar.get_yticklabels()][:2] == ["1", "10"]
    assert ax.get_xlabel().splitlines()[:2] == [
        "perc99: switched on", "positive_aberrant: 100,000 times the largest value"
    ]  # fmt: skip


def test_figures_of_other_packages_have_the_options(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FIGURES, "_things", FIGURES.all())  # what is registered here is gone afterwards

    @adv.pl.figure("Where are the dots?")
    def dots(numbers: Any, *, ax: Any = None) -> Any:
        ax = plt.figure().add_subplot() if ax is None else ax
        ax.plot(np.asarray(numbers), "o")
        return ax

    assert dots(pd.Series([1, 2]), save=tmp_path / "dots.png") is not None
    assert (tmp_path / "dots.png").exists()
    with pytest.raises(ParameterError, match=r"pl\.dots cannot use palette="):
        dots([1], palette=["red"])
    assert adv.pl.figures()["dots"] == "Where are the dots?"


def test_a_palette_names_lines_by_what_they_are_about() -> None:
    cells, model = adv.datasets.embedded(), adv.classifiers.Markers().fit(adv.datasets.embedded(), "cell_type")
    attack = adv.attacks.ClusterGradientDescent(genes=["LYZ", "CD79A", "NKG7"])
    result = attack(cells, model, groupby="cell_type", target="Dendritic")
    found = adv.curve_along(cells, model, result)
    for draw in (adv.pl.curve, adv.pl.roc, adv.pl.f1):
        ax = draw({"second": found, "first": found}, palette={"first": "#ff0000"})
        lines = {text.get_text().split(":")[0]: line for text, line in zip(
            ax.get_legend().get_texts(), ax.get_legend().legend_handles, strict=True
        )}  # fmt: skip
        assert lines["first"].get_color() == "#ff0000"
        assert lines["second"].get_color() not in ("#ff0000", "red")
