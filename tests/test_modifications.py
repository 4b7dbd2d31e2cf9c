"""Modifications: exact against the R package's outputs, as the paper says where R differs, on every container."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anndata
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from anndata import AnnData
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import kstest
from tests.golden_files import read_input, read_json

import adverscarial as adv
from adverscarial import Aberrant, Custom, Decile, Dropout, Fixed, Modification, Percentile, Random, modify
from adverscarial.cluster import Cluster
from adverscarial.errors import DataError, ParameterError
from adverscarial.modifications import SHORT_STRINGS, parse

# the four functions that the golden files describe under "meta"
GOLDEN_FUNCTIONS = {
    "full_row_fct": Custom(lambda gene, inside: gene[inside] * 2 + gene.mean(), scope="gene"),
    "target_row_fct": Custom(lambda values: values[::-1] - 1, scope="cluster_gene"),
    "target_matrix_fct": Custom(lambda block: 2 * block - 1, scope="cluster_block"),
    "full_matrix_fct": Custom(lambda block, inside: block[inside] + block.max(), scope="block"),
}


def golden_modification(name: str, meta: dict[str, Any]) -> Modification:
    """Return the modification that does what the R code does under this name."""
    if name in GOLDEN_FUNCTIONS:
        return GOLDEN_FUNCTIONS[name]
    if name == "fixed":
        return Fixed(meta["fixed_value"])
    if name.startswith("decile"):
        return Decile(float(name.removeprefix("decile")), reference=True)
    return parse(f"{name}:reference" if name.endswith("aberrant") else name)


def check_golden(adata: AnnData, golden: dict[str, Any]) -> None:
    X = np.asarray(adata.X).copy()
    for target, modifications in golden["results"].items():
        inside = (adata.obs["cluster"] == target).to_numpy()
        assert len(modifications) == 29
        for name, expected in modifications.items():
            modification = golden_modification(name, golden["meta"])
            whole = expected.get("all_genes", expected)
            genes = whole.get("genes", golden.get("genes"))
            where = f"{target}, {name}"
            assert whole["cells"] == list(adata.obs_names[inside]), where

            changed = modify(adata, genes, modification, groupby="cluster", target=target)
            np.testing.assert_allclose(changed[inside, genes].X, whole["block"], rtol=1e-14, atol=0, err_msg=where)
            np.testing.assert_array_equal(changed.X[~inside], X[~inside], err_msg=where)
            for gene, values in expected.get("per_gene", {}).items():
                changed = modify(adata, [gene], modification, groupby="cluster", target=target)
                k = adata.var_names.get_loc(gene)
                np.testing.assert_allclose(changed.X[inside, k], values, rtol=1e-14, atol=0, err_msg=f"{where}, {gene}")
                untouched = np.arange(adata.n_vars) != k
                np.testing.assert_array_equal(changed.X[:, untouched], X[:, untouched], err_msg=f"{where}, {gene}")
    np.testing.assert_array_equal(adata.X, X)


@pytest.mark.parametrize("name", ["tiny", "sim", "scaled"])
def test_golden_all_genes_and_each_gene(name: str) -> None:
    golden = read_json(f"a_{name}")
    assert golden["input"] == name
    check_golden(read_input(name), golden)


def test_golden_on_real_counts(shared: Path) -> None:
    check_golden(read_input("pbmc", shared / "golden" / "inputs"), read_json("a_pbmc", shared / "golden"))


@pytest.mark.parametrize("name", ["tiny", "sim", "scaled"])
def test_a_sparse_input_gives_the_golden_values_too(name: str) -> None:
    adata = read_input(name)
    adata.X = sp.csr_matrix(adata.X)
    dense = read_input(name)
    target = sorted(adata.obs["cluster"].unique())[0]
    for text in ("perc1", "perc99", "decile+3:reference", "decile-5:reference", "decile+5", "decile-1"):
        given_sparse = modify(adata, adata.var_names, text, groupby="cluster", target=target)
        given_dense = modify(dense, dense.var_names, text, groupby="cluster", target=target)
        np.testing.assert_array_equal(given_sparse.X.toarray(), given_dense.X, err_msg=text)


def small_n_cases() -> list[tuple[int, str, str, Any]]:
    results = read_json("a_small_n_decile")["results"]
    return [
        (int(n), name, target, values)
        for n, modifications in results.items()
        for name, clusters in modifications.items()
        for target, values in clusters.items()
    ]


@pytest.mark.parametrize(("n", "name", "target", "values"), small_n_cases())
def test_golden_decile_with_few_cells(n: int, name: str, target: str, values: Any) -> None:
    """Values 0, 0, 1, .. n-2; where R has no answer at all, the gene's minimum is given."""
    column = np.r_[0.0, np.arange(n - 1)]
    obs = pd.DataFrame({"cluster": ["a", "a", *["b"] * (n - 2)]}, index=[f"cell{i}" for i in range(n)])
    adata = AnnData(column[:, None], obs=obs, var=pd.DataFrame(index=["gene"]))
    changed = modify(adata, ["gene"], f"{name}:reference", groupby="cluster", target=target)
    if isinstance(values, dict):
        assert values["error"] == "replacement has length zero"
        values = [0.0] * 2
    assert changed.X[adata.obs["cluster"] == target, 0].tolist() == values


