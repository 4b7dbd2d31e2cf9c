from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData

import adverscarial as adv
from adverscarial.report.ranking import Rival, _sentence, rankings

VERBS = ["is best", "are best"]


def test_the_ranking_is_that_of_compare(everything):
    single, several = rankings(everything)
    assert [(rival.rank, rival.classifier, rival.mean) for rival in single.rivals] == [(1, "firm", 0), (2, "soft", 1)]
    assert single.sentence == (
        "firm withstands single genes best: 0 genes that flip the label alone, on average over 6 attacks that all "
        "finished, on 2 clusters. soft has 1 more. Too few clusters for an interval."
    )
    assert several.sentence.startswith("soft overlooks the fewest changes: 11 genes that can be rewritten at once")


def test_enough_clusters_give_an_interval():
    rng = np.random.default_rng(0)
    names = np.repeat([f"k{i}" for i in range(8)], 6)
    X = rng.uniform(0, 0.4, (48, 10))
    X[np.arange(48), np.arange(48) // 6] += 1
    cells = AnnData(X, obs=pd.DataFrame({"group": names}, index=[f"c{i}" for i in range(48)]))

    def first(X: np.ndarray) -> np.ndarray:
        return np.array([f"k{i}" for i in X[:, :8].argmax(axis=1)])

    models = {"argmax": first, "deaf": lambda X: np.full(len(X), "k0")}
    found = adv.survey(cells, models, attacks=adv.attacks.SingleGene("fixed:9"), groupby="group")
    (ranking,) = rankings(found)
    assert ranking.rivals[0].classifier == "deaf"
    table = adv.evaluation.compare(found, n_boot=1000)
    low, high = table["difference_low"][1], table["difference_high"][1]
    assert ranking.rivals[1].interval == f"{low:,.1f} to {high:,.1f}"
    assert f"(95% interval {low:,.1f} to {high:,.1f})" in ranking.sentence


@pytest.mark.parametrize(
    ("rivals", "words"),
    [
        ([Rival(1, "a", 2, 0, "", False, ""), Rival(1, "b", 2, 0, "", False, "")], "All 2 classifiers are equal: 2 x"),
        (
            [Rival(1, "a", 2, 0, "", False, ""), Rival(2, "b", 3.25, 1.25, "-0.5 to 3.0", True, "0.2")],
            "b has 1.2 more (95% interval -0.5 to 3.0, so the order is uncertain).",
        ),
        (
            [Rival(1, n, 2, 0, "", False, "") for n in "ab"] + [Rival(3, "c", 3, 1, "0.5 to 1.5", False, "")],
            "a and b are best: 2 x",
        ),
    ],
)
def test_sentences(rivals, words):
    assert words in _sentence("x", VERBS, rivals, 9, 3)


def test_one_classifier_is_not_compared(cells, models):
    survey = adv.survey(cells, {"soft": models["soft"]}, attacks=adv.attacks.SingleGene("perc1"), groupby="group")
    assert rankings(survey) == []
