"""How many genes would flip a label by chance? Attacks on permuted gene labels, and flips among random genes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

import numpy as np
import pandas as pd
from anndata import AnnData

from adverscarial._docs import documented
from adverscarial._progress import track
from adverscarial._types import Bools
from adverscarial.attacks.ranking import rank_genes
from adverscarial.attacks.result import Result
from adverscarial.attacks.start import check_run
from adverscarial.cells.choice import Cells, attacked
from adverscarial.cells.matrix import CellMatrix, layer_of
from adverscarial.classifiers.wrap import wrap
from adverscarial.errors import DataError, ParameterError, some
from adverscarial.surveys.table import Survey

Kind = Literal["labels", "genes"]
_COLUMNS = (
    "kind", "classifier", "cluster", "modification", "genes", "flips", "expected", "low", "high", "draws", "p_more",
    "p_fewer", "q_more", "q_fewer",
)  # fmt: skip
_WITHIN = (2.5, 97.5)  # percentiles of the draws, for `low` and `high`
_RANKED = 100  # genes of the ranking that are compared with random ones
_GENES, _LABELS = 999, 19  # draws
_Row = tuple[str, str, str, str, int, int, float, float, float, int, float, float]


@documented
def null_flips(
    survey: Survey,
    adata: Cells,
    classifiers: Mapping[str, object] | None = None,
    *,
    genes: Sequence[str] | None = None,
    n: int | None = None,
    bins: int = 10,
    seed: int = 0,
    progress: bool | None = None,
) -> pd.DataFrame:
    """Compare the number of single genes that flip each cluster with what chance would give.

    Two nulls. ``"genes"`` costs no query: as many random genes as `genes`, each of the same detection rate; do the
    genes that tell the clusters apart flip more labels than these? ``"labels"`` asks the classifiers again: the names
    of all genes are permuted among genes of about the same detection rate, so that each classifier reads the values of
    other genes, and the attack is made on that; does it matter which genes the classifier reads?

    Parameters
    ----------
    survey
        With results of :class:`~adverscarial.attacks.SingleGene`. For ``"genes"`` those count that tested all genes.
    adata
        The cells that were attacked.
    classifiers
        By their names in the survey; for ``"labels"``, which is left out without them.
    genes
        For ``"genes"``: the genes in question; the first 100 of :func:`adverscarial.rank_genes` when left out.
    n
        Draws; 999 for ``"genes"`` and 19 for ``"labels"`` when left out. The smallest p-value is 1 / (n + 1).
    bins
        Groups of equally many genes by detection rate: the share of cells with more than the gene's lowest value.
    seed
        Of the draws.
    %(progress)s

    Returns
    -------
    DataFrame, one row per kind of null, classifier, cluster and modification: ``kind``; ``genes`` in question and
    ``flips`` among them; ``expected``, the mean of the draws, ``low`` and ``high``, between which 95% of them lie;
    ``draws``; ``p_more`` and ``p_fewer``, the shares of draws with at least and at most so many flips (the survey
    itself counts as a draw); ``q_more`` and ``q_fewer``, adjusted by Benjamini and Hochberg over all classifiers,
    clusters and modifications of a kind.

    Raises
    ------
    ParameterError
        If the survey has no such results, or a number is not a positive whole one.
    DataError
        If the cells are not those of the survey.

    Notes
    -----
    Under permuted labels the cluster often gets another label to begin with; flips are counted against that one. A
    classifier that calls all permuted cells by one name cannot be flipped, so "more than by chance" is also what a
    classifier shows that knows these cells. Read ``"labels"`` as: how fragile is a classifier of this form with
    meaningless genes?

    Examples
    --------
    >>> import adverscarial as adv
    >>> cells, model = adv.datasets.embedded(), adv.classifiers.ScType(scaled=False)
    >>> attack = adv.attacks.SingleGene("perc99")
    >>> survey = adv.survey(cells, {"scType": model}, attacks=attack, groupby="cell_type", targets=["Dendritic"])
    >>> null_flips(survey, cells)[["kind", "genes", "flips"]].values.tolist()
    [['genes', 100, 1]]
    """
    check_run(None, seed)
    for name, value in (("n", 1 if n is None else n), ("bins", bins)):
        if not isinstance(value, int | np.integer) or value < 1:
            raise ParameterError(f"{name} must be a whole number and at least 1, got {value!r}.")
    found = _single_genes(survey)
    data, adata = survey.plan["data"], attacked(adata, survey.source)
    if adata.shape != (data["cells"], data["genes"]):
        raise DataError(
            f"adata has {adata.n_obs:,} cells x {adata.n_vars:,} genes, the survey attacked {data['cells']:,} x "
            f"{data['genes']:,}. Give the cells that were attacked."
        )
    first = found[0][1]
    names = adata.var_names.astype(str)
    groups = detection_bins(CellMatrix(layer_of(adata, first.layer)), bins)
    chosen = np.isin(names, _ranked(adata, first, progress) if genes is None else genes)
    if not chosen.any():
        raise ParameterError(f"None of genes= is in the data: {some(genes or ())}.")
    rows: list[_Row] = []
    for classifier, result in found:
        if result.number_in("tested") == len(names):
            draws = _random_genes(result, names, chosen, groups, n or _GENES, seed)
            rows.append(_row("genes", classifier, result, int(chosen.sum()), draws))
    if classifiers:
        rows += _permuted(found, adata, classifiers, groups, n or _LABELS, seed, progress)
    return _adjusted(pd.DataFrame(rows, columns=list(_COLUMNS[:-2])))


def detection_bins(matrix: CellMatrix, bins: int) -> np.ndarray:
    """Return for each gene the group of its detection rate, shape (genes,): equally many genes in each.

    Detected is a value above the gene's lowest one, so that z-scores have the detection rates of their counts.
    """
    n_genes, rates, step = matrix.shape[1], [], 500
    for start in range(0, n_genes, step):
        values = matrix.columns(np.arange(start, min(start + step, n_genes)))
        rates.append((values > values.min(axis=0)).mean(axis=0))
    order = np.argsort(np.concatenate(rates), kind="stable")
    groups = np.empty(n_genes, dtype=np.int64)
    groups[order] = np.arange(n_genes) * min(bins, n_genes) // n_genes
    return groups


def _ranked(adata: AnnData, attacked: Result, progress: bool | None) -> list[str]:
    """Return the genes that tell the clusters apart best."""
    return list(rank_genes(adata, attacked.groupby, layer=attacked.layer, progress=progress)[:_RANKED])


def _single_genes(survey: Survey) -> list[tuple[str, Result]]:
    """Return the finished results that say which single genes flip a label, with their classifiers."""
    if not isinstance(survey, Survey):
        raise ParameterError(f"null_flips needs a Survey, got {type(survey).__name__}.")
    pairs = zip(survey.tasks, survey.results, strict=True)
    found = [
        (task.classifier, one) for task, one in pairs if one is not None and one.complete and one.flips() is not None
    ]
    if not found:
        raise ParameterError("null_flips needs finished results of SingleGene; this survey has none.")
    return found


def _flipping(result: Result, names: pd.Index) -> Bools:
    """Return which genes flip the label, shape (genes,)."""
    flips = result.flips()
    assert flips is not None  # chosen by that
    which: Bools = np.isin(names, flips.genes.astype(str))
    return which


class _Draws(NamedTuple):
    """Flips found, and flips of each draw."""

    flips: int
    drawn: np.ndarray


def _random_genes(result: Result, names: pd.Index, chosen: Bools, groups: np.ndarray, n: int, seed: int) -> _Draws:
    """Draw as many genes of each group as were chosen of it, `n` times: a hypergeometric number of them flip."""
    flips, rng = _flipping(result, names), np.random.default_rng([seed, 5])
    drawn = np.zeros(n, dtype=np.int64)
    for group in np.unique(groups[chosen]):
        inside = groups == group
        good = int((flips & inside).sum())
        drawn += rng.hypergeometric(good, int(inside.sum()) - good, int((chosen & inside).sum()), size=n)
    return _Draws(int((flips & chosen).sum()), drawn)


def _permuted(
    found: Sequence[tuple[str, Result]], adata: AnnData, classifiers: Mapping[str, object], groups: np.ndarray,
    n: int, seed: int, progress: bool | None,
) -> list[_Row]:  # fmt: skip
    """Make each attack again on data whose gene names are permuted within the groups, `n` times."""
    asked = [(name, result) for name, result in found if name in classifiers]
    if not asked:
        raise ParameterError(
            f"classifiers= has {some(classifiers)}; the survey has {some(dict.fromkeys(name for name, _ in found))}."
        )
    models = {name: wrap(model) for name, model in classifiers.items()}
    counts = np.zeros((len(asked), n), dtype=np.int64)
    for draw in track(range(n), "Permuted gene labels", n, progress):
        data = permuted(adata, groups, np.random.default_rng([seed, 6, draw]))
        for row, (name, one) in enumerate(asked):
            try:
                again = one.attack(
                    data, models[name], groupby=one.groupby, target=one.target, layer=one.layer, seed=one.seed,
                    progress=False,
                )  # fmt: skip
            except ParameterError:
                if not one.attack.aim:
                    raise
                continue  # with these names the cluster has the label that was aimed at: nothing flips to it
            flips = again.flips()
            counts[row, draw] = 0 if flips is None else len(flips.genes)
    rows = []
    for (name, one), drawn in zip(asked, counts, strict=True):
        flips = one.flips()
        assert flips is not None
        rows.append(_row("labels", name, one, adata.n_vars, _Draws(len(flips.genes), drawn)))
    return rows


def permuted(adata: AnnData, groups: np.ndarray, rng: np.random.Generator) -> AnnData:
    """Return the data with each gene's values under the name of another gene of its group."""
    source = np.arange(len(groups))
    for group in np.unique(groups):
        inside = np.flatnonzero(groups == group)
        source[inside] = rng.permutation(inside)
    data = adata[:, source].copy()
    data.var_names = adata.var_names
    return data