# --- where the paper and the R code differ -------------------------------------------------------------------------


def test_aberrant_is_the_dataset_maximum_times_100_000_for_every_gene() -> None:
    """Difference 1: R takes the gene's own maximum, so that an all-zero gene stays and a negative one turns round."""
    adata = read_input("tiny")
    inside = adata.obs["cluster"] == "A"
    largest = adata.X.max()
    for text, sign in (("positive_aberrant", 1), ("negative_aberrant", -1)):
        changed = modify(adata, adata.var_names, text, groupby="cluster", target="A").X[inside]
        np.testing.assert_array_equal(changed, np.full(changed.shape, sign * 1e5 * largest))
    reference = modify(adata, adata.var_names, "positive_aberrant:reference", groupby="cluster", target="A")
    assert (reference[inside, "zeros"].X == 0).all()
    assert (reference[inside, "neg"].X < 0).all()


@pytest.mark.parametrize("name", ["tiny", "scaled"])
def test_random_is_uniform_inside_each_genes_own_range(name: str) -> None:
    """Difference 2: R draws min, min + 1, .. and, with several genes, one vector for all of them."""
    adata = read_input(name)
    target = adata.obs["cluster"].iloc[0]
    inside = (adata.obs["cluster"] == target).to_numpy()
    draws = np.concatenate(
        [
            modify(adata, adata.var_names, "random", groupby="cluster", target=target, seed=s).X[inside]
            for s in range(60)
        ]
    )
    low, high = adata.X.min(axis=0), adata.X.max(axis=0)
    assert ((draws >= low) & (draws <= high)).all()
    varies = high > low
    scaled = (draws[:, varies] - low[varies]) / (high - low)[varies]
    pvalues = np.array([kstest(column, "uniform").pvalue for column in scaled.T])
    assert pvalues.min() > 0.001 / len(pvalues)
    np.testing.assert_array_equal(draws[:, ~varies], np.broadcast_to(low[~varies], draws[:, ~varies].shape))
    correlation = np.corrcoef(scaled.T)[np.triu_indices(int(varies.sum()), 1)]
    assert np.abs(correlation).max() < 0.5  # R's genes of one call: exactly 1


@pytest.mark.parametrize("name", ["tiny", "scaled"])
def test_random_integer_has_the_support_of_the_r_code(name: str) -> None:
    adata = read_input(name)
    target = adata.obs["cluster"].iloc[0]
    for gene, golden in read_json("a_random_range")[name].items():
        if gene == "const5":  # R's sample(5) draws from 1 to 5; a constant gene stays constant here
            golden = {"first_distinct": [5], "n_distinct": 1, "gene_min": 5, "gene_max": 5}
        draws = np.concatenate(
            [
                Random(integer=True).values(
                    Cluster(adata, "cluster", target, seed=seed), np.array([adata.var_names.get_loc(gene)])
                )[:, 0]
                for seed in range(60)
            ]
        )
        distinct = np.unique(draws)
        steps = distinct - golden["gene_min"]
        np.testing.assert_allclose(steps, np.rint(steps), atol=1e-9, err_msg=gene)
        assert distinct.max() <= golden["gene_max"], gene
        if golden["n_distinct"] == len(golden["first_distinct"]):
            np.testing.assert_allclose(distinct, golden["first_distinct"], rtol=1e-12, atol=1e-12, err_msg=gene)


