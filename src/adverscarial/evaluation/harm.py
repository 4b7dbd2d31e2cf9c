"""What an attack does beside how visible it is: the two axes that every attack must choose between."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from adverscarial._docs import documented
from adverscarial._names import numbered
from adverscarial._progress import track
from adverscarial.attacks.outcome import Outcome
from adverscarial.attacks.result import Result
from adverscarial.cells.choice import Cells, attacked
from adverscarial.cells.cluster import Cluster
from adverscarial.classifiers.answers import Answer
from adverscarial.classifiers.base import Classifier
from adverscarial.classifiers.prediction import answer_after
from adverscarial.classifiers.wrap import wrap
from adverscarial.errors import ParameterError
from adverscarial.evaluation.detectability import Detectability, detectability


@documented
def harm(
    adata: Cells,
    classifier: object,
    results: Result | Sequence[Result] | Mapping[str, Result],
    *,
    seed: int = 0,
    progress: bool | None = None,
) -> pd.DataFrame:
    """Measure what attacks do to their cluster, and how visible each is.

    The classifier classifies the changed cells from scratch.

    Parameters
    ----------
    %(adata_and_asked)s
    results
        Of any attacks, on any clusters; a mapping names them. Where a result holds no gene, nothing is changed.
    seed
        Of :func:`detectability`.
    %(progress)s

    Returns
    -------
    DataFrame, one row per result: ``attack``, its name; ``cluster``; ``harm``, the share of the cluster's cells that
    are labelled otherwise than before (0 or 1 for a classifier of whole clusters, and 1 where it refuses the input);
    ``flipped``, whether the cluster has another label now; ``outcome``, which is ``"flipped"``, ``"held"``, or
    ``"rejected"`` where the classifier refuses the changed cells; and the parts of :class:`Detectability`,
    ``visibility`` first.

    Raises
    ------
    DataError, ParameterError, ClassifierError

    %(example)s
    >>> attack = adv.attacks.ClusterGradientDescent(genes=["CD79A", "CD79B", "MS4A1"])
    >>> table = harm(cells, model, {"CGD": attack(cells, model, groupby="cell_type", target="CD19+ B")})
    >>> table[["attack", "genes", "flipped"]].values.tolist()
    [['CGD', 3, True]]
    """
    model = wrap(classifier)
    named = _named(results)
    steps = track(named.items(), "Harm", len(named), progress)
    return pd.DataFrame([{"attack": name, **_measured(adata, model, result, seed)} for name, result in steps])


def _measured(data: Cells, model: Classifier, result: Result, seed: int) -> dict[str, object]:
    """Return what one attack does, and how visible it is."""
    adata = attacked(data, result.source)
    cluster = Cluster(adata, result.groupby, result.target, layer=result.layer)
    before = after = model.predict_cluster(adata, cluster.rows, cluster.target, cluster.labels, result.layer)
    visible = Detectability()
    if result.changed_genes:
        changed = result.apply(adata)
        after = answer_after(changed, model, cluster)
        visible = detectability(
            adata, changed, groupby=result.groupby, target=result.target, layer=result.layer, seed=seed
        )
    flipped = not after.rejected and after.label != before.label
    outcome = Outcome.REJECTED if after.rejected else Outcome.FLIPPED if flipped else Outcome.HELD
    parts: dict[str, object] = dict(visible.to_frame()[["part", "value"]].itertuples(index=False))
    parts |= {"cells": visible.cells, "genes": visible.genes}
    return {
        "cluster": cluster.target, "harm": _share_relabelled(before, after), "flipped": flipped,
        "outcome": outcome.text, **parts,
    }  # fmt: skip


def _share_relabelled(before: Answer, after: Answer) -> float:
    if after.rejected:
        return 1.0
    if before.labels is None or after.labels is None:
        return float(after.label != before.label)
    return float(np.mean(np.asarray(before.labels) != np.asarray(after.labels)))


def _named(results: Result | Sequence[Result] | Mapping[str, Result]) -> dict[str, Result]:
    """Return results by name: the key given, else attack and modification, numbered where they repeat."""
    if isinstance(results, Mapping):
        found = {str(name): result for name, result in results.items()}
    else:
        listed = [results] if isinstance(results, Result) else list(results)
        found = dict(zip(numbered(map(_name, listed)), listed, strict=True))
    if not found or not all(isinstance(result, Result) for result in found.values()):
        raise ParameterError("results= must hold at least one result of an attack, and nothing else.")
    return found


def _name(result: object) -> str:
    """Return attack and modification in one text; nothing for what is no result, which is refused later."""
    row = result.row() if isinstance(result, Result) else {}
    return f"{row.get('attack', '')} {row.get('modification', '')}".strip()
