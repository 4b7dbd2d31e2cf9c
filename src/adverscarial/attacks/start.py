"""What must hold before the first query: a sensible seed, enough memory, a classifier that labels the cells."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral

import numpy as np
from anndata import AnnData

from adverscarial import _memory
from adverscarial.cells.cluster import Cluster, check_genes, cluster_labels
from adverscarial.cells.matrix import CellMatrix, layer_of
from adverscarial.classifiers.answers import Answer
from adverscarial.classifiers.base import Classifier
from adverscarial.classifiers.scorers.base import Scorer
from adverscarial.errors import ClassifierError, InputRejected, ParameterError

#: dense copies of a cluster's rows at one time, in the data's number type: its own, and new values ...
_COPIES = 2
#: ... and in the classifier's: the scorer's, and two of a query
_SCORER_COPIES = 3
#: bytes that are not worth asking the system for what it has left
_SMALL = 2**27


def check_run(budget: int | None, seed: int) -> None:
    """Raise a ParameterError for an impossible budget or seed."""
    if budget is not None and (not isinstance(budget, Integral) or budget < 1):
        raise ParameterError(f"budget must be at least 1 query, got {budget!r}.")
    if not isinstance(seed, Integral) or seed < 0:
        raise ParameterError(f"seed must be a whole number, not negative, got {seed!r}.")


def check_memory(
    adata: AnnData,
    models: Sequence[Classifier],
    *,
    groupby: str,
    targets: Sequence[str],
    layer: str | None,
    jobs: int = 1,
) -> None:
    """Raise a MemoryLimitError when the largest of these clusters, `jobs` at a time, do not fit into memory.

    An estimate: the genes that a classifier reads are dense, and so are the copies of them that a query makes; a
    classifier that looks at all cells needs all rows.
    """
    check_genes(adata)
    labels = cluster_labels(adata, groupby)
    sizes = sorted((int((labels == str(target)).sum()) for target in targets), reverse=True)[:jobs]
    rows = sum(sizes)
    if any(model.needs_all_cells for model in models):
        rows += adata.n_obs * len(sizes)
    read = max((adata.n_vars if model.genes is None else len(model.genes) for model in models), default=0)
    kept = CellMatrix(layer_of(adata, layer)).dtype
    asked = max(((model.number_type or kept).itemsize for model in models), default=kept.itemsize)
    cell = read * (_COPIES * kept.itemsize + _SCORER_COPIES * asked)
    if rows * cell < _SMALL:
        return
    largest, at_once = max(sizes, default=0), f", {len(sizes)} clusters at a time" if len(sizes) > 1 else ""
    _memory.check(
        rows * cell,
        f"Attacking a cluster of {largest:,} cells x {read:,} genes{at_once},",
        f"{'Use n_jobs=1; attack' if at_once else 'Attack'} a random part of the cluster's cells, or leave out genes "
        "that no classifier reads: adata[:, genes].",
    )


def scorer_for(model: Classifier, cluster: Cluster, *, in_company: bool = True) -> Scorer:
    """Return the scorer of a model for a cluster, once it has shown that it can label the unmodified cells.

    Parameters
    ----------
    model, cluster
        The classifier, and what it is asked about.
    in_company
        Test, too, whether it labels them alike beside cells of other clusters. An attack does so itself, and counts it.

    Raises
    ------
    ClassifierError
        If the classifier refuses the cells, answers nonsense, or looks at other cells unsaid.
    """
    try:
        scorer = model.scorer(cluster)
    except InputRejected as refusal:
        raise ClassifierError(
            f"{model.name} refuses even the unmodified cells of '{cluster.target}': {refusal}"
        ) from refusal
    check_baseline(scorer.baseline, cluster, model.name)
    if in_company and scorer.company is not None:
        scorer.company()
    return scorer


def check_baseline(answer: Answer, cluster: Cluster, name: str) -> None:
    """Raise a ClassifierError when the classifier cannot even label the unmodified cluster."""
    if answer.scores is not None and np.isnan(answer.scores).any():
        raise ClassifierError(
            f"{name} gives NaN for {int(np.isnan(answer.scores).any(axis=1).sum()):,} of {cluster.n_cells:,} "
            f"unmodified cells of '{cluster.target}'. Attack the kind of values it was trained on."
        )
    if answer.labels is not None and len(answer.labels) != cluster.n_cells:
        raise ClassifierError(f"{name} labelled {len(answer.labels):,} cells of {cluster.n_cells:,}.")