@pytest.mark.parametrize("name", ["tiny", "sim", "scaled"])
def test_decile_0_is_the_identity(name: str) -> None:
    """Difference 3: R's decile+0 moves one place down."""
    adata = read_input(name)
    for target in adata.obs["cluster"].unique():
        for text in ("decile+0", "decile-0", Decile(0)):
            changed = modify(adata, adata.var_names, text, groupby="cluster", target=target)
            np.testing.assert_array_equal(changed.X, adata.X)


def test_decile_moves_one_place_further_than_the_r_code() -> None:
    adata = read_input("sim")
    ours = modify(adata, adata.var_names, "decile+5", groupby="cluster", target="T1").X
    reference = modify(adata, adata.var_names, "decile+5:reference", groupby="cluster", target="T1").X
    for k, column in enumerate(adata.X.T):
        ordered = np.sort(column)
        for i in np.flatnonzero(adata.obs["cluster"] == "T1"):
            place = int((column < column[i]).sum()) + 48
            assert ours[i, k] == ordered[min(place, 95)]
            assert reference[i, k] == ordered[min(place - 1, 95)]


@pytest.mark.parametrize("key", [key for key in read_json("a_odd_cases") if key.startswith("method ")])
def test_no_string_silently_changes_nothing(key: str) -> None:
    """Difference 4: R ignores strings that it does not know."""
    text = key.removeprefix("method ")
    adata = read_input("tiny")
    if text in ("perc50", "decile5"):  # these mean something here
        changed = modify(adata, ["counts"], text, groupby="cluster", target="A")
        assert not np.array_equal(changed.X, adata.X)
    else:
        with pytest.raises(ParameterError, match=f"'{text.replace('+', '.')}' is no modification"):
            modify(adata, ["counts"], text, groupby="cluster", target="A")


def test_unknown_genes_and_targets_and_missing_values_are_errors() -> None:
    adata = read_input("tiny")
    with pytest.raises(DataError, match=r"1 of 2 genes are not in the data: 'count'\. Did you mean 'counts'"):
        modify(adata, ["ties", "count"], "perc99", groupby="cluster", target="A")
    with pytest.raises(DataError, match=r"no cluster 'b cell'.*Did you mean 'B cell'"):
        modify(adata, ["counts"], "perc99", groupby="cluster", target="b cell")
    adata.X[3, 7] = np.nan
    for text in ("perc99", "decile+5", "positive_aberrant"):
        with pytest.raises(DataError, match="1 NaN or infinite"):
            modify(adata, ["counts"], text, groupby="cluster", target="A")


# --- containers ----------------------------------------------------------------------------------------------------

CONTAINERS: dict[str, Callable[[np.ndarray], Any]] = {
    "dense": np.array,
    "fortran": np.asfortranarray,
    "float32": lambda X: X.astype(np.float32),
    "csr": sp.csr_matrix,
    "csc": sp.csc_matrix,
    "csr_array": sp.csr_array,
    "csc_array": sp.csc_array,
    "csr float32": lambda X: sp.csr_matrix(X, dtype=np.float32),
}
TEXTS = ["perc1", "perc99", "decile+5", "decile-3", "random", "positive_aberrant", "dropout:0.5", "fixed:3", "fixed:0"]


def example(container: Callable[[np.ndarray], Any] = np.array, *, whole: bool = False) -> AnnData:
    """30 cells x 8 genes: half zeros, ties, negative values (none when `whole`), one constant gene."""
    rng = np.random.default_rng(5)
    X = np.round(rng.normal(1, 3, (30, 8)) * (rng.random((30, 8)) < 0.5), 1)
    X[:, 4] = 2
    X = np.abs(np.rint(X)) if whole else X
    obs = pd.DataFrame({"kind": pd.Categorical(rng.choice(["a", "b", "c"], 30))}, index=[f"cell{i}" for i in range(30)])
    return AnnData(container(X), obs=obs, var=pd.DataFrame(index=[f"gene{j}" for j in range(8)]))


def dense(X: Any) -> np.ndarray:
    return X.toarray() if sp.issparse(X) else np.asarray(X)


def raw_bytes(X: Any) -> list[bytes]:
    parts = (X.data, X.indices, X.indptr) if sp.issparse(X) else (X,)
    return [np.ascontiguousarray(part).tobytes() for part in parts]


