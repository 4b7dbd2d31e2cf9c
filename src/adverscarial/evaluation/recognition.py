"""How well did the classifiers of a survey know the cells before any attack?"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass

from adverscarial.attacks.result import Result
from adverscarial.classifiers.answers import is_named, plain_name
from adverscarial.surveys.table import Survey


@dataclass(frozen=True)
class Recognised:
    """What one classifier said of one cluster before any attack.

    Attributes
    ----------
    classifier, cluster
        Their names.
    cells
        Cells of the cluster.
    called, share
        The most frequent label of its cells, and the share of cells that carry it.
    right
        Cells that get the cluster's name; None where the classifier uses other names.
    """

    classifier: str
    cluster: str
    cells: int
    called: str
    share: float
    right: int | None

    @property
    def right_share(self) -> float:
        """Share of the cells that get the cluster's name; NaN where that cannot be told."""
        return float("nan") if self.right is None else self.right / self.cells


def recognised(survey: Survey) -> dict[tuple[str, str], Recognised]:
    """Return what each classifier said of each cluster before any attack, by classifier and cluster.

    A classifier may not say which labels it can give. So a cluster's name also counts as one of its labels where it
    gave this label to cells of another cluster.
    """
    given: dict[str, set[str]] = {}
    for name, result in _done(survey):
        given.setdefault(name, set()).update(plain_name(label) for label in (*result.votes, *result.labels_given))
    found = {}
    for name, result in _done(survey):
        right, target = result.right, plain_name(result.target)
        if right is None and result.votes and is_named(result.target) and target in given[name]:
            right = sum(n for label, n in result.votes.items() if plain_name(label) == target)
        found[name, result.target] = Recognised(
            name, result.target, result.n_cells, result.baseline, result.baseline_share, right
        )
    return found


def accuracy(survey: Survey, clusters: Collection[str] | None = None) -> dict[str, float | None]:
    """Return the share of cells that each classifier gets right before any attack.

    None where that can be told of fewer than half of the cells: a classifier with names of its own that shares one of
    them would look perfect.

    Parameters
    ----------
    survey
        The survey.
    clusters
        The clusters to look at; all of the survey, when left out.
    """
    groups: dict[str, list[Recognised]] = {}
    for (name, cluster), one in recognised(survey).items():
        own = groups.setdefault(name, [])
        if clusters is None or cluster in clusters:
            own.append(one)
    return {name: _share(own) for name, own in groups.items()}


def _share(clusters: list[Recognised]) -> float | None:
    told = [one for one in clusters if one.right is not None]
    cells = sum(one.cells for one in told)
    if not cells or 2 * cells < sum(one.cells for one in clusters):
        return None
    return sum(one.right or 0 for one in told) / cells


def _done(survey: Survey) -> Iterator[tuple[str, Result]]:
    pairs = zip(survey.tasks, survey.results, strict=True)
    return ((task.classifier, result) for task, result in pairs if result is not None)
