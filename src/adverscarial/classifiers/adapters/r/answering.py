"""What R answered, as labels and scores of cells, or as the label of a cluster."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from adverscarial.classifiers.adapters.functions import check_scores
from adverscarial.classifiers.adapters.r.protocol import Reply
from adverscarial.classifiers.answers import Answer, Decision, argmax_labels
from adverscarial.errors import ClassifierError, some

_SCORES = 1  # the kind of an answer that holds scores; 0 holds labels, 2 the label of a cluster


class Cells(NamedTuple):
    """Labels, or scores with the names of their columns, of some cells."""

    decision: Decision
    classes: tuple[str, ...]  # none, where there are labels only


def of_cells(what: str, answer: Reply, classes: tuple[str, ...], given: tuple[str, ...] | None) -> Cells:
    """Return what R said of cells.

    Parameters
    ----------
    what
        What messages call the function.
    answer
        Of R.
    classes
        In the order in which their scores are wanted, where they are known.
    given
        Classes that the user named: no other label is allowed.

    Raises
    ------
    ClassifierError
        If it is not what was expected.
    """
    if int(answer.numbers(0)[0]) != _SCORES:
        return Cells(Decision(_labels(what, answer, 1, given), None), ())
    scores, names = _scores(what, answer, 1, classes)
    return Cells(Decision(argmax_labels(names, scores), scores), names)


def of_cluster(what: str, answer: Reply) -> tuple[Answer, tuple[str, ...]]:
    """Return what R said of a cluster, and the names of the scores; these are none where it gave none."""
    label, share = answer.texts(1)[0], float(answer.numbers(2)[0])
    if len(answer.fields) < 5:
        return Answer(label, share), ()
    labels = np.asarray(_labels(what, answer, 3, None), dtype=str)
    if len(answer.fields) < 8:
        return Answer(label, share, labels), ()
    scores, names = _scores(what, answer, 5, ())
    return Answer(label, share, labels, scores), names


def _labels(what: str, answer: Reply, place: int, given: tuple[str, ...] | None) -> np.ndarray:
    """Return one label per cell; R's NA, code 0, becomes "NaN", which counts as "I do not know"."""
    codes = np.maximum(answer.numbers(place), 0)  # a missing code is R's smallest integer
    levels = answer.texts(place + 1)
    if given is not None and (strange := sorted({levels[code - 1] for code in np.unique(codes) if code} - set(given))):
        raise ClassifierError(f"{what} answered {some(strange)}, which is not among its classes ({some(given)}).")
    labels: np.ndarray = np.array(["NaN", *levels], dtype=object)[codes]
    return labels


def _scores(what: str, answer: Reply, place: int, classes: tuple[str, ...]) -> tuple[np.ndarray, tuple[str, ...]]:
    n, k = (int(size) for size in answer.numbers(place))
    names = tuple(answer.texts(place + 1))
    scores = answer.numbers(place + 2).reshape(n, k, order="F")
    if not names and not classes:
        raise ClassifierError(f"{what} returned {k} score columns without names: name them with classes=, or in R.")
    if len(set(names)) < len(names):
        raise ClassifierError(f"{what} returned score columns that share a name: {some(names)}.")
    if names and classes and set(names) != set(classes):
        raise ClassifierError(f"{what} returned scores of {some(names)}; its classes are {some(classes)}.")
    if names and classes:  # columns count by name, whatever their order
        scores, names = scores[:, [names.index(name) for name in classes]], classes
    names = names or classes
    if len(names) != k:
        raise ClassifierError(f"{what} returned {k} score columns for {len(names)} classes ({some(names)}).")
    return check_scores(what, np.ascontiguousarray(scores), names), names
