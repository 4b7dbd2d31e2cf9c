"""What an attack does to a model on held-out cells."""

from __future__ import annotations

from typing import Any

import numpy as np
from anndata import AnnData

from adverscarial._matrix import layer_of
from adverscarial.attacks.base import Attack, scorer_for
from adverscarial.attacks.max_change import MaxChangeResult
from adverscarial.attacks.single_gene import SingleGeneResult
from adverscarial.classifiers.base import Classifier
from adverscarial.cluster import Cluster, cluster_labels, cluster_names
from adverscarial.statistics import GeneStatistics


def attacked(adata: AnnData, result: Any) -> AnnData:
    """Return the cells as the attack leaves them: `adata` itself where it found nothing, or was refused."""
    if not result.genes or getattr(result, "rejected", False):
        return adata
    return result.apply(adata)


def measure(
    model: Classifier,
    cells: AnnData,
    attack: Attack,
    groupby: str,
    layer: str | None,
    seed: int,
) -> dict[str, float]:
    """Attack every cluster of held-out cells; every accuracy is a full prediction, without any scorer."""
    truth = cluster_labels(cells, groupby)
    said = model.predict(cells, layer=layer).astype(str).to_numpy()
    statistics = GeneStatistics(layer_of(cells, layer))
    clean, moved, flipped, genes, needed = [], [], [], [], []
    for target in cluster_names(truth):
        cluster = Cluster(cells, groupby, target, layer=layer, seed=seed, statistics=statistics)
        result = attack.run(cluster, model, scorer_for(model, cluster))
        success = bool(getattr(result, "success", result.label != result.baseline))
        after = said[cluster.rows]
        clean.append(np.mean(after == target))
        changed = attacked(cells, result)
        if changed is not cells:
            answer = model.predict_cluster(changed, cluster.rows, target, truth, layer)
            after = np.full(cluster.n_cells, answer.label) if answer.labels is None else answer.labels
        moved.append(np.mean(after == target))
        flipped.append(success)
        genes.append(len(result.genes) if isinstance(result, SingleGeneResult) else np.nan)
        needed.append(_genes_needed(result, success))
    known = [number for number in needed if not np.isnan(number)]
    return {
        "clean_accuracy": float(np.mean(clean)), "attacked_accuracy": float(np.mean(moved)),
        "clusters": len(flipped), "flipped": sum(flipped), "success": float(np.mean(flipped)),
        "flipping_genes": float(np.sum(genes)), "genes_needed": float(np.median(known)) if known else np.nan,
    }  # fmt: skip


def _genes_needed(result: Any, success: bool) -> float:
    if isinstance(result, MaxChangeResult):
        return len(result.signature)
    if not success:
        return np.nan
    return 1 if isinstance(result, SingleGeneResult) else len(result.genes)
