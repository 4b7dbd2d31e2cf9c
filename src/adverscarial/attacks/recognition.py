"""How many cells of a cluster does the classifier get right before any attack?"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from adverscarial.classifiers.answers import is_named, plain_name


def right_cells(votes: Mapping[str, int], target: str, clusters: Iterable[str], labels: Iterable[str]) -> int | None:
    """Return how many cells get their cluster's name for a label; None where that cannot be told.

    The names of clusters count as the true labels where the classifier uses these names, too: where it can give the
    cluster's own name, or at least half of the names of all clusters. Case, underscores and blanks do not matter.

    Parameters
    ----------
    votes
        Labels of the unmodified cluster's cells, each with its number of cells.
    target
        The cluster.
    clusters
        Names of all clusters of the data.
    labels
        Labels that the classifier can give.

    Examples
    --------
    >>> right_cells({"B": 7, "T": 2}, "B", ["B", "T"], ["B", "T"])
    7
    >>> right_cells({"B cell": 9}, "B", ["B", "T"], ["B cell", "T cell"])
    """
    if not votes or not is_named(target):
        return None
    name, known = plain_name(target), {plain_name(label) for label in (*labels, *votes)}
    names = {plain_name(cluster) for cluster in clusters if is_named(cluster)}
    if name not in known and 2 * len(names & known) < len(names):
        return None
    return sum(n for label, n in votes.items() if plain_name(label) == name)
