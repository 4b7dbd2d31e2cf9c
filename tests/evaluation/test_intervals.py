"""Intervals over cells: the formulas against scipy and simulation, the bootstrap against one that draws whole cells."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binomtest, norm
from sklearn.metrics import f1_score, roc_auc_score

import adverscarial as adv
from adverscarial.attacks import ClusterGradientDescent
from adverscarial.errors import ParameterError
from adverscarial.evaluation import accuracy_curve, f1_curve, roc_curve_of_cluster
from adverscarial.evaluation.intervals import newcombe, wilson

GENES = ["CD79A", "HLA-DRA", "CD74", "CD79B", "MS4A1", "CD37", "HLA-DRB1"]
WHERE = {"groupby": "cell_type", "target": "CD19+ B"}


def some_scores(n: int, shift: float = 1.0, inside: float = 0.3) -> tuple[np.ndarray, np.ndarray]:
    """Scores with many ties, and who is positive."""
    rng = np.random.default_rng(0)
    positive = rng.random(n) < inside
    return np.round(rng.normal(size=n) + shift * positive, 1), positive


def drawn_cells(positive: np.ndarray, n_boot: int, rng: np.random.Generator) -> list[np.ndarray]:
    """Positions of the cells of each sample: first those inside of the cluster, then those outside."""
    groups = np.flatnonzero(positive), np.flatnonzero(~positive)
    return [
        np.concatenate([group[rng.integers(len(group), size=len(group))] for group in groups]) for _ in range(n_boot)
    ]


def ends(samples: list) -> np.ndarray:
    return np.percentile(samples, [2.5, 97.5], axis=0)


@pytest.mark.slow
def test_bootstrap_is_that_of_drawn_cells():
    """The same draws, by positions of cells and with scikit-learn's measures: the same numbers."""
    scores, positive = some_scores(60)
    how = {"intervals": "bootstrap", "n_boot": 80, "seed": 7}
    roc = roc_curve_of_cluster(scores, positive, **how)
    samples = [(positive[i], scores[i]) for i in drawn_cells(positive, 80, np.random.default_rng([7, 1]))]
    expected = ends([roc_auc_score(truth, score) for truth, score in samples])
    assert (roc.attrs["auc_low"], roc.attrs["auc_high"]) == pytest.approx(expected, rel=1e-12)
    f1 = f1_curve(scores, positive, **how)
    for row in roc.itertuples():
        tpr = ends([(score[truth] >= row.threshold).mean() for truth, score in samples])
        fpr = ends([(score[~truth] >= row.threshold).mean() for truth, score in samples])
        assert (row.tpr_low, row.tpr_high) == pytest.approx(tpr, abs=1e-12)
        assert (row.fpr_low, row.fpr_high) == pytest.approx(fpr, abs=1e-12)
    for row in f1.itertuples():
        expected = ends([f1_score(truth, score >= row.threshold, zero_division=0) for truth, score in samples])
        assert (row.f1_low, row.f1_high) == pytest.approx(expected, abs=1e-12)


@pytest.mark.slow
def test_bootstrap_of_the_accuracy_is_that_of_drawn_cells():
    labels = np.array(["B"] * 12 + ["T"] * 5)
    table = accuracy_curve(["B"] * 17, [["B"] * 17, labels], intervals="bootstrap", n_boot=90, seed=3)
    rng = np.random.default_rng([3, 1])
    expected = ends([(labels[rng.integers(17, size=17)] == "B").mean() for _ in range(90)])
    assert table.loc[1, ["accuracy_low", "accuracy_high"]].to_list() == pytest.approx(expected, abs=1e-12)
    assert table.loc[0, ["accuracy_low", "accuracy_high"]].to_list() == [1, 1]  # the reason why it is not the default


