"""Differential expression beside flips, against scipy."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from scipy.sparse import csr_matrix
from scipy.stats import false_discovery_control, mannwhitneyu

import adverscarial as adv
from adverscarial.attacks import SingleGene
from adverscarial.errors import DataError, ParameterError
from adverscarial.evaluation import differential
from adverscarial.report.expression import expression_of

GENES = [f"g{i}" for i in range(20)]


@pytest.fixture(scope="module")
def cells() -> AnnData:
    """``g0`` differs between A and B; ``g5`` does not."""
    rng = np.random.default_rng(1)
    X = np.log1p(rng.poisson(1.0, (90, 20))).astype(np.float32)
    X[:30, 0] += 2
    names = np.repeat(["A", "B", "C"], 30)
    return AnnData(X, obs=pd.DataFrame({"group": names}, index=[f"c{i}" for i in range(90)]),
                   var=pd.DataFrame(index=GENES))  # fmt: skip


def leans(X: np.ndarray) -> np.ndarray:
    """Calls A what has g0 or much of g5: switching g0 off flips A, switching g5 on flips B."""
    return np.where((X[:, 0] > 1.9) | (X[:, 5] > 2.5), "A", "B")


@pytest.fixture(scope="module")
def found(cells) -> adv.Survey:
    attacks = [SingleGene(name, search="exact") for name in ("perc1", "fixed:3", "positive_aberrant")]
    return adv.survey(cells, {"leans": leans}, attacks=attacks, groupby="group", targets=["A", "B"])


@pytest.mark.fast(1)
@pytest.mark.parametrize("form", [np.asarray, csr_matrix])
def test_it_is_the_rank_sum_test_over_all_genes(cells, found, form):
    data = AnnData(form(cells.X), obs=cells.obs, var=cells.var)
    table = differential(found, data)
    assert set(table["modification"]) == {"perc1", "fixed:3"}  # impossible values say nothing of the types
    row = table[(table["cluster"] == "B") & (table["gene"] == "g5")].iloc[0]
    assert (row["label"], row["against"]) == ("A", "A")
    p = mannwhitneyu(cells.X[30:60], cells.X[:30], axis=0, use_continuity=False, method="asymptotic").pvalue
    expected = false_discovery_control(p)
    assert row["p_adjusted"] == pytest.approx(expected[5], rel=1e-6)
    means = [np.expm1(cells.X[part, 5]).mean() for part in (slice(30, 60), slice(0, 30))]
    exact = np.expm1([cells.X[part, 5].mean() for part in (slice(30, 60), slice(0, 30))])
    assert row["log_fold_change"] == pytest.approx(np.log2(exact[0] / exact[1]), abs=1e-3) or row[
        "log_fold_change"
    ] == pytest.approx(np.log2(means[0] / means[1]), abs=1e-3)


@pytest.mark.slow
def test_what_attacks_find_and_statistics_do_not(cells, found):
    table = differential(found, cells).set_index(["cluster", "gene"])
    assert table.loc[("A", "g0"), "significant"].all()
    assert not table.loc[("B", "g5"), "significant"].any()
    section = expression_of(found, cells)
    assert "g5. Attacks find them, and statistics do not." in section.sentence
    assert section.rows[0].gene == "g5"
    assert len(section.figures) == 1


def test_a_label_without_a_cluster_is_compared_with_all_other_cells(cells):
    def other(X: np.ndarray) -> np.ndarray:
        return np.where(X[:, 0] > 1.9, "A", "something else")

    result = SingleGene("perc1", search="exact")(cells, other, groupby="group", target="A")
    assert differential(result, cells)["against"].to_list() == ["all other cells"]
    assert differential(result, cells, types={"something else": "C"})["against"].to_list() == ["C"]


def test_z_scores_have_no_fold_change(cells, found):
    scaled = cells.copy()
    scaled.X = (scaled.X - scaled.X.mean(axis=0)) / scaled.X.std(axis=0)
    table = differential(found, scaled)
    assert table["log_fold_change"].isna().all()
    assert table["p_adjusted"].notna().all()
    with pytest.raises(ParameterError, match="have no fold change"):
        adv.pl.differential(table)


def test_nothing_that_flips_gives_an_empty_table(cells):
    firm = adv.survey(cells, lambda X: np.full(len(X), "A"), attacks=SingleGene("perc1"), groupby="group")
    assert len(differential(firm, cells)) == 0
    assert expression_of(firm, cells) is None
    with pytest.raises(ParameterError, match="no flip to draw"):
        adv.pl.differential(differential(firm, cells))


def test_bad_input_is_refused(cells, found):
    with pytest.raises(ParameterError, match="needs a Survey or a result of SingleGene, got str"):
        differential("x", cells)
    with pytest.raises(ParameterError, match="alpha must lie between 0 and 1"):
        differential(found, cells, alpha=2)
    with pytest.raises(DataError, match="has no cluster 'A'"):
        differential(found, cells[30:])


def test_the_figure_names_what_statistics_miss(cells, found):
    ax = adv.pl.differential(differential(found, cells))
    assert "g5" in [text.get_text() for text in ax.texts]
    assert "attacks find them, statistics do not" in ax.get_legend().get_texts()[1].get_text()
    with pytest.raises(ParameterError, match="draws the table"):
        adv.pl.differential(pd.DataFrame())


def test_the_nearest_genes_are_drawn(cells):
    def scores(X: np.ndarray) -> np.ndarray:
        return np.stack([X[:, 0], X[:, 5], X[:, 6] / 2], axis=1)

    model = adv.classifiers.wrap(scores, classes=["A", "B", "C"])
    result = SingleGene("fixed:1.5", search="exact")(cells, model, groupby="group", target="A")
    ax = adv.pl.nearest(result, n=2)
    assert [text.get_text() for text in ax.get_yticklabels()] == result.nearest(2)["gene"].to_list()
    with pytest.raises(ParameterError, match="nothing to draw"):
        adv.pl.nearest(SingleGene("perc1")(cells, lambda X: np.full(len(X), "A"), groupby="group", target="A"))
    with pytest.raises(ParameterError, match="draws a result of SingleGene"):
        adv.pl.nearest("x")
