from __future__ import annotations

import numpy as np
import pytest

import adverscarial as adv
from adverscarial.cells.cluster import Cluster
from adverscarial.classifiers.answers import vote
from adverscarial.classifiers.scorers import rank_levels, rank_lists, rank_together, ranks


@pytest.fixture(scope="module")
def chetah(pbmc_small):
    return adv.classifiers.Chetah(n_genes=40).fit(pbmc_small, "cell_type")


@pytest.mark.parametrize("kept", [True, False])
def test_counts_that_are_kept_and_counts_made_anew_give_full_predictions(pbmc_small, chetah, kept, monkeypatch):
    if not kept:
        monkeypatch.setattr(rank_lists, "_LEVELS", 0)
    cluster = Cluster(pbmc_small, "cell_type", "Dendritic")
    scorer, columns = chetah.scorer(cluster), chetah.align(cluster.genes)
    rows, rng = cluster.X.copy(), np.random.default_rng(0)
    read = np.flatnonzero(scorer.reads(np.arange(len(cluster.genes))))
    assert len(scorer._state.kept.counts) == (len(rows) if kept else 0)
    for size in (1, 3, len(read), 10, rank_together._MANY, rank_together._MANY + 1):
        genes = rng.choice(read, size, replace=False)
        values = rng.choice([0.0, 0.5, 2.0, 9.0], (len(rows), size))
        alone = scorer.each(genes[:5], values[:, :5])
        for k, gene in enumerate(genes[:5]):
            one = rows.copy()
            one[:, gene] = values[:, k]
            assert (alone.label[k], alone.share[k]) == vote(chetah.decide(one[:, columns]).labels)[:2]
        rows[:, genes] = values
        expected = list(chetah.decide(rows[:, columns]).labels)
        assert list(scorer.together(genes, values).labels) == expected
        scorer.accept(genes, values)
        assert list(scorer.baseline.labels) == expected
        anew = rank_lists.counted(scorer._cells.numbers, scorer._cells.levels.sizes, scorer._tree)
        for kept_array, array in zip(scorer._state.kept, anew, strict=True):
            np.testing.assert_array_equal(kept_array, array)


@pytest.mark.parametrize("n_genes", [1, 2, rank_together._FEW, rank_together._FEW + 1, 12])
def test_genes_of_a_list_that_change_one_by_one_or_all_at_once_give_the_sums_of_a_recount(n_genes):
    rng, n, top = np.random.default_rng(n_genes), 15, 5
    for _ in range(30):
        ranks_ = ranks.centred_ranks(rng.integers(0, 6, n).astype(float))
        before = rng.integers(0, top, n)
        after, genes = before.copy(), rng.choice(n, n_genes, replace=False)
        after[genes] = (before[genes] + rng.integers(1, top, n_genes)) % top
        counts, anew = np.zeros((2, 2, top + 1), dtype=np.int32)
        product, ties = rank_lists.learn(before, np.arange(n), ranks_, top, counts)
        expected = rank_lists.learn(after, np.arange(n), ranks_, top, anew)
        twice = 2 * (after[:, None] > after).sum(axis=1) + (after[:, None] == after).sum(axis=1) + 1
        assert expected[0] == (ranks_ * twice).sum()
        steps = np.column_stack([ranks_, before, after])[genes].astype(np.int32)
        kept = counts.copy()
        more, ties_more = rank_lists.gained_by(counts, steps)
        assert (product + more, ties + ties_more) == expected
        assert rank_together._recounted(counts, steps, top, np.zeros((2, top + 1), dtype=np.int32)) == expected
        np.testing.assert_array_equal(counts, kept)


@pytest.mark.fast(1)
@pytest.mark.parametrize("size", [1, rank_together._FEW, rank_together._FEW + 1])
def test_scores_of_a_list_of_which_few_or_more_genes_change_are_those_of_full_predictions(pbmc_small, chetah, size):
    cluster = Cluster(pbmc_small, "cell_type", "Dendritic")
    columns, rng = chetah.align(cluster.genes), np.random.default_rng(size)
    for genes in chetah._fitted().lists[:, :size]:
        scorer, rows = chetah.scorer(cluster), cluster.X[:, columns].copy()
        rows[:, genes] += rng.choice([-0.5, 0.25, 9.0], (len(rows), size)).astype(rows.dtype)  # all of them change
        scorer.together(columns[genes], rows[:, genes])
        scorer.accept(columns[genes], rows[:, genes])
        assert list(scorer.baseline.labels) == list(chetah.decide(rows).labels)
        met = ~np.isnan(scorer._scores)
        assert met.any(axis=1).all()
        np.testing.assert_array_equal(scorer._scores[met], chetah._scores(rows)[met])


