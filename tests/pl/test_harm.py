from __future__ import annotations

from itertools import combinations

import numpy as np
import pandas as pd
import pytest

import adverscarial as adv
from adverscarial import pl
from adverscarial.errors import ParameterError
from adverscarial.evaluation import harm

WHERE = {"groupby": "cell_type", "target": "CD19+ B"}


@pytest.fixture(scope="module")
def attacked(pbmc_small):
    model = adv.classifiers.ScType(scaled=False)
    attacks = {
        "CGD": adv.attacks.ClusterGradientDescent(genes=["CD79A", "CD79B", "MS4A1"]),
        "most": adv.attacks.MaxChange("perc1", restarts=1),
        "none": adv.attacks.SingleGene("perc1", genes=["LYZ"]),
    }
    results = {name: attack(pbmc_small, model, **WHERE) for name, attack in attacks.items()}
    return model, results, harm(pbmc_small, model, results)


@pytest.mark.slow
def test_harm_is_the_share_relabelled_and_visibility_that_of_detectability(pbmc_small, attacked):
    model, results, table = attacked
    assert table["attack"].to_list() == ["CGD", "most", "none"]
    inside = (pbmc_small.obs["cell_type"] == "CD19+ B").to_numpy()
    before = model.predict(pbmc_small)[inside]
    for row in table.iloc[:2].itertuples():
        changed = results[row.attack].apply(pbmc_small)
        after = model.predict(changed)[inside]
        assert row.harm == pytest.approx((before != after).mean())
        assert row.harm > 0
        seen = adv.detectability(pbmc_small, changed, **WHERE)
        assert (row.visibility, row.genes, row.l2_mean) == (seen.visibility, seen.genes, seen.l2_mean)
        assert row.flipped == (adv.predict(changed, model, **WHERE).label != results[row.attack].baseline)
    assert table.loc[2, ["harm", "visibility", "genes"]].to_list() == [0, 0, 0]  # nothing flips, nothing is changed


@pytest.mark.slow
def test_results_without_names_are_named_and_classifiers_of_clusters_answer_yes_or_no(pbmc_small, attacked):
    model, results, _ = attacked
    place = pbmc_small.var_names.get_loc("CD79A")

    def rule(expression, clusters, target):
        mean = expression.loc[(clusters == target).to_numpy()].to_numpy()[:, place].mean()
        return ("B", 1.0) if mean > 1 else ("other", 1.0)

    table = harm(pbmc_small, adv.classifiers.wrap(rule), [results["CGD"], results["CGD"]])
    assert table["attack"].to_list() == ["ClusterGradientDescent", "ClusterGradientDescent #2"]
    assert set(table["harm"]) <= {0.0, 1.0}
    for bad in ({}, ["CGD"]):
        with pytest.raises(ParameterError, match="at least one result"):
            harm(pbmc_small, model, bad)


def test_points_stand_where_the_table_says(attacked):
    *_, table = attacked
    ax = pl.harm(table)
    filled = {tuple(p) for line in ax.lines if line.get_markerfacecolor() != "none" for p in line.get_xydata()}
    hollow = {tuple(p) for line in ax.lines if line.get_markerfacecolor() == "none" for p in line.get_xydata()}
    for row in table.itertuples():
        assert (row.visibility, row.harm) in (filled if row.flipped else hollow)
    assert {text.get_text() for text in ax.texts if text.get_text()} == set(table["attack"])


def test_names_do_not_cover_each_other_or_leave_the_picture():
    rng = np.random.default_rng(0)
    table = pd.DataFrame({"attack": [f"attack number {i}" for i in range(12)]})
    table["visibility"], table["harm"] = np.r_[1.0, 1.0, rng.random(10)], np.r_[1.0, 0.97, rng.random(10)]
    table["flipped"] = table["harm"] > 0.5
    ax = pl.harm(table)
    ax.figure.canvas.draw()
    boxes = [text.get_window_extent() for text in ax.texts if text.get_text()]
    assert len(boxes) == 12
    assert not any(one.overlaps(other) for one, other in combinations(boxes, 2))
    dots = ax.transData.transform(table[["visibility", "harm"]])
    assert not any(box.contains(*dot) for box in boxes for dot in dots)
    assert all(ax.figure.bbox.x0 <= box.x0 and box.x1 <= ax.figure.bbox.x1 for box in boxes)


def test_attacks_on_one_point_are_named_below_each_other_each_once():
    table = pd.DataFrame({"attack": ["a", "b", "a", "c"], "visibility": [0, 0, 0.001, 1], "harm": [0, 0, 0, 1.0]})
    table["flipped"], table["classifier"] = [False, False, False, True], ["x", "x", "y", "x"]
    ax = pl.harm(table)
    assert [text.get_text() for text in ax.texts] == ["a\nb", "c"]
    many = pd.DataFrame({"attack": list("abcdef"), "visibility": 0.5, "harm": 0.5, "flipped": True})
    assert pl.harm(many).texts[0].get_text() == "a\nb\nc\nd\nand 2 more"


def test_unknown_visibility_is_said():
    table = pd.DataFrame({"attack": ["a", "b"], "visibility": [0.5, np.nan], "harm": [1.0, 0.2]})
    table["flipped"] = [True, False]
    ax = pl.harm(table)
    assert "too few cells: 'b'" in ax.get_xlabel()
    assert [text.get_text() for text in ax.texts if text.get_text()] == ["a"]
    with pytest.raises(ParameterError, match="known visibility"):
        pl.harm(table[1:])
    with pytest.raises(ParameterError, match=r"evaluation\.harm"):
        pl.harm(pd.DataFrame({"attack": ["a"]}))


def test_long_names_are_cut_and_do_not_squeeze_the_axes():
    name = "ClusterGradientDescent(alpha=1.0, epsilon=1.0, genes=[500 genes])"
    long = pd.DataFrame(
        {"attack": [f"{name} #1", f"{name} #2"], "visibility": [0.1, 0.9], "harm": [0.2, 0.8], "flipped": [True, False]}
    )
    ax = pl.harm(long)
    ax.figure.draw_without_rendering()
    assert ax.get_position().width > 0.5
    shown = [text.get_text() for text in ax.texts if text.get_text()]
    assert [len(text) for text in shown] == [28, 28]
    assert [text[-2:] for text in shown] == ["#1", "#2"]
