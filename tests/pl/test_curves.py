from __future__ import annotations

from dataclasses import replace

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

import adverscarial as adv
from adverscarial import pl
from adverscarial.errors import ClassifierError, ParameterError
from made_up import cautious

WHERE = {"groupby": "cell_type", "target": "CD19+ B"}
GENES = ["CST3", "CD79A", "HLA-DRA", "CD74", "CD79B", "MS4A1"]


@pytest.fixture(scope="module")
def curves(pbmc_small):
    models = {"scaled": adv.classifiers.ScType(), "plain": adv.classifiers.ScType(scaled=False)}
    attack = adv.attacks.ClusterGradientDescent(genes=GENES, stop_at_switch=False)
    return {n: adv.curve_along(pbmc_small, m, attack(pbmc_small, m, **WHERE)) for n, m in models.items()}


@pytest.fixture(scope="module")
def swept(pbmc_small):
    model = adv.classifiers.ScType(scaled=False)
    ask = {"genes": GENES, "strengths": [0, 0.1, 1, 4], **WHERE}
    one = adv.sweep(pbmc_small, model, **ask)
    two = adv.sweep(pbmc_small, adv.classifiers.ScType(), **ask).assign(classifier="scaled")
    return pd.concat([one, two])


def lines(ax):
    return {line.get_label(): line for line in ax.lines if not line.get_label().startswith("_")}


@pytest.mark.parametrize("y", ["accuracy", "auc", "f1"])
def test_curve_draws_the_table_and_its_bands(curves, y):
    ax = pl.curve(curves, y=y)
    assert lines(ax).keys() == curves.keys()
    for band, (name, one) in zip(ax.collections, curves.items(), strict=True):
        table = one.to_frame()
        np.testing.assert_array_equal(lines(ax)[name].get_xydata(), table[["n_genes", y]])
        corners = {tuple(corner) for corner in np.round(band.get_paths()[0].vertices, 9)}
        for end in (f"{y}_low", f"{y}_high"):
            assert {tuple(point) for point in table[["n_genes", end]].round(9).to_numpy(float)} <= corners
    looks = {(line.get_color(), str(line.get_linestyle()), line.get_marker()) for line in lines(ax).values()}
    assert len({look[1:] for look in looks}) == len(curves)  # without colour too


@pytest.mark.parametrize(("plot", "formula"), [(pl.curve, "Wilson"), (pl.roc, "Wilson"), (pl.f1, "MOVER")])
def test_legend_says_how_the_bands_are_made(curves, plot, formula):
    def bands(of, **settings):
        ax = plot({name: replace(one, **settings) for name, one in of.items()})
        area = sum(path.get_extents().height > 0 for band in ax.collections for path in band.get_paths())
        texts = [text.get_text() for text in ax.get_legend().texts]
        return area, [text for text in texts if text.startswith("95%")]

    assert bands(curves) == (2, [f"95% ({formula})"])
    assert bands(curves, intervals="bootstrap", n_boot=20) == (2, ["95% (bootstrap)"])
    if plot is not pl.curve:  # which draws the table, made beforehand
        assert bands(curves, intervals="bootstrap", n_boot=0) == (0, [])
    one, two = curves.values()
    ax = plot({"a": one, "b": replace(two, intervals="bootstrap")})
    assert f"95% ({formula}, bootstrap)" in [text.get_text() for text in ax.get_legend().texts]


def test_curve_names_the_formula_of_what_it_draws_and_no_band_without_one(pbmc_small, curves):
    for y, formula in {"accuracy": "Wilson", "auc": "Newcombe", "f1": "MOVER"}.items():
        assert f"95% ({formula})" in [text.get_text() for text in pl.curve(curves, y=y).get_legend().texts]
    ask = {"genes": GENES, "modification": "perc1", "n_genes": [0, 1], **WHERE}
    one = adv.robustness_curve(pbmc_small, adv.classifiers.ScType(), intervals="bootstrap", n_boot=0, **ask)
    assert [text.get_text() for text in pl.curve(one).get_legend().texts] == [one.classifier]


def test_roc_and_f1_draw_before_and_after(curves):
    one = curves["plain"]
    after, before = one.roc(6), one.roc()
    drawn = [line.get_xydata() for line in pl.roc(one).lines]
    for table in (before, after):
        assert any(np.array_equal(points, table[["fpr", "tpr"]]) for points in drawn)
    label = f"{one.classifier}: area {before.attrs['auc']:.2f} → {after.attrs['auc']:.2f}"
    assert label in lines(pl.roc(one))
    middle = pl.roc({"x": one}, step=2)
    assert np.array_equal(lines(middle)[next(iter(lines(middle)))].get_xydata(), one.roc(2)[["fpr", "tpr"]])
    drawn = {line.get_label(): line.get_xydata() for line in pl.f1(one).lines}
    label = f"{one.classifier}: best {one.f1().max()['f1']:.2f} → {one.f1(6).max()['f1']:.2f}"
    points = drawn[label]
    np.testing.assert_allclose(one.f1(6, thresholds=points[:, 0])["f1"], points[:, 1])
    assert points[:, 1].max() == pytest.approx(one.f1(6)["f1"].max())
    together = pl.f1(curves)
    assert all(set(line.get_xdata()[[0, -1]]) == {0, 1} for line in together.lines if len(line.get_xdata()))