@pytest.mark.slow
def test_long_lists_whose_ranks_add_up_to_more_than_16_bits_give_full_predictions(pbmc_small):
    chetah = adv.classifiers.Chetah(n_genes=600).fit(pbmc_small, "cell_type")
    cluster = Cluster(pbmc_small, "cell_type", "Dendritic")
    scorer, rows, rng = chetah.scorer(cluster), cluster.X.copy(), np.random.default_rng(0)
    columns = chetah.align(cluster.genes)
    assert scorer._state.kept.counts.dtype == np.int32
    assert np.abs(scorer._state.kept.counts).max() > np.iinfo(np.int16).max
    for size in (1, 12, rank_together._MANY + 1):
        genes = rng.choice(columns, size, replace=False)
        values = rng.choice([0.0, 0.5, 2.0, 9.0], (len(rows), size))
        rows[:, genes] = values
        expected = list(chetah.decide(rows[:, columns]).labels)
        assert list(scorer.together(genes, values).labels) == expected
        scorer.accept(genes, values)
        alone = scorer.each(columns[:5], np.zeros((len(rows), 5)))
        for k, gene in enumerate(columns[:5]):
            one = rows.copy()
            one[:, gene] = 0
            assert (alone.label[k], alone.share[k]) == vote(chetah.decide(one[:, columns]).labels)[:2]


@pytest.mark.parametrize("threshold", [-1.0, 0.0, 0.01, 0.5])
def test_a_pair_that_suffices_takes_the_branch_that_the_best_one_takes(threshold):
    rng, sure = np.random.default_rng(0), 0
    for _ in range(500):
        end = int(rng.integers(2, 8))
        split, pair = int(rng.integers(1, end)), int(rng.integers(end))
        scores = rng.choice([-0.5, 0.0, 0.25, 0.26, 0.5, 1.0], end)
        best = ranks.taken(scores, 0, split, end, threshold)
        if ranks.suffices(scores, pair, 0, split, end, threshold):
            sure += 1
            assert best >= 0
            assert (best < split) == (pair < split)
        elif pair == best:  # the best one suffices, where the cell does not stay
            raise AssertionError(scores)
    assert 0 < sure < 500


def test_a_walk_without_compiled_loops_gives_the_same_scores_and_codes(pbmc_small, chetah, monkeypatch):
    cluster = Cluster(pbmc_small, "cell_type", "Dendritic")
    for threshold in (0.01, 0.4, 2.0, -1.0):
        found = []
        for levels in (rank_lists._LEVELS, 0):
            monkeypatch.setattr(rank_lists, "_LEVELS", levels)
            found.append(chetah.with_threshold(threshold).scorer(cluster)._state)
        kept, anew = found
        np.testing.assert_array_equal(kept.codes, anew.codes)
        met = ~np.isnan(anew.scores)
        assert met.any()
        assert not np.isnan(kept.scores).any()
        np.testing.assert_array_equal(kept.scores[met], anew.scores[met])
        monkeypatch.undo()


def test_scores_found_by_bins_are_those_of_all_reference_cells(chetah):
    model = chetah._fitted()
    tree = rank_lists.tree_of(model, len(chetah.genes), 0.01, len(chetah.classes))
    rng = np.random.default_rng(0)
    for pair in range(len(model.power)):
        own = model.own[model.own_start[pair] : model.own_start[pair + 1]]
        for rho in [-1.0, 1.0, 0.0, *rng.choice(own, 5), *np.nextafter(own[:3], -2), *rng.uniform(-1, 1, 20)]:
            assert rank_lists.score_at(float(rho), pair, tree.steps) == ranks._score(float(rho), pair, model)


@pytest.mark.parametrize("few", [0, rank_levels._FEW])
@pytest.mark.parametrize("height", [1, 6])
def test_numbers_stand_for_the_values(height, few, monkeypatch):
    monkeypatch.setattr(rank_levels, "_FEW", few)
    rng = np.random.default_rng(1)
    values = rng.choice([-2.0, 0.0, 0.0, 1.0, 3.5], (6, 9))
    more = rng.choice([0.0, 0.25, 1e9], (height, 4))
    levels = rank_levels.levels_of(values, more)
    for k in range(6):
        own = levels.values[levels.start[k] : levels.start[k + 1]]
        np.testing.assert_array_equal(own, np.unique(np.concatenate([values[k], more[k if height > 1 else 0]])))
    for some in (values, more):
        numbers = rank_levels.numbers_of(levels, some)
        np.testing.assert_array_equal(rank_levels.values_of(levels, numbers), np.broadcast_to(some, (6, some.shape[1])))
    assert rank_levels.numbers_of(levels, np.full((1, 2), 0.125)) is None


def test_levels_that_no_gene_has_any_more_are_forgotten():
    cells = rank_levels.Numbered(np.zeros((3, 5)))
    columns = np.arange(5)
    for round_ in range(20):
        values = 100.0 * round_ + np.arange(15.0).reshape(3, 5)
        to = cells.to(columns, values)
        cells.accept(columns, to)
        np.testing.assert_array_equal(cells.values, values)
        assert cells.n_levels <= 3 * 5


def test_a_fork_and_its_origin_leave_each_other_alone():
    cells, column = rank_levels.Numbered(np.arange(6.0).reshape(2, 3)), np.array([1])
    cells.accept(column, cells.to(column, np.array([[7.0], [8.0]])))
    fork = cells.fork()
    for who, value in ((cells, 20.0), (fork, 30.0), (cells, 40.0)):
        other = fork if who is cells else cells
        before = other.values.copy()
        who.accept(column, who.to(column, np.full((2, 1), value)))
        np.testing.assert_array_equal(other.values, before)
        np.testing.assert_array_equal(who.values[:, 1], value)
