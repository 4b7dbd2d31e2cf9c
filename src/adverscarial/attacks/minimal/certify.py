"""Certificates: what somebody else needs to check a lower bound, without the search that found it."""

from __future__ import annotations

import base64
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np

from adverscarial import _store
from adverscarial._docs import documented
from adverscarial.attacks.minimal.certify_model import by_model, largest_bound
from adverscarial.attacks.minimal.mean_cell import mean_cell, nearest
from adverscarial.attacks.minimal.movable import movable
from adverscarial.attacks.minimal.own_sets import OwnSets
from adverscarial.attacks.minimal.race import Race
from adverscarial.attacks.minimal.shared_set import Weights, refutation
from adverscarial.attacks.settings import candidates
from adverscarial.attacks.start import scorer_for
from adverscarial.cells.choice import Cells, attacked
from adverscarial.cells.cluster import Cluster
from adverscarial.classifiers.answers import is_named
from adverscarial.classifiers.scorers.base import Scorer
from adverscarial.classifiers.scorers.linear import LinearScorer
from adverscarial.classifiers.scorers.linear_moves import LinearMoves
from adverscarial.classifiers.scorers.linear_votes import combination_reaching
from adverscarial.classifiers.wrap import wrap
from adverscarial.errors import ClassifierError, DataError

if TYPE_CHECKING:
    from adverscarial.attacks.min_change import MinChange
    from adverscarial.attacks.min_change_result import MinChangeResult

KIND, FORMAT = "adverscarial certificate of a lower bound", 1


@dataclass(frozen=True)
class Certificate:
    """A lower bound with all that is needed to check it: numbers and text.

    Attributes
    ----------
    content
        JSON values; see :func:`adverscarial.evaluation.verify_certificate`.
    lower
        No set of fewer genes flips the label: what the certificate proves.
    """

    content: Mapping[str, object]
    lower: int

    def save(self, path: str | PathLike[str]) -> Path:
        """Write the certificate as JSON."""
        return _store.write_json(path, self.content)


@documented
def certify(result: MinChangeResult, adata: Cells, classifier: object) -> Certificate:
    """Return a certificate of a result's lower bound, or of the largest bound below it that can be written down.

    A bound that only a mixed-integer program or all combinations of a few genes proved cannot. Of trees and networks no
    proof is written down, but what tells the classifier and the cells from all others: with them the checker makes the
    proof anew. It does not know the sharper proofs for trees, so there a certificate claims less than the result.

    Raises
    ------
    %(no_certificate)s
    """
    attack, model = cast("MinChange", result.attack), wrap(classifier)
    adata = attacked(adata, result.source)
    cluster = Cluster(adata, result.groupby, result.target, layer=result.layer, seed=result.seed)
    scorer = scorer_for(model, cluster)
    if scorer.baseline.label != result.baseline:
        raise DataError(
            f"{model.name} calls these cells '{scorer.baseline.label}', in the result they are '{result.baseline}'. "
            "Give the cells and the classifier that were attacked."
        )
    change = attack.changes[0]
    found = movable(scorer, cluster, change, candidates(cluster, attack.genes, attack.exclude))
    moves = None if change.joint else scorer.moves(*found)
    plain = None if moves is None or isinstance(moves, LinearMoves) else model.plain(cluster)
    if moves is None or (plain is None and not isinstance(moves, LinearMoves)):
        raise ClassifierError(
            f"There is no certificate for {model.name} with '{change}'. There are certificates for linear and marker "
            "models, trees, and dense networks with ReLU, with modifications that change each gene on its own. Of "
            "trees and networks inside of another classifier, such as a guard, there is none."
        )
    labels = [str(label) for label in moves.labels]
    goals = [k for k, label in enumerate(labels) if label != result.baseline and _counts(label, attack)]
    race = Race.of(moves.codes, labels, goals)
    at_most = moves.n_genes + 1 if result.impossible else min(result.lower, moves.n_genes + 1)
    if isinstance(moves, LinearMoves):
        lower, content = _weighed(moves, race, at_most)
        content |= {"genes": cluster.gene_names[found.genes].tolist(), "model": _model(scorer, cluster)}
    else:
        assert plain is not None
        lower, content = largest_bound(moves, race, at_most), by_model(plain, cluster, found)
        if str(change).startswith("custom:"):
            content["values"] = packed(np.broadcast_to(found.values, (cluster.n_cells, moves.n_genes)).T)
    claim = {
        "lower": lower, "impossible": lower > moves.n_genes, "label": result.baseline, "towards": attack.towards,
        "change_type": attack.change_type, "modification": str(change), "classifier": result.classifier,
        "groupby": result.groupby, "target": result.target, "layer": result.layer, "seed": result.seed,
        "some_genes": attack.genes is not None or len(attack.exclude) > 0,
    }  # fmt: skip
    return Certificate({"kind": KIND, "claim": claim, "cells": cluster.cells.tolist(), **content}, lower)