@pytest.mark.slow
def test_formulas_and_another_bootstrap_agree_where_cells_are_many():
    """Both kinds against draws of our own: 4,000 cells, ends within 0.006 of each other (areas 0.002)."""
    scores, positive = some_scores(4000, shift=1.5)
    at = [-0.5, 0.75, 1.5]
    samples = [(positive[i], scores[i]) for i in drawn_cells(positive, 1000, np.random.default_rng(99))]
    area = ends([roc_auc_score(truth, score) for truth, score in samples])
    f1 = ends([[f1_score(truth, score >= t) for t in at] for truth, score in samples])
    rates = ends([[(score[truth == side] >= 0.5).mean() for side in (True, False)] for truth, score in samples])
    right = ends([(score[truth] >= 1).mean() for truth, score in samples])
    labels = np.where(scores[positive] >= 1, "B", "T")
    for intervals in ("formula", "bootstrap"):
        how = {"intervals": intervals, "n_boot": 1000}
        roc = roc_curve_of_cluster(scores, positive, **how)
        np.testing.assert_allclose([roc.attrs["auc_low"], roc.attrs["auc_high"]], area, atol=0.002)
        row = roc[roc["threshold"] == 0.5].iloc[0]
        np.testing.assert_allclose(row[["tpr_low", "tpr_high"]], rates[:, 0], atol=0.006)
        np.testing.assert_allclose(row[["fpr_low", "fpr_high"]], rates[:, 1], atol=0.006)
        table = f1_curve(scores, positive, thresholds=at, **how)
        np.testing.assert_allclose(table[["f1_low", "f1_high"]].T, f1, atol=0.006)
        accuracy = accuracy_curve(["B"] * len(labels), [labels], **how)
        np.testing.assert_allclose(accuracy.loc[0, ["accuracy_low", "accuracy_high"]].to_list(), right, atol=0.006)


@pytest.mark.fast(1)
@pytest.mark.parametrize("n_inside", [5, 12])
def test_formula_of_the_area_holds_the_truth_for_a_few_cells(n_inside):
    """Scores one normal distribution apart from another: the true area is known; a bootstrap misses it too often."""
    rng = np.random.default_rng(0)
    positive = np.arange(n_inside + 150) < n_inside
    held, samples = 0, 400
    for _ in range(samples):
        attrs = roc_curve_of_cluster(rng.normal(size=len(positive)) + 2.5 * positive, positive).attrs
        held += attrs["auc_low"] <= norm.cdf(2.5 / np.sqrt(2)) <= attrs["auc_high"]
        assert attrs["auc_high"] - attrs["auc_low"] > 0.05  # though many of these samples are in perfect order
    assert 0.93 <= held / samples <= 0.995


@pytest.mark.slow
@pytest.mark.parametrize("n_inside", [5, 12])
def test_formula_of_f1_holds_the_truth_for_a_few_cells_where_a_bootstrap_does_not(n_inside):
    """95% of the cluster's cells called and 0.2% of the 150 others: a bootstrap often has no width."""
    rng = np.random.default_rng(0)
    positive = np.arange(n_inside + 150) < n_inside
    truth = 2 * 0.95 * n_inside / (0.95 * n_inside + 0.002 * 150 + n_inside)
    held = {"formula": 0, "bootstrap": 0}
    for _ in range(400):
        called = rng.random(len(positive)) < np.where(positive, 0.95, 0.002)
        for intervals in held:
            row = f1_curve(called, positive, thresholds=[1], intervals=intervals, n_boot=100).iloc[0]
            held[intervals] += row["f1_low"] <= truth <= row["f1_high"]
            assert row["f1_low"] <= row["f1"] <= row["f1_high"]
            assert intervals == "bootstrap" or row["f1_high"] - row["f1_low"] > 0.1
    assert 0.88 <= held["formula"] / 400 <= 0.98
    assert held["bootstrap"] / 400 < 0.75


