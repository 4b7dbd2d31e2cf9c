"""Does what fools one classifier fool the others?"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, NamedTuple

import numpy as np
import pandas as pd
from anndata import AnnData

from adverscarial._docs import documented
from adverscarial._names import numbered
from adverscarial._progress import track
from adverscarial.attacks.result import Result
from adverscarial.attacks.start import scorer_for
from adverscarial.cells.choice import Cells, attacked
from adverscarial.cells.cluster import Cluster
from adverscarial.cells.matrix import layer_of
from adverscarial.cells.statistics import GeneStatistics
from adverscarial.classifiers.base import Classifier
from adverscarial.classifiers.scorers.base import Scorer
from adverscarial.classifiers.wrap import wrap
from adverscarial.errors import ParameterError
from adverscarial.surveys.table import Survey

_GENES = 256  # whose new values are made at a time


class _Tried(NamedTuple):
    """What one classifier says to the flips that one result holds."""

    flips: int
    carried: int
    rejected: int


@documented
def transfer(
    adata: Cells,
    results: Survey | Result | Iterable[Result],
    classifiers: object,
    *,
    values: Literal["possible", "impossible"] = "possible",
    counts: bool = False,
    progress: bool | None = None,
) -> pd.DataFrame:
    """Try the flips that were found on one classifier on others.

    A flip is a gene that flips the label of its cluster alone (:class:`~adverscarial.attacks.SingleGene`), or all the
    changes of any other attack that reached its goal. It carries over where the other classifier's own label for the
    cluster changes, too, to whatever label.

    Parameters
    ----------
    %(adata_attacked)s
    results
        A survey, one result, or several.
    classifiers
        What to try the flips on: one, several, or a mapping that names them. Those that were attacked may be among
        them: all of their own flips carry over.
    values
        Count the attacks that write possible values, or those that write impossible ones; the two are never added.
    counts
        Return how many flips carry over in place of their share, and how many were refused.
    %(progress)s

    Returns
    -------
    DataFrame, one row per attacked classifier: ``n``, how many flips were found on it; then one column per classifier
    that they were tried on, with the share of the flips that carry over, NaN where there are none. A refused change
    does not carry over; with `counts`, ``NAME rejected`` says how many there were.

    Raises
    ------
    ParameterError
        If there is no result, or none of an attack that writes such values.
    DataError, ClassifierError

    %(cells_example)s
    >>> models = {"three": adv.classifiers.Markers({"B": ["CD79A", "CD79B", "MS4A1"], "T": ["CD3D"]}),
    ...           "one": adv.classifiers.Markers({"B": ["MS4A1"], "T": ["CD3D"]})}
    >>> attack = adv.attacks.SingleGene("perc99")
    >>> found = adv.survey(cells, models, attacks=attack, groupby="cell_type", targets=["CD19+ B", "CD56+ NK"])
    >>> transfer(cells, found, models)["n"].to_dict()
    {'three': 3, 'one': 2}
    """
    if values not in ("possible", "impossible"):
        raise ParameterError(f"values= must be 'possible' or 'impossible', got '{values}'.")
    sources = [(name, found) for name, found in _named(results) if found.attack.impossible == (values == "impossible")]
    if not sources:
        raise ParameterError(
            f"No result here is of an attack that writes {values} values. Pass what a survey or an attack returned; "
            f"values='{'impossible' if values == 'possible' else 'possible'}' counts the others."
        )
    models = _models(classifiers)
    sums = {(source, name): np.zeros(3, np.int64) for source, _ in sources for name in models}
    statistics: dict[tuple[object, ...], tuple[AnnData, GeneStatistics]] = {}
    for source, result in track(sources, "Transfer", len(sources), progress):
        read = (result.layer, *result.source.items())
        if read not in statistics:
            cells = attacked(adata, result.source)
            statistics[read] = cells, GeneStatistics(layer_of(cells, result.layer))
        cells, known = statistics[read]
        cluster = Cluster(cells, result.groupby, result.target, layer=result.layer, seed=result.seed, statistics=known)
        for name, model in models.items():
            sums[source, name] += np.array(_tried(result, cluster, model))
    return _table(sums, list(models), counts)


def _table(sums: Mapping[tuple[str, str], np.ndarray], names: Sequence[str], counts: bool) -> pd.DataFrame:
    rows = {}
    for source in dict.fromkeys(source for source, _ in sums):
        row: dict[str, float] = {"n": int(sums[source, names[0]][0])}
        for name in names:
            flips, carried, rejected = (int(number) for number in sums[source, name])
            if counts:
                row |= {name: carried, f"{name} rejected": rejected}
            else:
                row[name] = carried / flips if flips else float("nan")
        rows[source] = row
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("attacked")


def _named(results: Survey | Result | Iterable[Result]) -> list[tuple[str, Result]]:
    """Return the results with the names of the classifiers that were attacked."""
    if isinstance(results, Survey):
        pairs = zip(results.tasks, results.results, strict=True)
        return [(task.classifier, found) for task, found in pairs if found is not None]
    listed = [results] if isinstance(results, Result) else list(results)
    if not all(isinstance(result, Result) for result in listed):
        raise ParameterError("results= must hold results of attacks, or be a survey.")
    return [(result.classifier, result) for result in listed]


def _models(classifiers: object) -> dict[str, Classifier]:
    if isinstance(classifiers, Mapping):
        found = {str(name): wrap(model) for name, model in classifiers.items()}
    else:
        listed = list(classifiers) if isinstance(classifiers, list | tuple) else [classifiers]
        models = [wrap(model) for model in listed]
        found = dict(zip(numbered(model.name for model in models), models, strict=True))
    if not found:
        raise ParameterError("classifiers= is empty: name at least one to try the flips on.")
    return found


def _tried(result: Result, cluster: Cluster, model: Classifier) -> _Tried:
    """Ask a classifier about each flip of a result."""
    alone = result.flips()
    if alone is None and (not result.success or result.label == result.baseline):
        return _Tried(0, 0, 0)  # a signature, for example, keeps the label
    names = result.changed_genes if alone is None else alone.genes.tolist()
    if not names:
        return _Tried(0, 0, 0)
    genes, scorer = cluster.positions(names), scorer_for(model, cluster, in_company=False)
    return _together(result, cluster, scorer, genes) if alone is None else _each(result, cluster, scorer, genes)


def _together(result: Result, cluster: Cluster, scorer: Scorer, genes: np.ndarray) -> _Tried:
    answer = scorer.together(genes, _new(result, cluster, genes))
    return _Tried(1, int(not answer.rejected and answer.label != scorer.baseline.label), int(answer.rejected))


def _each(result: Result, cluster: Cluster, scorer: Scorer, genes: np.ndarray) -> _Tried:
    carried = rejected = 0
    read = genes[scorer.reads(genes)]  # the others change nothing, by proof
    step = 1 if any(change.joint for change in result.attack.changes) else _GENES
    for start in range(0, len(read), step):
        some = read[start : start + step]
        answers = scorer.each(some, _new(result, cluster, some))
        carried += int(((answers.label != scorer.baseline.label) & ~answers.rejected).sum())
        rejected += int(answers.rejected.sum())
    return _Tried(len(genes), carried, rejected)


def _new(result: Result, cluster: Cluster, genes: np.ndarray) -> np.ndarray:
    with np.errstate(over="ignore"):
        return result.changed_values(cluster, genes).astype(cluster.dtype)