def by_hand(adata: AnnData, genes: list[str], text: str) -> np.ndarray:
    """What the modification should give, by plain numpy; for the texts that draw, None of it is known."""
    X = dense(adata.X).astype(np.float64)
    rows = np.flatnonzero(adata.obs["kind"] == "b")
    out = X.copy()
    for k in adata.var_names.get_indexer(genes):
        column = X[:, k]
        if text.startswith("perc"):
            out[rows, k] = np.quantile(column, float(text[4:]) / 100)
        elif text.startswith("decile"):
            steps = int(np.rint(float(text[6:]) * len(X) / 10))
            places = [np.clip(np.sum(column < column[i]) + steps, 0, len(X) - 1) for i in rows]
            out[rows, k] = np.sort(column)[places]
        elif text.startswith("fixed"):
            out[rows, k] = float(text[6:])
        else:
            out[rows, k] = 1e5 * X.max()
    return out


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("container", CONTAINERS)
def test_containers(container: str, text: str) -> None:
    adata = example(CONTAINERS[container])
    before, kind = raw_bytes(adata.X), type(adata.X)
    genes = ["gene6", "gene1", "gene4"]
    changed = modify(adata, genes, text, groupby="kind", target="b")
    assert type(changed.X) is kind
    assert changed.X.dtype == adata.X.dtype
    assert raw_bytes(adata.X) == before
    assert changed.obs.equals(adata.obs)
    if text in ("random", "dropout:0.5"):
        expected = modify(example(), genes, text, groupby="kind", target="b").X
        if "float32" in container:  # drawn between float32 extremes, so equal only to that precision
            np.testing.assert_allclose(dense(changed.X), expected, rtol=1e-6, atol=1e-6)
            return
    else:
        expected = by_hand(adata, genes, text)
    np.testing.assert_array_equal(dense(changed.X), expected.astype(adata.X.dtype))


@pytest.mark.parametrize("container", ["csr", "csc", "csr_array"])
def test_a_sparse_result_stores_no_more_than_it_must(container: str) -> None:
    adata = example(CONTAINERS[container])
    changed = modify(adata, ["gene0"], "fixed:0", groupby="kind", target="b")
    assert changed.X.nnz == np.count_nonzero(changed.X.toarray()) < adata.X.nnz