@pytest.mark.parametrize(("tp", "fp"), [(9, 3), (2, 20), (0, 4), (12, 0), (12, 30)])
def test_formula_of_f1_squares_and_adds_what_wilsons_ends_do_to_it(tp, fp):
    """12 cells in the cluster and 30 others, by scipy's ends and the definition of F1."""
    called = np.arange(42) < tp
    called[12 : 12 + fp] = True
    row = f1_curve(called, np.arange(42) < 12, thresholds=[1]).iloc[0]

    def f1(tp, fp):
        return 2 * tp / (2 * tp + fp + (12 - tp))

    right, wrong = (binomtest(k, n).proportion_ci(method="wilson") for k, n in ((tp, 12), (fp, 30)))
    worse = [f1(12 * right.low, fp) - f1(tp, fp), f1(tp, 30 * wrong.high) - f1(tp, fp)]
    better = [f1(12 * right.high, fp) - f1(tp, fp), f1(tp, 30 * wrong.low) - f1(tp, fp)]
    assert row["f1_low"] == pytest.approx(max(f1(tp, fp) - np.linalg.norm(worse), 0), abs=1e-12)
    assert row["f1_high"] == pytest.approx(min(f1(tp, fp) + np.linalg.norm(better), 1), abs=1e-12)


def test_formula_of_shares_is_wilsons():
    truth = np.array(["B"] * 100)
    labels = np.where(np.arange(100) < 70, "B", "T")
    table = accuracy_curve(truth, [truth, labels])
    assert table["accuracy"].to_list() == [1.0, 0.7]
    for row, right in zip(table.itertuples(), (100, 70), strict=True):
        expected = binomtest(right, 100).proportion_ci(method="wilson")
        assert (row.accuracy_low, row.accuracy_high) == pytest.approx((expected.low, expected.high))
    assert accuracy_curve(["B"] * 3, [["B"] * 3])["accuracy_low"][0] < 0.5  # three cells prove little
    scores, positive = some_scores(300)
    roc = roc_curve_of_cluster(scores, positive)
    for name, n in (("tpr", positive.sum()), ("fpr", (~positive).sum())):
        for row in roc.itertuples():
            expected = binomtest(round(getattr(row, name) * n), n).proportion_ci(method="wilson")
            assert getattr(row, f"{name}_low") == pytest.approx(expected.low, abs=1e-12)
            assert getattr(row, f"{name}_high") == pytest.approx(expected.high, abs=1e-12)


def test_every_interval_holds_its_number():
    n = np.arange(1, 5000)
    for share in (0.0, 1.0):
        low, high = wilson(np.full(len(n), share), n)
        assert ((low <= share) & (share <= high)).all()  # rounding must not leave the share itself out
    assert [newcombe(area, 3, 9)[end] for area, end in ((0.0, 0), (1.0, 1))] == [0, 1]
    scores, positive = some_scores(40, shift=3, inside=0.1)
    roc, f1 = roc_curve_of_cluster(scores, positive), f1_curve(scores, positive, thresholds=[-9, *scores, 9])
    for table, names in ((roc, ("tpr", "fpr")), (f1, ("f1",))):
        for name in names:
            assert table[name].between(table[f"{name}_low"], table[f"{name}_high"]).all()
            assert (table[f"{name}_low"] >= 0).all()
            assert (table[f"{name}_high"] <= 1).all()
            assert (table[f"{name}_low"] < table[f"{name}_high"]).all()


def measures(how: dict) -> list[np.ndarray]:
    """Every interval that there is, made this way."""
    scores, positive = some_scores(80)
    labels = np.where(np.arange(20) < 13, "B", "T")
    roc = roc_curve_of_cluster(scores, positive, **how)
    return [
        accuracy_curve(["B"] * 20, [labels], **how)[["accuracy_low", "accuracy_high"]].to_numpy(),
        roc[["tpr_low", "tpr_high", "fpr_low", "fpr_high"]].to_numpy(),
        np.array([roc.attrs["auc_low"], roc.attrs["auc_high"]]),
        f1_curve(scores, positive, **how)[["f1_low", "f1_high"]].to_numpy(),
    ]


def test_bootstrap_follows_the_seed_and_formulas_do_not():
    first, again, other = (measures({"intervals": "bootstrap", "n_boot": 50, "seed": seed}) for seed in (0, 0, 1))
    for one, same, different in zip(first, again, other, strict=True):
        np.testing.assert_array_equal(one, same)
        assert not np.array_equal(one, different)
    plain = measures({})
    for ask in ({"seed": 1}, {"n_boot": 0}, {"intervals": "formula", "n_boot": 7}):
        for one, same in zip(plain, measures(ask), strict=True):
            np.testing.assert_array_equal(one, same)


