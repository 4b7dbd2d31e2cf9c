"""Functions of R's form may give any number beside a label: it is printed as a number, not as a share of the cells."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData

import adverscarial as adv
from adverscarial.attacks import Grid, MaxChange, MinChange, RandomWalk, SingleGene


def odd(expression, clusters, target):
    mean = expression.loc[(clusters == target).to_numpy()].mean()
    return ("B" if mean.iloc[0] > mean.iloc[1] else "T"), float(2.17 + mean.iloc[0])


@pytest.fixture(scope="module")
def cells() -> AnnData:
    rng = np.random.default_rng(0)
    obs = pd.DataFrame({"cell_type": ["B"] * 10 + ["T"] * 10}, index=[f"c{i}" for i in range(20)])
    X = rng.random((20, 4)) / 10
    X[:10, 0] += 1
    X[10:, 1] += 1
    return AnnData(X, obs=obs, var=pd.DataFrame(index=[f"g{j}" for j in range(4)]))


ATTACKS = [
    SingleGene("perc99", search="exact"),
    SingleGene("perc1", search="exact", genes=["g2", "g3"]),
    MaxChange("perc99", restarts=1),
    MinChange("perc99"),
    Grid(["g0", "g1"]),
    RandomWalk(["g0", "g1"]),
]


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: f"{type(attack).__name__}-{attack.changes_text}")
def test_no_share_above_one_is_called_one(cells, attack):
    result = attack(cells, adv.classifiers.wrap(odd), groupby="cell_type", target="B")
    assert result.baseline_share > 1
    for text in (str(result), result.sentence):
        assert "%" not in text
    assert f"B (the classifier's number: {result.baseline_share:.3g}" in str(result)
    if isinstance(attack, SingleGene):
        assert result.nearest().empty


@pytest.mark.slow
def test_the_report_prints_the_number(cells, tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        found = adv.survey(cells, odd, attacks=ATTACKS[0], groupby="cell_type", targets=["B"])
        found.verdicts()
        assert "gives the number" in found.verdicts(min_cells=100)["reason"].iloc[0]
    page = found.report(tmp_path / "report.html").read_text()
    assert "3.2" in page
    for share in ("317%", "322%", "321%", "323%", "327%"):
        assert share not in page
    assert (found.verdicts()["cluster"] == "B").all()
