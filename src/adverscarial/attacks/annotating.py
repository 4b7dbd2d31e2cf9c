"""Results written into an AnnData, where scanpy's users look: columns of ``obs`` and ``var``, parameters in ``uns``."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from anndata import AnnData

from adverscarial.errors import DataError, ParameterError, some

if TYPE_CHECKING:
    from adverscarial.attacks.judge import Judge
    from adverscarial.attacks.result import Result

logger = logging.getLogger(__name__)

#: what ``uns`` can hold in every format
Plain = str | bool | int | float | np.ndarray


def check_key(key: str) -> None:
    """Raise a ParameterError unless `key` can start the names of columns in files."""
    if not isinstance(key, str) or not key or "/" in key:
        raise ParameterError(
            f"key_added must be a text without '/', which parts names in .h5ad and .zarr files; got {key!r}."
        )


def spread(values: np.ndarray, where: np.ndarray, length: int) -> pd.Categorical | np.ndarray:
    """Return a column with `values` at the positions `where`, and nothing (NaN) elsewhere; text becomes categories.

    >>> spread(np.array([2, 3]), np.array([0, 2]), 3).tolist()
    [2.0, nan, 3.0]
    """
    if values.dtype.kind in "biuf":
        numbers = np.full(length, np.nan)
        numbers[where] = values
        return numbers
    texts = np.full(length, None, dtype=object)
    texts[where] = values.astype(str)
    return pd.Categorical(texts)


def margins(labels: np.ndarray, scores: np.ndarray, classes: Sequence[str]) -> np.ndarray:
    """Return each cell's score of its own label, minus the best of the others.

    Parameters
    ----------
    labels, scores, classes
        Label of each cell; scores, cells x classes; the classes. NaN where a label is none of the classes.

    Examples
    --------
    >>> margins(np.array(["B", "unknown"]), np.array([[0.7, 0.3], [0.5, 0.5]]), ["B", "T"]).round(2).tolist()
    [0.4, nan]
    """
    own = pd.Index(classes).get_indexer(pd.Index(labels))
    known = np.flatnonzero(own >= 0)
    found = np.full(len(labels), np.nan)
    if len(classes) > 1 and len(known):
        rivals = np.array(scores[known], dtype=np.float64)
        mine = rivals[np.arange(len(known)), own[known]].copy()
        rivals[np.arange(len(known)), own[known]] = -np.inf
        found[known] = mine - rivals.max(axis=1)
    return found


def cell_columns(result: Result, cells: pd.Index, judge: Judge | None) -> dict[str, np.ndarray]:
    """Return what is known of the cluster's cells by column, in the order of `cells`.

    Parameters
    ----------
    result
        Of the attack.
    cells
        Names of the cluster's cells in the data that are written to.
    judge
        Classifies these cells before and after; without one, there is only what the result holds.

    Raises
    ------
    DataError
        If they are not as many cells as were attacked, or have other names.
    """
    if len(cells) != result.n_cells:
        raise DataError(
            f"Cluster '{result.target}' has {len(cells):,} cells here, and had {result.n_cells:,} when it was attacked."
            " Pass the data that were attacked."
        )
    n = len(cells)
    found: dict[str, np.ndarray] = {
        "cluster_before": np.full(n, result.baseline),
        "cluster_after": np.full(n, result.label),
    }
    held = result.of_cells()
    if held is not None and len(held):
        held = held if held.index.equals(cells) else _in_order(held, cells, result.target)
        found |= {str(name): np.asarray(held[name]) for name in held}
    return found if judge is None else found | _asked(judge, result)


def _in_order(held: pd.DataFrame, cells: pd.Index, target: str) -> pd.DataFrame:
    absent = cells[~cells.isin(held.index)]
    if len(absent) or not cells.is_unique:
        why = f"{some(absent)} are not among them" if len(absent) else "names repeat, and stand in another order"
        raise DataError(
            f"The cells of cluster '{target}' are not those that were attacked: {why}. Pass the data that were "
            "attacked."
        )
    return held.loc[cells]


def _asked(judge: Judge, result: Result) -> dict[str, np.ndarray]:
    """Return labels before and after, and the margin before, as the classifier gives them from scratch."""
    before = judge.before()
    if before.label != result.baseline or not np.isclose(
        before.share, result.baseline_share, rtol=0, atol=1e-9, equal_nan=True
    ):
        logger.warning(
            "The classifier calls these cells of '%s' %s (%.0f%%), and called those that were attacked %s (%.0f%%): "
            "the values or the classifier are others. What is written is of both.",
            result.target, before.label, 100 * before.share, result.baseline, 100 * result.baseline_share,
        )  # fmt: skip
    genes = result.changed_genes
    after = judge.ask(judge.cluster.positions(genes)) if genes else before
    found = {name: answer.labels for name, answer in (("before", before), ("after", after))}
    columns = {name: np.asarray(labels, dtype=str) for name, labels in found.items() if labels is not None}
    if before.labels is not None and before.scores is not None:
        columns["margin"] = margins(np.asarray(before.labels, dtype=str), before.scores, judge.classes)
    return columns


def gene_columns(found: pd.DataFrame, genes: pd.Index) -> dict[str, pd.Categorical | np.ndarray]:
    """Return what is known of genes as columns for all `genes` of the data.

    Raises
    ------
    DataError
        If a gene is not in the data.
    """
    positions = genes.get_indexer(found.index)
    if (positions < 0).any():
        absent = found.index[positions < 0]
        raise DataError(
            f"{len(absent):,} of the {len(found):,} genes of the result are not in the data: {some(absent)}. Pass the "
            "data that were attacked."
        )
    return {str(name): spread(found[name].to_numpy(), positions, len(genes)) for name in found}


def parameters(result: Result) -> dict[str, Plain | Mapping[str, str]]:
    """Return what was asked and found, in types that every format can hold."""
    told: dict[str, Plain | Mapping[str, str]] = {
        "attack": repr(result.attack), "modification": result.attack.changes_text, "classifier": result.classifier,
        "groupby": result.groupby, "target": result.target, "layer": result.layer or "X", **result.source,
        "seed": result.seed,
        "baseline": result.baseline, "baseline_share": result.baseline_share, "label": result.label,
        "share": result.share, "success": bool(result.success), "complete": bool(result.complete),
        "queries": result.queries, "genes": np.array(result.changed_genes, dtype=str),
        "versions": dict(result.versions),
    }  # fmt: skip
    return told


def write(
    adata: AnnData,
    key: str,
    obs: Mapping[str, pd.Categorical | np.ndarray],
    var: Mapping[str, pd.Categorical | np.ndarray],
    uns: object,
    *,
    raw: bool = False,
) -> None:
    """Write columns whose names start with `key`, and the parameters under it; those of genes of raw to its ``var``."""
    genes = adata.raw.var if raw and adata.raw is not None else adata.var
    for name, column in obs.items():
        adata.obs[f"{key}_{name}"] = column
    for name, column in var.items():
        genes[f"{key}_{name}"] = column
    adata.uns[key] = uns