@pytest.mark.parametrize("container", ["dense", "csr", "csc"])
@pytest.mark.parametrize("text", ["perc99", "decile+5", "random", "fixed:3"])
def test_backed_files(tmp_path: Path, container: str, text: str) -> None:
    memory = example(CONTAINERS[container])
    path = tmp_path / "cells.h5ad"
    memory.write_h5ad(path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    backed = anndata.read_h5ad(path, backed="r")
    changed = modify(backed, ["gene6", "gene1"], text, groupby="kind", target="b")
    assert not changed.isbacked
    assert sp.issparse(changed.X) == (container != "dense")
    expected = modify(memory, ["gene6", "gene1"], text, groupby="kind", target="b")
    np.testing.assert_array_equal(dense(changed.X), dense(expected.X))
    backed.file.close()
    assert hashlib.sha256(path.read_bytes()).hexdigest() == digest


def test_a_layer_is_changed_and_x_is_not() -> None:
    adata = example()
    adata.layers["double"] = sp.csr_matrix(adata.X * 2)
    before = raw_bytes(adata.layers["double"])
    changed = modify(adata, ["gene1"], "perc99", groupby="kind", target="b", layer="double")
    np.testing.assert_array_equal(changed.X, adata.X)
    assert sp.issparse(changed.layers["double"])
    twice = example()
    twice.X = twice.X * 2
    np.testing.assert_array_equal(changed.layers["double"].toarray(), by_hand(twice, ["gene1"], "perc99"))
    assert raw_bytes(adata.layers["double"]) == before


def test_a_view_can_be_modified_and_stays_a_view() -> None:
    adata = example()
    view = adata[adata.obs["kind"] != "c"]
    changed = modify(view, ["gene1"], "perc99", groupby="kind", target="b")
    assert view.is_view
    np.testing.assert_array_equal(changed.X, by_hand(view.copy(), ["gene1"], "perc99"))


@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize(
    ("dtype", "text", "kept"),
    [
        (np.int32, "decile+5", True),
        (np.int64, "fixed:3", True),
        (np.uint8, "fixed:255", True),
        (np.uint8, "fixed:256", False),
        (np.uint16, "fixed:-1", False),
        (np.int32, "fixed:2.5", False),
        (np.int8, "positive_aberrant", False),
        (np.int64, "positive_aberrant", True),
        (np.int64, Fixed(2.0**63), False),
        (np.int32, "random:integer", True),
        (np.int32, "dropout:0.5", True),
    ],
)
def test_integers_stay_integers_while_they_can(dtype: type, text: str | Modification, kept: bool, sparse: bool) -> None:
    adata = example(whole=True)
    adata.X = sp.csr_matrix(adata.X.astype(dtype)) if sparse else adata.X.astype(dtype)
    changed = modify(adata, ["gene1", "gene4"], text, groupby="kind", target="b")
    assert changed.X.dtype == (dtype if kept else np.float64)
    as_float = modify(example(whole=True), ["gene1", "gene4"], text, groupby="kind", target="b")
    np.testing.assert_array_equal(dense(changed.X).astype(np.float64), as_float.X)


def test_half_precision_grows_rather_than_overflow() -> None:
    adata = example(lambda X: X.astype(np.float16))
    changed = modify(adata, ["gene1"], "positive_aberrant", groupby="kind", target="b")
    assert changed.X.dtype == np.float64
    assert np.isfinite(changed.X).all()


# --- properties ----------------------------------------------------------------------------------------------------

VALUES = st.one_of(st.sampled_from([0.0, 0.0, 1.0, -2.0]), st.integers(-40, 40).map(lambda i: i / 8))
MODIFICATIONS = st.one_of(
    st.floats(0, 100).map(Percentile),
    st.tuples(st.floats(-10, 10), st.booleans()).map(lambda pair: Decile(*pair)),
    st.booleans().map(Random),
    st.sampled_from([1, -1]).map(Aberrant),
    st.floats(-1e6, 1e6).map(Fixed),
    st.floats(0, 1).map(Dropout),
    st.sampled_from(list(GOLDEN_FUNCTIONS.values())),
)


@st.composite
def data_sets(draw: st.DrawFn) -> AnnData:
    n, m = draw(st.integers(2, 12)), draw(st.integers(1, 5))
    X = draw(arrays(np.float64, (n, m), elements=VALUES))
    X = draw(st.sampled_from(list(CONTAINERS.values())))(X)
    labels = ["a", "b", *draw(st.lists(st.sampled_from("ab"), min_size=n - 2, max_size=n - 2))]
    obs = pd.DataFrame({"kind": labels}, index=[f"cell{i}" for i in range(n)])
    return AnnData(X, obs=obs, var=pd.DataFrame(index=[f"gene{j}" for j in range(m)]))


@settings(max_examples=150, deadline=None)
@given(adata=data_sets(), modification=MODIFICATIONS)
def test_modifying_no_genes_changes_nothing(adata: AnnData, modification: Modification) -> None:
    changed = modify(adata, [], modification, groupby="kind", target="a")
    assert changed.X.dtype == adata.X.dtype
    np.testing.assert_array_equal(dense(changed.X), dense(adata.X))


@settings(max_examples=200, deadline=None)
@given(adata=data_sets(), modification=MODIFICATIONS, data=st.data())
def test_only_the_cluster_and_the_named_genes_change(
    adata: AnnData, modification: Modification, data: st.DataObject
) -> None:
    genes = data.draw(st.lists(st.sampled_from(list(adata.var_names)), unique=True))
    before = raw_bytes(adata.X)
    changed = modify(adata, genes, modification, groupby="kind", target="a")
    assert raw_bytes(adata.X) == before
    touched = np.outer(adata.obs["kind"] == "a", adata.var_names.isin(genes))
    np.testing.assert_array_equal(dense(changed.X)[~touched], dense(adata.X)[~touched])
    assert np.isfinite(dense(changed.X)).all()


@settings(max_examples=100, deadline=None)
@given(adata=data_sets(), modification=MODIFICATIONS)
def test_one_call_with_several_genes_is_one_call_for_each(adata: AnnData, modification: Modification) -> None:
    """True of every modification that does not say it is joint."""
    if modification.joint:
        return
    at_once = modify(adata, adata.var_names, modification, groupby="kind", target="a", seed=3)
    for gene in adata.var_names:
        alone = modify(adata, [gene], modification, groupby="kind", target="a", seed=3)
        np.testing.assert_array_equal(dense(alone[:, gene].X), dense(at_once[:, gene].X))


# --- random draws --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["random", "random:integer", "dropout:0.4"])
def test_draws_depend_on_seed_gene_and_cell_names_only(text: str) -> None:
    adata = example()
    rng = np.random.default_rng(1)

    def drawn(adata: AnnData, genes: list[str], seed: int = 7) -> pd.DataFrame:
        changed = modify(adata, genes, text, groupby="kind", target="b", seed=seed)
        return changed[changed.obs["kind"] == "b"].to_df().sort_index()[["gene1", "gene6"]]

    first = drawn(adata, ["gene1", "gene6"])
    shuffled = adata[rng.permutation(adata.n_obs), rng.permutation(adata.n_vars)].copy()
    pd.testing.assert_frame_equal(drawn(adata, ["gene1", "gene6"]), first)
    pd.testing.assert_frame_equal(drawn(shuffled, ["gene1", "gene6"]), first)
    pd.testing.assert_frame_equal(drawn(adata, ["gene6", "gene0", "gene1", "gene3"]), first)
    pd.testing.assert_series_equal(drawn(adata, ["gene6"])["gene6"], first["gene6"])
    assert not drawn(adata, ["gene1", "gene6"], seed=8).equals(first)
    assert not np.array_equal(first["gene1"], first["gene6"])


def test_dropout_rates() -> None:
    adata = example()
    adata.X = np.full(adata.shape, 5.0)
    inside = adata.obs["kind"] == "b"

    def share_lost(rate: float) -> float:
        changed = [modify(adata, adata.var_names, Dropout(rate), groupby="kind", target="b", seed=s) for s in range(20)]
        blocks = np.concatenate([one.X[inside] for one in changed])
        assert set(np.unique(blocks)) <= {0.0, 5.0}
        return float((blocks == 0).mean())

    assert share_lost(0) == 0
    assert share_lost(1) == 1
    assert share_lost(0.3) == pytest.approx(0.3, abs=0.05)


# --- custom functions ----------------------------------------------------------------------------------------------


def test_custom_functions_get_what_their_scope_says() -> None:
    adata = example()
    inside = (adata.obs["kind"] == "b").to_numpy()
    seen: list[tuple[Any, ...]] = []

    def spy(*arguments: np.ndarray) -> np.ndarray:
        seen.append(tuple(argument.copy() for argument in arguments))
        return arguments[0] if len(arguments) == 1 else arguments[0][arguments[1]]

    columns = adata.X[:, [6, 1]]
    expected: dict[Any, list[tuple[np.ndarray, ...]]] = {
        "cluster_gene": [(columns[inside, 0],), (columns[inside, 1],)],
        "gene": [(columns[:, 0], inside), (columns[:, 1], inside)],
        "cluster_block": [(columns[inside],)],
        "block": [(columns, inside)],
    }
    for scope, calls in expected.items():
        seen.clear()
        changed = modify(adata, ["gene6", "gene1"], Custom(spy, scope=scope), groupby="kind", target="b")
        np.testing.assert_array_equal(changed.X, adata.X)
        assert len(seen) == len(calls)
        for got, wanted in zip(seen, calls, strict=True):
            for one, other in zip(got, wanted, strict=True):
                np.testing.assert_array_equal(one, other)


def test_a_custom_function_cannot_reach_the_data() -> None:
    adata = example()
    before = adata.X.copy()

    def spoil(values: np.ndarray, mask: np.ndarray) -> np.ndarray:
        values[:] = 99
        return values[mask]

    modify(adata, ["gene1"], Custom(spoil, scope="block"), groupby="kind", target="b")
    np.testing.assert_array_equal(adata.X, before)


@pytest.mark.parametrize(
    ("function", "scope", "message"),
    [
        (lambda values: values[:-1], "cluster_gene", r"returned shape \(\d+,\), expected \(\d+,\): one value per cell"),
        (lambda block: block[:, :1], "cluster_block", r"returned shape \(\d+, 1\), expected \(\d+, 2\)"),
        (lambda block, inside: block, "block", r"returned shape \(30, 2\), expected"),
        (lambda values: values * np.nan, "cluster_gene", "returned values are NaN or infinite"),
        (lambda values: "much", "cluster_gene", "a str that is no array of numbers"),
        (lambda values: [[1], [2, 3]], "cluster_gene", "a list that is no array of numbers"),
        (lambda values: 1 / 0, "cluster_gene", "failed with ZeroDivisionError: division by zero"),
        (lambda values, inside: values, "cluster_gene", "failed with TypeError"),
    ],
)
def test_custom_functions_that_fail(function: Callable[..., Any], scope: Any, message: str) -> None:
    with pytest.raises(ParameterError, match=f"Custom: .*{message}"):
        modify(example(), ["gene1", "gene6"], Custom(function, scope=scope), groupby="kind", target="b")


# --- strings -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "modification"),
    [
        ("perc1", Percentile(1)),
        ("perc99", Percentile(99)),
        ("perc99.5", Percentile(99.5)),
        ("decile+5", Decile(5)),
        ("decile-5", Decile(-5)),
        ("decile+1.5", Decile(1.5)),
        ("decile+5:reference", Decile(5, reference=True)),
        ("random", Random()),
        ("random:integer", Random(integer=True)),
        ("positive_aberrant", Aberrant(1)),
        ("negative_aberrant", Aberrant(-1)),
        ("positive_aberrant:reference", Aberrant(1, 1e4, "gene")),
        ("negative_aberrant:500:dataset", Aberrant(-1, 500)),
        ("dropout:0.5", Dropout(0.5)),
        ("dropout:1", Dropout(1)),
        ("fixed:3", Fixed(3)),
        ("fixed:-7.5", Fixed(-7.5)),
        ("fixed:1e-07", Fixed(1e-7)),
    ],
)
def test_strings_there_and_back(text: str, modification: Modification) -> None:
    assert parse(text) == modification
    assert str(modification) == text
    assert eval(repr(modification), vars(adv).copy()) == modification
    assert parse(modification) is modification


