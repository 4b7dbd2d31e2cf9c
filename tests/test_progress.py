"""Bars of long work: silent where nobody looks, one line where asked for, one below the other on a terminal."""

from __future__ import annotations

import sys
import tempfile
from functools import cache

import numpy as np
import pytest

import adverscarial as adv
from adverscarial import _progress
from adverscarial._progress import bar, track
from adverscarial.evaluation import harm, sweep

WHERE = {"groupby": "cell_type", "target": "CD19+ B"}
GENES = ["CST3", "CD79A", "HLA-DRA", "CD74", "CD79B", "MS4A1", "CD37"]


@pytest.fixture(scope="module")
def model():
    return adv.classifiers.ScType(scaled=False)


@pytest.fixture(scope="module")
def flips(pbmc_small, model):
    return adv.attacks.SingleGene("perc99")(pbmc_small, model, groupby="cell_type", target="Dendritic")


def attacked(cells, model, flips, progress):
    return adv.attacks.SingleGene("perc99")(cells, model, **WHERE, progress=progress)


def surveyed(cells, model, flips, progress):
    return adv.survey(cells, model, attacks=adv.attacks.SingleGene("perc99"), groupby="cell_type", progress=progress)


def swept(cells, model, flips, progress):
    return sweep(cells, model, genes=GENES, strengths=[1, 2], **WHERE, progress=progress)


def ranked(cells, model, flips, progress):
    return adv.rank_genes(cells, "cell_type", progress=progress)


def ranked_by_variance(cells, model, flips, progress):
    return adv.rank_genes(cells, "cell_type", method="variance", progress=progress)


def ranked_by_score(cells, model, flips, progress):
    return adv.rank_genes(
        cells, "cell_type", method="score", classifier=model, target="CD19+ B", genes=GENES, progress=progress
    )


def detected(cells, model, flips, progress):
    return adv.detectability(cells, flips.apply(cells), progress=progress)


def harmed(cells, model, flips, progress):
    return harm(cells, model, flips, progress=progress)


def curved(cells, model, flips, progress):
    return adv.robustness_curve(
        cells, model, groupby="cell_type", target="Dendritic", genes=["CD79A"], modification="perc99", progress=progress
    )


def curved_along(cells, model, flips, progress):
    attack = adv.attacks.MaxChange("perc99", restarts=1)
    result = attack(cells, model, groupby="cell_type", target="Dendritic", progress=False)
    return adv.curve_along(cells, model, {99: result}, progress=progress)


def verified(cells, model, flips, progress):
    return flips.verify(cells, model, progress=progress)


def predicted(cells, model, flips, progress):
    return adv.classifiers.ScType().predict(cells, progress=progress)


def scored(cells, model, flips, progress):
    return adv.classifiers.ScType().scores(cells, progress=progress)


def adversarial(cells, model, flips, progress):
    attack = adv.attacks.SingleGene("perc99")
    return adv.adversarial_cells(
        cells, model, attack, groupby="cell_type", targets=["Dendritic"], n_per_type=5, progress=progress
    )


def hardened(cells, model, flips, progress):
    few = cells[cells.obs["cell_type"].isin(["Dendritic", "CD19+ B"]), :50].copy()
    attack = adv.attacks.SingleGene("perc99")
    return adv.harden(few, adv.classifiers.Markers(), attack=attack, groupby="cell_type", rounds=1, progress=progress)


def reported(cells, model, flips, progress):
    attack = adv.attacks.SingleGene("perc99")
    found = adv.survey(cells, model, attacks=attack, groupby="cell_type", targets=["Dendritic"], progress=False)
    with tempfile.TemporaryDirectory() as folder:
        return found.report(f"{folder}/report.html", adata=cells, progress=progress)


def trained(family, **settings):
    def work(cells, model, flips, progress):
        return family(progress=progress, **settings).fit(cells, "cell_type")

    return work


BARS = {
    "SingleGene": attacked,
    "Survey": surveyed,
    "Sweep": swept,
    "Ranking genes": ranked,
    "Ranking genes ": ranked_by_variance,
    "Ranking genes  ": ranked_by_score,
    "Detectability": detected,
    "Harm": harmed,
    "Curve": curved,
    "Curve ": curved_along,
    "Verifying": verified,
    "ScType": predicted,
    "ScType ": scored,
    "Adversarial cells": adversarial,
    "Hardening Markers": hardened,
    "Drawing cells": reported,
    "Training RandomForest": trained(adv.classifiers.RandomForest, n_estimators=3),
    "Training Chetah": trained(adv.classifiers.Chetah, cap_genes=True),
    "Training ScAnnotatR": trained(adv.classifiers.ScAnnotatR, keep_ambiguous=True),
    "Ranking marker genes": trained(adv.classifiers.ScAnnotatR, keep_ambiguous=True),
    "Training MLP": trained(adv.classifiers.MLP, epochs=1),
}


