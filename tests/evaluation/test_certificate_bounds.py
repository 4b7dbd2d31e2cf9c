"""What the checker of certificates of trees and networks accepts is true: all sets of tiny models are tried."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from adverscarial.attacks.minimal.certify_model import largest_bound
from adverscarial.attacks.minimal.race import Race
from adverscarial.evaluation.certificate_votes import Bounds, Votes, winner_of
from attacks.minimal.brute import Case, cases, cell_minimum, minimum, search
from attacks.minimal.plain_bounds import network_bounds, tree_bounds
from attacks.minimal.test_boosting_sound import boosted_case
from attacks.minimal.test_networks_sound import network_case
from attacks.minimal.test_trees_sound import tree_case

Made = Callable[[int], tuple[Case, Bounds]]


def of_trees(seed: int) -> tuple[Case, Bounds]:
    case = tree_case(seed)
    return case, tree_bounds(case)


def of_network(seed: int) -> tuple[Case, Bounds]:
    case = network_case(seed)
    return case, network_bounds(case)


def of_boosting(package: str) -> Made:
    def made(seed: int) -> tuple[Case, Bounds]:
        case = boosted_case(package, seed)
        return case, tree_bounds(case)

    return made


KINDS = {
    "trees": (of_trees, 60),
    "network": (of_network, 60),
    "xgboost": (of_boosting("xgboost"), 15),
    "lightgbm": (of_boosting("lightgbm"), 15),
    "scikit-learn": (of_boosting("scikit-learn"), 15),
}


def made(kind: str) -> list[tuple[Case, Bounds, list[str]]]:
    """Return the cases of a kind, what bounds their scores, and the names of their labels."""
    if kind in ("xgboost", "lightgbm"):
        pytest.importorskip(kind)
    make, usual = KINDS[kind]
    found = [make(seed) for seed in range(cases(usual))]
    return [(case, bounds, [str(label) for label in case.labels]) for case, bounds in found]


@pytest.mark.fast("network")
@pytest.mark.parametrize("kind", KINDS)
def test_what_is_accepted_is_true(kind: str) -> None:
    known = made(kind)
    accepted = tight = 0
    for case, bounds, labels in known:
        loser = winner_of(case.codes[0], labels)
        assert labels[loser] == case.votes()[0]
        goals = [k for k in range(len(labels)) if k != loser]
        for m in range(case.moves.n_genes + 1):
            votes = Votes(bounds, case.codes[0], labels, m)
            for cell in range(len(bounds.scores)):
                assert votes._beats[cell].any() or m < cell_minimum(case, cell)
            for goal in goals:
                if votes.argument(goal) is not None:
                    truth = minimum(case, [labels[goal]])
                    accepted += 1
                    tight += truth == m + 1
                    assert m < truth
    assert accepted > 3 * len(known)
    assert tight > len(known) / 3


@pytest.mark.fast("network")
@pytest.mark.parametrize("kind", KINDS)
def test_what_the_search_proves_is_accepted(kind: str) -> None:
    known = made(kind)
    more_than_single = 0
    for case, bounds, labels in known:
        for goal in range(len(labels)):
            if labels[goal] == case.votes()[0]:
                continue
            found = search(case, [labels[goal]])
            lower, known_alone = min(found.lower, case.moves.n_genes + 1), 1
            if kind != "network":  # sharper proofs are not written down; 2 is known from trying each gene
                lower, known_alone = largest_bound(case.moves, Race.of(case.codes[0], labels, [goal]), lower), 2
            if lower > known_alone:
                more_than_single += lower > 2
                votes = Votes(bounds, case.codes[0], labels, lower - 1)
                assert votes.argument(goal) is not None
    assert more_than_single > len(known) / 5


@pytest.mark.fast("network", "trees")
@pytest.mark.parametrize("kind", KINDS)
def test_no_gene_is_overlooked_that_flips_alone(kind: str) -> None:
    known = made(kind)
    ruled_out = 0
    for case, bounds, labels in known:
        now, votes = case.votes()[0], case.votes()
        genes = Votes(bounds, case.codes[0], labels, 0).genes_that_may([k for k, x in enumerate(labels) if x != now])
        flips = [place for place in range(len(votes)) if case.sizes[place] == 1 and votes[place] != now]
        assert len(genes) >= len(flips)
        ruled_out += bounds.alone(0).shape[0] - len(genes)
    assert ruled_out > len(known)


@pytest.mark.fast("network", "trees")
@pytest.mark.parametrize("kind", KINDS)
def test_scores_are_those_of_a_full_prediction(kind: str) -> None:
    for case, bounds, _ in made(kind):
        np.testing.assert_allclose(bounds.scores, case.moves.scores, rtol=1e-9, atol=1e-9)
