import numpy as np
import pytest
import scipy.sparse as sp
from anndata import AnnData
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from adverscarial.datasets import load, preprocess
from adverscarial.errors import DataError, ParameterError

#: scaled value of a zero count, as printed in the paper's notebooks
PUBLISHED = {
    "AL627309.1": -0.05812316,
    "AP006222.2": -0.03357571,
    "RP11-206L10.2": -0.04166819,
    "RP11-206L10.9": -0.03364562,
    "LINC00115": -0.08223981,
}


def by_hand(counts: np.ndarray, target_sum=1e4, max_value=10.0) -> tuple[np.ndarray, np.ndarray]:
    """Plain numpy, float64, one gene after the other."""
    totals = counts.sum(axis=1, keepdims=True).astype(float)
    lognorm = np.log1p(np.divide(counts * target_sum, totals, out=np.zeros(counts.shape), where=totals > 0))
    scaled = np.zeros(counts.shape)
    for j in range(counts.shape[1]):
        column = lognorm[:, j]
        if len(set(column)) > 1:
            scaled[:, j] = np.minimum((column - column.mean()) / np.std(column, ddof=1), max_value)
    return lognorm, scaled


@pytest.mark.parametrize("container", [np.array, sp.csr_matrix, sp.csc_matrix, sp.csr_array])
@pytest.mark.parametrize("dtype", [np.int32, np.float32, np.float64])
def test_against_plain_numpy(container, dtype):
    counts = np.random.default_rng(0).poisson(0.3, (150, 40)).astype(dtype)
    counts[7] = 0  # a cell without any count
    counts[:, 3] = 0  # a gene that no cell has
    counts[:, 4] = 0
    counts[11, 4] = 5  # one cell far out: the upper limit is reached
    lognorm, scaled = by_hand(counts)
    made = preprocess(AnnData(container(counts)))
    assert scaled.max() == 10
    assert made.X.dtype == np.float32
    np.testing.assert_allclose(made.X, scaled, rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(made.layers["lognorm"].toarray(), lognorm, rtol=2e-7)
    np.testing.assert_array_equal(made.layers["counts"].toarray(), counts)
    assert isinstance(made.layers["lognorm"], sp.csr_matrix)
    assert isinstance(made.layers["counts"], sp.csr_matrix)
    assert made.layers["counts"].dtype == dtype
    assert (made.X[:, 3] == 0).all()


def test_published_values_to_eight_digits(shared):
    adata = load(shared / "data" / "pbmc3k.h5ad")
    made = preprocess(adata[adata.obs["cell_type"] != "UNDETERMINED"])
    assert made.shape == (2638, 13714)
    for gene, value in PUBLISHED.items():
        assert f"{made.X[:, made.var_names.get_loc(gene)].min():.8f}" == f"{value:.8f}"
    assert made.X.max() == 10


def test_only_the_upper_side_is_clipped():
    X = np.zeros((400, 2))
    X[0] = [50, -50]
    made = preprocess(AnnData(X), target_sum=None)
    far = (50 - X[:, 0].mean()) / X[:, 0].std(ddof=1)
    assert far > 10
    assert made.X[0, 0] == 10
    assert made.X[0, 1] == np.float32(-far)
    unclipped = preprocess(AnnData(X), target_sum=None, max_value=None)
    assert unclipped.X[0, 0] == np.float32(far)
    assert preprocess(AnnData(X), target_sum=None, max_value=3).X[0, 0] == 3


def test_deviation_has_n_minus_one():
    made = preprocess(AnnData(np.array([[0.0], [2.0]])), target_sum=None)
    np.testing.assert_array_equal(made.X, np.array([[-1], [1]], dtype=np.float32) / np.float32(np.sqrt(2)))


def test_constant_genes_become_zero_even_if_their_mean_is_rounded():
    X = np.full((7, 3), 0.1)
    X[:, 1] = 1e100
    X[:, 2] = np.arange(7)
    made = preprocess(AnnData(X), target_sum=None)
    assert (made.X[:, :2] == 0).all()
    assert made.X[:, 2].std() > 0


def test_one_cell_has_z_scores_of_zero():
    assert (preprocess(AnnData(np.array([[3.0, 0.0]]))).X == 0).all()


@settings(max_examples=50, deadline=None)
@given(arrays(np.float64, (9, 4), elements=st.floats(0, 8, allow_subnormal=False)))
def test_z_scores_have_mean_0_and_deviation_1(X):
    X = np.round(X, 3)
    made = preprocess(AnnData(X), target_sum=None, max_value=None).X.astype(float)
    varies = X.max(axis=0) > X.min(axis=0)
    np.testing.assert_allclose(made.mean(axis=0), 0, atol=1e-6)
    np.testing.assert_allclose(made.std(axis=0, ddof=1), varies.astype(float), atol=1e-6)


def test_more_genes_than_fit_one_block():
    counts = np.random.default_rng(1).poisson(1, (12, 1100))
    np.testing.assert_allclose(preprocess(AnnData(counts)).X, by_hand(counts)[1], rtol=1e-6, atol=1e-6)


def test_lognorm_gives_the_same_z_scores(pbmc_small):
    made = preprocess(AnnData(sp.csr_matrix(np.random.default_rng(0).poisson(1, (30, 20)))))
    again = preprocess(AnnData(made.layers["lognorm"]), target_sum=None)
    np.testing.assert_array_equal(made.X, again.X)
    assert "counts" not in again.layers
    scaled = preprocess(pbmc_small, target_sum=None)
    assert (scaled.layers["lognorm"] != pbmc_small.X).nnz == 0


def test_scaling_can_be_left_out():
    counts = np.random.default_rng(0).poisson(1, (30, 20))
    made = preprocess(AnnData(counts), scale=False)
    assert isinstance(made.X, sp.csr_matrix)
    assert (made.layers["lognorm"] != made.X).nnz == 0
    made.X.data[:] = 0
    assert made.layers["lognorm"].sum() > 0


def test_other_target_sum():
    counts = np.random.default_rng(0).poisson(1, (30, 20))
    made = preprocess(AnnData(counts), target_sum=1e6, scale=False)
    np.testing.assert_allclose(made.X.toarray(), by_hand(counts, 1e6)[0], rtol=2e-7)


def test_the_input_is_left_alone_and_the_rest_is_kept(tmp_path):
    counts = np.random.default_rng(0).poisson(1, (30, 20))
    adata = AnnData(sp.csr_matrix(counts))
    adata.obs["cell_type"] = ["B", "T"] * 15
    adata.uns["source"] = "made up"
    made = preprocess(adata)
    made.X[:] = 0
    made.layers["counts"].data[:] = 0
    np.testing.assert_array_equal(adata.X.toarray(), counts)
    assert not adata.layers
    assert list(made.obs["cell_type"]) == ["B", "T"] * 15
    assert made.uns["source"] == "made up"
    made.write_h5ad(tmp_path / "x.h5ad")


def test_a_backed_file_is_preprocessed_as_in_memory(tmp_path):
    counts = np.random.default_rng(0).poisson(1, (30, 20))
    AnnData(sp.csr_matrix(counts)).write_h5ad(tmp_path / "x.h5ad")
    backed = load(tmp_path / "x.h5ad", backed=True)
    np.testing.assert_array_equal(preprocess(backed).X, preprocess(AnnData(counts)).X)
    backed.file.close()


@pytest.mark.parametrize(
    ("X", "cause"),
    [
        ([[0.0, 1.5], [2.0, 0.0]], r"1 values that are not whole \(largest 2\).*log-normalised already: pass"),
        ([[0.0, 4000.5], [2.0, 0.0]], r"normalised but not logarithmic"),
        ([[0.0, -0.5], [2.0, 0.0]], r"1 negative values \(lowest -0\.5\).*scaled already"),
        ([[0.0, -1.0], [2.0, 0.0]], r"1 negative values \(lowest -1\).*scaled already"),
    ],
)
@pytest.mark.parametrize("container", [np.array, sp.csr_matrix])
def test_input_that_is_no_counts(X, cause, container):
    with pytest.raises(DataError, match=cause) as caught:
        preprocess(AnnData(container(np.array(X))))
    assert "command line: --preprocess" in str(caught.value)


def test_log_normalised_input_is_recognised(pbmc_small):
    with pytest.raises(DataError, match="log-normalised already"):
        preprocess(pbmc_small)


def test_impossible_settings_and_cells_are_refused():
    adata = AnnData(np.ones((3, 2)))
    with pytest.raises(ParameterError, match="target_sum must be positive"):
        preprocess(adata, target_sum=0)
    with pytest.raises(ParameterError, match="max_value must be positive"):
        preprocess(adata, max_value=-1)
    with pytest.raises(DataError, match="no cells"):
        preprocess(AnnData(np.ones((0, 2))))
    with pytest.raises(DataError, match="NaN or infinite"):
        preprocess(AnnData(np.array([[np.nan, 1.0]])))
