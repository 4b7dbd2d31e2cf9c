"""Modified data: every container, only what was asked for, and draws that depend on names alone."""

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

import adverscarial as adv
from adverscarial import Aberrant, Custom, Decile, Dropout, Fixed, Modification, Percentile, Random, modify
from adverscarial.errors import ParameterError
from adverscarial.modifications.base import parse

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
TEXTS = [
    "perc1",
    "perc99",
    "perc80:expressing",
    "perc80:others",
    "decile+5",
    "decile-3",
    "random",
    "positive_aberrant",
    "dropout:0.5",
    "fixed:3",
    "fixed:0",
]


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
            percent, _, over = text[4:].partition(":")
            cells = {"": column, "expressing": column[column > column.min()], "others": np.delete(column, rows)}[over]
            out[rows, k] = np.quantile(cells, float(percent) / 100) if len(cells) else column[0]
        elif text.startswith("decile"):
            steps = int(np.rint(float(text[6:]) * len(X) / 10))
            places = [np.clip(np.sum(column < column[i]) + steps, 0, len(X) - 1) for i in rows]
            out[rows, k] = np.sort(column)[places]
        elif text.startswith("fixed"):
            out[rows, k] = float(text[6:])
        else:
            out[rows, k] = 1e5 * X.max()
    return out


@pytest.mark.fast(8)
@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("container", CONTAINERS)
def test_every_container_gets_the_same_values_and_keeps_its_type(container: str, text: str) -> None:
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


@pytest.mark.fast(4)
@pytest.mark.parametrize("container", ["dense", "csr", "csc"])
@pytest.mark.parametrize("text", ["perc99", "perc80:expressing", "perc80:others", "decile+5", "random", "fixed:3"])
def test_backed_files_give_what_memory_gives(tmp_path: Path, container: str, text: str) -> None:
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


@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize(
    ("value", "dtype"), [(1e39, np.float64), (-1e39, np.float64), (3e38, np.float32), (0.1, np.float32)]
)
def test_a_value_above_single_precision_makes_cells_double(value: float, dtype: type, sparse: bool) -> None:
    adata = example(CONTAINERS["csr float32" if sparse else "float32"])
    changed = modify(adata, ["gene1"], Fixed(value), groupby="kind", target="b")
    assert changed.X.dtype == dtype
    new = dense(changed.X)[(adata.obs["kind"] == "b").to_numpy(), 1]
    np.testing.assert_array_equal(new, np.full(len(new), value, dtype=dtype))
    others = [gene for gene in range(adata.n_vars) if gene != 1]
    np.testing.assert_array_equal(dense(changed.X)[:, others], dense(adata.X)[:, others])


def test_a_flip_above_single_precision_is_applied_and_verified() -> None:
    def label(X: np.ndarray) -> np.ndarray:
        return np.where(X[:, 1] > 1e38, "flipped", "b")

    adata = example(CONTAINERS["float32"])
    result = adv.attacks.SingleGene("fixed:1e39")(adata, adv.classifiers.wrap(label), groupby="kind", target="b")
    assert result.genes == ["gene1"]
    assert result.verify(adata, label)
    assert np.isfinite(result.apply(adata).X).all()


# --- properties ----------------------------------------------------------------------------------------------------

VALUES = st.one_of(st.sampled_from([0.0, 0.0, 1.0, -2.0]), st.integers(-40, 40).map(lambda i: i / 8))
MODIFICATIONS = st.one_of(
    st.floats(0, 100).map(Percentile),
    st.tuples(st.floats(-10, 10), st.booleans()).map(lambda pair: Decile(*pair)),
    st.booleans().map(Random),
    st.sampled_from([1, -1]).map(Aberrant),
    st.floats(-1e6, 1e6).map(Fixed),
    st.floats(0, 1).map(Dropout),
    st.sampled_from(
        [
            Custom(lambda gene, inside: gene[inside] * 2 + gene.mean(), scope="gene"),
            Custom(lambda values: values[::-1] - 1, scope="cluster_gene"),
            Custom(lambda block: 2 * block - 1, scope="cluster_block"),
            Custom(lambda block, inside: block[inside] + block.max(), scope="block"),
        ]
    ),
)


@st.composite
def data_sets(draw: st.DrawFn) -> AnnData:
    n, m = draw(st.integers(2, 12)), draw(st.integers(1, 5))
    X = draw(arrays(np.float64, (n, m), elements=VALUES))
    X = draw(st.sampled_from(list(CONTAINERS.values())))(X)
    labels = ["a", "b", *draw(st.lists(st.sampled_from("ab"), min_size=n - 2, max_size=n - 2))]
    obs = pd.DataFrame({"kind": labels}, index=[f"cell{i}" for i in range(n)])
    return AnnData(X, obs=obs, var=pd.DataFrame(index=[f"gene{j}" for j in range(m)]))


@pytest.mark.slow
@settings(max_examples=150, deadline=None)
@given(adata=data_sets(), modification=MODIFICATIONS)
def test_modifying_no_genes_changes_nothing(adata: AnnData, modification: Modification) -> None:
    changed = modify(adata, [], modification, groupby="kind", target="a")
    assert changed.X.dtype == adata.X.dtype
    np.testing.assert_array_equal(dense(changed.X), dense(adata.X))


@pytest.mark.slow
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


@pytest.mark.slow
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


@given(MODIFICATIONS.filter(lambda modification: not isinstance(modification, Custom)))
def test_text_and_repr_lose_nothing(modification: Modification) -> None:
    """A stored result is rebuilt from the text, so 1234567 must not come back as 1.23457e+06."""
    assert parse(str(modification)) == modification
    assert eval(repr(modification), vars(adv).copy()) == modification


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


def test_dropout_keeps_its_rate() -> None:
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
