from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import f1_score, roc_auc_score, roc_curve

import adverscarial as adv
from adverscarial.attacks import ClusterGradientDescent, SingleGene
from adverscarial.errors import ClassifierError, DataError, ParameterError
from adverscarial.evaluation import accuracy_curve, curve_along, f1_curve, robustness_curve, roc_curve_of_cluster
from made_up import cautious

GENES = ["CD79A", "HLA-DRA", "CD74", "CD79B", "MS4A1", "CD37", "HLA-DRB1"]
WHERE = {"groupby": "cell_type", "target": "CD19+ B"}


def some_scores(n: int = 300, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Scores with many ties, and who is positive."""
    rng = np.random.default_rng(seed)
    positive = rng.random(n) < 0.3
    return np.round(rng.normal(size=n) + positive, 1), positive


def test_roc_is_that_of_sklearn():
    scores, positive = some_scores()
    ours = roc_curve_of_cluster(scores, positive)
    fpr, tpr, thresholds = roc_curve(positive, scores, drop_intermediate=False)
    np.testing.assert_allclose(ours["fpr"], fpr, rtol=1e-12)
    np.testing.assert_allclose(ours["tpr"], tpr, rtol=1e-12)
    np.testing.assert_array_equal(ours["threshold"], thresholds)
    assert ours.attrs["auc"] == pytest.approx(roc_auc_score(positive, scores), rel=1e-12)


def test_f1_is_that_of_sklearn():
    scores, positive = some_scores()
    ours = f1_curve(scores, positive)
    assert ours["threshold"].to_list() == sorted(set(scores), reverse=True)
    np.testing.assert_allclose(ours["f1"], [f1_score(positive, scores >= t) for t in ours["threshold"]], rtol=1e-12)
    at = [5.0, 0.25, 0.3, -9.0]
    ours = f1_curve(scores, positive, thresholds=at)
    np.testing.assert_allclose(ours["f1"], [f1_score(positive, scores >= t, zero_division=0) for t in at], rtol=1e-12)


def test_infinite_scores_are_scores():
    scores, positive = np.array([np.inf, np.inf, 1.0, -np.inf]), np.array([True, False, True, False])
    roc = roc_curve_of_cluster(scores, positive)
    assert roc.attrs["auc"] == roc_auc_score(positive, [3, 3, 2, 1])
    assert roc[["fpr", "tpr"]].iloc[0].to_list() == [0, 0]
    assert f1_curve(scores, positive, thresholds=[np.inf])["f1"].to_list() == [0.5]


@pytest.fixture(scope="module")
def models(pbmc_small):
    forest = adv.classifiers.RandomForest(20, seed=0).fit(pbmc_small, "cell_type")
    return {"forest": forest, "linear": adv.classifiers.ScType(), "all cells": adv.classifiers.ScType(scaled=False)}


@pytest.mark.fast(1)
@pytest.mark.parametrize("name", ["forest", "linear", "all cells"])
@pytest.mark.parametrize("modification", ["perc1", "random"])
def test_curve_is_what_prediction_from_scratch_gives(pbmc_small, models, name, modification):
    model = models[name]
    curve = robustness_curve(
        pbmc_small, model, genes=GENES, modification=modification, n_genes=(0, 1, 3, 50), seed=4, **WHERE
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
    curve = robustness_curve(pbmc_small, models["forest"], genes=GENES, modification=strengths, **WHERE)
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
    curve = robustness_curve(pbmc_small, models["linear"], genes=GENES, modification=how, n_genes=(2, 7), **WHERE)
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


@pytest.mark.parametrize("intervals", ["formula", "bootstrap"])
def test_a_refused_step_is_neither_flipped_nor_held(pbmc_small, intervals):
    model = cautious()
    values = {1.0: "fixed:1", 99.0: "fixed:99", 2.0: "fixed:2"}
    genes = list(pbmc_small.var_names[:3])
    ask = {"genes": genes, "modification": values, "intervals": intervals, "n_boot": 5}
    curve = robustness_curve(pbmc_small, model, **ask, **WHERE)
    table = curve.to_frame().set_index("strength")
    assert table["rejected"].to_list() == [False, True, False]
    numbers = [f"{name}{end}" for name in ("accuracy", "auc", "f1") for end in ("", "_low", "_high")]
    assert table.loc[99.0, numbers].isna().all()
    assert table.loc[[1.0, 2.0], numbers].notna().all(axis=None)
    with pytest.raises(ClassifierError, match="refused the input at strength=99"):
        curve.roc(99.0)


def test_the_same_seed_gives_the_same_curve(pbmc_small, models):
    ask = {"genes": GENES, "modification": "random", "n_genes": (0, 2, 7), **WHERE}
    first, again, other = (robustness_curve(pbmc_small, models["forest"], seed=s, **ask).to_frame() for s in (1, 1, 2))
    assert first.equals(again)
    assert not first.equals(other)


def test_impossible_settings_are_refused(pbmc_small, models):
    ask = {"genes": GENES, "modification": "perc1", **WHERE}
    for bad in ((), (2, 1), (1, 1), (-1, 2), (0.5,)):
        with pytest.raises(ParameterError, match="n_genes"):
            robustness_curve(pbmc_small, models["forest"], n_genes=bad, **ask)
    for nothing in ([], (), np.array([], dtype=str)):
        for how in ("perc1", {1.0: "perc1"}):
            with pytest.raises(ParameterError, match="genes= is empty"):
                robustness_curve(pbmc_small, models["forest"], **(ask | {"genes": nothing, "modification": how}))
    with pytest.raises(ParameterError, match="empty mapping"):
        robustness_curve(pbmc_small, models["forest"], **(ask | {"modification": {}}))
    with pytest.raises(ParameterError, match="no step n_genes=6"):
        robustness_curve(pbmc_small, models["forest"], n_genes=(0, 5), **ask).roc(6)
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


def descent(cells, model, **settings):
    settings = {"genes": GENES, "stop_at_switch": False} | settings
    return ClusterGradientDescent(**settings)(cells, model, seed=4, **WHERE)


@pytest.mark.fast(2)
@pytest.mark.parametrize("name", ["forest", "linear", "all cells"])
@pytest.mark.parametrize("reference", [False, True])
def test_curve_along_an_attack_is_what_prediction_from_scratch_gives(pbmc_small, models, name, reference):
    model = models[name]
    genes = ["CST3", *GENES]
    result = descent(pbmc_small, model, genes=genes, reference=reference)
    assert len(result.modified_genes) > 1
    curve = curve_along(pbmc_small, model, result)
    table = curve.to_frame()
    assert table["n_genes"].to_list() == [n for n in (0, 1, 2, 5) if n < len(result.gene)] + [len(result.gene)]
    inside = (pbmc_small.obs["cell_type"] == "CD19+ B").to_numpy()
    whole = result.apply(pbmc_small)
    for row in table.itertuples():
        changed = pbmc_small.copy()  # each gene moves once, so its column after all genes is that after its own step
        columns = pbmc_small.var_names.isin(genes[: row.n_genes])
        X = changed.X.toarray()
        X[:, columns] = whole.X.toarray()[:, columns]
        changed.X = X
        said = adv.predict(changed, model, **WHERE)
        assert (row.label, row.share) == (said.label, pytest.approx(said.share))
        assert row.accuracy == pytest.approx((model.predict(changed)[inside] == curve.label).mean())
        scores = model.scores(changed)[curve.label].to_numpy()
        np.testing.assert_allclose(curve.scores(row.n_genes), scores, rtol=1e-6, atol=1e-9)
        assert row.auc == pytest.approx(roc_auc_score(inside, curve.scores(row.n_genes)))
    shares = [result.start["original_share"], *result.steps["original_share"]]
    assert table["accuracy"].to_list() == pytest.approx([shares[n] for n in table["n_genes"]])
    assert not np.allclose(curve.scores(), curve.scores(len(result.gene)))


def test_curve_along_an_attack_on_another_classifier(pbmc_small, models):
    result = descent(pbmc_small, models["forest"])
    curve = curve_along(pbmc_small, models["all cells"], result, n_genes=(0, 7))
    said = adv.predict(result.apply(pbmc_small), models["all cells"], **WHERE)
    assert curve.label != result.baseline  # its own name for the cluster
    assert curve.to_frame()["label"][1] == said.label


def test_curve_by_strength_of_an_attack(pbmc_small, models):
    model = models["all cells"]
    results = {a: descent(pbmc_small, model, alpha=a, epsilon=a) for a in (0.1, 1.0, 10.0)}
    curve = curve_along(pbmc_small, model, results)
    assert curve.axis == "strength"
    inside = (pbmc_small.obs["cell_type"] == "CD19+ B").to_numpy()
    for row in curve.to_frame().itertuples():
        labels = model.predict(results[row.strength].apply(pbmc_small))[inside]
        assert row.accuracy == pytest.approx((labels == curve.label).mean())
    assert curve.to_frame()["accuracy"].nunique() == 3


def test_curves_that_make_no_sense_are_refused(pbmc_small, models):
    forest = models["forest"]
    first = descent(pbmc_small, forest)
    elsewhere = ClusterGradientDescent(genes=GENES)(pbmc_small, forest, groupby="cell_type", target="Dendritic")
    with pytest.raises(ParameterError, match="these results are not"):
        curve_along(pbmc_small, forest, {1.0: first, 2.0: elsewhere})
    with pytest.raises(ParameterError, match="empty mapping"):
        curve_along(pbmc_small, forest, {})
    with pytest.raises(ParameterError, match="holds a str"):
        curve_along(pbmc_small, forest, {1.0: "CGD"})
    alone = SingleGene("perc1", genes=GENES)(pbmc_small, forest, **WHERE)
    with pytest.raises(ParameterError, match="SingleGeneResult has no path"):
        curve_along(pbmc_small, forest, alone)
    with pytest.raises(DataError, match="new values of"):
        curve_along(pbmc_small[pbmc_small.obs_names != first.cell[0]].copy(), forest, first)


def test_steps_left_out_are_one_two_five(pbmc_small, models):
    genes = list(pbmc_small.var_names[:123])
    curve = robustness_curve(pbmc_small, models["linear"], genes=genes, modification="perc1", **WHERE)
    assert curve.to_frame()["n_genes"].to_list() == [0, 1, 2, 5, 10, 20, 50, 100, 123]
