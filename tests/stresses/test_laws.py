"""The law of each change: what stays, what moves, and by how much."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

import adverscarial as adv
from adverscarial.errors import DataError, ParameterError
from adverscarial.stresses.base import kinds, parse
from adverscarial.stresses.cells import CountCells
from adverscarial.stresses.dissociation import shipped
from adverscarial.stresses.molecules import closed
from stresses.made import CHANGES, as_cells, count_data, rows_of

ids = [change.name for change in CHANGES]


def strengths(change: adv.stresses.Change) -> st.SearchStrategy[float]:
    return st.floats(0.001, min(change.most, 6.0))


def applied(change: adv.stresses.Change, cells: CountCells, strength: float, seed: int, cluster: str = "B"):
    rows = rows_of(cells, change, cluster)
    return rows, change.apply(cells, rows, strength, np.random.default_rng(seed))


def test_every_kind_is_tested() -> None:
    assert {change.name for change in CHANGES} == set(kinds())
    assert all(kind.unit and "References" in (kind.__doc__ or "") for kind in kinds().values())


@pytest.mark.fast(4)
@pytest.mark.parametrize("change", CHANGES, ids=ids)
@given(st.data())
@settings(max_examples=10)
def test_counts_stay_whole_and_seeds_repeat(change, data) -> None:
    strength, seed = data.draw(strengths(change)), data.draw(st.integers(0, 99))
    cells = as_cells(count_data(seed=seed))
    before = cells.counts.copy()
    rows, new = applied(change, cells, strength, seed)
    assert new.shape == (len(rows), before.shape[1])
    assert new.dtype == np.int64
    assert new.nnz == 0 or new.data.min() >= 0
    again = applied(change, cells, strength, seed)[1]
    assert (new != again).nnz == 0
    assert (cells.counts != before).nnz == 0  # the data are not touched
    if change.keeps_size:
        np.testing.assert_array_equal(new.sum(axis=1), cells.totals[rows])


@pytest.mark.parametrize("change", CHANGES, ids=ids)
def test_a_strength_near_0_changes_nothing(change) -> None:
    cells = as_cells(count_data())
    rows, new = applied(change, cells, 1e-12, 0)
    assert (new != cells.counts[rows]).nnz == 0


@pytest.mark.parametrize("change", CHANGES, ids=ids)
def test_strong_changes_change_something(change) -> None:
    cells = as_cells(count_data())
    rows, new = applied(change, cells, 1.0, 0)
    assert (new != cells.counts[rows]).nnz > 0


@pytest.mark.parametrize("change", CHANGES, ids=ids)
def test_short_strings_are_read_back(change) -> None:
    assert parse(str(change)) == change


def many_equal(counts: list[int], n: int) -> CountCells:
    """Return n equal cells of one type, and n of another with the counts turned around."""
    block = np.array([counts] * n + [counts[::-1]] * n)
    genes = pd.Index([f"g{k}" for k in range(len(counts))])
    return CountCells(sp.csr_array(block.astype(np.int64)), genes, np.array(["B"] * n + ["T"] * n, dtype=object))


@pytest.mark.parametrize("lost", [0.2, 0.7])
def test_depth_is_binomial(lost: float) -> None:
    cells = many_equal([12, 3], 4000)
    _, new = applied(adv.stresses.Depth(), cells, lost, 0)
    for gene, count in enumerate((12, 3)):
        seen = np.bincount(new.toarray()[:, gene], minlength=count + 1)
        expected = 4000 * stats.binom.pmf(np.arange(count + 1), count, 1 - lost)
        rare = expected < 5
        seen, expected = (np.append(x[~rare], x[rare].sum()) for x in (seen, expected))
        kept = expected > 0
        assert stats.chisquare(seen[kept], expected[kept]).pvalue > 1e-3
    np.testing.assert_allclose(np.corrcoef(new.toarray().T)[0, 1], 0, atol=0.06)  # each molecule by itself


def test_dropout_loses_whole_genes() -> None:
    cells = many_equal([12, 3, 1], 2000)
    new = applied(adv.stresses.Dropouts(), cells, 0.3, 0)[1].toarray()
    assert set(np.unique(new[:, 0])) == {0, 12}
    for gene in range(3):
        assert stats.binomtest(int((new[:, gene] == 0).sum()), 2000, 0.3).pvalue > 1e-3


def test_ambient_rna_is_the_mean_profile() -> None:
    cells = many_equal([90, 10, 0], 500)
    _, new = applied(adv.stresses.Ambient(), cells, 0.4, 0)
    profile = np.array([45, 10, 45]) / 100  # of both types together
    expected = 0.6 * np.array([90, 10, 0]) + 0.4 * 100 * profile
    np.testing.assert_allclose(new.toarray().mean(axis=0), expected, atol=1)


def test_ambient_rna_comes_from_the_own_batch() -> None:
    cells = many_equal([50, 0, 50, 0], 100)
    batches = np.array(["a"] * 100 + ["b"] * 100, dtype=object)
    own = CountCells(cells.counts, cells.genes, cells.clusters, batches)
    assert applied(adv.stresses.Ambient(), cells, 1.0, 0)[1].toarray()[:, 1].sum() > 0
    assert applied(adv.stresses.Ambient(), own, 1.0, 0)[1].toarray()[:, 1].sum() == 0


@given(st.floats(0.01, 1.0), st.integers(0, 99))
@settings(max_examples=10)
def test_doublets_are_sums_of_two_cells(share: float, seed: int) -> None:
    cells = as_cells(count_data(seed=seed))
    rows, new = applied(adv.stresses.Doublets(), cells, share, seed)
    more = (new - cells.counts[rows]).toarray()
    doubled = more.any(axis=1)
    assert doubled.sum() == round(share * len(rows))
    others = {tuple(row) for row in cells.counts[np.flatnonzero(cells.clusters != "B")].toarray().tolist()}
    assert all(tuple(row) in others for row in more[doubled].tolist())


def test_doublets_with_a_named_type() -> None:
    cells = as_cells(count_data())
    rows, new = applied(adv.stresses.Doublets("NK"), cells, 1.0, 0)
    partners = {tuple(row) for row in cells.counts[np.flatnonzero(cells.clusters == "NK")].toarray().tolist()}
    assert all(tuple(row) in partners for row in (new - cells.counts[rows]).toarray().tolist())
    with pytest.raises(DataError, match="Did you mean 'NK'"):
        applied(adv.stresses.Doublets("Nk"), cells, 1.0, 0)


def test_doublets_of_more_strength_hold_those_of_less() -> None:
    cells = as_cells(count_data())
    rows, some = applied(adv.stresses.Doublets(), cells, 0.3, 1)
    more = applied(adv.stresses.Doublets(), cells, 0.6, 1)[1]
    changed = (some - cells.counts[rows]).toarray().any(axis=1)
    np.testing.assert_array_equal(some.toarray()[changed], more.toarray()[changed])


def test_a_batch_shift_of_1_moves_means_by_the_measured_fold() -> None:
    cells = as_cells(count_data(n=6000))
    change = adv.stresses.BatchShift("a", "b")
    rows, new = applied(change, cells, 1.0, 0)
    real = np.flatnonzero((cells.clusters == "B") & (cells.batches == "b"))
    before, after, moved = (np.asarray(x.sum(axis=0)) for x in (cells.counts[rows], cells.counts[real], new))
    before, after, moved = (x / x.sum() for x in (before, after, moved))
    assert set(cells.batches[rows]) == {"a"}
    wanted = np.log(after / before)
    assert abs(wanted[5]) > 1  # there is something to move
    # Monte Carlo error: at most about 4 / sqrt(counts of the gene)
    error = 4 / np.sqrt(np.asarray(new.sum(axis=0)))
    assert (np.abs(np.log(moved / before) - wanted) < error + 0.02).all()


def test_a_batch_shift_back_lowers_the_gene() -> None:
    cells = as_cells(count_data(n=3000))
    rows, new = applied(adv.stresses.BatchShift("b", "a"), cells, 1.0, 0)
    assert new[:, [5]].sum() < 0.5 * cells.counts[rows][:, [5]].sum()


def test_a_batch_shift_needs_batches() -> None:
    cells = as_cells(count_data())
    bare = CountCells(cells.counts, cells.genes, cells.clusters)
    with pytest.raises(DataError, match="batch="):
        rows_of(bare, adv.stresses.BatchShift())
    with pytest.raises(DataError, match="There is no batch 'c'"):
        rows_of(cells, adv.stresses.BatchShift("c", "a"))
    few = as_cells(count_data(n=24))
    with pytest.raises(DataError, match="at least 10"):
        applied(adv.stresses.BatchShift("a", "b"), few, 1.0, 0)
    applied(adv.stresses.BatchShift("a", "b", within=False), few, 1.0, 0)
    with pytest.raises(ParameterError, match="FROM:TO"):
        parse("batch-shift:CTRL")


@given(st.floats(0.01, 1.0), st.integers(0, 99))
@settings(max_examples=10)
def test_missing_genes_are_missing_in_all_cells(share: float, seed: int) -> None:
    cells = as_cells(count_data(seed=seed))
    panel = ("g3", "g7")
    rows, new = applied(adv.stresses.MissingGenes(panel), cells, share, seed)
    own = cells.counts[rows].toarray()
    gone = (new.toarray() != own).any(axis=0)
    np.testing.assert_array_equal(new.toarray()[:, ~gone], own[:, ~gone])
    assert not new.toarray()[:, gone].any()
    assert not gone[[3, 7]].any()
    assert gone.sum() <= round(share * 28)


def test_only_the_panel_is_left() -> None:
    cells = as_cells(count_data())
    _, new = applied(adv.stresses.MissingGenes(("g0", "g5")), cells, 1.0, 0)
    assert set(np.flatnonzero(new.sum(axis=0)).tolist()) == {0, 5}
    with pytest.raises(DataError, match="not in the data"):
        applied(adv.stresses.MissingGenes(("g300",)), cells, 1.0, 0)


def test_dissociation_moves_the_set_by_its_fold() -> None:
    cells = many_equal([1, 2, 400, 97], 3000)
    _, new = applied(adv.stresses.Dissociation(("G0", "g1")), cells, 2.0, 0)
    own = np.array([1, 2, 400, 97])
    expected = own * [4, 4, 1, 1]
    expected = expected * own.sum() / expected.sum()  # closed again
    np.testing.assert_allclose(new.toarray().mean(axis=0), expected, rtol=0.03)


def test_dissociation_knows_its_genes() -> None:
    assert {"FOS", "JUN", "HSPA1A"} <= set(shipped())
    with pytest.raises(DataError, match="none of the"):
        applied(adv.stresses.Dissociation(), as_cells(count_data()), 1.0, 0)


def test_swapped_molecules_are_those_of_one_other_cell() -> None:
    n = 300  # each cell has one gene of its own, so a molecule tells where it is from
    genes = pd.Index([f"g{k}" for k in range(n)])
    clusters = np.array(["B"] * 100 + ["T"] * 200, dtype=object)
    cells = CountCells(sp.csr_array(np.diag(np.full(n, 50))), genes, clusters)
    _, new = applied(adv.stresses.Swapping(), cells, 0.4, 0)
    assert ((new.toarray() > 0).sum(axis=1) <= 2).all()
    lost = 50 * 100 - new.toarray()[np.arange(100), np.arange(100)].sum()
    assert stats.binomtest(int(lost), 5000, 0.4 * 299 / 300).pvalue > 1e-3  # one of 300 swaps with itself


@given(st.integers(0, 99), st.floats(0.2, 3.0))
@settings(max_examples=10)
def test_closing_gives_each_cell_its_size(seed: int, times: float) -> None:
    counts = as_cells(count_data(seed=seed)).counts
    wanted = np.rint(times * np.asarray(counts.sum(axis=1))).astype(np.int64)
    new = closed(counts, wanted, np.random.default_rng(seed))
    np.testing.assert_array_equal(new.sum(axis=1), wanted)
    assert not new.toarray()[counts.toarray() == 0].any()  # no gene comes from nowhere


def test_unknown_changes_are_named() -> None:
    with pytest.raises(ParameterError, match="Did you mean 'ambient'"):
        parse("ambiant")
    with pytest.raises(ParameterError, match="takes no ':3'"):
        parse("depth:3")
