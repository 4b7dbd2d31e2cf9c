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
