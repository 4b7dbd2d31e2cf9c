"""Proofs about tree ensembles, judged by trying all sets of genes of tiny random ensembles."""

from __future__ import annotations

import numpy as np
import pytest

from adverscarial.attacks.minimal import search as smallest_search
from adverscarial.attacks.minimal import sharper
from adverscarial.attacks.minimal.own_sets import OwnSets
from adverscarial.attacks.minimal.race import Race
from adverscarial.classifiers.scorers import tree_moves
from adverscarial.classifiers.scorers.moves import pair
from adverscarial.classifiers.scorers.prefixes import NEVER
from adverscarial.classifiers.scorers.tree_ensemble import TreeEnsemble
from adverscarial.classifiers.scorers.tree_moves import TreeMoves
from adverscarial.classifiers.scorers.trees import TreeScorer
from attacks.minimal.brute import Case, cases, check_cell_sets, check_flips, minimum, names, search, subsets, tight

CASES = cases(80)


def random_trees(rng: np.random.Generator, n_genes: int, n_scores: int, *, whole: bool) -> TreeEnsemble:
    """Trees whose nodes test whole thresholds, some genes again and again."""
    feature, threshold, left, right = [], [], [], []

    def grow(depth: int) -> int:
        at = len(feature)
        inner = depth > 0 and rng.random() < 0.85
        feature.append(int(rng.integers(n_genes)) if inner else -1)
        threshold.append(float(rng.integers(-2, 3)))
        left.append(-1)
        right.append(-1)
        if inner:
            left[at] = grow(depth - 1)
            right[at] = grow(depth - 1)
        return at

    roots = [grow(int(rng.integers(1, 5))) for _ in range(rng.integers(1, 8))]
    value = np.zeros((len(feature), n_scores))
    if whole:
        value[np.arange(len(value)), rng.integers(0, n_scores, len(value))] = 1
    else:
        value = rng.normal(size=value.shape)
    columns = [np.array(column) for column in (roots, feature, threshold, left, right)]
    return TreeEnsemble(*columns, value=value, bias=np.zeros(n_scores), single=bool(rng.random() < 0.5))


def tree_case(seed: int) -> Case:
    rng = np.random.default_rng(seed)
    n_cells, n_genes, n_labels = rng.integers(1, 6), int(rng.integers(2, 8)), int(rng.integers(2, 5))
    binary = n_labels == 2 and seed % 2 == 1
    trees = random_trees(rng, n_genes, 1 if binary else n_labels, whole=not binary and seed % 3 > 0)
    X = rng.integers(-3, 4, (n_cells, n_genes)).astype(float)
    new = rng.integers(-3, 4, (n_cells, n_genes)).astype(float)
    labels = names(n_labels, rng)
    scorer = TreeScorer(trees, X, np.arange(n_genes), n_genes, list(labels))
    genes = np.flatnonzero(scorer.reads(np.arange(n_genes)))
    if not len(genes):
        return tree_case(seed + 10**6)
    moves = scorer.moves(genes, new[:, genes])
    sets = subsets(len(genes))
    codes = []
    for chosen in sets:
        changed = X.copy()
        changed[:, genes[chosen]] = new[:, genes[chosen]]
        sums = trees.sums(changed)
        codes.append((sums[:, 0] > 0).astype(int) if binary else np.argmax(sums, axis=1))
    return Case(moves, labels, np.array(codes), np.array([len(chosen) for chosen in sets]))


@pytest.mark.slow
@pytest.mark.parametrize("named", [False, True])
def test_intervals_of_flips_hold_the_truth(named: bool) -> None:
    tallies = [check_flips(tree_case(seed), seed, named=named) for seed in range(CASES)]
    assert min(tight(tallies)) > 0.6


@pytest.mark.slow
def test_what_is_proven_of_signatures_alone_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the labels that cells could get beside the signature's own are too many to look at."""
    monkeypatch.setattr(smallest_search, "_MOST", -1)
    lower, truth = [], []
    for seed in range(CASES):
        case = tree_case(seed)
        goal = str(case.labels[np.random.default_rng(seed).integers(len(case.labels))])
        if goal != case.votes()[0]:
            found = search(case, [goal], quick=True)
            lower.append(found.lower)
            truth.append(minimum(case, [goal]))
            assert found.genes is None or len(found.genes) >= truth[-1]
    assert (np.array(lower) <= np.array(truth)).all()
    assert np.equal(lower, truth).mean() > 0.5
    assert (np.array(lower) > 1).sum() > CASES / 8


@pytest.mark.slow
def test_sets_of_single_cells_flip_them() -> None:
    assert np.mean([smallest for seed in range(CASES) for smallest in check_cell_sets(tree_case(seed))]) > 0.9


def needed_by_trying(case: Case, cell: int, rival: int, label: int) -> int:
    """Return the fewest genes with which one label beats another in a cell, found by trying all sets."""
    enough = [NEVER]
    for chosen in subsets(case.moves.n_genes):
        lead = float(
            case.moves.scores_with(np.asarray(chosen, dtype=np.int64))[cell] @ pair(rival, label, len(case.labels))
        )
        if lead > 0 or (lead == 0 and rival < label):
            enough.append(len(chosen))
    return min(enough)


