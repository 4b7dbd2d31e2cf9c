"""Which classifier withstood the same attacks best, in words and numbers; possible and impossible values apart."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from math import isnan

import pandas as pd

from adverscarial.errors import DataError
from adverscarial.evaluation import compare
from adverscarial.evaluation.comparison import Values
from adverscarial.report.sections import Compared, section_of
from adverscarial.report.sentences import count, decimal, listed, percent
from adverscarial.surveys.grid import attack_name, attacks_by_name
from adverscarial.surveys.table import Survey

_BOTH: tuple[Values, ...] = ("possible", "impossible")
_SAMPLES = 1_000  # of the bootstrap
_SURE = 0.05  # a p-value above it: the clusters do not agree


@dataclass(frozen=True)
class Rival:
    """One classifier: its mean, and how much more that is than the best one's; `doubt` says why that may be chance."""

    rank: int
    classifier: str
    mean: float
    difference: float
    interval: str = ""
    p: str = ""
    doubt: str = ""
    carried: str = ""
    accuracy: str = ""


@dataclass(frozen=True)
class Ranking:
    """All classifiers under the same attacks, the best first; `at` says which values, where there are both kinds."""

    what: str
    at: str
    sentence: str
    rivals: list[Rival]


def rankings(survey: Survey, left_out: Collection[str] = ()) -> list[Ranking]:
    """Return one ranking for each kind of attack by which classifiers are compared and that two of them finished.

    Impossible values have a ranking of their own, behind that of the others.

    Parameters
    ----------
    survey
        The survey.
    left_out
        Clusters that are not compared.
    """
    found: list[Ranking | None] = []
    for name, attack in attacks_by_name(task.attack for task in survey.tasks).items():
        compared = section_of(attack).compared
        if compared is None:
            continue
        part = _part(survey, name, left_out)
        odd = any(task.attack.impossible for task in part.tasks)
        found += [_ranking(part, compared, values, odd) for values in (_BOTH if odd else _BOTH[:1])]
    return [ranking for ranking in found if ranking is not None]


def _part(survey: Survey, name: str, left_out: Collection[str]) -> Survey:
    """Return the attacks of one name as a survey of their own, without some clusters."""
    pairs = [
        (task, result)
        for task, result in zip(survey.tasks, survey.results, strict=True)
        if attack_name(task.attack) == name and task.target not in left_out
    ]
    return Survey(survey.plan, tuple(task for task, _ in pairs), tuple(r for _, r in pairs), survey.errors)


def _ranking(part: Survey, compared: Compared, values: Values, odd: bool) -> Ranking | None:
    """Return the ranking; None where there is one classifier only, or no attack that all of them finished."""
    if not any(result is not None for result in part.results):
        return None
    try:
        table = compare(part, measure=compared.column, values=values, n_boot=_SAMPLES)
    except DataError:
        return None
    rivals = [_rival(row) for row in table.itertuples()]
    pairs, clusters = int(table["pairs"][0]), int(table["clusters"][0])
    at = "" if not odd else "at values that cells can have" if values == "possible" else "at impossible values"
    return Ranking(compared.what, at, _sentence(compared, rivals, pairs, clusters, at), rivals)


def _rival(row: pd.Series) -> Rival:
    behind = row.rank > 1 and not isnan(row.difference_low)
    interval = f"{row.difference_low:,.1f} to {row.difference_high:,.1f}" if behind else ""
    doubt = ""
    if behind and row.difference_low <= 0:
        doubt = "the interval includes no difference, so the order may be chance"
    elif behind and row.p_value > _SURE:
        doubt = "the clusters do not agree on the order"
    return Rival(
        row.rank, row.classifier, row.mean, row.difference, interval, _p(row.p_value), doubt, _carried(row),
        "" if isnan(row.accuracy) else percent(row.accuracy),
    )  # fmt: skip


def _carried(row: pd.Series) -> str:
    """Return which clusters make up half of the difference, where they are a third of all or fewer."""
    names = row.carried_by.split(", ") if row.carried_by else []
    if not names or row.clusters < 3 or 3 * len(names) > row.clusters:
        return ""
    return f"half of it or more comes from {listed(names)}; without, {decimal(row.difference_without)}"


def _p(value: float) -> str:
    return "" if isnan(value) else f"{value:.2g}"


def _sentence(compared: Compared, rivals: list[Rival], pairs: int, clusters: int, at: str = "") -> str:
    """Return who is first and by how much; that nobody is, where all are equal."""
    size = f"over {count(pairs, 'attack')} that all finished, on {count(clusters, 'cluster')}"
    what = f"{compared.what} {at}".strip()
    first = [rival for rival in rivals if rival.rank == 1]
    rest = [rival for rival in rivals if rival.rank > 1]
    mean = decimal(first[0].mean)
    if not rest:
        who = "Both" if len(rivals) == 2 else f"All {len(rivals):,}"
        return f"{who} classifiers are equal: {mean} {what}, on average {size}."
    best = f"{listed(rival.classifier for rival in first)} {compared.firsts if len(first) > 1 else compared.first}"
    few = "" if any(rival.interval for rival in rest) else " Too few clusters for an interval."
    return f"{best}: {mean} {what}, on average {size}. {'; '.join(map(_behind, rest))}.{few}"


def _behind(rival: Rival) -> str:
    """Return by how much a classifier is behind, and what that rests on."""
    text = f"{rival.classifier} has {decimal(rival.difference)} more"
    notes = []
    if rival.interval:
        notes.append(f"95% interval {rival.interval}" + (f", p = {rival.p}" if rival.p else ""))
    notes += [note for note in (rival.doubt, rival.carried) if note]
    return f"{text} ({'; '.join(notes)})" if notes else text