def _row(kind: Kind, classifier: str, result: Result, genes: int, draws: _Draws) -> _Row:
    """Return one row, without the adjusted p-values."""
    drawn = draws.drawn
    low, high = np.percentile(drawn, _WITHIN)
    more, fewer = (1 + int(hits.sum()) for hits in (drawn >= draws.flips, drawn <= draws.flips))
    n = len(drawn) + 1
    what = kind, classifier, result.target, result.attack.changes_text
    return (*what, genes, draws.flips, float(drawn.mean()), low, high, len(drawn), more / n, fewer / n)


def _adjusted(table: pd.DataFrame) -> pd.DataFrame:
    """Return the table with p-values adjusted within each kind."""
    from scipy.stats import false_discovery_control

    table = table.assign(q_more=np.nan, q_fewer=np.nan)
    for _, part in table.groupby("kind", sort=False):
        for side in ("more", "fewer"):
            table.loc[part.index, f"q_{side}"] = false_discovery_control(part[f"p_{side}"].to_numpy(dtype=float))
    return table


def beyond_chance(table: pd.DataFrame, alpha: float = 0.05) -> pd.DataFrame:
    """Sum up :func:`null_flips` by kind and classifier.

    Returns
    -------
    DataFrame ``kind, classifier, pairs`` (of cluster and modification), ``flips`` and ``expected`` (means over the
    pairs), ``more_than_chance`` and ``fewer_than_chance`` (pairs with an adjusted p-value below `alpha`).
    """
    marked = table.assign(more=table["q_more"] < alpha, fewer=table["q_fewer"] < alpha)
    found = marked.groupby(["kind", "classifier"], sort=False).agg(
        pairs=("flips", "size"), flips=("flips", "mean"), expected=("expected", "mean"),
        more_than_chance=("more", "sum"), fewer_than_chance=("fewer", "sum"),
    )  # fmt: skip
    return found.reset_index()
