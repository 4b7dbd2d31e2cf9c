"""Variants of cluster gradient descent: thresholds that scale with the scores, and genes chosen beforehand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData

import adverscarial as adv
from adverscarial.attacks import ClusterGradientDescent
from adverscarial.attacks.ranking import rank_genes
from adverscarial.classifiers import MLP, ScAnnotatR, ScType
from adverscarial.errors import DataError, ParameterError

B = {"groupby": "cell_type", "target": "CD19+ B"}


@pytest.fixture(scope="module")
def scaled(pbmc_small: AnnData) -> AnnData:
    return adv.datasets.preprocess(pbmc_small, target_sum=None)


def ramp(size: float):
    """Scores whose differences between cells and between steps are all in proportion to `size`."""

    def scores(X: np.ndarray) -> np.ndarray:
        return np.stack([1 - size * X[:, 0], size * X[:, 0] + 0 * X[:, 1]], axis=1)

    return adv.classifiers.wrap(scores, classes=["A", "B"])


@pytest.mark.parametrize("size", [1e-1, 1e-5])
@pytest.mark.parametrize(("threshold", "moves"), [(0.9, True), (1.1, False)])
def test_a_relative_threshold_means_the_same_at_every_scale(size, threshold, moves):
    X = np.array([[0.0, 0], [1.0, 0], [2.0, 0], [3.0, 0], [4.0, 0], [0.5, 1]])
    adata = AnnData(X, obs=pd.DataFrame({"k": list("aaaaab")}, index=[f"c{i}" for i in range(6)]))
    # quartiles of the lead lie 2 (genes) x 2 (both scores) x size apart, and a step of 2 makes a slope as large
    attack = ClusterGradientDescent(0, 2, genes=["0"], relative_threshold=threshold, stop_at_switch=False, max_genes=1)
    result = attack(adata, ramp(size), groupby="k", target="a")
    assert (result.n_changed[0] > 0) == moves
    absolute = ClusterGradientDescent(0, 2, genes=["0"], slope_threshold=1e-3)(
        adata, ramp(size), groupby="k", target="a"
    )
    assert (absolute.n_changed[0] > 0) == (size == 1e-1)


@pytest.mark.slow
def test_a_relative_threshold_spares_genes_and_still_switches_a_network(scaled):
    model = MLP((16, 8), epochs=8, seed=0).fit(scaled, "cell_type")
    free = ClusterGradientDescent(1, 1)(scaled, model, **B)
    choosy = ClusterGradientDescent(1, 1, relative_threshold=0.01)(scaled, model, **B)
    assert free.success
    assert choosy.success
    assert choosy.n_changed.sum() < free.n_changed.sum()
    assert choosy.verify(scaled, model)


def test_the_own_score_alone_is_followed_and_cells_that_left_it_are_left_alone(scaled):
    model = MLP((16, 8), epochs=8, seed=0).fit(scaled, "cell_type")
    result = ClusterGradientDescent(1, 1, runner_up="own", stop_at_switch=False, max_genes=200)(scaled, model, **B)
    assert result.success
    assert result.steps["original_score"].iloc[-1] < result.start["original_score"]
    kept = np.concatenate([[result.start["original_share"]], result.steps["original_share"].to_numpy()[:-1]])
    assert np.all(result.n_changed <= np.rint(kept * result.n_cells))


def test_a_label_without_a_score_cannot_fall(scaled):
    model = ScAnnotatR(keep_ambiguous=True, threshold=1.0).fit(scaled, "cell_type")
    with pytest.raises(ParameterError, match="'unknown' has no score that could fall"):
        ClusterGradientDescent(runner_up="own", max_genes=1)(scaled, model, **B)


def test_variance_is_that_of_unscaled_values(scaled, pbmc_small):
    attack = ClusterGradientDescent(order="variance", max_genes=25, stop_at_switch=False)
    wanted = rank_genes(pbmc_small, "cell_type", method="variance")[:25]
    assert attack(scaled, ScType(), **B).tested_genes == wanted
    bare = AnnData(scaled.X, obs=scaled.obs, var=scaled.var)
    with pytest.raises(ParameterError, match=r"z-scores, which all have variance 1.*--order-layer"):
        attack(bare, ScType(), **B)
    bare.layers["mine"] = pbmc_small.X
    named = ClusterGradientDescent(order="variance", order_layer="mine", max_genes=25, stop_at_switch=False)
    assert named(bare, ScType(), **B).tested_genes == wanted
    same = ClusterGradientDescent(order="variance", order_layer="X", max_genes=25, stop_at_switch=False)
    assert same(bare, ScType(), **B).tested_genes == rank_genes(bare, "cell_type", method="variance")[:25]


def test_genes_that_go_with_a_score_of_the_cells(pbmc_small):
    cells = pbmc_small.copy()
    dense = cells.X.toarray()
    cells.obs["module"] = dense[:, cells.var_names.get_indexer(["CD79A", "MS4A1"])].sum(axis=1)
    attack = ClusterGradientDescent(order="phenotype", phenotype="module", max_genes=20, stop_at_switch=False)
    result = attack(cells, ScType(scaled=False), **B)
    r = np.array([np.corrcoef(dense[:, j], cells.obs["module"])[0, 1] for j in range(cells.n_vars)])
    expected = cells.var_names[np.argsort(-np.abs(r), kind="stable")]
    assert result.tested_genes == expected[:20].tolist()
    ranking = rank_genes(cells, "cell_type", method="phenotype", phenotype="module")
    np.testing.assert_allclose(ranking.table["correlation"], r[cells.var_names.get_indexer(list(ranking))], atol=1e-9)


def test_genes_that_go_with_a_set_of_genes(pbmc_small):
    genes = ["CD79A", "CD79B", "MS4A1"]
    ranking = rank_genes(pbmc_small, "cell_type", method="phenotype", phenotype=genes)
    assert set(ranking[:3]) == set(genes)
    attack = ClusterGradientDescent(order="phenotype", phenotype=genes, max_genes=10, stop_at_switch=False)
    assert attack(pbmc_small, ScType(scaled=False), **B).tested_genes == ranking[:10]


def test_numbers_of_the_user_rank_by_size_alone(pbmc_small):
    mine = {"CD3D": -3.0, "LYZ": 1.0, "CD79A": 2.0}
    for given in (mine, pd.Series(mine)):
        ranking = rank_genes(pbmc_small, "cell_type", method="phenotype", phenotype=given)
        assert list(ranking) == ["CD3D", "CD79A", "LYZ"]
        assert ranking.table["score"].tolist() == [-3.0, 2.0, 1.0]


@pytest.mark.parametrize(
    ("phenotype", "error", "message"),
    [
        (None, ParameterError, "needs phenotype="),
        ([], ParameterError, "needs phenotype="),
        ("stage", DataError, "no column of obs"),
        ("cell_type", DataError, "holds text"),
        ("constant", DataError, "the same in all cells"),
        (["CD79Q"], DataError, "not in the data"),
        ({"CD79A": np.nan}, DataError, "no finite number for 'CD79A'"),
    ],
)
def test_phenotypes_that_say_nothing(pbmc_small, phenotype, error, message):
    cells = pbmc_small.copy()
    cells.obs["constant"] = 1.0
    with pytest.raises(error, match=message):
        rank_genes(cells, "cell_type", method="phenotype", phenotype=phenotype)


def test_a_phenotype_without_its_method(pbmc_small):
    with pytest.raises(ParameterError, match="looks at no phenotype"):
        rank_genes(pbmc_small, "cell_type", method="variance", phenotype="n_genes")


def test_a_survey_is_another_one_when_the_phenotype_is(pbmc_small, tmp_path):
    cells = pbmc_small.copy()
    cells.obs["module"] = np.arange(cells.n_obs, dtype=float)
    attack = ClusterGradientDescent(order="phenotype", phenotype="module", max_genes=2)
    where = {"attacks": [attack], "groupby": "cell_type", "targets": ["CD19+ B"]}
    first, again = (adv.survey(cells, ScType(scaled=False), **where) for _ in range(2))
    cells.obs["module"] = cells.obs["module"].to_numpy()[::-1] ** 2
    other = adv.survey(cells, ScType(scaled=False), **where)
    marks = [found.plan["attack_identities"] for found in (first, again, other)]
    assert marks[0] == marks[1] != marks[2]
