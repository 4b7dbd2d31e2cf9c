from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.stats import wilcoxon

import adverscarial as adv
from adverscarial.attacks import MaxChange, SingleGene
from adverscarial.errors import DataError, ParameterError
from adverscarial.evaluation import compare

GENES = ["CD79A", "HLA-DRA", "CD74", "CD79B", "MS4A1", "CD37", "HLA-DRB1"]


@pytest.fixture(scope="module")
def surveyed(pbmc_small):
    genes = list(pbmc_small.var_names[:150])
    models = {
        "one": adv.classifiers.ScType(scaled=False),
        "two": adv.classifiers.RandomForest(10, seed=0).fit(pbmc_small, "cell_type"),
    }
    attacks = [SingleGene("perc1", genes=genes), SingleGene("perc99", genes=genes)]
    return adv.survey(pbmc_small, models, attacks=attacks, groupby="cell_type", seed=1)


@pytest.mark.slow
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
    assert table["difference"].eq(0).all()
    unknown = ["difference_low", "difference_high", "p_value"]  # two clusters only
    assert table[unknown].isna().all(axis=None)


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


@pytest.mark.slow
def test_possible_and_impossible_values_are_never_pooled(pbmc_small):
    models = {
        "one": adv.classifiers.ScType(scaled=False),
        "two": adv.classifiers.RandomForest(10, seed=0).fit(pbmc_small, "cell_type"),
    }
    attacks = [SingleGene(name, genes=GENES) for name in ("perc99", "positive_aberrant")]
    found = adv.survey(pbmc_small, models, attacks=attacks, groupby="cell_type")
    frame = found.to_frame()
    for values, text in (("possible", "perc99"), ("impossible", "positive_aberrant")):
        table = compare(found, values=values).set_index("classifier")
        means = frame[frame["modification"] == text].groupby("classifier")["flipped"].mean()
        assert table["mean"].to_dict() == pytest.approx(means.astype(float).to_dict())
        assert (table["pairs"] == 10).all()
    with pytest.raises(ParameterError, match="values must be 'possible' or 'impossible', got 'all'"):
        compare(found, values="all")
    only = adv.survey(pbmc_small, models, attacks=attacks[1], groupby="cell_type", targets=["Dendritic"])
    with pytest.raises(DataError, match="All its attacks write impossible values: see values='impossible'"):
        compare(only)


def test_accuracy_stands_beside(surveyed, pbmc_small):
    table = compare(surveyed).set_index("classifier")
    assert np.isnan(table.loc["one", "accuracy"])  # its names are others
    model = adv.classifiers.RandomForest(10, seed=0).fit(pbmc_small, "cell_type")
    right = (model.predict(pbmc_small) == pbmc_small.obs["cell_type"].astype(str)).mean()
    assert table.loc["two", "accuracy"] == pytest.approx(right)


def test_the_clusters_that_carry_a_difference_are_named(surveyed):
    table = compare(surveyed)
    wide = surveyed.to_frame().pivot(index=["cluster", "modification"], columns="classifier", values="flipped")
    best, worst = table["classifier"]
    per_cluster = (wide[worst].astype(float) - wide[best].astype(float)).groupby(level="cluster").sum()
    names = table["carried_by"][1].split(", ")
    assert per_cluster[names].sum() >= per_cluster.sum() / 2 > per_cluster[names[:-1]].sum()
    left = wide.drop(index=names, level="cluster").astype(float)
    assert table["difference_without"][1] == pytest.approx((left[worst] - left[best]).mean())
