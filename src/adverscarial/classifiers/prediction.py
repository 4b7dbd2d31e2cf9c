"""What a classifier says of one cluster, from scratch."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from anndata import AnnData

from adverscarial.classifiers.base import vote
from adverscarial.classifiers.wrap import wrap
from adverscarial.cluster import Cluster


@dataclass(frozen=True)
class ClusterPrediction:
    """Label of a cluster, the share of its cells that carry it, and all votes (none from a classifier of clusters)."""

    label: str
    share: float
    votes: dict[str, int] = field(default_factory=dict)


def predict(
    adata: AnnData, classifier: Any, *, groupby: str, target: str, layer: str | None = None
) -> ClusterPrediction:
    """Return what `classifier` calls one cluster (R: ``predictWithNewValue``, without the new value).

    The label is the most frequent one among the cluster's cells; a tie goes to the alphabetically first.

    Parameters
    ----------
    adata
        Cells x genes.
    classifier
        A classifier, or anything that :func:`adverscarial.classifiers.wrap` understands.
    groupby, target
        Column of ``adata.obs``, and the cluster in it.
    layer
        Layer to read; ``X`` when left out.

    Raises
    ------
    DataError, ClassifierError

    Examples
    --------
    >>> import adverscarial as adv
    >>> model = adv.classifiers.Markers({"B": ["CD79A"], "T": ["CD3D"]})
    >>> predict(adv.datasets.embedded(), model, groupby="cell_type", target="CD19+ B").label
    'B'
    """
    cluster = Cluster(adata, groupby, target, layer=layer)
    answer = wrap(classifier).predict_cluster(adata, cluster.rows, cluster.target, cluster.labels, layer)
    votes = {} if answer.labels is None else vote(np.asarray(answer.labels))[2]
    return ClusterPrediction(answer.label, answer.share, votes)
