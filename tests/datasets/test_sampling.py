import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from anndata import AnnData
from hypothesis import given, settings
from hypothesis import strategies as st

from adverscarial.datasets import balance, load, split
from adverscarial.errors import DataError, ParameterError


def make(types, n_genes=6, seed=0, sparse=True) -> AnnData:
    """Values that are all different where not zero, so that each tells the cell and gene it came from."""
    n = len(types)
    X = 1.0 + np.arange(n * n_genes, dtype=np.float64).reshape(n, n_genes)
    X[np.random.default_rng(seed).random(X.shape) < 0.3] = 0
    obs = pd.DataFrame({"cell_type": types}, index=[f"c{i}" for i in range(n)])
    return AnnData(
        sp.csr_matrix(X) if sparse else X, obs=obs, var=pd.DataFrame(index=[f"g{j}" for j in range(n_genes)])
    )


# split ------------------------------------------------------------------------------------------------------------


@pytest.mark.slow
@settings(max_examples=40, deadline=None)
@given(st.lists(st.sampled_from(["B", "T", "NK", None]), min_size=2, max_size=40), st.integers(0, 2**32))
def test_split_halves_each_type(types, seed):
    adata = make(types)
    if not any(types):
        with pytest.raises(DataError, match="No cell has a value"):
            split(adata, "cell_type", seed=seed)
        return
    train, test = split(adata, "cell_type", seed=seed)
    assert not set(train.obs_names) & set(test.obs_names)
    assert set(train.obs_names) | set(test.obs_names) == set(adata.obs_names[adata.obs["cell_type"].notna()])
    for name in {t for t in types if t}:
        n = types.count(name)
        assert (train.obs["cell_type"] == name).sum() == (n + 1) // 2
        assert (test.obs["cell_type"] == name).sum() == n // 2
    for half in (train, test):
        assert not half.is_view
        assert list(half.obs_names) == [name for name in adata.obs_names if name in set(half.obs_names)]
        np.testing.assert_array_equal(half.X.toarray(), adata[half.obs_names].X.toarray())


def test_split_is_repeatable_and_depends_on_the_seed():
    adata = make(["B", "T"] * 30)
    first, second, other = (split(adata, "cell_type", seed=seed)[0] for seed in (0, 0, 1))
    assert list(first.obs_names) == list(second.obs_names)
    assert list(first.obs_names) != list(other.obs_names)


def test_split_depends_neither_on_cell_order_nor_on_other_types():
    adata = make(["B"] * 21 + ["T"] * 30)
    expected = set(split(adata, "cell_type", seed=4)[0].obs_names)
    shuffled = adata[np.random.default_rng(0).permutation(51)].copy()
    assert set(split(shuffled, "cell_type", seed=4)[0].obs_names) == expected
    only_b = adata[:21].copy()
    assert set(split(only_b, "cell_type", seed=4)[0].obs_names) == {c for c in expected if int(c[1:]) < 21}


@pytest.mark.slow
def test_split_draws_every_cell_about_equally_often():
    adata = make(["B"] * 10)
    in_train = np.zeros(10)
    for seed in range(200):
        in_train += adata.obs_names.isin(split(adata, "cell_type", seed=seed)[0].obs_names)
    # binomial(200, 1/2) per cell: 100 +- 7; five standard deviations
    assert in_train.min() > 65
    assert in_train.max() < 135


def test_split_leaves_the_input_alone_and_gives_copies():
    adata = make(["B", "T"] * 5)
    before = adata.X.copy()
    train, _ = split(adata, "cell_type", seed=0)
    train.X.data[:] = -1
    train.obs["cell_type"] = "x"
    assert (before != adata.X).nnz == 0
    assert set(adata.obs["cell_type"]) == {"B", "T"}


def test_split_exclude():
    adata = make(["B"] * 5 + ["UNDETERMINED"] * 4)
    train, test = split(adata, "cell_type", seed=0, exclude=["UNDETERMINED"])
    assert (train.n_obs, test.n_obs) == (3, 2)
    assert split(adata, "cell_type", seed=0, exclude="UNDETERMINED")[0].n_obs == 3
    with pytest.raises(ParameterError, match=r"there is no 'UNDETERMINE'.*Did you mean 'UNDETERMINED'"):
        split(adata, "cell_type", seed=0, exclude=["UNDETERMINE"])
    with pytest.raises(DataError, match=r"every type of .* is excluded"):
        split(adata, "cell_type", seed=0, exclude=["B", "UNDETERMINED"])


def test_split_of_pbmc3k_has_the_papers_sizes(shared):
    adata = load(shared / "data" / "pbmc3k.h5ad")
    train, test = split(adata, "cell_type", seed=0, exclude=["UNDETERMINED"])
    assert (train.n_obs, test.n_obs) == (1320, 1318)
    counts = test.obs["cell_type"].value_counts()
    assert (counts["B"], counts["Memory CD4 T"]) == (172, 236)


