"""Modifications: exact against the R package's outputs, as the paper says where R differs, on every container."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from anndata import AnnData
from scipy.stats import binom, chisquare, kstest
from tests.golden_files import read_input, read_json

import adverscarial as adv
from adverscarial import Aberrant, Custom, Decile, Dropout, Fixed, Modification, Percentile, Random, Thinning, modify
from adverscarial.cells.cluster import Cluster
from adverscarial.errors import DataError, ParameterError
from adverscarial.modifications.base import examples, parse

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


@pytest.mark.fast("sim", "scaled")
@pytest.mark.parametrize("name", ["tiny", "sim", "scaled"])
def test_golden_all_genes_and_each_gene(name: str) -> None:
    golden = read_json(f"a_{name}")
    assert golden["input"] == name
    check_golden(read_input(name), golden)


@pytest.mark.slow
def test_golden_on_real_counts(shared: Path) -> None:
    check_golden(read_input("pbmc", shared / "golden" / "inputs"), read_json("a_pbmc", shared / "golden"))


@pytest.mark.fast(1)
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


@pytest.mark.fast(1)
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


@pytest.mark.fast(1)
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


# --- percentiles over some cells ------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_rare_gene_is_switched_on_by_the_cells_that_express_it() -> None:
    """1 cell in 200 expresses g0: its 99th percentile over all cells is 0, which takes it from the cell that does."""
    X = np.zeros((200, 3))
    X[0, 0], X[:, 2] = 7, 1
    X[:40, 1], X[190:, 1] = 9, 2
    obs = pd.DataFrame({"cluster": ["a"] * 50 + ["b"] * 150}, index=[f"cell{i}" for i in range(200)])
    adata = AnnData(X, obs=obs, var=pd.DataFrame(index=["g0", "g1", "g2"]))
    for text, values in {"perc99": [0, 9, 1], "perc99:expressing": [7, 9, 1], "perc99:others": [0, 2, 1]}.items():
        changed = modify(adata, ["g0", "g1", "g2"], text, groupby="cluster", target="a").X
        np.testing.assert_array_equal(changed[:50], np.tile(np.array(values), (50, 1)), err_msg=text)
        np.testing.assert_array_equal(changed[50:], X[50:])


def test_what_a_percentile_over_some_cells_means() -> None:
    assert parse("perc99:expressing").meaning == (
        "Every cell gets percentile 99 of the gene, taken over the cells of the data set that express it: the gene is "
        "switched on."
    )
    assert "switched off" in parse("perc1:others").meaning
    assert "switched" not in parse("perc1:expressing").meaning  # it is a low value, but a value of expression


# --- thinning ------------------------------------------------------------------------------------------------------


def counted(values: np.ndarray) -> AnnData:
    """Cluster "a" holds `values`, cells x genes; "b" one cell of zeros."""
    X = np.vstack([values, np.zeros((1, values.shape[1]), dtype=values.dtype)])
    obs = pd.DataFrame({"cluster": [*["a"] * len(values), "b"]}, index=[f"cell{i}" for i in range(len(X))])
    return AnnData(X, obs=obs, var=pd.DataFrame(index=[f"g{j}" for j in range(X.shape[1])]))


@pytest.mark.parametrize(("count", "depth"), [(1, 0.5), (4, 0.3), (8, 0.6)])
def test_thinned_counts_are_binomial(count: int, depth: float) -> None:
    drawn = Thinning(depth).values(Cluster(counted(np.full((8000, 1), count)), "cluster", "a"), np.array([0]))[:, 0]
    observed = np.bincount(drawn.astype(int), minlength=count + 1)
    expected = len(drawn) * binom.pmf(np.arange(count + 1), count, depth)
    assert chisquare(observed, expected).pvalue > 1e-3


def test_thinning_keeps_integers_sparse_data_and_the_other_cells() -> None:
    values = np.random.default_rng(0).poisson(3, size=(40, 6))
    dense = modify(counted(values), [f"g{j}" for j in range(6)], "thinning:0.5", groupby="cluster", target="a", seed=1)
    assert dense.X.dtype == values.dtype
    assert ((dense.X[:40] >= 0) & (dense.X[:40] <= values)).all()
    assert 0 < dense.X.sum() < values.sum()
    given = counted(values)
    given.X = sp.csr_matrix(given.X)
    sparse = modify(given, [f"g{j}" for j in range(6)], "thinning:0.5", groupby="cluster", target="a", seed=1)
    assert sparse.X.dtype == values.dtype
    np.testing.assert_array_equal(sparse.X.toarray(), dense.X)
    one = modify(counted(values), ["g3"], "thinning:0.5", groupby="cluster", target="a", seed=1)
    np.testing.assert_array_equal(one.X[:, 3], dense.X[:, 3])  # whichever other genes are thinned
    np.testing.assert_array_equal(np.delete(one.X[:40], 3, axis=1), np.delete(values, 3, axis=1))
    shuffled = counted(values)[::-1].copy()
    again = modify(shuffled, [f"g{j}" for j in range(6)], "thinning:0.5", groupby="cluster", target="a", seed=1)
    np.testing.assert_array_equal(again.X[::-1], dense.X)
    other = modify(counted(values), [f"g{j}" for j in range(6)], "thinning:0.5", groupby="cluster", target="a", seed=2)
    assert not np.array_equal(other.X, dense.X)


def test_thinning_to_nothing_and_to_everything() -> None:
    values = np.random.default_rng(0).poisson(3, size=(40, 6))
    cluster, genes = Cluster(counted(values), "cluster", "a"), np.arange(6)
    np.testing.assert_array_equal(Thinning(1).values(cluster, genes), values)
    np.testing.assert_array_equal(Thinning(0).values(cluster, genes), np.zeros(values.shape))


@pytest.mark.parametrize("found", [2.5, -1.0])
def test_thinning_needs_counts(found: float) -> None:
    values = np.ones((5, 3))
    values[2, 1] = found
    adata = counted(values)
    with pytest.raises(DataError, match=rf"raw counts.*1 of 15 values of 'g1' are not, such as {found:g}"):
        modify(adata, ["g0", "g1", "g2"], "thinning:0.5", groupby="cluster", target="a")
    assert modify(adata, ["g0"], "thinning:0.5", groupby="cluster", target="a").X[2, 1] == found


# --- strings -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "modification"),
    [
        ("perc1", Percentile(1)),
        ("perc99", Percentile(99)),
        ("perc99.5", Percentile(99.5)),
        ("perc99:expressing", Percentile(99, over="expressing")),
        ("perc1:others", Percentile(1, "others")),
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
        ("thinning:0.5", Thinning(0.5)),
        ("thinning:0", Thinning(0)),
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
    assert [str(parse(text)) for text in examples()] == list(examples())


def test_every_modification_is_explained():
    texts = {name: parse(name).meaning for name in examples()}
    assert len(set(texts.values())) == len(texts)
    assert texts["perc99"].endswith("the gene is switched on.")
    assert "percentile 50" in parse("perc50").meaning
    assert "switched" not in parse("perc50").meaning
    assert "by 5 tenths of all cells up" in texts["decile+5"]
    assert "by 3 tenths of all cells down" in parse("decile-3").meaning
    assert "minus 100,000 times the largest value of the data set" in texts["negative_aberrant"]
    assert ": 10,000 times the largest value of the gene" in parse("positive_aberrant:reference").meaning
    assert "own" in Custom(abs).meaning


def test_numpy_numbers_are_written_as_plain_ones() -> None:
    assert repr(Fixed(np.float64(2.5))) == "Fixed(2.5)"
    assert repr(Percentile(np.float64(5))) == "Percentile(5.0)"


@pytest.mark.parametrize(
    "text",
    ["", "perc", "perc99x", "perc99:reference", "perc99:", "perc99:all",
     "decile", "decile+", "decile+5:gene", "fixed", "fixed:", "fixed:nan",
     "fixed:inf", "dropout", "dropout:half", "thinning", "thinning:all", "random:7",
     "positive_aberrant:5", "positive_aberrant:5:cell", "PERC99"],
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
        (lambda: Percentile(99, "some"), "over must be 'all', 'expressing' or 'others', got 'some'"),  # type: ignore[arg-type]
        (lambda: Percentile("99"), "got '99'"),  # type: ignore[arg-type]
        (lambda: parse("decile+11"), "n must be a number from -10 to 10, got 11"),
        (lambda: parse("dropout:1.5"), "rate must be a number from 0 to 1, got 1.5"),
        (lambda: parse("thinning:1.5"), "depth must be a number from 0 to 1, got 1.5"),
        (lambda: Fixed(float("inf")), "must be a finite number, got inf"),
        (lambda: Fixed(None), "must be a finite number, got None"),  # type: ignore[arg-type]
        (lambda: Aberrant(0), r"sign must be \+1 or -1, got 0"),
        (lambda: Aberrant(1, factor=float("inf")), "factor must be a finite number"),
        (lambda: Aberrant(1, scope="cell"), "scope must be 'dataset' or 'gene', got 'cell'"),  # type: ignore[arg-type]
        (lambda: Custom(np.abs, scope="row"), "scope must be .* got 'row'"),  # type: ignore[arg-type]
    ],
)
def test_impossible_settings_are_refused(make: Callable[[], Modification], message: str) -> None:
    with pytest.raises(ParameterError, match=message):
        make()
