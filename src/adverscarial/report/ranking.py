"""Which classifier withstood the same attacks best, in words and numbers."""

from __future__ import annotations

from dataclasses import dataclass
from math import isnan
from typing import Any

from adverscarial.errors import DataError
from adverscarial.evaluation import compare
from adverscarial.evaluation.survey import Survey
from adverscarial.report.grid import ATTACK, Kind
from adverscarial.report.words import count, decimal, listed

_SAMPLES = 1_000  # of the bootstrap
#: the column that is compared, what it counts, and what is said of one who has the fewest, and of several
_MEASURE: dict[Kind, tuple[str, str, str, str]] = {
    "single": (
        "flipped", "genes that flip the label alone",
        "withstands single genes best", "withstand single genes best",
    ),
    "max": (
        "modifiable", "genes that can be rewritten at once",
        "overlooks the fewest changes", "overlook the fewest changes",
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Rival:
    """One classifier: its mean, and how much more that is than the best one's, `unsure` when it may be none."""

    rank: int
    classifier: str
    mean: float
    difference: float
    interval: str
    unsure: bool
    p: str


@dataclass(frozen=True)
class Ranking:
    """All classifiers under the same attacks, the best first."""

    what: str
    sentence: str
    rivals: list[Rival]


def rankings(survey: Survey) -> list[Ranking]:
    """Return one ranking for each kind of attack that at least two classifiers finished."""
    found = []
    for kind, (measure, what, *verbs) in _MEASURE.items():
        tasks = [
            (task, r)
            for task, r in zip(survey.tasks, survey.results, strict=True)
            if isinstance(task.attack, ATTACK[kind])
        ]
        part = Survey(survey.plan, tuple(task for task, _ in tasks), tuple(r for _, r in tasks), survey.errors)
        if not any(result is not None for result in part.results):
            continue
        try:
            table = compare(part, measure=measure, n_boot=_SAMPLES)
        except DataError:  # one classifier, or no attack that all of them finished
            continue
        rivals = [_rival(row) for row in table.itertuples()]
        found.append(
            Ranking(what, _sentence(what, verbs, rivals, int(table["pairs"][0]), int(table["clusters"][0])), rivals)
        )
    return found


def _rival(row: Any) -> Rival:
    sure = row.rank > 1 and not isnan(row.difference_low)
    interval = f"{row.difference_low:,.1f} to {row.difference_high:,.1f}" if sure else ""
    return Rival(row.rank, row.classifier, row.mean, row.difference, interval, row.difference_low <= 0, _p(row.p_value))


def _p(value: float) -> str:
    return "" if isnan(value) else f"{value:.2g}"


def _sentence(what: str, verbs: list[str], rivals: list[Rival], pairs: int, clusters: int) -> str:
    """Return who is first and by how much; that nobody is, where all are equal."""
    size = f"over {count(pairs, 'attack')} that all finished, on {count(clusters, 'cluster')}"
    first = [rival for rival in rivals if rival.rank == 1]
    rest = [rival for rival in rivals if rival.rank > 1]
    mean = decimal(first[0].mean)
    if not rest:
        return f"All {len(rivals):,} classifiers are equal: {mean} {what}, on average {size}."
    best = f"{listed(rival.classifier for rival in first)} {verbs[len(first) > 1]}"
    behind = []
    for rival in rest:
        text = f"{rival.classifier} has {decimal(rival.difference)} more"
        if rival.interval:
            unsure = ", so the order is uncertain" if rival.unsure else ""
            text += f" (95% interval {rival.interval}{unsure})"
        behind.append(text)
    few = "" if any(rival.interval for rival in rest) else " Too few clusters for an interval."
    return f"{best}: {mean} {what}, on average {size}. {'; '.join(behind)}.{few}"
