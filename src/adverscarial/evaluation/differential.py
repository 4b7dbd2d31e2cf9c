"""Would a statistician have found the genes that flip a label? Their differential expression, beside the flips."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from adverscarial._docs import documented
from adverscarial.attacks.result import Result
from adverscarial.cells.choice import Cells, meant
from adverscarial.errors import ParameterError
from adverscarial.evaluation.expression import ExpressionTests, possible_results
from adverscarial.surveys.table import Survey

_COLUMNS = (
    "classifier", "cluster", "modification", "gene", "label", "share", "against", "log_fold_change", "p_adjusted",
    "significant",
)  # fmt: skip


@documented
def differential(
    found: Survey | Result,
    adata: Cells,
    *,
    types: Mapping[str, str] | None = None,
    mod: str | None = None,
    use_raw: bool = False,
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
    %(expression_tests)s

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
    adata = meant(adata, mod=mod, use_raw=use_raw, layer=layer)
    tests, rows = ExpressionTests(adata, layer, types), []
    for name, result in possible_results(found, "differential needs a Survey or a result of SingleGene"):
        flips = result.flips()
        for gene, label, share in zip(*flips, strict=True) if flips is not None else ():
            against, statistics = tests.of(result, str(label))
            p, change = statistics.loc[str(gene), ["p_adjusted", "log_fold_change"]]
            flip = str(gene), str(label), float(share)
            shown = (name, result.target, result.attack.changes_text, *flip)
            rows.append((*shown, against, change, p, bool(p < alpha)))
    return pd.DataFrame(rows, columns=list(_COLUMNS))