@pytest.mark.fast("Survey", "SingleGene", "Sweep")
@pytest.mark.parametrize("name", BARS)
def test_a_bar_is_one_line_where_asked_for_and_nothing_else_is_said(name, pbmc_small, model, flips, capsys):
    if "MLP" in name:
        pytest.importorskip("torch")
    for silent in (None, False):  # standard error is no terminal here
        BARS[name](pbmc_small, model, flips, silent)
        assert capsys.readouterr() == ("", "")
    BARS[name](pbmc_small, model, flips, True)
    out, err = capsys.readouterr()
    assert out == ""
    assert name.strip() in err
    assert "100%" in err


def on_a_terminal(monkeypatch):
    """Let the captured standard error be a terminal, and show bars at once; a fixture would meet another stream."""
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(_progress, "_AFTER", 0.0)
    monkeypatch.setattr(_progress, "console", cache(_progress.console.__wrapped__))  # one that has not looked yet


@pytest.mark.fast(7)
@pytest.mark.parametrize("name", BARS)
def test_on_a_terminal_a_bar_is_shown_unless_it_is_not_wanted(name, pbmc_small, model, flips, capsys, monkeypatch):
    on_a_terminal(monkeypatch)
    if "MLP" in name:
        pytest.importorskip("torch")
    BARS[name](pbmc_small, model, flips, False)
    assert capsys.readouterr().err == ""
    BARS[name](pbmc_small, model, flips, None)
    assert name.strip() in capsys.readouterr().err


def test_what_a_bar_was_told_holds_inside(capsys, monkeypatch):
    on_a_terminal(monkeypatch)
    with bar("outer", 1, False) as advance:
        for _ in track([1, 2], "inner", 2):
            advance()
    assert capsys.readouterr().err == ""
    with bar("outer", 1, False), bar("told otherwise", 1, True):
        pass
    assert "told otherwise" in capsys.readouterr().err
    with bar("after", 1):  # what was said before is forgotten
        pass
    assert "after" in capsys.readouterr().err


def test_a_bar_inside_another_is_shown_on_a_terminal(capsys, monkeypatch):
    on_a_terminal(monkeypatch)
    with bar("outer", 1), bar("inner", 1):
        pass
    err = capsys.readouterr().err
    assert "outer" in err
    assert "inner" in err


def test_bars_inside_are_left_out_where_there_is_no_terminal(capsys):
    with bar("outer", 1, True), bar("inner", 1):
        pass
    err = capsys.readouterr().err
    assert "outer" in err
    assert "inner" not in err


def test_short_work_shows_no_bar_on_a_terminal(capsys, monkeypatch):
    on_a_terminal(monkeypatch)
    monkeypatch.setattr(_progress, "_AFTER", 60.0)
    for _ in track(range(3), "short", 3):
        pass
    assert "short" not in capsys.readouterr().err


def test_a_bar_is_gone_when_the_loop_around_it_fails(capsys):
    def work():
        for step in track(range(3), "failing", 3, True):
            if step:
                raise ValueError

    with pytest.raises(ValueError):  # noqa: PT011
        work()
    assert "33%" in capsys.readouterr().err  # its last line: it is no longer running
    with bar("next", 1, None):
        pass
    assert capsys.readouterr().err == ""


def test_names_of_clusters_are_shown_as_they_are(capsys):
    with bar("SingleGene · [B] [red]cells[/red]", 1, True) as advance:
        advance()
    assert "[B] [red]cells[/red]" in capsys.readouterr().err


@pytest.mark.slow
def test_a_forest_grown_in_steps_is_that_of_scikit_learn(pbmc_small):
    from sklearn.ensemble import RandomForestClassifier

    from adverscarial.classifiers.scorers.tree_ensemble import forest_arrays

    model = adv.classifiers.RandomForest(120, balance=None, seed=3).fit(pbmc_small, "cell_type")
    whole = RandomForestClassifier(120, max_features="sqrt", random_state=3)
    whole.fit(pbmc_small.to_df().to_numpy(), pbmc_small.obs["cell_type"].astype(str))
    expected = forest_arrays(whole.estimators_)
    assert np.array_equal(model.trees.feature, expected.feature)
    assert np.array_equal(model.trees.threshold, expected.threshold)