def test_refused_steps_are_gaps_and_said(pbmc_small):
    model = cautious()
    values = {1.0: "fixed:1", 2.0: "fixed:99", 3.0: "fixed:3"}
    ask = {"genes": list(pbmc_small.var_names[:3]), "modification": values, **WHERE}
    one = adv.robustness_curve(pbmc_small, model, **ask)
    ax = pl.curve(one)
    drawn = lines(ax)[one.classifier].get_ydata()
    assert np.isnan(drawn).tolist() == [False, True, False]
    assert "refused" in ax.get_xlabel()
    assert any(line.get_marker() == "x" and line.get_xdata().tolist() == [2.0] for line in ax.lines)
    after = lines(pl.roc(one))
    assert f"{one.roc(3.0).attrs['auc']:.2f}" in next(iter(after))  # the last that was not refused
    with pytest.raises(ClassifierError, match="refused"):
        pl.roc(one, step=2.0)


def test_sweep_and_ratio_draw_each_strength(swept):
    for plot, column in ((pl.sweep, "tested"), (pl.ratio, "ratio")):
        drawn = lines(plot(swept, kind="both"))
        assert set(drawn) == {*swept["classifier"], "label held"}
        for name in set(swept["classifier"]):
            table = swept[(swept["classifier"] == name) & (swept["kind"] == "both") & (swept["strength"] > 0)]
            np.testing.assert_array_equal(drawn[name].get_xydata(), table[["strength", column]].astype(float))
    ax = pl.sweep(swept, kind="both")
    hollow = [line for line in ax.lines if line.get_markerfacecolor() == "#ffffff"]
    held = {(row.strength, row.tested) for row in swept.itertuples() if not row.success and row.kind == "both"}
    assert {tuple(point) for line in hollow for point in line.get_xydata()} == held - {(0, 0)}
    assert held != {(0, 0)}
    alone = swept[swept["classifier"] == "scaled"]
    assert {"alpha alone", "epsilon alone", "alpha = epsilon"} <= set(lines(pl.ratio(alone)))
    assert len(lines(pl.sweep(swept))) == 7


@pytest.mark.fast("curve", "roc", "f1")
@pytest.mark.parametrize("plot", [pl.curve, pl.roc, pl.f1, pl.sweep, pl.ratio])
def test_figures_fit_a_column_and_keep_to_their_axes(curves, swept, plot):
    data = swept if plot in (pl.sweep, pl.ratio) else curves
    ax = plot(data)
    assert ax.figure.get_figwidth() * 25.4 == pytest.approx(89)
    ax.figure.canvas.draw()
    texts = [*ax.get_xticklabels(), *ax.get_yticklabels(), ax.xaxis.label, ax.yaxis.label, *ax.get_legend().texts]
    for text in texts:
        assert text.get_fontsize() >= 6
    for text in [ax.xaxis.label, ax.yaxis.label, *ax.get_legend().texts]:
        box = text.get_window_extent()
        assert ax.figure.bbox.x0 <= box.x0
        assert box.x1 <= ax.figure.bbox.x1 + 1
    _, axes = plt.subplots(1, 2)
    figures = plt.get_fignums()
    assert plot(data, ax=axes[1]) is axes[1]
    assert plt.get_fignums() == figures
    assert not axes[0].lines


def test_wrong_requests_are_refused_in_words(curves, swept, pbmc_small):
    with pytest.raises(ParameterError, match="'accuracy', 'auc' or 'f1'"):
        pl.curve(curves, y="loss")
    for bad in ({}, [3], curves["plain"].to_frame()):
        with pytest.raises(ParameterError, match="robustness_curve"):
            pl.roc(bad)
    with pytest.raises(ParameterError, match="no step n_genes=3"):
        pl.f1(curves, step=3)
    with pytest.raises(ParameterError, match=r"adverscarial\.sweep"):
        pl.sweep(curves["plain"].to_frame())
    with pytest.raises(ParameterError, match="no kind 'epsilon'"):
        pl.ratio(swept[swept["kind"] == "both"], kind="epsilon")
    rule = adv.classifiers.wrap(lambda X: np.where(X[:, 0] > 0, "B", "other"), classes=["B", "other"])
    ask = {"genes": GENES, "modification": "perc1", "n_genes": [0, 1], **WHERE}
    labels = adv.robustness_curve(pbmc_small, rule, **ask)
    with pytest.raises(ParameterError, match="Draw y='accuracy'"):
        pl.curve(labels, y="auc")
