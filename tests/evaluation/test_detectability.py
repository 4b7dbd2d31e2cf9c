from __future__ import annotations

import anndata
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from anndata import AnnData
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import cdist
from scipy.stats import median_abs_deviation
from sklearn.decomposition import PCA

import adverscarial as adv
from adverscarial import detectability
from adverscarial.errors import DataError, ParameterError
from adverscarial.evaluation import Detectability
from adverscarial.evaluation.detectability import held_out_auc

TARGET = {"groupby": "cell_type", "target": "CD19+ B"}


def small(n: int = 60, genes: int = 12, seed: int = 0) -> AnnData:
    rng = np.random.default_rng(seed)
    obs = pd.DataFrame({"cluster": np.repeat(["a", "b"], [n // 3, n - n // 3])}, index=[f"c{i}" for i in range(n)])
    return AnnData(
        rng.poisson(2.0, (n, genes)).astype(float), obs=obs, var=pd.DataFrame(index=[f"g{i}" for i in range(genes)])
    )


def changed_at(adata: AnnData, rows: list[int], columns: list[int], values: object) -> AnnData:
    copy = adata.copy()
    copy.X[np.ix_(rows, columns)] = values
    return copy


def test_an_unchanged_copy_shows_nothing(pbmc_small):
    for where in ({}, TARGET):
        same = detectability(pbmc_small, pbmc_small.copy(), **where)
        assert same == Detectability()
        values = same.to_frame().set_index("part")["value"]
        assert (values.drop(["auc", "auc_genes", "neighbour_distance"]) == 0).all()
        assert values[["auc", "auc_genes", "neighbour_distance"]].to_list() == [0.5, 0.5, 1.0]
    assert "no value differs" in str(same)


def test_an_aberrant_value_is_obvious(pbmc_small):
    found = detectability(pbmc_small, adv.modify(pbmc_small, ["CD3D"], "positive_aberrant", **TARGET))
    assert found.visibility > 0.99
    assert found.auc_genes > 0.99
    assert (found.outside_range, found.library_outliers, found.l0_max) == (1.0, 1.0, 1.0)
    assert found.neighbour_distance > 1000


@pytest.mark.slow
def test_more_genes_are_more_visible(pbmc_small):
    seen = [
        detectability(pbmc_small, adv.modify(pbmc_small, list(pbmc_small.var_names[:n]), "perc99", **TARGET), **TARGET)
        for n in (1, 20, 300)
    ]
    assert seen[0].visibility < 0.5 < seen[2].visibility
    assert seen[0].visibility < seen[1].visibility <= seen[2].visibility
    assert [one.outside_range for one in seen] == [0, 0, 0]  # a percentile is a value that real cells have


def test_sizes_are_those_of_numpy():
    adata = small()
    rng = np.random.default_rng(1)
    rows, columns = [2, 5, 7, 30, 31], [0, 3, 4]
    attacked = changed_at(adata, rows, columns, adata.X[np.ix_(rows, columns)] + rng.normal(size=(5, 3)) * 3)
    attacked.X[2, 0] = adata.X[2, 0]  # one cell changes in two genes only
    found = detectability(adata, attacked)
    change = (attacked.X - adata.X)[rows]
    for name, order in (("l0", 0), ("l1", 1), ("l2", 2), ("linf", np.inf)):
        norms = np.linalg.norm(change, ord=order, axis=1) if order else (change != 0).sum(axis=1)
        for how in ("mean", "median", "max"):
            assert getattr(found, f"{name}_{how}") == pytest.approx(getattr(np, how)(norms), rel=1e-12)
    assert (found.cells, found.genes) == (5, 3)
    beyond = (adata.X.max(axis=0) < attacked.X) | (adata.X.min(axis=0) > attacked.X)
    assert found.outside_range == pytest.approx(beyond.sum() / 14)
    before, after = adata.X[rows].sum(axis=1), attacked.X[rows].sum(axis=1)
    assert found.library_shift == pytest.approx(np.mean((after - before) / before))
    before, after = (adata.X[rows] > 0).sum(axis=1), (attacked.X[rows] > 0).sum(axis=1)
    assert found.detected_shift == pytest.approx(np.mean((after - before) / before))


def test_outliers_are_those_of_the_mad_rule():
    adata = small(seed=3)
    adata.X[0] = 50  # an outlier already: it does not count
    attacked = changed_at(adata, [0, 1, 2, 40], [0], [[400.0], [400.0], [3.5], [90.0]])
    log = np.log1p(adata.X.sum(axis=1))
    middle, limit = np.median(log), 5 * median_abs_deviation(log)
    outlier = np.abs(np.log1p(attacked.X.sum(axis=1)) - middle) > limit
    assert outlier[[0, 1, 2, 40]].tolist() == [True, True, False, True]
    assert detectability(adata, attacked).library_outliers == 0.5


def test_distance_is_that_of_a_full_search():
    adata = small(n=80, genes=40, seed=5)
    rows = list(range(20))
    attacked = changed_at(adata, rows, [0, 1, 2], 15.0)
    pca = PCA(30, svd_solver="full").fit(adata.X[20:])  # the cells that are not attacked
    real, moved = pca.transform(adata.X), pca.transform(attacked.X)
    means = []
    for cells in (real, moved):
        far = cdist(cells[rows], real)
        far[rows, rows] = np.inf
        means.append(np.sort(far, axis=1)[:, :10].mean())
    assert detectability(adata, attacked).neighbour_distance == pytest.approx(means[1] / means[0], rel=1e-9)


def test_auc_knows_chance_from_certainty():
    rng = np.random.default_rng(0)
    real = rng.normal(size=(60, 4))
    assert held_out_auc(real, real.copy()) == 0.5
    assert held_out_auc(real, real + np.array([8, 0, 0, 0])) == 1.0
    assert 0.3 < held_out_auc(real, rng.normal(size=(60, 4))) < 0.7  # another draw of the same: cannot be told apart
    assert held_out_auc(real, np.zeros((60, 4))) > 0.95  # all in the middle, where no real cell has every value
    assert np.isnan(held_out_auc(real[:3], real[:3] + 1))


def test_auc_is_of_cells_not_seen():
    """With more features than cells any classifier fits the cells that it has seen; the AUC must not."""
    rng = np.random.default_rng(1)
    assert held_out_auc(rng.normal(size=(20, 150)), rng.normal(size=(20, 150))) < 0.75


@pytest.mark.slow
@pytest.mark.parametrize("target", ["CD19+ B", "Dendritic"])
def test_real_cells_in_the_place_of_real_cells_are_hidden(pbmc_small, target):
    """Half of a type is set aside and put in the place of the other half: no observer can tell which is which."""
    areas = []
    for seed in range(4):
        inside = np.random.default_rng(seed).permutation(np.flatnonzero(pbmc_small.obs["cell_type"] == target))
        half = len(inside) // 2
        aside, stay = inside[half : 2 * half], np.sort(inside[:half])
        adata = pbmc_small[np.setdiff1d(np.arange(pbmc_small.n_obs), aside)].copy()
        adata.X = adata.X.toarray()
        place = np.flatnonzero(adata.obs_names.isin(pbmc_small.obs_names[stay]))
        attacked = changed_at(adata, place, np.arange(adata.n_vars), pbmc_small.X[aside].toarray())
        areas.append(detectability(adata, attacked, groupby="cell_type", target=target, seed=seed).auc)
    assert 0.35 < np.mean(areas) < 0.6


@pytest.mark.slow
def test_where_all_cells_are_attacked_half_are_judged():
    adata = small(n=80, genes=40, seed=2)
    everywhere = changed_at(adata, list(range(80)), [0, 1, 2], 30.0)
    found = detectability(adata, everywhere)
    assert found.cells == 80
    assert found.visibility > 0.9
    rng = np.random.default_rng(1)
    same = adata.copy()
    same.X = rng.poisson(2.0, adata.shape).astype(float)  # drawn as the original was
    assert detectability(adata, same).auc < 0.7


@pytest.mark.fast(1)
@pytest.mark.parametrize("form", [sp.csr_matrix, sp.csc_matrix, sp.csr_array])
def test_sparse_answers_as_dense(form):
    adata = small(n=90, genes=50)
    attacked = changed_at(adata, list(range(25)), [1, 4], 9.0)
    dense = detectability(adata, attacked, seed=2)
    adata.X, attacked.X = form(adata.X), form(attacked.X)
    sparse = detectability(adata, attacked, seed=2)
    both = pd.concat([one.to_frame()["value"] for one in (dense, sparse)], axis=1).to_numpy()
    np.testing.assert_allclose(both[:, 0], both[:, 1], rtol=1e-9)


@pytest.mark.slow
def test_backed_answers_as_memory(tmp_path):
    adata = small(n=90, genes=50)
    attacked = changed_at(adata, list(range(25)), [1, 4], 9.0)
    adata.write_h5ad(tmp_path / "a.h5ad")
    backed = anndata.read_h5ad(tmp_path / "a.h5ad", backed="r")
    assert detectability(backed, attacked) == detectability(adata, attacked)
    names = ["g4", "g1", "g7"]
    assert detectability(backed, attacked, genes_observed=names) == detectability(adata, attacked, genes_observed=names)


@pytest.mark.slow
def test_layers_cluster_and_panel():
    adata = small()
    adata.layers["counts"] = adata.X.copy()
    attacked = adata.copy()
    attacked.layers["counts"][:10, 3] += 20
    assert detectability(adata, attacked).cells == 0
    assert detectability(adata, attacked, layer="counts").cells == 10
    whole = detectability(adata, attacked, layer="counts", groupby="cluster", target="a")
    assert (whole.cells, whole.l0_mean) == (20, 0.5)
    assert detectability(adata, attacked, layer="counts", genes_observed=["g0", "g1"]).cells == 0
    assert detectability(adata, attacked, layer="counts", genes_observed=["g3", "g1"]).genes == 1


def test_result_of_an_attack_can_be_measured(pbmc_small):
    model = adv.classifiers.ScType(scaled=False)
    attack = adv.attacks.MaxChange("perc99", restarts=1)
    result = attack(pbmc_small, model, groupby="cell_type", target="Dendritic")
    found = detectability(pbmc_small, result.apply(pbmc_small), groupby="cell_type", target="Dendritic")
    assert found.genes <= len(result.genes)
    assert found.visibility > 0.9


@pytest.mark.slow
def test_the_same_seed_gives_the_same(pbmc_small):
    attacked = adv.modify(pbmc_small, ["CD3D", "CD79A"], "random", **TARGET)
    first, again, other = (detectability(pbmc_small, attacked, seed=seed) for seed in (4, 4, 5))
    assert first == again
    assert first.auc != other.auc


@pytest.mark.slow
def test_few_cells_say_so():
    adata = small()
    found = detectability(adata, changed_at(adata, [4, 9], [2], 30.0))
    assert np.isnan(found.visibility)
    assert np.isnan(found.auc_genes)
    assert found.linf_max > 20
    assert "too few" in str(found)


def test_constant_data_and_one_gene_have_no_components():
    adata = small(genes=1)
    adata.X[:] = 1.0
    found = detectability(adata, changed_at(adata, list(range(20)), [0], 5.0))
    assert (found.neighbour_distance, found.visibility, found.outside_range) == (1.0, 1.0, 1.0)


@pytest.mark.slow
def test_a_gene_that_no_real_cell_has_is_seen():
    """It has no weight in any component; what is left over gives it away."""
    adata = small(n=120, genes=60, seed=7)
    adata.X[:, 5] = 0.0
    assert detectability(adata, changed_at(adata, list(range(40)), [5], 100.0)).visibility > 0.95


@pytest.mark.slow
def test_large_data_are_sampled(monkeypatch):
    monkeypatch.setitem(detectability.__globals__, "_REFERENCE", 50)  # evaluation.detectability names the function
    monkeypatch.setitem(detectability.__globals__, "_JUDGED", 15)
    adata = small(n=200, genes=40)
    attacked = changed_at(adata, list(range(66)), [0, 1], 30.0)
    found = detectability(adata, attacked, seed=1)
    assert found.cells == 66
    assert found.visibility > 0.9
    assert found.neighbour_distance > 2
    assert found == detectability(adata, attacked, seed=1)


@pytest.mark.slow
@settings(max_examples=10, deadline=None)
@given(value=st.floats(-1e300, 1e300), rows=st.sets(st.integers(0, 29), min_size=1, max_size=8), seed=st.integers(0, 5))
def test_every_part_is_a_number_in_its_range(value, rows, seed):
    adata = small(n=30, genes=6)
    found = detectability(adata, changed_at(adata, sorted(rows), [0], value), seed=seed)
    assert found.cells == int((adata.X[sorted(rows), 0] != value).sum())
    if not found.cells >= 4:
        return
    for part in ("visibility", "auc", "auc_genes", "outside_range", "library_outliers", "detected_outliers"):
        assert 0 <= getattr(found, part) <= 1, part
    assert np.isfinite(found.to_frame()["value"]).all()
    assert found.l1_max == found.l2_max == found.linf_max  # one gene


def test_the_inputs_stay_as_they_are():
    adata = small()
    adata.X = sp.csr_matrix(adata.X)
    attacked = adv.modify(adata, ["g0", "g3"], "perc99", groupby="cluster", target="a")
    before, after = adata.X.copy(), attacked.X.copy()
    detectability(adata, attacked)
    assert (before != adata.X).nnz == 0
    assert (after != attacked.X).nnz == 0


@pytest.mark.slow
def test_scaled_data_have_no_library_size(pbmc_small):
    scaled = adv.datasets.preprocess(pbmc_small, target_sum=None)
    found = detectability(scaled, adv.modify(scaled, ["CD3D", "NKG7"], "perc99", **TARGET), **TARGET)
    quality = ("library_shift", "detected_shift", "library_outliers", "detected_outliers")
    assert np.isnan([getattr(found, part) for part in quality]).all()
    assert "not measured" in str(found)
    assert "new outliers" not in str(found)
    assert np.isfinite(found.to_frame().set_index("part")["value"].drop(list(quality))).all()
    # an attack on counts that makes them negative is another matter: the library was there
    counted = detectability(pbmc_small, adv.modify(pbmc_small, ["CD3D"], "negative_aberrant", **TARGET), **TARGET)
    assert np.isfinite([getattr(counted, part) for part in quality]).all()
    assert "new outliers" in str(counted)


def test_what_cannot_be_compared_is_refused():
    adata = small()
    with pytest.raises(DataError, match="60 cells, the attacked copy 30"):
        detectability(adata, adata[:30].copy())
    with pytest.raises(DataError, match="same order"):
        detectability(adata, adata[:, ::-1].copy())
    with pytest.raises(ParameterError, match="both groupby"):
        detectability(adata, adata, groupby="cluster")
    with pytest.raises(DataError, match="1 cells outside cluster 'a'"):
        detectability(adata, changed_at(adata, [50], [0], 99.0), groupby="cluster", target="a")
    with pytest.raises(ParameterError, match="genes_observed= is empty"):
        detectability(adata, adata, genes_observed=[])
    with pytest.raises(DataError, match="not in the data"):
        detectability(adata, adata, genes_observed=["nothing"])
    with pytest.raises(ParameterError, match="seed"):
        detectability(adata, adata, seed=-1)
    with pytest.raises(DataError, match="NaN"):
        detectability(adata, changed_at(adata, [50], [0], np.nan))
