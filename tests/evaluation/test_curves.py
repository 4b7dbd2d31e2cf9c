from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binom, wilcoxon
from sklearn.metrics import f1_score, roc_auc_score, roc_curve

import adverscarial as adv
from adverscarial.attacks import MaxChange, SingleGene
from adverscarial.errors import ClassifierError, DataError, ParameterError
from adverscarial.evaluation import accuracy_curve, compare, f1_curve, robustness_curve, roc_curve_of_cluster

GENES = ["CD79A", "HLA-DRA", "CD74", "CD79B", "MS4A1", "CD37", "HLA-DRB1"]
WHERE = {"groupby": "cell_type", "target": "CD19+ B"}


def some_scores(n: int = 300, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Scores with many ties, and who is positive."""
    rng = np.random.default_rng(seed)
    positive = rng.random(n) < 0.3
    return np.round(rng.normal(size=n) + positive, 1), positive


def test_roc_is_that_of_sklearn():
    scores, positive = some_scores()
    ours = roc_curve_of_cluster(scores, positive, n_boot=0)
    fpr, tpr, thresholds = roc_curve(positive, scores, drop_intermediate=False)
    np.testing.assert_allclose(ours["fpr"], fpr, rtol=1e-12)
    np.testing.assert_allclose(ours["tpr"], tpr, rtol=1e-12)
    np.testing.assert_array_equal(ours["threshold"], thresholds)
    assert ours.attrs["auc"] == pytest.approx(roc_auc_score(positive, scores), rel=1e-12)
    assert np.isnan(ours.attrs["auc_low"])


def test_f1_is_that_of_sklearn():
    scores, positive = some_scores()
    ours = f1_curve(scores, positive, n_boot=0)
    assert ours["threshold"].to_list() == sorted(set(scores), reverse=True)
    np.testing.assert_allclose(ours["f1"], [f1_score(positive, scores >= t) for t in ours["threshold"]], rtol=1e-12)
    at = [5.0, 0.25, 0.3, -9.0]
    ours = f1_curve(scores, positive, thresholds=at, n_boot=0)
    np.testing.assert_allclose(ours["f1"], [f1_score(positive, scores >= t, zero_division=0) for t in at], rtol=1e-12)


def test_infinite_scores_are_scores():
    scores, positive = np.array([np.inf, np.inf, 1.0, -np.inf]), np.array([True, False, True, False])
    roc = roc_curve_of_cluster(scores, positive, n_boot=0)
    assert roc.attrs["auc"] == roc_auc_score(positive, [3, 3, 2, 1])
    assert roc[["fpr", "tpr"]].iloc[0].to_list() == [0, 0]
    assert f1_curve(scores, positive, thresholds=[np.inf], n_boot=0)["f1"].to_list() == [0.5]


def test_auc_interval_is_that_of_an_own_bootstrap():
    scores, positive = some_scores()
    attrs = roc_curve_of_cluster(scores, positive, n_boot=2000, seed=3).attrs
    rng = np.random.default_rng(99)
    inside, outside = np.flatnonzero(positive), np.flatnonzero(~positive)
    drawn = []
    for _ in range(2000):
        cells = np.concatenate([rng.choice(inside, len(inside)), rng.choice(outside, len(outside))])
        drawn.append(roc_auc_score(positive[cells], scores[cells]))
    np.testing.assert_allclose([attrs["auc_low"], attrs["auc_high"]], np.percentile(drawn, [2.5, 97.5]), atol=0.01)


def test_accuracy_interval_is_the_binomial_one():
    """Resampling cells draws the number of right ones from a binomial distribution, so its quantiles are known."""
    truth = np.array(["B"] * 100)
    labels = np.where(np.arange(100) < 70, "B", "T")
    table = accuracy_curve(truth, [truth, labels], n_boot=4000, seed=1)
    assert table["accuracy"].to_list() == [1.0, 0.7]
    assert table.loc[0, ["accuracy_low", "accuracy_high"]].to_list() == [1.0, 1.0]
    expected = binom.ppf([0.025, 0.975], 100, 0.7) / 100
    np.testing.assert_allclose(table.loc[1, ["accuracy_low", "accuracy_high"]].to_list(), expected, atol=0.011)


def test_bands_hold_the_curve_and_follow_the_seed():
    scores, positive = some_scores()
    f1, again, other = (f1_curve(scores, positive, seed=seed) for seed in (0, 0, 1))
    assert f1.equals(again)
    assert not f1.equals(other)
    middle = f1.iloc[10:-10]
    assert (middle["f1_low"] < middle["f1"]).all()
    assert (middle["f1"] < middle["f1_high"]).all()
    roc = roc_curve_of_cluster(scores, positive)
    assert ((roc["tpr_low"] <= roc["tpr"]) & (roc["tpr"] <= roc["tpr_high"])).mean() > 0.95


@pytest.fixture(scope="module")
def models(pbmc_small):
    forest = adv.classifiers.RandomForest(20, seed=0).fit(pbmc_small, "cell_type")
    return {"forest": forest, "linear": adv.classifiers.ScType(), "all cells": adv.classifiers.ScType(scaled=False)}


@pytest.mark.parametrize("name", ["forest", "linear", "all cells"])
@pytest.mark.parametrize("modification", ["perc1", "random"])
def test_curve_is_what_prediction_from_scratch_gives(pbmc_small, models, name, modification):
    model = models[name]
    curve = robustness_curve(
        pbmc_small, model, genes=GENES, modification=modification, n_genes=(0, 1, 3, 50), seed=4, n_boot=20, **WHERE
    )
    table = curve.to_frame()
    assert table["n_genes"].to_list() == [0, 1, 3, 7]
    inside = (pbmc_small.obs["cell_type"] == "CD19+ B").to_numpy()
    for row in table.itertuples():
        changed = adv.modify(pbmc_small, GENES[: row.n_genes], modification, seed=4, **WHERE)
        labels = model.predict(changed)[inside]
        said = adv.predict(changed, model, **WHERE)
        assert (row.label, row.share) == (said.label, pytest.approx(said.share))
        assert row.accuracy == pytest.approx((labels == curve.label).mean())
        scores = model.scores(changed)[curve.label].to_numpy()
        np.testing.assert_allclose(curve.scores(row.n_genes), scores, rtol=1e-6, atol=1e-9)
        assert row.auc == pytest.approx(roc_auc_score(inside, curve.scores(row.n_genes)))
        assert row.accuracy_low <= row.accuracy <= row.accuracy_high
    clean = curve.f1()
    best = clean["threshold"][clean["f1"].idxmax()]
    np.testing.assert_allclose(table["f1"], [f1_score(inside, curve.scores(n) >= best) for n in table["n_genes"]])
    assert curve.roc(3).attrs["auc"] == pytest.approx(table["auc"][2])
    assert curve.label in str(curve)


def test_curve_by_strength(pbmc_small, models):
    strengths = {v: adv.Fixed(v) for v in (0.0, 1.5, 4.0)}
    curve = robustness_curve(pbmc_small, models["forest"], genes=GENES, modification=strengths, n_boot=0, **WHERE)
    assert curve.axis == "strength"
    inside = (pbmc_small.obs["cell_type"] == "CD19+ B").to_numpy()
    for row in curve.to_frame().itertuples():
        changed = adv.modify(pbmc_small, GENES, f"fixed:{row.strength}", **WHERE)
        assert row.accuracy == pytest.approx((models["forest"].predict(changed)[inside] == curve.label).mean())
    clean = models["forest"].scores(pbmc_small)[curve.label].to_numpy()
    np.testing.assert_allclose(curve.scores(), clean)  # before the attack, though no strength is "none"


def test_block_functions_see_all_genes_changed_together(pbmc_small, models):
    def to_mean(block):
        return np.repeat(block.mean(axis=1, keepdims=True), block.shape[1], axis=1)

    how = adv.Custom(to_mean, scope="cluster_block")
    curve = robustness_curve(
        pbmc_small, models["linear"], genes=GENES, modification=how, n_genes=(2, 7), n_boot=0, **WHERE
    )
    for n in (2, 7):
        changed = adv.modify(pbmc_small, GENES[:n], how, **WHERE)
        expected = models["linear"].scores(changed)[curve.label].to_numpy()
        np.testing.assert_allclose(curve.scores(n), expected, rtol=1e-6, atol=1e-9)


def test_labels_only_gets_accuracy_only(pbmc_small):
    place = pbmc_small.var_names.get_loc("CD79A")
    rule = adv.classifiers.wrap(lambda X: np.where(X[:, place] > 0, "B", "other"), classes=["B", "other"])
    curve = robustness_curve(
        pbmc_small, rule, genes=["CD74", "CD79A"], modification="fixed:0", n_genes=(0, 1, 2), **WHERE
    )
    table = curve.to_frame()
    assert "auc" not in table
    assert table["accuracy"].to_list() == [table["share"][0], table["share"][0], 0.0]
    with pytest.raises(ClassifierError, match="no ROC or F1"):
        curve.roc(1)


def test_a_refused_step_is_neither_flipped_nor_held(pbmc_small):
    def cautious(X):
        if X.max() > 50:
            raise ValueError("out of range")
        high = X[:, :20].sum(axis=1)
        return np.stack([high, 5 - high], axis=1)

    model = adv.classifiers.wrap(cautious, classes=["high", "low"])
    values = {1.0: "fixed:1", 99.0: "fixed:99", 2.0: "fixed:2"}
    genes = list(pbmc_small.var_names[:3])
    curve = robustness_curve(pbmc_small, model, genes=genes, modification=values, n_boot=5, **WHERE)
    table = curve.to_frame().set_index("strength")
    assert table["rejected"].to_list() == [False, True, False]
    assert table.loc[99.0, ["accuracy", "accuracy_low", "auc", "f1"]].isna().all()
    assert table.loc[[1.0, 2.0], ["accuracy", "auc", "f1"]].notna().all(axis=None)
    with pytest.raises(ClassifierError, match="refused the input at strength=99"):
        curve.roc(99.0)


def test_the_same_seed_gives_the_same_curve(pbmc_small, models):
    ask = {"genes": GENES, "modification": "random", "n_genes": (0, 2, 7), "n_boot": 30, **WHERE}
    first, again, other = (robustness_curve(pbmc_small, models["forest"], seed=s, **ask).to_frame() for s in (1, 1, 2))
    assert first.equals(again)
    assert not first.equals(other)


def test_impossible_settings_are_refused(pbmc_small, models):
    ask = {"genes": GENES, "modification": "perc1", **WHERE}
    for bad in ((), (2, 1), (1, 1), (-1, 2), (0.5,)):
        with pytest.raises(ParameterError, match="n_genes"):
            robustness_curve(pbmc_small, models["forest"], n_genes=bad, **ask)
    with pytest.raises(ParameterError, match="n_boot"):
        robustness_curve(pbmc_small, models["forest"], n_boot=-1, **ask)
    with pytest.raises(ParameterError, match="empty mapping"):
        robustness_curve(pbmc_small, models["forest"], **(ask | {"modification": {}}))
    with pytest.raises(ParameterError, match="no step n_genes=6"):
        robustness_curve(pbmc_small, models["forest"], n_genes=(0, 5), n_boot=0, **ask).roc(6)
    with pytest.raises(DataError, match="one kind only"):
        roc_curve_of_cluster([1.0, 2.0], [True, True])
    with pytest.raises(DataError, match="NaN"):
        f1_curve([np.nan, 2.0], [True, False])
    with pytest.raises(DataError, match="shapes"):
        f1_curve([1.0, 2.0, 3.0], [True, False])
    with pytest.raises(DataError, match="Step 1 labels 1 cells"):
        accuracy_curve(["B", "T"], [["B", "B"], ["B"]])
    with pytest.raises(DataError, match="truth is empty"):
        accuracy_curve([], [])


@pytest.fixture(scope="module")
def surveyed(pbmc_small):
    genes = list(pbmc_small.var_names[:150])
    models = {
        "one": adv.classifiers.ScType(scaled=False),
        "two": adv.classifiers.RandomForest(10, seed=0).fit(pbmc_small, "cell_type"),
    }
    attacks = [SingleGene("perc1", genes=genes), SingleGene("perc99", genes=genes)]
    return adv.survey(pbmc_small, models, attacks=attacks, groupby="cell_type", seed=1)


def test_comparison_is_paired(surveyed):
    table = compare(surveyed, seed=2)
    wide = surveyed.to_frame().pivot(index=["cluster", "modification"], columns="classifier", values="flipped")
    wide = wide.astype(float)
    best, worst = table["classifier"]
    assert wide[best].mean() <= wide[worst].mean()
    np.testing.assert_allclose(table["mean"], [wide[best].mean(), wide[worst].mean()])
    difference = wide[worst] - wide[best]
    assert table["difference"].to_list() == [0, pytest.approx(difference.mean())]
    assert (table["pairs"] == 20).all()
    assert (table["clusters"] == 10).all()
    by_cluster = difference.groupby(level="cluster").mean()
    expected = wilcoxon(by_cluster).pvalue if by_cluster.any() else 1.0
    assert np.isnan(table["p_value"][0])
    assert table["p_value"][1] == pytest.approx(expected)
    assert table["difference_low"][1] <= difference.mean() <= table["difference_high"][1]
    rng = np.random.default_rng(0)
    means = [rng.choice(by_cluster, len(by_cluster)).mean() for _ in range(4000)]
    many = compare(surveyed, n_boot=4000)
    np.testing.assert_allclose(
        many.loc[1, ["difference_low", "difference_high"]].astype(float),
        np.percentile(means, [2.5, 97.5]),
        atol=0.1 * np.std(by_cluster) + 1e-12,
    )
    assert compare(surveyed, seed=2).equals(table)


def test_a_classifier_against_itself_is_equal(pbmc_small):
    model = adv.classifiers.ScType(scaled=False)
    attack = MaxChange("perc1", genes=GENES, restarts=1)
    found = adv.survey(
        pbmc_small, {"a": model, "b": model}, attacks=attack, groupby="cell_type", targets=["CD19+ B", "Dendritic"]
    )
    table = compare(found, measure="modifiable")
    assert table["rank"].to_list() == [1, 1]
    assert table[["difference", "difference_low", "difference_high"]].eq(0).all(axis=None)
    assert table["p_value"].isna().all()  # two clusters only


def test_what_cannot_be_compared_is_refused(surveyed, pbmc_small):
    with pytest.raises(ParameterError, match=r"no number 'fliped' to compare by\. Did you mean 'flipped'"):
        compare(surveyed, measure="fliped")
    alone = adv.survey(
        pbmc_small,
        adv.classifiers.ScType(scaled=False),
        attacks=SingleGene("perc1", genes=GENES),
        groupby="cell_type",
        targets=["Dendritic"],
    )
    with pytest.raises(DataError, match="at least two classifiers"):
        compare(alone)
    assert isinstance(compare(surveyed, n_boot=0), pd.DataFrame)
