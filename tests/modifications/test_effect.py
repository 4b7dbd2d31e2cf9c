"""What a modification did to a gene: nothing, what it is meant to do, or the opposite."""

import math

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from anndata import AnnData

from adverscarial.cells.cluster import Cluster
from adverscarial.modifications import Custom, Effects, Fixed, parse
from adverscarial.modifications.effect import AGAINST, CHANGED, UNCHANGED, Intent, effect_codes

#: KIT is expressed in one rare type only, and by some of its cells
RARE = [0, 1, 0, 0, 2, 2, 1]


def cluster(dtype: type = np.float64, *, sparse: bool = False) -> Cluster:
    X = np.zeros((1000, 4), dtype=dtype)
    X[:7, 0] = RARE  # KIT: 0.4% of all cells
    X[7:600, 1] = 5  # usual elsewhere, absent here
    X[:, 2] = 3
    X[:7, 3], X[7:, 3] = [1, 1, 1, 3, 3, 3, 2], 2
    obs = pd.DataFrame({"type": ["ILC"] * 7 + ["T"] * 993}, index=[f"cell{i}" for i in range(1000)])
    adata = AnnData(sp.csr_matrix(X) if sparse else X, obs=obs, var=pd.DataFrame(index=["KIT", "CD3D", "ACTB", "EVEN"]))
    return Cluster(adata, "type", "ILC")


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64])
@pytest.mark.parametrize("sparse", [False, True])
def test_a_rare_gene_meant_to_be_switched_on_is_lowered(dtype: type, sparse: bool) -> None:
    found = parse("perc99").effects(cluster(dtype, sparse=sparse), np.arange(4))
    assert found.direction.tolist() == ["lowered", "raised", "unchanged", "mixed"]
    assert found.opposite.tolist() == [True, False, False, False]
    assert found.unchanged.tolist() == [False, False, True, False]
    assert (found.raised.tolist(), found.lowered.tolist()) == ([0, 7, 0, 3], [4, 0, 0, 3])
    np.testing.assert_allclose(found.change, [-sum(RARE) / 7, 5, 0, 0])
    assert (found.n_cells, found.intent) == (7, "raise")


def test_a_percentile_over_expressing_cells_does_raise_it() -> None:
    found = parse("perc99:expressing").effects(cluster(), np.array([0, 2]))
    assert found.direction.tolist() == ["raised", "unchanged"]
    assert not found.opposite.any()
    assert parse("perc99:others").effects(cluster(), np.array([0])).direction.tolist() == ["lowered"]


@pytest.mark.parametrize(
    ("text", "intent"),
    [
        ("perc1", "lower"), ("perc99", "raise"), ("perc50", None), ("perc1:expressing", None),
        ("perc1:others", "lower"), ("perc99:others", "raise"), ("perc99:expressing", "raise"),
        ("decile+5", "raise"), ("decile-2", "lower"), ("decile+0", None),
        ("positive_aberrant", "raise"), ("negative_aberrant", "lower"), ("negative_aberrant:-2:gene", "raise"),
        ("positive_aberrant:0:gene", None),
        ("random", None), ("fixed:3", None), ("dropout:0.5", "lower"), ("thinning:0.5", "lower"),
    ],
)  # fmt: skip
def test_a_modification_says_what_it_means_to_do(text: str, intent: str | None) -> None:
    assert parse(text).intent == intent


def test_raised_although_meant_to_lower() -> None:
    found = Effects.of(np.array(["g"]), np.array([[1.0], [2.0]]), np.array([[4.0]]), "lower")
    assert found.opposite.tolist() == [True]
    assert Effects.of(np.array(["g"]), np.array([[1.0], [2.0]]), np.array([[4.0]])).opposite.tolist() == [False]


def test_a_move_below_the_rounding_of_the_data_is_none() -> None:
    before = np.array([[1.0], [1.0]], dtype=np.float32)
    assert Effects.of(np.array(["g"]), before, np.array([[1.0 + 1e-12]])).unchanged.all()
    assert not Effects.of(np.array(["g"]), before.astype(np.float64), np.array([[1.0 + 1e-12]])).unchanged.any()