def test_no_samples_no_bootstrap():
    assert all(np.isnan(found).all() for found in measures({"intervals": "bootstrap", "n_boot": 0}))


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        ({"intervals": "wilson"}, "'formula' or 'bootstrap', got 'wilson'"),
        ({"intervals": None}, "'formula' or 'bootstrap', got None"),
        ({"n_boot": -1}, "n_boot must be a whole number.*got -1"),
        ({"n_boot": 2.5}, "n_boot must be a whole number.*got 2.5"),
        ({"n_boot": True}, "n_boot must be a whole number.*got True"),
    ],
)
def test_bad_settings_are_named(pbmc_small, bad, words):
    model = adv.classifiers.ScType()
    path = ClusterGradientDescent(genes=GENES[:2])(pbmc_small, model, **WHERE)
    for ask in (
        lambda: accuracy_curve(["B"], [["B"]], **bad),
        lambda: roc_curve_of_cluster([1, 0], [True, False], **bad),
        lambda: f1_curve([1, 0], [True, False], **bad),
        lambda: adv.robustness_curve(pbmc_small, model, genes=GENES, modification="perc1", **bad, **WHERE),
        lambda: adv.curve_along(pbmc_small, model, path, **bad),
    ):
        with pytest.raises(ParameterError, match=words):
            ask()
    with pytest.raises(ParameterError, match="seed must be a whole number, not negative, got -3"):
        f1_curve([1, 0], [True, False], seed=-3)


@pytest.mark.slow
def test_a_curve_keeps_how_its_intervals_are_made(pbmc_small):
    """Its table, roc() and f1() say what the functions of single curves say, of the same samples."""
    model = adv.classifiers.RandomForest(20, seed=0).fit(pbmc_small, "cell_type")
    inside = (pbmc_small.obs["cell_type"] == "CD19+ B").to_numpy()
    changed = adv.modify(pbmc_small, GENES, "random", seed=2, **WHERE)
    ask = {"genes": GENES, "modification": "random", "n_genes": (0, 7), "seed": 2, "n_boot": 60, **WHERE}
    tables = {}
    for intervals in ("formula", "bootstrap"):
        curve = adv.robustness_curve(pbmc_small, model, intervals=intervals, **ask)
        assert (curve.intervals, curve.n_boot, curve.seed) == (intervals, 60, 2)
        how = {"intervals": intervals, "n_boot": 60, "seed": 2}
        row = curve.to_frame().iloc[1]
        labels = model.predict(changed)[inside]
        accuracy = accuracy_curve([curve.label] * inside.sum(), [labels], **how).iloc[0]
        assert row[["accuracy_low", "accuracy_high"]].to_list() == accuracy[["accuracy_low", "accuracy_high"]].to_list()
        roc, before = roc_curve_of_cluster(curve.scores(7), inside, **how), curve.f1()
        assert row[["auc_low", "auc_high"]].to_list() == pytest.approx([roc.attrs["auc_low"], roc.attrs["auc_high"]])
        best = before["threshold"][before["f1"].idxmax()]
        f1 = f1_curve(curve.scores(7), inside, thresholds=[best], **how).iloc[0]
        assert row[["f1_low", "f1_high"]].to_list() == pytest.approx(f1[["f1_low", "f1_high"]].to_list())
        assert curve.roc(7).equals(roc)
        assert curve.f1(7, thresholds=[best]).iloc[0].equals(f1)
        tables[intervals] = curve.to_frame()
    for name in ("accuracy", "auc", "f1"):
        assert tables["formula"][name].equals(tables["bootstrap"][name])
        assert not tables["formula"][f"{name}_low"].equals(tables["bootstrap"][f"{name}_low"])
    path = ClusterGradientDescent(genes=GENES[:2])(pbmc_small, model, seed=5, **WHERE)
    along = adv.curve_along(pbmc_small, model, path, intervals="bootstrap", n_boot=9)
    assert (along.intervals, along.n_boot, along.seed) == ("bootstrap", 9, 5)
    default = adv.curve_along(pbmc_small, model, path)
    assert (default.intervals, default.n_boot) == ("formula", 200)
