"""Values are made of counts as they were made before, or the data are refused."""

from __future__ import annotations

import numpy as np
import pytest
import scanpy as sc
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

import adverscarial as adv
from adverscarial.errors import DataError
from adverscarial.stresses.reading import counts_of, reading_of
from stresses.made import count_data


def read(adata, layer=None, counts=None):
    found = counts_of(adata, layer, counts)
    return found, reading_of(adata, layer, found)


def test_counts_are_read_as_they_are() -> None:
    adata = count_data()
    counts, reading = read(adata)
    assert reading.kind == "counts"
    np.testing.assert_array_equal(reading.values(counts, np.arange(90)), adata.X.toarray())


@pytest.mark.slow
@given(st.integers(0, 50), st.sampled_from([1e4, 1e6, 500.0]))
@settings(max_examples=15)
def test_counts_are_recovered_from_log_normalised_values(seed: int, target: float) -> None:
    raw = count_data(seed=seed)
    adata = adv.datasets.preprocess(raw, target_sum=target, scale=False)
    del adata.layers["counts"], adata.layers["lognorm"]
    counts, reading = read(adata)
    assert reading.kind == "log-normalised"
    np.testing.assert_array_equal(counts.toarray(), raw.X.toarray())
    np.testing.assert_allclose(reading.values(counts, np.arange(90)), adata.X.toarray(), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("scale", [False, True])
def test_changed_counts_are_read_as_the_real_library_does(scale: bool) -> None:
    """Scanpy's own steps, on cells that have changed; z-scores by the means and spreads of the unmodified data."""
    raw = count_data()
    adata = adv.datasets.preprocess(raw, scale=scale)
    _counts, reading = read(adata)
    rng = np.random.default_rng(1)
    changed = sp.csr_array(rng.binomial(raw.X.toarray(), 0.4))
    work = raw.copy()
    work.X = sp.csr_matrix(changed.astype(np.float64))
    sc.pp.normalize_total(work, target_sum=1e4)
    sc.pp.log1p(work)
    expected = work.X.toarray()
    if scale:
        logs = adata.layers["lognorm"].toarray().astype(np.float64)
        spread = logs.std(axis=0, ddof=1)
        expected = np.minimum((expected - logs.mean(axis=0)) / np.where(spread > 0, spread, 1), 10)
        expected[:, spread == 0] = 0
    got = reading.values(changed, np.arange(90))
    np.testing.assert_allclose(got, expected, rtol=1e-3, atol=1e-3)


@pytest.mark.slow
def test_pbmc3k_is_read_exactly(shared) -> None:
    adata = adv.datasets.preprocess(adv.datasets.pbmc3k())[::40].copy()  # scaled with cells that are left out here
    counts, reading = read(adata)
    rows = np.arange(adata.n_obs)
    assert reading.kind == "z-scores"
    assert np.abs(reading.values(counts, rows) - adata.X).max() < 0.005
    logs = counts_of(adata, "lognorm", None)
    np.testing.assert_array_equal(logs.toarray(), adata.layers["counts"].toarray())


def test_recovered_and_given_counts_agree_on_real_cells(shared) -> None:
    adata = adv.datasets.preprocess(adv.datasets.pbmc3k(), scale=False)[::40].copy()
    given = adata.layers.pop("counts")
    np.testing.assert_array_equal(counts_of(adata, None, None).toarray(), given.toarray())


@pytest.mark.slow
def test_the_tumour_data_are_refused(shared) -> None:
    adata = adv.datasets.load(shared / "data" / "breast_tumour_immune_lognorm.h5ad")
    with pytest.raises(DataError, match=r"size factor is not known.*layers\['counts'\]"):
        counts_of(adata, None, None)


def test_z_scores_without_counts_are_refused() -> None:
    adata = adv.datasets.preprocess(count_data())
    given = adata.layers.pop("counts")
    np.testing.assert_array_equal(counts_of(adata, None, None).toarray(), given.toarray())  # behind the layer "lognorm"
    del adata.layers["lognorm"]
    with pytest.raises(DataError, match="z-scores"):
        counts_of(adata, None, None)


def test_values_that_do_not_come_out_of_the_counts_are_refused() -> None:
    adata = adv.datasets.preprocess(count_data(), scale=False)
    adata.X = sp.csr_matrix(adata.X.toarray() ** 2)
    with pytest.raises(DataError, match="does not come out of the counts: cell 'cell"):
        read(adata)
    adata.layers["counts"] = adata.layers["lognorm"]
    with pytest.raises(DataError, match="not whole"):
        read(adata)


def test_an_empty_cell_stays_empty() -> None:
    adata = adv.datasets.preprocess(count_data())
    counts, reading = read(adata)
    nothing = sp.csr_array((2, 30), dtype=np.int64)
    values = reading.values(nothing, np.arange(2))
    assert np.isfinite(values).all()
    # a gene without a count has one value in all cells
    zero = np.where(counts.toarray() == 0, adata.X, np.nan)
    seen = ~np.isnan(zero).all(axis=0)
    np.testing.assert_allclose(values[0, seen], np.nanmax(zero[:, seen], axis=0), atol=1e-4)
