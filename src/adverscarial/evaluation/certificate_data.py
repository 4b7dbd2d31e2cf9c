"""Compare the numbers of a certificate with the cells that it is about."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from anndata import AnnData

from adverscarial.cells.cluster import Cluster
from adverscarial.errors import AdverscarialError
from adverscarial.evaluation.certificate_file import Content, is_of_a_function
from adverscarial.modifications.base import parse

Row = tuple[str, bool]

#: share of what is added up by which scores may differ from the same sums made elsewhere: the checker of the proof
#: allows for several times as much, so nothing is won by moving scores inside of it
ROUNDING = 1e-12


class Compared(NamedTuple):
    """What was compared, and whether it agrees; and what could not be compared, and why."""

    rows: list[Row]
    left_out: list[str]


def compare_with(content: Content, adata: AnnData) -> Compared:
    """Compare a certificate with the cells that it should be about."""
    claim = content.claim
    try:
        cluster = Cluster(adata, claim["groupby"], claim["target"], layer=claim["layer"], seed=claim["seed"])
        genes = cluster.positions(content.genes)
    except AdverscarialError as error:
        return Compared([(f"the data hold the cluster and its genes: {error}", False)], [])
    same = ("the cells are those of the cluster", cluster.cells.tolist() == content.cells)
    if not same[1]:
        return Compared([same], [])
    if content.model is None:
        return Compared([same], ["scores and steps with the cells' values (this classifier transforms them)"])
    rows = [same, *_scores(content, cluster)]
    if is_of_a_function(claim):
        return Compared(rows, ["new values (they come from a function)"])
    return Compared(rows + _steps(content, cluster, genes), [])


def _scores(content: Content, cluster: Cluster) -> list[Row]:
    assert content.model is not None
    try:
        read = cluster.positions(content.model.genes)
    except AdverscarialError as error:
        return [(f"the data hold the classifier's genes: {error}", False)]
    weights, bias = content.model.weights, content.model.bias
    values = cluster.values(read).astype(np.float64)
    sums = values @ weights + bias
    if len(bias) == 1:  # above 0 it means the second label
        sums, weights = (np.hstack([np.zeros_like(part), part]) for part in (sums, weights))
    place = {name: k for k, name in enumerate(content.model.genes)}
    own = np.zeros_like(content.weights)
    for row, name in enumerate(content.genes):
        if name in place:
            own[row] = weights[place[name]]
    size = (np.abs(values) @ np.abs(weights) + np.abs(bias)).max(axis=1)
    size += (np.abs(content.steps) @ np.abs(content.weights)).max(axis=1)
    allowed = 0.0 if content.whole else ROUNDING * size[:, None]
    return [
        ("the scores are the cells' values times the weights", bool((np.abs(sums - content.scores) <= allowed).all())),
        ("the size of what is added up is no smaller than it is", bool((content.size >= size * (1 - 1e-9)).all())),
        ("the genes' weights are those of the model in the certificate", np.array_equal(own, content.weights)),
    ]


def _steps(content: Content, cluster: Cluster, genes: np.ndarray) -> list[Row]:
    """Compare the steps with what the modification does, and see that no other gene moves."""
    assert content.model is not None
    change = parse(content.claim["modification"])
    if change.joint:
        return [("the new value of a gene depends on that gene alone", False)]

    def steps(positions: np.ndarray) -> np.ndarray:
        with np.errstate(over="ignore"):
            new = np.asarray(change.new_values(cluster, positions).astype(cluster.dtype), dtype=np.float64)
        return new - cluster.values(positions).astype(np.float64)

    rows = [("the steps are those of the modification", np.array_equal(steps(genes), content.steps))]
    if not content.claim["some_genes"]:
        others = np.setdiff1d(cluster.positions(content.model.genes), genes)
        rows.append(("no other gene of the classifier moves", not len(others) or not steps(others).any()))
    return rows
