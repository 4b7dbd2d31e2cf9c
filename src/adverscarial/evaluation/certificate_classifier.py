"""Compare a certificate that holds a proof with the classifier that it is about.

Where the classifier weighs values as they are, its weights are the certificate's. Where it transforms them first, the
certificate's numbers are those that it gives itself; the checker cannot work them out anew.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from anndata import AnnData

from adverscarial.cells.cluster import Cluster
from adverscarial.classifiers.base import Classifier
from adverscarial.classifiers.scorers.base import Scorer
from adverscarial.errors import AdverscarialError
from adverscarial.evaluation.certificate_data import ROUNDING, Compared, Row
from adverscarial.evaluation.certificate_file import Content, is_of_a_function
from adverscarial.modifications.base import Modification, parse

_MODEL = "the model in the certificate is the classifier"
_LABELS = "the labels in the certificate are the classifier's, in its order"
_ANSWERS = "the classifier gives the cells the labels in the certificate"


class _Sums(NamedTuple):
    """Weighted sums as the classifier gives them; see :class:`Content` for the names."""

    scores: np.ndarray
    size: np.ndarray
    weights: np.ndarray
    steps: np.ndarray


def compare_models(content: Content, adata: AnnData, model: Classifier) -> Compared:
    """Compare labels and weights, or scores and steps where the classifier transforms values before it weighs them."""
    claim = content.claim
    try:
        cluster = Cluster(adata, claim["groupby"], claim["target"], layer=claim["layer"], seed=claim["seed"])
        genes = cluster.positions(content.genes)
        scorer = model.scorer(cluster)
    except AdverscarialError as error:
        return Compared([(f"the classifier reads these data: {error}", False)], [])
    if cluster.cells.tolist() != content.cells:
        return Compared([], ["the classifier (the cells are others)"])
    nothing = genes[:0], np.zeros((cluster.n_cells, 0), dtype=cluster.dtype)
    moves = None if model.plain(cluster) is not None else scorer.moves(*nothing)
    if moves is None or not moves.exact:
        return Compared([("the classifier is a weighted sum of what genes say", False)], [])
    rows = [(_LABELS, [str(label) for label in moves.labels] == content.labels)]
    # asked of its own class: what a guard passes on belongs to the classifier inside of it
    weighed = getattr(type(scorer), "weighed", None)
    found = None if weighed is None else weighed(scorer)
    if found is not None:
        return Compared([*rows, (_MODEL, _same_model(content, cluster, *found))], [])
    if content.model is not None or not rows[0][1]:
        return Compared([*rows, (_MODEL, content.model is None)], [])
    said = model.predict(adata, layer=claim["layer"]).to_numpy().astype(str)[cluster.rows]
    proven = np.array(content.labels)[np.argmax(content.scores, axis=1)]
    rows += [(_ANSWERS, np.array_equal(said, proven)), *_numbers(content, cluster, scorer, genes)]
    return Compared(rows, ["what the classifier makes of values before it weighs them (its own numbers are taken)"])


def _same_model(content: Content, cluster: Cluster, genes: np.ndarray, weights: np.ndarray, bias: np.ndarray) -> bool:
    used, model = weights.any(axis=1), content.model
    return (
        model is not None
        and cluster.gene_names[genes[used]].tolist() == model.genes
        and np.array_equal(weights[used], model.weights)
        and np.array_equal(bias, model.bias)
    )


def _numbers(content: Content, cluster: Cluster, scorer: Scorer, genes: np.ndarray) -> list[Row]:
    """Compare scores, weights and steps with those that the classifier gives, and see that no other gene moves."""
    change = None if is_of_a_function(content.claim) else parse(content.claim["modification"])
    if change is not None and change.joint:
        return [("the new value of a gene depends on that gene alone", False)]
    new = cluster.values(genes) if change is None else _new_values(change, cluster, genes)
    if not scorer.reads(genes).all() or scorer.refused(genes, new).any():
        return [("the classifier reads the genes, and takes their new values", False)]
    own = _sums(scorer, genes, new)
    if own is not None and change is None:  # nobody can make these steps again
        own = own._replace(size=content.size, steps=content.steps)
    rows = [("scores, weights and steps are those that the classifier gives", _alike(content, own))]
    if change is not None and not content.claim["some_genes"]:
        others = np.setdiff1d(np.arange(len(cluster.genes)), genes)
        others = others[scorer.reads(others)]
        new = _new_values(change, cluster, others)
        moving = (new != cluster.values(others)).any(axis=0)
        held = bool(scorer.refused(others[moving], new[:, moving]).all())
        rows.append(("no other gene of the classifier moves, unless it refuses the new values", held))
    return rows


def _new_values(change: Modification, cluster: Cluster, genes: np.ndarray) -> np.ndarray:
    with np.errstate(over="ignore"):
        new = change.new_values(cluster, genes).astype(cluster.dtype)
    return np.broadcast_to(new, (cluster.n_cells, len(genes)))


def _sums(scorer: Scorer, genes: np.ndarray, new: np.ndarray) -> _Sums | None:
    moves = scorer.moves(genes, new)
    return None if moves is None else _Sums(*(getattr(moves, name) for name in _Sums._fields))


def _alike(content: Content, own: _Sums | None) -> bool:
    """Return whether numbers are the same but for less than the checker of the proof leaves to rounding."""
    if own is None or any(getattr(content, name).shape != getattr(own, name).shape for name in own._fields):
        return False
    if (content.size < own.size * (1 - 1e-9)).any():
        return False
    differ = np.abs(content.scores - own.scores).max(axis=1)
    differ += (np.abs(content.steps - own.steps) @ np.abs(own.weights)).max(axis=1)
    differ += (np.abs(content.steps) @ np.abs(content.weights - own.weights)).max(axis=1)
    return bool((differ <= (0.0 if content.whole else ROUNDING * own.size)).all())
