"""Genes that a proof must look at: the others cannot do anything, or may not."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from adverscarial.cells.cluster import Cluster
from adverscarial.classifiers.scorers.base import Scorer
from adverscarial.modifications import Modification


class Movable(NamedTuple):
    """Genes whose change can do something, and their new values; see :func:`movable`."""

    #: positions in the data set
    genes: np.ndarray
    #: shape (cells, genes), or (1, genes)
    values: np.ndarray


def movable(scorer: Scorer, cluster: Cluster, change: Modification, genes: np.ndarray) -> Movable:
    """Return which of `genes` are read, have a new value in some cell, and are not refused."""
    genes = genes[scorer.reads(genes)]
    with np.errstate(over="ignore"):
        values = change.new_values(cluster, genes).astype(cluster.dtype)
    moving = (values != cluster.values(genes)).any(axis=0)
    genes, values = genes[moving], values[:, moving]
    refused = scorer.refused(genes, values)
    return Movable(genes[~refused], values[:, ~refused])