def test_joint_functions_change_each_gene_alone() -> None:
    def first_only(block: np.ndarray) -> np.ndarray:
        new = block.copy()
        new[:, 0] += 1
        return new

    found = Custom(first_only, scope="cluster_block").effects(cluster(), np.array([0, 1, 2]))
    assert found.direction.tolist() == ["raised"] * 3


def test_many_genes_and_none() -> None:
    X = np.zeros((4, 1200))
    X[0, 700] = 1
    obs = pd.DataFrame({"type": ["a", "a", "b", "b"]}, index=list("wxyz"))
    some = Cluster(AnnData(X, obs=obs, var=pd.DataFrame(index=[f"g{j}" for j in range(1200)])), "type", "a")
    found = parse("fixed:0").effects(some, np.arange(1200))
    assert np.flatnonzero(found.direction == "lowered").tolist() == [700]
    assert list(found.to_frame().columns) == ["gene", "direction", "opposite", "raised", "lowered", "change"]
    assert found.to_frame()["gene"][700] == "g700"
    empty = np.array([], dtype=np.int64)
    assert len(parse("perc99").effects(some, empty).gene) == 0
    assert len(parse("perc99").in_range(some, empty)) == 0


def test_in_range_is_decided_by_the_data() -> None:
    assert Fixed(4).in_range(cluster(), np.arange(4)).tolist() == [False, True, False, False]
    assert parse("positive_aberrant").in_range(cluster(), np.arange(4)).tolist() == [False] * 4
    assert parse("perc99").in_range(cluster(), np.arange(4)).all()


def codes_by_hand(before: np.ndarray, after: np.ndarray, intent: str | None) -> list[int]:
    """Gene by gene, from all values, the differences added up without rounding."""
    found = []
    for k in range(before.shape[1]):
        new = np.broadcast_to(after, before.shape)[:, k].astype(before.dtype)
        change = math.fsum((new.astype(np.float64) - before[:, k]).tolist())
        against = change < 0 if intent == "raise" else intent is not None and change > 0
        found.append(UNCHANGED if (new == before[:, k]).all() else AGAINST if against else CHANGED)
    return found


@pytest.mark.parametrize("intent", ["raise", "lower", None])
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64])
@pytest.mark.parametrize("form", [np.array, sp.csr_matrix, sp.csc_matrix])
@pytest.mark.parametrize("asked", ["X", "nothing"])
def test_codes_are_those_of_all_values(asked: str, form: type, dtype: type, intent: Intent | None) -> None:
    """Also where the new value is the mean, or next to it; of all genes, of a few, and of new values cell by cell."""
    random = np.random.default_rng(0)
    X = (np.round(random.normal(0, 12, (300, 60)) * (random.random((300, 60)) < 0.6)) / 4).astype(dtype)
    X[:, 4], X[:, 5] = 0, 2
    X[::2, 6], X[1::2, 6] = 1, 3
    obs = pd.DataFrame({"type": ["a", "a", "b"] * 100}, index=[f"cell{i}" for i in range(300)])
    some = Cluster(AnnData(form(X), obs=obs, var=pd.DataFrame(index=[f"g{i}" for i in range(60)])), "type", "a")
    if asked == "X":
        _ = some.X
    before, mean = some.values(np.arange(60)), some.values(np.arange(60)).mean(axis=0, dtype=np.float64)
    near = np.round(mean * 1024) / 1024  # sums of these are exact
    news = [near, near + 2**-20, near - 2**-20, before[0], np.zeros(60), np.full(60, 2.0**30)]
    for new in [*(new[None] for new in news), random.permuted(before, axis=0)]:
        for genes in (np.arange(60), np.array([6, 5]), np.arange(3, 9)):
            got = effect_codes(some, genes, new[:, genes], intent)
            assert got.tolist() == codes_by_hand(before[:, genes], new[:, genes], intent)


@pytest.mark.filterwarnings("error::RuntimeWarning")
def test_a_new_value_that_becomes_infinite_raises_the_gene() -> None:
    assert effect_codes(cluster(np.float32), np.arange(4), np.full((1, 4), 1e300), "lower").tolist() == [AGAINST] * 4
