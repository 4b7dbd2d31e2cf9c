"""What an attack does to a model on held-out cells."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from anndata import AnnData

from adverscarial.attacks.base import Attack
from adverscarial.attacks.result import Result
from adverscarial.attacks.start import scorer_for
from adverscarial.cells.cluster import Cluster, cluster_labels, cluster_names
from adverscarial.cells.matrix import layer_of
from adverscarial.cells.statistics import GeneStatistics
from adverscarial.classifiers.base import Classifier
from adverscarial.classifiers.prediction import answer_after


def attacked(adata: AnnData, result: Result) -> AnnData:
    """Return the cells as the attack leaves them: `adata` itself where it found nothing."""
    return result.apply(adata) if result.changed_genes else adata


class _Measured(NamedTuple):
    """What an attack did to one cluster; NaN where the attack does not count that."""

    clean: float
    attacked: float
    flipped: bool
    flipping_genes: float
    genes_needed: float


def measure(
    model: Classifier,
    cells: AnnData,
    attack: Attack[Result],
    groupby: str,
    layer: str | None,
    seed: int,
) -> dict[str, float]:
    """Attack every cluster of held-out cells; every accuracy is a full prediction, without any scorer."""
    labels = model.predict(cells, layer=layer).astype(str).to_numpy()
    statistics = GeneStatistics(layer_of(cells, layer))
    rows = []
    for target in cluster_names(cluster_labels(cells, groupby)):
        cluster = Cluster(cells, groupby, target, layer=layer, seed=seed, statistics=statistics)
        rows.append(_of_cluster(model, cells, attack, cluster, labels[cluster.rows]))
    clean, moved, flipped, genes, needed = zip(*rows, strict=True)
    known = [number for number in needed if not np.isnan(number)]
    return {
        "clean_accuracy": float(np.mean(clean)), "attacked_accuracy": float(np.mean(moved)),
        "clusters": len(flipped), "flipped": sum(flipped), "success": float(np.mean(flipped)),
        "flipping_genes": float(np.sum(genes)), "genes_needed": float(np.median(known)) if known else np.nan,
    }  # fmt: skip


def _of_cluster(
    model: Classifier, cells: AnnData, attack: Attack[Result], cluster: Cluster, before: np.ndarray
) -> _Measured:
    """Attack one cluster; `before` holds the labels of its cells."""
    result = attack.run(cluster, model, scorer_for(model, cluster, in_company=False))
    after, changed = before, attacked(cells, result)
    if changed is not cells and not (answer := answer_after(changed, model, cluster)).rejected:
        after = np.full(cluster.n_cells, answer.label) if answer.labels is None else answer.labels
    needed = result.genes_needed
    counts_genes = result.count is not None and result.count.column == "flipped"
    flipping = result.number_in("flipped") if counts_genes else None
    genes = result.number_in("signature") if "signature" in result.row() else needed
    return _Measured(
        clean=float(np.mean(before == cluster.target)),
        attacked=float(np.mean(after == cluster.target)),
        flipped=needed is not None,
        flipping_genes=np.nan if flipping is None else flipping,
        genes_needed=np.nan if genes is None else genes,
    )
