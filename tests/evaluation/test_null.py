"""Flips by chance: draws against the exact distribution, and permutations within groups."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from scipy.stats import false_discovery_control, hypergeom

import adverscarial as adv
from adverscarial.attacks import MaxChange, SingleGene
from adverscarial.cells import CellMatrix
from adverscarial.errors import DataError, ParameterError
from adverscarial.evaluation import compare, null_flips
from adverscarial.evaluation.null import beyond_chance, detection_bins, permuted

N = 60  # genes
GENES = [f"g{i}" for i in range(N)]


@pytest.fixture(scope="module")
def cells() -> AnnData:
    """Genes 0 to 9 are those of the types; the later a gene, the rarer it is."""
    rng = np.random.default_rng(7)
    X = rng.poisson(np.linspace(2.0, 0.2, N), (120, N)).astype(np.float32)
    X[:60, :5] += 3
    X[60:, 5:10] += 3
    obs = pd.DataFrame({"group": np.repeat(["A", "B"], 60)}, index=[f"c{i}" for i in range(120)])
    return AnnData(X, obs=obs, var=pd.DataFrame(index=GENES))


def leans(X: np.ndarray) -> np.ndarray:
    """Calls A what has little of all of the first five genes; each of them alone can end that."""
    return np.where((X[:, :5] < 2).any(axis=1), "B", "A")


@pytest.fixture(scope="module")
def survey(cells: AnnData) -> adv.Survey:
    attacks = [SingleGene("perc1", search="exact"), SingleGene("perc99", search="exact"), MaxChange("perc1")]
    return adv.survey(cells, {"leans": leans, "firm": lambda X: ["A"] * len(X)}, attacks=attacks, groupby="group")


def test_detection_rates_are_those_of_counts_and_of_z_scores(cells: AnnData) -> None:
    groups = detection_bins(CellMatrix(cells.X), 6)
    assert np.bincount(groups).tolist() == [10] * 6
    rates = (cells.X > 0).mean(axis=0)
    scaled = (cells.X - cells.X.mean(axis=0)) / cells.X.std(axis=0)
    assert (detection_bins(CellMatrix(scaled), 6) == groups).all()
    for low in range(5):
        assert rates[groups == low].max() <= rates[groups == low + 1].min()


def test_random_genes_against_the_exact_distribution(survey: adv.Survey, cells: AnnData) -> None:
    table = null_flips(survey, cells, genes=GENES[:10], bins=1, n=20_000)
    row = table[(table["classifier"] == "leans") & (table["cluster"] == "A") & (table["modification"] == "perc1")].iloc[
        0
    ]
    assert (row["genes"], row["flips"]) == (10, 5)
    exact = hypergeom(N, 5, 10)  # 5 of 60 genes flip, 10 are drawn
    assert row["expected"] == pytest.approx(exact.mean(), abs=0.03)
    assert row["p_fewer"] == 1
    assert row["p_more"] == pytest.approx(exact.sf(4), abs=2e-4)
    assert (row["low"], row["high"]) == (exact.ppf(0.025), exact.ppf(0.975))


def test_only_groups_of_the_genes_in_question_are_drawn(survey: adv.Survey, cells: AnnData) -> None:
    groups = detection_bins(CellMatrix(cells.X), 2)
    rare = [gene for gene, group in zip(GENES, groups, strict=True) if group == 0]  # none of these flips
    table = null_flips(survey, cells, genes=rare, bins=2).query("classifier == 'leans'")
    assert not table[["flips", "expected", "high"]].to_numpy().any()
    assert (table[["p_more", "p_fewer"]] == 1).all(axis=None)


def test_labels_are_permuted_within_groups(cells: AnnData) -> None:
    groups = detection_bins(CellMatrix(cells.X), 6)
    data = permuted(cells, groups, np.random.default_rng(1))
    assert data.var_names.tolist() == GENES
    moved = 0
    for group in range(6):
        inside = np.flatnonzero(groups == group)
        assert sorted(map(bytes, data.X[:, inside].T.copy())) == sorted(map(bytes, cells.X[:, inside].T.copy()))
        moved += int((data.X[:, inside] != cells.X[:, inside]).any(axis=0).sum())
    assert moved > N / 2
    assert data.X is not cells.X


def test_permuted_labels_are_attacked_anew(survey: adv.Survey, cells: AnnData) -> None:
    models = {"leans": leans}
    table = null_flips(survey, cells, models, n=4, bins=6, seed=3).query("kind == 'labels'")
    assert len(table) == 4  # clusters and modifications of one classifier
    groups = detection_bins(CellMatrix(cells.X), 6)
    wanted = []
    for draw in range(4):
        data = permuted(cells, groups, np.random.default_rng([3, 6, draw]))
        result = SingleGene("perc1", search="exact")(data, adv.classifiers.wrap(leans), groupby="group", target="A")
        wanted.append(len(result.to_frame().query("outcome == 'flipped'")))
    row = table[(table["cluster"] == "A") & (table["modification"] == "perc1")].iloc[0]
    assert row["expected"] == pytest.approx(np.mean(wanted))
    assert row["p_more"] == (1 + sum(n >= 5 for n in wanted)) / 5
    assert row["p_fewer"] == (1 + sum(n <= 5 for n in wanted)) / 5


def test_p_values_are_adjusted_over_clusters_and_modifications(survey: adv.Survey, cells: AnnData) -> None:
    table = null_flips(survey, cells)
    assert len(table) == 2 * 2 * 2
    np.testing.assert_allclose(table["q_more"], false_discovery_control(table["p_more"]))
    again = null_flips(survey, cells)
    pd.testing.assert_frame_equal(table, again)


def test_compare_says_how_often_it_is_more_than_chance(survey: adv.Survey, cells: AnnData) -> None:
    table = null_flips(survey, cells, genes=GENES[:10], bins=1)
    beside = compare(survey, null=table).set_index("classifier")
    summed = beyond_chance(table).set_index("classifier")
    assert beside.loc["leans", "more_than_chance_genes"] == summed.loc["leans", "more_than_chance"] >= 1
    assert beside.loc["firm", "more_than_chance_genes"] == 0
    assert beside.loc["leans", "expected_genes"] == pytest.approx(summed.loc["leans", "expected"])
    assert "expected_genes" not in compare(survey)


def test_bad_input(survey: adv.Survey, cells: AnnData) -> None:
    with pytest.raises(ParameterError, match="needs a Survey"):
        null_flips("x", cells)  # type: ignore[arg-type]
    with pytest.raises(ParameterError, match="n must be a whole number"):
        null_flips(survey, cells, n=0)
    with pytest.raises(ParameterError, match="None of genes= is in the data"):
        null_flips(survey, cells, genes=["x"])
    with pytest.raises(ParameterError, match="the survey has 'leans', 'firm'"):
        null_flips(survey, cells, {"other": leans})
    none = adv.survey(cells, {"leans": leans}, attacks=MaxChange("perc1"), groupby="group")
    with pytest.raises(ParameterError, match="this survey has none"):
        null_flips(none, cells)


def test_other_cells_are_refused() -> None:
    cells, model = adv.datasets.embedded(), adv.classifiers.ScType(scaled=False)
    attack = adv.attacks.SingleGene("perc99")
    survey = adv.survey(cells, {"m": model}, attacks=attack, groupby="cell_type", targets=["Dendritic"])
    with pytest.raises(DataError, match="the survey attacked 700 x 765"):
        null_flips(survey, cells[:50].copy())


def test_names_under_which_the_cluster_has_the_label_aimed_at_flip_nothing() -> None:
    cells, model = adv.datasets.embedded(), adv.classifiers.ScType(scaled=False)
    attack = adv.attacks.SingleGene("perc99", towards="CD14 monocyte")
    survey = adv.survey(cells, {"m": model}, attacks=attack, groupby="cell_type", targets=["Dendritic"])
    assert "labels" in set(null_flips(survey, cells, {"m": model}, n=3)["kind"])
