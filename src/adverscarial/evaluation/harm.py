"""What an attack does beside how visible it is: the two axes that every attack must choose between."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData

from adverscarial._progress import track
from adverscarial.attacks.result import Result
from adverscarial.classifiers.wrap import wrap
from adverscarial.cluster import Cluster
from adverscarial.errors import ParameterError
from adverscarial.evaluation.detectability import Detectability, detectability


def harm(
    adata: AnnData,
    classifier: Any,
    results: Result | Sequence[Result] | Mapping[str, Result],
    *,
    seed: int = 0,
    progress: bool | None = None,
) -> pd.DataFrame:
    """Measure what attacks do to their cluster, and how visible each is.

    Parameters
    ----------
    adata
        The cells that were attacked; not changed.
    classifier
        The classifier that was attacked, or another one. It classifies the changed cells from scratch.
    results
        Of any attacks, on any clusters; a mapping names them. Where a result holds no gene, nothing is changed.
    seed
        Of :func:`detectability`.
    progress
        Progress bar; left out, on a terminal only.

    Returns
    -------
    DataFrame, one row per result: ``attack``, its name; ``cluster``; ``harm``, the share of the cluster's cells that
    are labelled otherwise than before (0 or 1 for a classifier of whole clusters, and 1 where it refuses the input);
    ``flipped``, whether the cluster's label is another one; and the parts of :class:`Detectability`, ``visibility``
    first.

    Raises
    ------
    DataError, ParameterError, ClassifierError

    Examples
    --------
    >>> import adverscarial as adv
    >>> cells, model = adv.datasets.embedded(), adv.classifiers.ScType(scaled=False)
    >>> attack = adv.attacks.ClusterGradientDescent(genes=["CD79A", "CD79B", "MS4A1"])
    >>> table = harm(cells, model, {"CGD": attack(cells, model, groupby="cell_type", target="CD19+ B")})
    >>> table[["attack", "genes", "flipped"]].values.tolist()
    [['CGD', 3, True]]
    """
    model = wrap(classifier)
    rows = []
    named = _named(results)
    for name, result in track(named.items(), "Harm", len(named), progress):
        cluster = Cluster(adata, result.groupby, result.target, layer=result.layer)
        where = (cluster.rows, cluster.target, cluster.labels, result.layer)
        before = after = model.predict_cluster(adata, *where)
        seen = Detectability()
        if result._applied_genes():
            changed = result.apply(adata)
            after = model.predict_cluster(changed, *where)
            seen = detectability(
                adata, changed, groupby=result.groupby, target=result.target, layer=result.layer, seed=seed
            )
        flipped = bool(after.rejected or after.label != before.label)
        if after.rejected or before.labels is None or after.labels is None:
            share = float(flipped)
        else:
            share = float(np.mean(np.asarray(before.labels) != np.asarray(after.labels)))
        parts = dict(zip(seen.to_frame()["part"], seen.to_frame()["value"], strict=True))
        parts |= {name: int(parts[name]) for name in ("cells", "genes")}
        rows.append({"attack": name, "cluster": cluster.target, "harm": share, "flipped": flipped, **parts})
    return pd.DataFrame(rows)


def _named(results: Any) -> dict[str, Result]:
    """Return results by name: the key given, else attack and modification, numbered where they repeat."""
    if isinstance(results, Mapping):
        found = {str(name): result for name, result in results.items()}
    else:
        found = {}
        for result in [results] if isinstance(results, Result) else list(results):
            row = result.row() if isinstance(result, Result) else {"attack": "", "modification": ""}
            name = f"{row['attack']} {row['modification']}".strip()
            same = sum(known.split(" #")[0] == name for known in found)
            found[f"{name} #{same + 1}" if same else name] = result
    if not found or not all(isinstance(result, Result) for result in found.values()):
        raise ParameterError("results= must hold at least one result of an attack, and nothing else.")
    return found