@pytest.mark.fast(1)
@pytest.mark.parametrize("first", range(0, CASES, max(CASES // 4, 1)))
def test_sharper_proofs_hold_and_prove_more(first: int) -> None:
    plain, sharp, truth = [], [], []
    for seed in range(first, first + max(CASES // 4, 1)):
        case = tree_case(seed)
        for cell, label in enumerate(case.moves.codes):
            for rival in np.flatnonzero(np.arange(len(case.labels)) != label):
                c, strict = pair(int(rival), int(label), len(case.labels)), bool(rival > label)
                plain.append(int(case.moves.fewest(c, np.array([cell]), strict=strict)[0]))
                sharp.append(case.moves.fewest_sharply(c, cell, strict=strict, enough=NEVER, steps=120))
                truth.append(needed_by_trying(case, cell, int(rival), int(label)))
    assert (np.array(sharp) <= np.array(truth)).all()
    assert (np.array(sharp) >= np.array(plain)).all()
    assert np.equal(sharp, truth).mean() > max(0.8, np.equal(plain, truth).mean())


@pytest.mark.parametrize("most", [50_000_000, 0])
def test_proofs_hold_that_begin_with_what_others_found(most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tree_moves, "_KNOWN", most)
    kept = []
    for seed in range(CASES):
        case = tree_case(seed)
        rival, label = np.random.default_rng(seed).permutation(len(case.labels))[:2]
        c, strict = pair(int(rival), int(label), len(case.labels)), bool(rival > label)
        cells = np.flatnonzero(case.moves.codes == label)
        truth = [needed_by_trying(case, cell, int(rival), int(label)) for cell in cells]
        for steps in (1, 2, 30):
            for cell, least in zip(cells, truth, strict=True):
                assert case.moves.fewest_sharply(c, int(cell), strict=strict, enough=NEVER, steps=steps) <= least
        if len(cells):
            kept.append(len(case.moves._slopes[1]))
    assert (np.mean(np.array(kept) > 0) > 0.5) == (most > 0)


def test_a_proof_that_is_enough_is_found_in_no_more_steps() -> None:
    """Steps that are aimed at what is asked for, and at no more, get there as well."""
    for seed in range(CASES):
        case = tree_case(seed)
        label = int(case.moves.codes[0])
        for rival in np.flatnonzero(np.arange(len(case.labels)) != label):
            c, strict = pair(int(rival), label, len(case.labels)), bool(rival > label)
            most = case.moves.fewest_sharply(c, 0, strict=strict, enough=NEVER, steps=40)
            if 1 < most < NEVER:
                assert case.moves.fewest_sharply(c, 0, strict=strict, enough=most, steps=40) >= most


def sharpened(case: Case, winner: int, *, all_pairs: bool, monkeypatch: pytest.MonkeyPatch) -> tuple[int, int]:
    """Return the bound of the cluster after sharper proofs, and of how many pairs of a cell and a label there were."""
    asked, prove = [0], TreeMoves.fewest_sharply

    def counted(self, *args, **options) -> int:
        asked[0] += 1
        return prove(self, *args, **options)

    with monkeypatch.context() as patch:
        patch.setattr(TreeMoves, "fewest_sharply", counted)
        if all_pairs:
            patch.setattr(sharper, "_most", lambda *_: NEVER)
        race = Race.of(case.moves.codes, [str(label) for label in case.labels], [winner])
        own = OwnSets(case.moves, race)
        sharper.sharpen(own, winner, NEVER, lambda: True, leaves=True)
    return own.lower(winner)[0], asked[0]


def test_proofs_that_cannot_raise_the_bound_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    some, every = [], []
    for seed in range(CASES):
        case = tree_case(seed)
        for winner in np.flatnonzero(np.asarray(case.labels) != case.votes()[0]):
            some.append(sharpened(case, int(winner), all_pairs=False, monkeypatch=monkeypatch))
            every.append(sharpened(case, int(winner), all_pairs=True, monkeypatch=monkeypatch))
    assert [bound for bound, _ in some] == [bound for bound, _ in every]
    assert sum(asked for _, asked in some) < sum(asked for _, asked in every)


@pytest.mark.fast(1)
@pytest.mark.parametrize("remembered", [5_000_000, 1])
def test_effects_are_what_each_gene_alone_does_after_any_changes(
    remembered: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is remembered of the trees that were not touched is what walking all of them again gives.

    Of many cells nothing is remembered: they are walked some at a time.
    """
    monkeypatch.setattr(tree_moves, "_REMEMBERED", remembered)
    known = []
    for seed in range(120):
        moves, rng = tree_case(seed).moves, np.random.default_rng(seed)
        for _ in range(4):
            omega = rng.normal(size=moves.scores.shape) * (rng.random((len(moves.codes), 1)) < 0.7)
            if len(moves.codes) > 1:  # one cell is always remembered
                known.append(len(moves._turns.start) > 1)
            for gene, effect in enumerate(moves.effects(omega)):
                change = moves.scores_with(np.array([gene])) - moves.scores
                assert effect == pytest.approx((omega * change).sum(), rel=1e-9, abs=1e-9)
            moves = moves.changed(rng.permutation(moves.n_genes)[: rng.integers(1, 3)])
            if rng.random() < 0.2:  # two changes in a row, nothing asked between them
                moves = moves.changed(rng.permutation(moves.n_genes)[:1])
    assert (np.mean(known) > 0.5) == (remembered > 1)
