"""What a modification did to a gene: nothing, what it is meant to do, or the opposite."""

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from anndata import AnnData

from adverscarial.cells.cluster import Cluster
from adverscarial.modifications import Custom, Effects, Fixed, parse

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
