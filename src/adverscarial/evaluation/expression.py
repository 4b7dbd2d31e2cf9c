"""Differential expression between the two types that an attack's gene stands between, by scanpy."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping

import numpy as np
import pandas as pd
import scipy.sparse as sp
from anndata import AnnData

from adverscarial.attacks.result import Result
from adverscarial.cells.cluster import cluster_labels
from adverscarial.cells.matrix import CellMatrix, layer_of
from adverscarial.classifiers.answers import plain_name
from adverscarial.errors import DataError, ParameterError
from adverscarial.surveys.table import Survey

#: what a cluster is compared with where no cluster has the name of the new label
REST = "all other cells"


def possible_results(found: object, needed: str) -> Iterator[tuple[str, Result]]:
    """Yield classifier and result of each attack that wrote values which cells can have; `needed` is for the error."""
    if isinstance(found, Result):
        pairs: list[tuple[str, Result | None]] = [(found.classifier, found)]
    elif isinstance(found, Survey):
        pairs = [(task.classifier, result) for task, result in zip(found.tasks, found.results, strict=True)]
    else:
        raise ParameterError(f"{needed}, got {type(found).__name__}.")
    for name, result in pairs:
        if result is not None and not result.attack.impossible:
            yield name, result


class ExpressionTests:
    """Differential expression in one data set, each pair of types once."""

    def __init__(self, adata: AnnData, layer: str | None, types: Mapping[str, str] | None) -> None:
        self._adata, self._matrix, self._types = adata, CellMatrix(layer_of(adata, layer)), types or {}
        self._done: dict[tuple[str, str], pd.DataFrame] = {}

    def of(self, result: Result, label: str) -> tuple[str, pd.DataFrame]:
        """Return what the cluster is compared with for a label, and the statistics of all genes."""
        labels = cluster_labels(self._adata, result.groupby)
        if result.target not in labels:
            raise DataError(f"obs['{result.groupby}'] has no cluster '{result.target}'. Give the cells of the attack.")
        against = REST if not label else cluster_of(str(self._types.get(label, label)), labels, result.target)
        key = result.target, against
        if key not in self._done:
            self._done[key] = expression_tests(self._matrix, self._adata, labels, *key)
        return against, self._done[key]


def cluster_of(label: str, labels: np.ndarray, target: str) -> str:
    """Return the cluster that has a label's name; all other cells where there is none."""
    names = {plain_name(name): str(name) for name in labels if name is not None and name != target}
    return names.get(plain_name(label), REST)


def expression_tests(matrix: CellMatrix, adata: AnnData, labels: np.ndarray, target: str, against: str) -> pd.DataFrame:
    """Return adjusted p-value and fold change of every gene, between two groups of cells, by scanpy."""
    import scanpy as sc  # here and not above: importing the package stays quick

    inside = labels == target
    other = ~inside if against == REST else labels == against
    rows = np.flatnonzero(inside | other)
    if min(inside.sum(), other.sum()) < 2:
        nothing = np.full(adata.n_vars, np.nan)
        return pd.DataFrame({"p_adjusted": nothing, "log_fold_change": nothing}, index=adata.var_names.astype(str))
    values = sp.csr_matrix(matrix.part(rows)) if matrix.sparse else matrix.rows(rows)
    groups = pd.Categorical(np.where(inside[rows], "inside", "other"))
    cells = AnnData(values, obs=pd.DataFrame({"group": groups}, index=[str(row) for row in rows]))
    cells.var_names = adata.var_names.astype(str)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of logarithms of 0 in genes that nobody expresses
        sc.tl.rank_genes_groups(
            cells, "group", groups=["inside"], reference="other", method="wilcoxon", tie_correct=True, use_raw=False
        )
        table = sc.get.rank_genes_groups_df(cells, "inside").set_index("names")
    change = table["logfoldchanges"].astype(float) if values.min() >= 0 else np.nan
    return pd.DataFrame({"p_adjusted": table["pvals_adj"].astype(float), "log_fold_change": change})
