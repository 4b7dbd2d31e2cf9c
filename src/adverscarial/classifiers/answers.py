"""What a classifier says: of single cells, and of a cluster after a query."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

#: labels that mean "I do not know"; matched in lower case, ``node`` with any number behind it
UNKNOWN_LABELS = ("unassigned", "unknown", "undetermined", "nan", "na", "none", "")


def is_named(label: str) -> bool:
    """Return whether `label` is a real cell type, not a way to say "I do not know".

    >>> [is_named(label) for label in ("B", "Node3", "Unassigned")]
    [True, False, False]
    """
    low = label.strip().lower()
    return low not in UNKNOWN_LABELS and not (low.startswith("node") and low[4:].isdigit())


def plain_name(name: str) -> str:
    """Return a label as it is compared with another one: without case, underscores and blanks around it.

    >>> plain_name("CD14+_Mono") == plain_name("cd14+ mono ")
    True
    """
    return str(name).casefold().replace("_", " ").strip()


def in_percent(share: float) -> str:
    """Return a share as text; what is no share, as some functions in R give beside a label, as the number it is.

    >>> in_percent(0.95), in_percent(2.17)
    ('95%', '2.17')
    """
    return f"{share:.0%}" if 0 <= share <= 1 else f"{share:.3g}"


def of_the_cells(share: float) -> str:
    """Return what stands behind a cluster's label, in brackets.

    >>> of_the_cells(0.95), of_the_cells(2.17)
    ('95% of the cells', "the classifier's number: 2.17")
    """
    return f"{in_percent(share)} of the cells" if 0 <= share <= 1 else f"the classifier's number: {in_percent(share)}"


class Decision(NamedTuple):
    """Labels of some cells, and their scores where the classifier gives any."""

    labels: np.ndarray  # text, shape (cells,)
    scores: np.ndarray | None  # shape (cells, classes)


@dataclass(frozen=True)
class Answer:
    """What the classifier says of the cluster after one query."""

    label: str
    share: float
    labels: np.ndarray | None = None  # per cell
    scores: np.ndarray | None = None  # cells x classes
    rejected: bool = False
    reason: str = ""


@dataclass(frozen=True)
class Answers:
    """What the classifier says of the cluster after each of several queries, arrays of one length."""

    label: np.ndarray  # text
    share: np.ndarray  # float64
    rejected: np.ndarray  # bool
    #: share of the label's lead over the runner-up that the change takes, see scorers/lead.py; None where not known
    lead: np.ndarray | None = None  # float64


def vote(labels: np.ndarray) -> tuple[str, float, dict[str, int]]:
    """Return the most frequent label, its share, and all votes; a tie goes to the alphabetically first.

    Parameters
    ----------
    labels
        One for each cell.

    Returns
    -------
    The label, its share of the cells (0 to 1), and the number of cells of each label, the most frequent first.

    Examples
    --------
    >>> vote(np.array(["T", "B", "B", "T"]))
    ('B', 0.5, {'B': 2, 'T': 2})
    """
    names, counts = np.unique(np.asarray(labels, dtype=str), return_counts=True)
    best = int(np.argmax(counts))
    votes = {str(names[i]): int(counts[i]) for i in np.argsort(-counts, kind="stable")}
    return str(names[best]), float(counts[best] / counts.sum()), votes


class Ballot:
    """Counts votes given as codes into a fixed list of labels; the fast form of :func:`vote`."""

    def __init__(self, labels: Sequence[str]) -> None:
        self.labels = np.array([str(label) for label in labels])
        self._alphabetical = np.argsort(self.labels, kind="stable")

    def count(self, codes: np.ndarray) -> np.ndarray:
        """Return how often each label was given, shape (labels,)."""
        return np.bincount(codes, minlength=len(self.labels))

    def winners(self, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the winning label and its share for each row of `counts`, shape (queries, labels)."""
        counts = np.atleast_2d(counts)
        best = self._alphabetical[np.argmax(counts[:, self._alphabetical], axis=1)]
        return self.labels[best], counts[np.arange(len(counts)), best] / counts.sum(axis=1)

    def answer(self, codes: np.ndarray, scores: np.ndarray | None = None) -> Answer:
        """Return the answer that these per-cell codes make."""
        counts = self.count(codes)
        best = self._alphabetical[counts[self._alphabetical].argmax()]
        return Answer(str(self.labels[best]), float(counts[best] / len(codes)), self.labels[codes], scores)


def argmax_labels(classes: Sequence[str], scores: np.ndarray) -> np.ndarray:
    """Return each cell's best class; a tie goes to the first."""
    labels: np.ndarray = np.array(classes, dtype=object)[np.argmax(scores, axis=1)]
    return labels
