"""Accuracy, ROC and F1 of one cluster as an attack grows (the paper's Fig. 4C-E)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from anndata import AnnData

from adverscarial._docs import documented
from adverscarial._progress import bar
from adverscarial._types import Bools, Floats
from adverscarial.attacks.result import Result
from adverscarial.attacks.start import scorer_for
from adverscarial.cells.choice import Cells, attacked, meant
from adverscarial.cells.cluster import Cluster
from adverscarial.cells.statistics import GeneStatistics
from adverscarial.classifiers.answers import Answer
from adverscarial.classifiers.base import Classifier
from adverscarial.classifiers.scorers.base import Scorer
from adverscarial.classifiers.wrap import wrap
from adverscarial.errors import InputRejected, ParameterError
from adverscarial.evaluation.curves import Curve, measured
from adverscarial.evaluation.intervals import Intervals, Method, method
from adverscarial.modifications import Modification
from adverscarial.modifications.base import parse, with_values

#: new values of genes (positions), shape (cells of the cluster, genes)
Values = Callable[[np.ndarray], np.ndarray]


class Step(NamedTuple):
    """One point of the axis: the genes that are changed there (positions), and what gives them their values."""

    at: float
    genes: np.ndarray
    values: Values


@documented
def robustness_curve(  # noqa: PLR0913
    adata: Cells, classifier: object, *, groupby: str, target: str, genes: Sequence[str],
    modification: Modification | str | Mapping[float, Modification | str], n_genes: Sequence[int] | None = None,
    mod: str | None = None, use_raw: bool = False, layer: str | None = None, seed: int = 0,
    intervals: Intervals = "formula", n_boot: int = 200,
    statistics: GeneStatistics | None = None, progress: bool | None = None,
) -> Curve:  # fmt: skip
    """Measure a classifier while more and more genes of a cluster are changed, or the same genes more strongly.

    Parameters
    ----------
    %(adata_and_classifier)s
    %(groupby)s
    genes
        Names, in the order in which they are changed.
    modification
        What is done to them. A mapping of strength (such as alpha or epsilon) to modification changes *all* `genes`
        with each in turn; the curve's axis is then ``"strength"``, and `n_genes` is not used.
    n_genes
        How many of `genes` to change; 0, 1, 2, 5, 10, 20, 50, ... when left out. Numbers beyond their length are left
        out, and the length itself is added then.
    %(values)s
    %(layer_attacked)s
    seed
        Of the modification and of the bootstrap.
    intervals
        How the 95% intervals over cells are made. ``"formula"``: Wilson's for the accuracy and the rates of a ROC
        curve, Newcombe's for its area, MOVER for F1. ``"bootstrap"``: percentiles of samples of cells, drawn with
        replacement inside and outside of the cluster apart.
    n_boot
        Samples of the bootstrap; 0 for no bootstrap intervals (NaN).
    %(statistics)s
    progress
        Show a bar; on a terminal when left out.

    Returns
    -------
    A :class:`Curve`. A classifier without scores gets accuracies only.

    Raises
    ------
    DataError, ParameterError, ClassifierError

    See Also
    --------
    curve_along : The same along the path of ClusterGradientDescent, as in the paper.

    Notes
    -----
    As in the paper: a cell is positive if ``obs[groupby]`` says that it is of the cluster; its score is the column of
    the cluster's baseline label; the threshold sweeps over the scores of all cells of the data set. A classifier whose
    answer for a cell depends on the other cells is asked about all of them at every step.

    Formulas are the default because a bootstrap of a rare cell type claims more than its cells can show. Where all of
    5 cells keep their label, every bootstrap sample is the same, and its interval is 1 to 1; Wilson's is 0.57 to 1. In
    simulated samples of 4 to 40 cells, 95% intervals of F1 held the truth in 89% to 98% by formula, and in 39% to 95%
    by bootstrap. For large clusters both intervals are nearly the same.

    Examples
    --------
    >>> import adverscarial as adv
    >>> model = adv.classifiers.Markers({"B": ["CD79A", "MS4A1"], "T": ["CD3D", "CD3E"]})
    >>> curve = robustness_curve(adv.datasets.embedded(), model, groupby="cell_type", target="CD19+ B",
    ...                          genes=["CD79A", "CD3D"], modification="perc1")
    >>> curve.to_frame()["n_genes"].to_list()
    [0, 1, 2]
    """
    how_sure = method(intervals, n_boot, seed)
    adata = meant(adata, mod=mod, use_raw=use_raw, layer=layer)
    cluster = Cluster(adata, groupby, target, layer=layer, seed=seed, statistics=statistics)
    order = cluster.positions(genes)
    if not len(order):
        raise ParameterError("genes= is empty; give at least one gene to change, such as rank_genes() returns.")

    def values(how: Modification) -> Values:
        return lambda positions: how.new_values(cluster, positions)

    if isinstance(modification, Mapping):
        _check_some(modification, "modification", "modification")
        plan = [Step(strength, order, values(parse(how))) for strength, how in modification.items()]
        return _curve(adata, wrap(classifier), cluster, "strength", plan, how_sure, progress)
    how = parse(modification)
    sizes, same = _sizes(n_genes, len(order)), values(how)
    # where new values hang on which genes are changed together, no step extends the one before
    plan = [Step(n, order[:n], values(how) if how.joint else same) for n in sizes]
    return _curve(adata, wrap(classifier), cluster, "n_genes", plan, how_sure, progress)


@documented
def curve_along(
    adata: Cells, classifier: object, result: Result | Mapping[float, Result], *,
    n_genes: Sequence[int] | None = None, intervals: Intervals = "formula", n_boot: int = 200,
    statistics: GeneStatistics | None = None, progress: bool | None = None,
) -> Curve:  # fmt: skip
    """Measure a classifier along the path of an attack that is done: the paper's Fig. 4C-E.

    Parameters
    ----------
    %(adata_and_asked)s
    result
        Of :class:`~adverscarial.attacks.ClusterGradientDescent`; for the paper's curves with ``stop_at_switch=False``,
        so that it goes on after the label has switched. A mapping of strength (such as alpha) to the result of any
        attack of that strength measures each at its end; the axis is then ``"strength"``, and `n_genes` is not used.
    n_genes
        How many of the tested genes to go, moved or not; 0, 1, 2, 5, 10, 20, 50, ... when left out. Numbers beyond the
        last are left out, and the last is added then.
    intervals, n_boot
        How the 95% intervals over cells are made, as for :func:`robustness_curve`.
    statistics
        Statistics of the attacked layer, when they are at hand already.
    progress
        Show a bar; on a terminal when left out.

    Returns
    -------
    A :class:`Curve`. At each step the cells have the values that the attack had given them when that many genes were
    tested; its layer and seed are those of the attack.

    Raises
    ------
    DataError
        If the attacked cells or genes are not in `adata`.
    ParameterError
        If `result` is of another attack, or its strengths are of different clusters.
    ClassifierError

    %(example)s
    >>> attack = adv.attacks.ClusterGradientDescent(genes=["CD79A", "CD79B", "MS4A1"], stop_at_switch=False)
    >>> result = attack(cells, model, groupby="cell_type", target="CD19+ B")
    >>> curve_along(cells, model, result).to_frame()["n_genes"].to_list()
    [0, 1, 2, 3]
    """
    first = _attacked(result)
    how_sure, adata = method(intervals, n_boot, first.seed), attacked(adata, first.source)
    cluster = Cluster(adata, first.groupby, first.target, layer=first.layer, seed=first.seed, statistics=statistics)

    def values(of: Result) -> Values:
        return lambda positions: of.changed_values(cluster, positions)

    if isinstance(result, Mapping):
        plan = [Step(at, cluster.positions(of.changed_genes), values(of)) for at, of in result.items()]
        return _curve(adata, wrap(classifier), cluster, "strength", plan, how_sure, progress)
    path = first.trajectory()
    assert path is not None  # `_attacked` has seen to it
    genes, moved, same = path["gene"].to_numpy()[1:], path["n_cells_changed"].to_numpy()[1:] > 0, values(first)
    plan = [Step(n, cluster.positions(genes[:n][moved[:n]]), same) for n in _sizes(n_genes, len(genes))]
    return _curve(adata, wrap(classifier), cluster, "n_genes", plan, how_sure, progress)


def _attacked(result: Result | Mapping[float, Result]) -> Result:
    """Return a result that says what was attacked, once all are known to agree on it."""
    if not isinstance(result, Mapping):
        if not isinstance(result, Result) or result.trajectory() is None:
            raise ParameterError(
                f"A {type(result).__name__} has no path to go along; give the result of ClusterGradientDescent, or a "
                "mapping such as {1.0: result, 10.0: another} to compare strengths of any attack."
            )
        return result
    _check_some(result, "result", "result")
    results = list(result.values())
    if strange := [type(of).__name__ for of in results if not isinstance(of, Result)]:
        raise ParameterError(f"The mapping must lead to results of attacks, and holds a {strange[0]}.")
    first: Result = results[0]
    for of in results:
        if _where(of) != _where(first):
            raise ParameterError(
                f"One curve is of one cluster, and these results are not: {first!r} (seed {first.seed}, layer "
                f"{first.layer or 'X'}), {of!r} (seed {of.seed}, layer {of.layer or 'X'}). Make one curve for each."
            )
    return first


def _where(result: Result) -> tuple[object, ...]:
    return result.groupby, result.target, result.layer, result.source, result.seed


def _check_some(mapping: Mapping[float, object], name: str, what: str) -> None:
    if not mapping:
        raise ParameterError(f"{name}= is an empty mapping; give at least one strength and its {what}.")


def _sizes(n_genes: Sequence[int] | None, available: int) -> list[int]:
    """Return how many genes to change at each step."""
    if n_genes is None:
        series = [0, *(digit * 10**power for power in range(len(str(available))) for digit in (1, 2, 5))]
        wanted = [n for n in series if n < available] + [available]
    else:
        wanted = list(n_genes)
    if (
        not wanted
        or not all(isinstance(n, int | np.integer) and n >= 0 for n in wanted)
        or sorted(set(wanted)) != wanted
    ):
        raise ParameterError(f"n_genes must be increasing whole numbers, such as (0, 1, 2, 5), got {n_genes!r}.")
    sizes = [int(n) for n in wanted if n <= available]
    return sizes if len(sizes) == len(wanted) or available in sizes else [*sizes, available]


def _curve(
    adata: AnnData,
    model: Classifier,
    cluster: Cluster,
    axis: str,
    plan: list[Step],
    how_sure: Method,
    progress: bool | None,
) -> Curve:
    """Ask the classifier at each step, and measure its answers."""
    rows, kept, scores = [], [], []
    with bar(f"Curve · {cluster.target}", len(plan), progress) as advance:
        scorer = scorer_for(model, cluster)
        baseline, layer = scorer.baseline, cluster.layer
        column = _column(model, cluster, baseline)
        clean = None if column is None else _scores(model, adata, layer)[:, column]
        for step, answer in zip(plan, _answers(scorer, cluster, plan), strict=True):
            advance()
            rows.append((step.at, answer.label, answer.share, answer.rejected))
            kept.append(_kept(answer, baseline))
            if column is None or clean is None:
                continue
            if answer.rejected:
                of_cells = np.full(adata.n_obs, np.nan)
            elif model.needs_all_cells:
                changed = with_values(adata, cluster.rows, step.genes, step.values(step.genes), layer=layer)
                of_cells = _scores_or_refused(model, changed, layer, column)
            else:
                of_cells = clean.copy()
                assert answer.scores is not None
                of_cells[cluster.rows] = answer.scores[:, column]
            scores.append(of_cells)
    positive = np.zeros(adata.n_obs, dtype=bool)
    positive[cluster.rows] = True
    stacked = None if clean is None else np.array(scores)
    table = pd.DataFrame(rows, columns=[axis, "label", "share", "rejected"])
    table = measured(table, kept, clean, stacked, positive, how_sure)
    return Curve(
        model.name, cluster.groupby, cluster.target, baseline.label, axis, table, positive, clean, stacked,
        *how_sure,
    )  # fmt: skip


def _answers(scorer: Scorer, cluster: Cluster, plan: list[Step]) -> Iterator[Answer]:
    """Answer each step; genes of the step before stay changed where it has the same values: only new ones cost."""
    run, done, values = scorer.fork(), 0, None
    for step in plan:
        if step.values is not values:
            run, done, values = scorer.fork(), 0, step.values
        fresh = step.genes[done:]
        if not len(fresh):
            yield run.baseline
            continue
        with np.errstate(over="ignore"):
            new = step.values(fresh).astype(cluster.X.dtype)  # what the data can hold
        answer = run.together(fresh, new)
        if not answer.rejected:
            run.accept(fresh, new)
            done = len(step.genes)
        yield answer


def _column(model: Classifier, cluster: Cluster, baseline: Answer) -> int | None:
    """Return where the baseline label stands among the classes; None without scores of it."""
    classes = list(model.bind(cluster.genes).classes)
    known = model.gives_scores and baseline.scores is not None and baseline.label in classes
    return classes.index(baseline.label) if known else None


def _scores(model: Classifier, adata: AnnData, layer: str | None) -> Floats:
    scores: Floats = model.scores(adata, layer=layer).to_numpy(dtype=np.float64)
    return scores


def _scores_or_refused(model: Classifier, adata: AnnData, layer: str | None, column: int) -> Floats:
    try:
        return _scores(model, adata, layer)[:, column]
    except InputRejected:
        return np.full(adata.n_obs, np.nan)


def _kept(answer: Answer, baseline: Answer) -> Bools | None:
    """Return which cells keep the baseline label; None if the classifier only answers for the whole cluster."""
    return None if answer.labels is None else np.asarray(answer.labels, dtype=str) == baseline.label
