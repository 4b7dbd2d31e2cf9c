"""Would a statistician have found the genes that flip a label? Their differential expression, beside the flips."""

from __future__ import annotations

import warnings
from collections.abc import Mapping

import numpy as np
import pandas as pd
import scipy.sparse as sp
from anndata import AnnData

from adverscarial.attacks.result import Flips, Result
from adverscarial.cells.cluster import cluster_labels
from adverscarial.cells.matrix import CellMatrix, layer_of
from adverscarial.classifiers.answers import plain_name
from adverscarial.errors import DataError, ParameterError
from adverscarial.surveys.table import Survey

_COLUMNS = (
    "classifier", "cluster", "modification", "gene", "label", "share", "against", "log_fold_change", "p_adjusted",
    "significant",
)  # fmt: skip
#: what a cluster is compared with where no cluster has the name of the new label
REST = "all other cells"


def differential(
    found: Survey | Result,
    adata: AnnData,
    *,
    types: Mapping[str, str] | None = None,
    layer: str | None = None,
    alpha: float = 0.05,
) -> pd.DataFrame:
    """Give the differential expression of every gene that flips a label, between the two types in question.

    A gene that flips a label and does not differ between the types is one that attacks find and statistics do not:
    the classifier leans on something else than the biology of these types.

    Parameters
    ----------
    found
        A survey, or one result of :class:`~adverscarial.attacks.SingleGene`. Flips by impossible values are left out.
    adata
        The cells that were attacked, or all of the data set: cells x genes, log-normalised.
    types
        Which cluster is meant by which label, for a classifier with names of its own: ``{"CD8 T cell": "CD8 T"}``.
    layer
        Layer that holds log-normalised values; ``X`` when left out.
    alpha
        Adjusted p-values below it are called significant.

    Returns
    -------
    DataFrame, one row per flip: ``classifier``, ``cluster``, ``modification``, ``gene``; the new ``label`` and the
    ``share`` of cells with it; ``against``, what the cluster was compared with: the cluster of that name, or all other
    cells where there is none; ``log_fold_change``, base 2, above 0 where the attacked cluster expresses more (NaN for
    values below 0, which are not log-normalised); ``p_adjusted``, of Wilcoxon's rank-sum test, by Benjamini and
    Hochberg over all genes, as scanpy computes them; ``significant``.

    Raises
    ------
    DataError
        If the column of the clusters, or a cluster, is not in `adata`.
    ParameterError

    Notes
    -----
    Cells are counted as independent, as everywhere in such tables; where several samples are pooled, p-values are too
    small, so that "not significant" is the safer half of the answer.

    Examples
    --------
    >>> import adverscarial as adv
    >>> cells, model = adv.datasets.embedded(), adv.classifiers.ScType(scaled=False)
    >>> result = adv.attacks.SingleGene("perc99")(cells, model, groupby="cell_type", target="Dendritic")
    >>> differential(result, cells)[["gene", "against", "significant"]].values.tolist()
    [['CD79A', 'all other cells', True]]
    """
    if not 0 < alpha < 1:
        raise ParameterError(f"alpha must lie between 0 and 1, got {alpha!r}.")
    matrix = CellMatrix(layer_of(adata, layer))
    tests: dict[tuple[str, str], pd.DataFrame] = {}
    rows = []
    for name, result, flips in _results(found):
        labels = cluster_labels(adata, result.groupby)
        if result.target not in labels:
            raise DataError(f"obs['{result.groupby}'] has no cluster '{result.target}'. Give the cells of the attack.")
        for gene, label, share in zip(*flips, strict=True):
            against = cluster_of(str((types or {}).get(str(label), label)), labels, result.target)
            key = result.target, against
            if key not in tests:
                tests[key] = expression_tests(matrix, adata, labels, *key)
            p, change = tests[key].loc[str(gene), ["p_adjusted", "log_fold_change"]]
            flip = str(gene), str(label), float(share)
            shown = (name, result.target, result.attack.changes_text, *flip)
            rows.append((*shown, against, change, p, bool(p < alpha)))
    return pd.DataFrame(rows, columns=list(_COLUMNS))


def _results(found: Survey | Result) -> list[tuple[str, Result, Flips]]:
    """Return the results whose flips count, with the names of their classifiers, and the flips."""
    if isinstance(found, Result):
        pairs: list[tuple[str, Result | None]] = [(found.classifier, found)]
    elif isinstance(found, Survey):
        pairs = [(task.classifier, result) for task, result in zip(found.tasks, found.results, strict=True)]
    else:
        raise ParameterError(f"differential needs a Survey or a result of SingleGene, got {type(found).__name__}.")
    return [
        (name, result, flips)
        for name, result in pairs
        if result is not None and not result.attack.impossible and (flips := result.flips()) is not None
    ]


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