def _weighed(moves: LinearMoves, race: Race, at_most: int) -> tuple[int, dict[str, object]]:
    """Return the largest bound, at most `at_most`, that can be written down, and the numbers that prove it."""
    lower, proofs = _proofs(moves, race, at_most)
    return lower, {
        "format": FORMAT, "labels": [str(label) for label in moves.labels], "scores": packed(moves.scores),
        "size": packed(moves.size), "weights": packed(moves.weights), "steps": packed(moves.steps.T), "proofs": proofs,
    }  # fmt: skip


def _proofs(moves: LinearMoves, race: Race, at_most: int) -> tuple[int, list[dict[str, object]]]:
    """Return the largest bound, at most `at_most`, that can be written down, and a proof for each goal."""
    own = OwnSets(moves, race)
    found = [_proof(own, goal, at_most) for goal in race.goals]
    lower = min([at_most, *(bound for bound, _ in found)])
    proofs = [{**proof, "lower": bound} for bound, proof in found]
    # every gene was tried alone, and the checker tries them again, with less trust in what rounding decided
    if lower < 2 <= at_most and not any(_one_may(moves, race, goal) for goal in race.goals):
        return 2, [{**proof, "argument": "single genes"} for proof in proofs]
    return lower, proofs


def _one_may(moves: LinearMoves, race: Race, goal: int) -> bool:
    """Return whether a single gene may let the goal win, where rounding could decide."""
    hidden = moves.tolerance * moves.size + moves.margin
    steps = np.ascontiguousarray(moves.steps.T)
    equal = np.zeros(len(steps))
    return bool(combination_reaching(moves.scores, steps, moves.weights, hidden, race.rank, goal, 1, equal, 0.0)[0])


def _counts(label: str, attack: MinChange) -> bool:
    return (attack.change_type == "any" or is_named(label)) and (not attack.aim or label in attack.aim)


def _proof(own: OwnSets, goal: int, at_most: int) -> tuple[int, dict[str, object]]:
    """Return the best bound about one label, at most `at_most` genes, and its proof."""
    loser, best = own.race.winner(own.race.codes), 0
    mixtures: list[np.ndarray] = []
    proof: dict[str, object] = {"goal": goal, "argument": "own sets", "loser": loser, "mixtures": []}
    for mixture in _mixtures(own, goal, at_most):
        if mixture is not None:
            own.beat_mixture(goal, mixture, at_most - 1)
            mixtures.append(mixture)
        best, argument = own.lower(goal)
        proof |= {"argument": argument, "mixtures": [found.tolist() for found in mixtures]}
        if best >= at_most:
            return at_most, proof
    used: Weights | None = None
    low, high = best, at_most
    while low < high:
        m = (low + high) // 2
        found = refutation(own, goal, loser, m, mixtures=mixtures, go_on=lambda: True)
        low, high, used = (m + 1, high, found) if found is not None else (low, m, used)
    if used is not None:
        proof["argument"] = "one set for all"
        proof["rows"] = [[int(k), int(c), float(y)] for k, c, y in zip(*used, strict=True) if y > 0]
    return low, proof


def _mixtures(own: OwnSets, goal: int, at_most: int) -> Iterator[np.ndarray | None]:
    """Raise the bounds on joining a label step by step, and give each mixture that may raise them more."""
    yield None
    own.beat_all(goal, at_most - 1)
    yield None
    for share in (1.0, 0.75, 0.5):
        cells = nearest(own.moves, own.race.codes, goal, share)
        found = mean_cell(own.moves, goal, cells) if len(cells) else None
        if found is not None and found.mixture.any():
            yield found.mixture


def _model(scorer: Scorer, cluster: Cluster) -> dict[str, object] | None:
    """Return weights of all genes and what sums start from; None where the values are not weighed as they are."""
    found = scorer.weighed() if isinstance(scorer, LinearScorer) else None
    if found is None:
        return None
    genes, weights, bias = found
    used = weights.any(axis=1)
    names = cluster.gene_names[genes[used]].tolist()
    return {"genes": names, "weights": packed(weights[used]), "bias": packed(bias)}


def packed(numbers: np.ndarray) -> dict[str, object]:
    """Return numbers as JSON values: their shape, and their bytes as little-endian float64, zlib, base64."""
    raw = np.ascontiguousarray(numbers, dtype="<f8").tobytes()
    return {"shape": list(numbers.shape), "zlib": base64.b64encode(zlib.compress(raw, 6)).decode("ascii")}