@pytest.mark.fast(1)
@pytest.mark.parametrize("sparse", [True, False])
def test_backed_files_give_what_memory_gives(tmp_path, sparse):
    adata = make(["B"] * 9 + ["T"] * 30, sparse=sparse)
    adata.write_h5ad(tmp_path / "x.h5ad")
    backed = load(tmp_path / "x.h5ad", backed=True)
    for here, there in zip(split(adata, "cell_type", seed=0), split(backed, "cell_type", seed=0), strict=True):
        assert not there.isbacked
        pd.testing.assert_index_equal(here.obs_names, there.obs_names)
        assert np.array_equal(here.to_df(), there.to_df())
    assert balance(adata, "cell_type", 20, seed=0).to_df().equals(balance(backed, "cell_type", 20, seed=0).to_df())
    backed.file.close()


@pytest.mark.parametrize("seed", [-1, 1.5, None])
def test_bad_seeds_are_refused(seed):
    for function in (split, balance):
        with pytest.raises(ParameterError, match="non-negative whole number"):
            function(make(["B", "T"]), "cell_type", seed=seed)


def test_an_unknown_column_is_named():
    for function in (split, balance):
        with pytest.raises(DataError, match="Did you mean 'cell_type'"):
            function(make(["B", "T"]), "cell_typ", seed=0)


# balance ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sparse", [True, False])
def test_balance_follows_the_rules_of_the_paper(sparse):
    types = ["T"] * 3 + ["B"] * 30 + ["T"] * 4 + ["NK"] * 10
    adata = make(types, sparse=sparse)
    X = adata.X.toarray() if sparse else adata.X
    balanced = balance(adata, "cell_type", 10, seed=5)
    assert balanced.shape == (30, 6)
    assert list(balanced.obs["cell_type"]) == ["T"] * 10 + ["B"] * 10 + ["NK"] * 10  # order of first appearance
    assert balanced.obs_names.is_unique
    assert sp.issparse(balanced.X) == sparse
    assert balanced.X.dtype == adata.X.dtype
    values = balanced.X.toarray() if sparse else balanced.X
    real = ~balanced.obs["synthetic"].to_numpy()
    assert real.tolist() == [True] * 7 + [False] * 3 + [True] * 20
    for row in np.flatnonzero(real):  # a real cell is that cell, whole, and drawn once
        source = adata.obs_names.get_loc(balanced.obs_names[row])
        np.testing.assert_array_equal(values[row], X[source])
        assert types[source] == balanced.obs["cell_type"].iloc[row]
    own = X[np.array(types) == "T"]
    for row in np.flatnonzero(~real):
        for gene in range(6):
            assert values[row, gene] in own[:, gene]


def test_balance_draws_genes_of_a_synthetic_cell_independently():
    """Two genes that are equal in every cell: a synthetic cell must break that, as 1 - sum of squared shares."""
    X = np.repeat(np.arange(1.0, 5.0)[:, None], 2, axis=1)
    obs = pd.DataFrame({"cell_type": ["B"] * 4}, index=list("abcd"))
    made = balance(AnnData(X, obs=obs), "cell_type", 4004, seed=0).X[4:]
    assert made.shape == (4000, 2)
    assert abs((made[:, 0] == made[:, 1]).mean() - 1 / 4) < 5 * np.sqrt(3 / 16 / 4000)
    for gene in range(2):  # with replacement: each of the four values about a quarter of the time
        shares = np.bincount(made[:, gene].astype(int), minlength=5)[1:] / 4000
        assert np.abs(shares - 1 / 4).max() < 5 * np.sqrt(3 / 16 / 4000)


def test_balance_layers_are_drawn_along():
    adata = make(["B"] * 4 + ["T"] * 9)
    adata.layers["double"] = adata.X * 2
    adata.layers["dense"] = adata.X.toarray() + 1
    adata.varm["loadings"] = np.arange(6.0)[:, None]
    adata.uns["source"] = "made up"
    balanced = balance(adata, "cell_type", 8, seed=1)
    assert (balanced.layers["double"] != balanced.X * 2).nnz == 0
    np.testing.assert_array_equal(balanced.layers["dense"], balanced.X.toarray() + 1)
    assert balanced.varm["loadings"].ravel().tolist() == [0, 1, 2, 3, 4, 5]
    assert balanced.uns["source"] == "made up"


def test_balance_is_repeatable_and_one_type_does_not_move_another():
    adata = make(["B"] * 4 + ["T"] * 30 + [None] * 3)
    first, again, other = (balance(adata, "cell_type", 8, seed=s).to_df() for s in (0, 0, 1))
    assert first.equals(again)
    assert not first.equals(other)
    alone = balance(adata[4:].copy(), "cell_type", 8, seed=0).to_df()
    assert first.iloc[8:].equals(alone)


def test_balance_takes_all_of_a_type_of_exactly_n():
    adata = make(["B"] * 8)
    assert balance(adata, "cell_type", 8, seed=0).to_df().equals(adata.to_df())


def test_balance_with_repeated_cell_names_can_be_written(tmp_path):
    adata = make(["B"] * 4 + ["T"] * 4)
    adata.obs_names = ["x"] * 4 + ["B-synthetic-1"] * 4
    balanced = balance(adata, "cell_type", 6, seed=0)
    assert balanced.obs_names.is_unique
    balanced.write_h5ad(tmp_path / "x.h5ad")
    assert load(tmp_path / "x.h5ad").shape == (12, 6)


@pytest.mark.parametrize("n", [0, -3, 2.5])
def test_balance_bad_n(n):
    with pytest.raises(ParameterError, match="at least 1 cell per type"):
        balance(make(["B", "T"]), "cell_type", n, seed=0)