def test_every_documented_string_means_itself() -> None:
    assert [str(parse(text)) for text in SHORT_STRINGS] == list(SHORT_STRINGS)


@given(MODIFICATIONS.filter(lambda modification: not isinstance(modification, Custom)))
def test_text_and_repr_lose_nothing(modification: Modification) -> None:
    """A stored result is rebuilt from the text, so 1234567 must not come back as 1.23457e+06."""
    assert parse(str(modification)) == modification
    assert eval(repr(modification), vars(adv).copy()) == modification


def test_numpy_numbers_are_written_as_plain_ones() -> None:
    assert repr(Fixed(np.float64(2.5))) == "Fixed(2.5)"
    assert repr(Percentile(np.float64(5))) == "Percentile(5.0)"


@pytest.mark.parametrize(
    "text",
    ["", "perc", "perc99x", "perc99:reference", "decile", "decile+", "decile+5:gene", "fixed", "fixed:", "fixed:nan",
     "fixed:inf", "dropout", "dropout:half", "random:7", "positive_aberrant:5", "positive_aberrant:5:cell", "PERC99"],
)  # fmt: skip
def test_strings_that_mean_nothing(text: str) -> None:
    with pytest.raises(ParameterError, match="is no modification"):
        parse(text)


def test_a_misspelt_string_gets_a_suggestion() -> None:
    with pytest.raises(
        ParameterError, match=r"'positiv_aberrant' is no modification\. Did you mean 'positive_aberrant'"
    ):
        parse("positiv_aberrant")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: parse("perc101"), "q must be a number from 0 to 100, got 101"),
        (lambda: Percentile(-1), "q must be a number from 0 to 100, got -1"),
        (lambda: Percentile(float("nan")), "got nan"),
        (lambda: Percentile("99"), "got '99'"),  # type: ignore[arg-type]
        (lambda: parse("decile+11"), "n must be a number from -10 to 10, got 11"),
        (lambda: parse("dropout:1.5"), "rate must be a number from 0 to 1, got 1.5"),
        (lambda: Fixed(float("inf")), "must be a finite number, got inf"),
        (lambda: Fixed(None), "must be a finite number, got None"),  # type: ignore[arg-type]
        (lambda: Aberrant(0), r"sign must be \+1 or -1, got 0"),
        (lambda: Aberrant(1, factor=float("inf")), "factor must be a finite number"),
        (lambda: Aberrant(1, scope="cell"), "scope must be 'dataset' or 'gene', got 'cell'"),  # type: ignore[arg-type]
        (lambda: Custom(np.abs, scope="row"), "scope must be .* got 'row'"),  # type: ignore[arg-type]
    ],
)
def test_impossible_settings(make: Callable[[], Modification], message: str) -> None:
    with pytest.raises(ParameterError, match=message):
        make()
