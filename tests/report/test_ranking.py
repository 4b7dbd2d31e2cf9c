from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData

import adverscarial as adv
from adverscarial.report.ranking import Rival, _sentence, rankings
from adverscarial.report.sections import Compared

COMPARED = Compared("flipped", "x", "is best", "are best")


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
    assert f"(95% interval {low:,.1f} to {high:,.1f}, p = " in ranking.sentence


@pytest.mark.parametrize(
    ("rivals", "words"),
    [
        ([Rival(1, "a", 2, 0), Rival(1, "b", 2, 0)], "Both classifiers are equal: 2 x"),
        ([Rival(1, n, 2, 0) for n in "abc"], "All 3 classifiers are equal: 2 x"),
        (
            [Rival(1, "a", 2, 0), Rival(2, "b", 3.25, 1.25, "-0.5 to 3.0", "0.2", "it may be chance")],
            "b has 1.2 more (95% interval -0.5 to 3.0, p = 0.2; it may be chance).",
        ),
        (
            [Rival(1, n, 2, 0) for n in "ab"] + [Rival(3, "c", 3, 1, "0.5 to 1.5")],
            "a and b are best: 2 x",
        ),
    ],
)
def test_a_rank_is_said_with_what_it_is_shared_with(rivals, words):
    assert words in _sentence(COMPARED, rivals, 9, 3)


def test_one_classifier_is_not_compared(cells, models):
    survey = adv.survey(cells, {"soft": models["soft"]}, attacks=adv.attacks.SingleGene("perc1"), groupby="group")
    assert rankings(survey) == []


def test_impossible_values_have_a_ranking_of_their_own(cells, models):
    """``firm`` is fooled by what no cell can have, ``soft`` by what cells have: neither is pooled with the other."""

    def guarded(X: np.ndarray) -> np.ndarray:
        return np.where((X > 50).any(axis=1), "odd", "A")

    attacks = [adv.attacks.SingleGene(name, search="exact") for name in ("perc1", "perc99", "positive_aberrant")]
    found = adv.survey(cells, {"soft": models["soft"], "odd": guarded}, attacks=attacks, groupby="group")
    possible, impossible = rankings(found)
    assert possible.at == "at values that cells can have"
    assert [(rival.classifier, rival.mean) for rival in possible.rivals] == [("odd", 0), ("soft", 1)]
    assert possible.sentence.startswith(
        "odd withstands single genes best: 0 genes that flip the label alone at values that cells can have, on average "
        "over 4 attacks"
    )
    assert impossible.at == "at impossible values"
    assert [rival.classifier for rival in impossible.rivals] == ["soft", "odd"]
    assert impossible.rivals[1].mean == 12


def test_a_difference_that_one_cluster_carries_is_no_claim():
    """Eight clusters, seven of which differ by nothing or the other way: the interval alone must not decide."""
    names = np.repeat([f"k{i}" for i in range(8)], 6)
    rng = np.random.default_rng(0)
    X = rng.uniform(0, 0.4, (48, 40))
    X[np.arange(48), np.arange(48) // 6] += 1
    cells = AnnData(X, obs=pd.DataFrame({"group": names}, index=[f"c{i}" for i in range(48)]))

    def firm(X: np.ndarray) -> np.ndarray:
        return np.array([f"k{i}" for i in X[:, :8].argmax(axis=1)])

    def brittle(X: np.ndarray) -> np.ndarray:
        found = firm(X)
        return np.where((found == "k0") & (X[:, 8:] > 5).any(axis=1), "k1", found)

    attacks = adv.attacks.SingleGene("fixed:9", search="exact")
    found = adv.survey(cells, {"firm": firm, "brittle": brittle}, attacks=attacks, groupby="group")
    (ranking,) = rankings(found)
    (rival,) = [rival for rival in ranking.rivals if rival.rank > 1]
    assert rival.classifier == "brittle"
    assert rival.doubt
    assert rival.carried == "half of it or more comes from k0; without, 0"
    assert "half of it or more comes from k0" in ranking.sentence
    assert rival.accuracy == "100%"
