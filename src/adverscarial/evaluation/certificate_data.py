"""Compare the numbers of a certificate with the cells that it is about."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from anndata import AnnData

from adverscarial.cells.cluster import Cluster
from adverscarial.classifiers.base import Classifier
from adverscarial.errors import AdverscarialError
from adverscarial.evaluation.certificate_file import Content
from adverscarial.modifications.base import parse

_ROUNDING = 1e-10


class Compared(NamedTuple):
    """What was compared, and whether it agrees; and what could not be compared, and why."""

    rows: list[tuple[str, bool]]
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
        return Compared([same], ["scores and steps (this classifier transforms values before it weighs them)"])
    rows = [same, *_scores(content, cluster)]
    if claim["modification"].startswith("custom:"):
        return Compared(rows, ["new values (they come from a function)"])
    return Compared(rows + _steps(content, cluster, genes), [])


def compare_models(content: Content, adata: AnnData, model: Classifier) -> Compared:
    """Compare the model in a certificate with a classifier: its weights, or its labels where it weighs otherwise."""
    claim = content.claim
    try:
        cluster = Cluster(adata, claim["groupby"], claim["target"], layer=claim["layer"], seed=claim["seed"])
        scorer = model.scorer(cluster)
    except AdverscarialError as error:
        return Compared([(f"the classifier reads these data: {error}", False)], [])
    if scorer is not None and cluster.cells.tolist() == content.cells:
        found = scorer.weighed() if content.model is not None and hasattr(scorer, "weighed") else None
        if found is not None and content.model is not None:
            genes, weights, bias = found
            used = weights.any(axis=1)
            same = (
                cluster.gene_names[genes[used]].tolist() == content.model.genes
                and np.array_equal(weights[used], content.model.weights)
                and np.array_equal(bias, content.model.bias)
            )
            return Compared([("the model in the certificate is the classifier", same)], [])
    said = model.predict(adata, layer=claim["layer"]).to_numpy().astype(str)[cluster.rows]
    proven = np.array(content.labels)[np.argmax(content.scores, axis=1)]
    rows = [("the classifier gives the cells the labels in the certificate", np.array_equal(said, proven))]
    return Compared(rows, ["the classifier's weights (it transforms values before it weighs them)"])


def _scores(content: Content, cluster: Cluster) -> list[tuple[str, bool]]:
    assert content.model is not None
    try:
        read = cluster.positions(content.model.genes)
    except AdverscarialError as error:
        return [(f"the data hold the classifier's genes: {error}", False)]
    weights, bias = content.model.weights, content.model.bias
    sums = cluster.values(read).astype(np.float64) @ weights + bias
    if len(bias) == 1:  # above 0 it means the second label
        sums, weights = (np.hstack([np.zeros_like(part), part]) for part in (sums, weights))
    place = {name: k for k, name in enumerate(content.model.genes)}
    own = np.zeros_like(content.weights)
    for row, name in enumerate(content.genes):
        if name in place:
            own[row] = weights[place[name]]
    near = np.abs(sums - content.scores) <= _ROUNDING * np.maximum(content.size, 1.0)[:, None]
    return [
        ("the scores are the cells' values times the weights", bool(near.all())),
        ("the genes' weights are those of the model in the certificate", np.array_equal(own, content.weights)),
    ]


def _steps(content: Content, cluster: Cluster, genes: np.ndarray) -> list[tuple[str, bool]]:
    """Compare the steps with what the modification does, and see that no other gene moves."""
    assert content.model is not None
    change = parse(content.claim["modification"])

    def steps(positions: np.ndarray) -> np.ndarray:
        with np.errstate(over="ignore"):
            new = np.asarray(change.new_values(cluster, positions).astype(cluster.dtype), dtype=np.float64)
        return new - cluster.values(positions).astype(np.float64)

    rows = [("the steps are those of the modification", np.array_equal(steps(genes), content.steps))]
    if not content.claim["some_genes"]:
        others = np.setdiff1d(cluster.positions(content.model.genes), genes)
        rows.append(("no other gene of the classifier moves", not len(others) or not steps(others).any()))
    return rows
