"""What a classifier says of one cluster, from scratch."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from anndata import AnnData

from adverscarial._docs import documented
from adverscarial.cells.choice import Cells, meant
from adverscarial.cells.cluster import Cluster
from adverscarial.classifiers.answers import Answer, vote
from adverscarial.classifiers.base import Classifier
from adverscarial.classifiers.wrap import wrap
from adverscarial.errors import InputRejected


@dataclass(frozen=True)
class ClusterPrediction:
    """Label of a cluster, the share of its cells that carry it, and all votes (none from a classifier of clusters)."""

    label: str
    share: float
    votes: dict[str, int] = field(default_factory=dict)


@documented
def predict(
    adata: Cells, classifier: object, *, groupby: str, target: str, mod: str | None = None, use_raw: bool = False,
    layer: str | None = None,
) -> ClusterPrediction:  # fmt: skip
    """Return what `classifier` calls one cluster (R: ``predictWithNewValue``, without the new value).

    The label is the most frequent one among the cluster's cells; a tie goes to the alphabetically first.

    Parameters
    ----------
    %(classifier_and_cluster)s
    %(layer_read)s

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
    adata = meant(adata, mod=mod, use_raw=use_raw, layer=layer)
    cluster = Cluster(adata, groupby, target, layer=layer)
    answer = wrap(classifier).predict_cluster(adata, cluster.rows, cluster.target, cluster.labels, layer)
    votes = {} if answer.labels is None else vote(np.asarray(answer.labels))[2]
    return ClusterPrediction(answer.label, answer.share, votes)


def answer_after(changed: AnnData, model: Classifier, cluster: Cluster) -> Answer:
    """Return what `model` answers for a cluster after its cells were changed, from scratch: no scorer is asked.

    A refusal is an answer as well, with ``rejected`` set and the classifier's reason.

    Parameters
    ----------
    changed
        The changed data, with the cells of the data that `cluster` was made of, in the same order.
    model
        The classifier.
    cluster
        The attacked cluster.
    """
    try:
        return model.predict_cluster(changed, cluster.rows, cluster.target, cluster.labels, cluster.layer)
    except InputRejected as refusal:
        return Answer("", 0.0, rejected=True, reason=str(refusal))
