"""What attacks check in their settings."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral
from typing import Any

import numpy as np

from adverscarial.cells.cluster import Cluster
from adverscarial.errors import AlreadyThere, ParameterError, did_you_mean, some


def candidates(cluster: Cluster, genes: Sequence[str] | None, exclude: Sequence[str]) -> np.ndarray:
    """Return the positions to attack: `genes` (all, when None), without `exclude`, in the data's order.

    Raises
    ------
    DataError
        If a name is not in the data.
    ParameterError
        If nothing is left.
    """
    chosen = np.arange(len(cluster.genes)) if genes is None else np.sort(cluster.positions(genes))
    if len(exclude):
        chosen = np.setdiff1d(chosen, cluster.positions(exclude))
    if not len(chosen):
        raise ParameterError("No gene is left to attack: genes= is empty, or exclude= names all of them.")
    return chosen


def check_counts(**settings: int) -> None:
    """Raise a ParameterError unless every setting is a whole number of at least 1."""
    for name, value in settings.items():
        if not isinstance(value, Integral) or value < 1:
            raise ParameterError(f"{name} must be a whole number of at least 1, got {value!r}.")


def check_change_type(change_type: str) -> None:
    """Raise a ParameterError for an unknown change type."""
    if change_type not in ("any", "named"):
        raise ParameterError(f"change_type must be 'any' or 'named' (only real cell types count), got '{change_type}'.")


def labels_aimed_at(towards: Sequence[str] | str | None) -> tuple[str, ...]:
    """Return the labels that a setting names; none where any label will do.

    Raises
    ------
    ParameterError
        If it names none, or is no text.
    """
    names = () if towards is None else (towards,) if isinstance(towards, str) else tuple(towards)
    if towards is not None and not (names and all(isinstance(name, str) for name in names)):
        raise ParameterError(f"towards must name one label, or several in a list, got {towards!r}.")
    return tuple(dict.fromkeys(names))


def plain_towards(towards: Sequence[str] | str | None) -> tuple[str, ...] | str | None:
    """Return the setting as it is stored and shown: one label as text, several as a tuple."""
    names = labels_aimed_at(towards)
    return names if len(names) > 1 else names[0] if names else None


def check_towards(towards: Sequence[str], baseline: str, model: str, known: Sequence[str]) -> None:
    """Raise an error where the cluster has the label already, or the classifier never gives it.

    Parameters
    ----------
    towards
        The labels that count as a flip.
    baseline
        Label of the unmodified cluster.
    model, known
        Name of the classifier, and the labels that it can give; none where that is not known.

    Raises
    ------
    AlreadyThere
        If the label is the one that the cluster has.
    ParameterError
        If the classifier never gives a label.
    """
    if towards and set(towards) <= {baseline}:
        raise AlreadyThere(f"towards='{baseline}' is the label that the cluster has. Name another one.")
    if known and (strange := [label for label in towards if label not in known]):
        raise ParameterError(
            f"{model} never gives the label '{strange[0]}'.{did_you_mean(strange[0], known)} "
            f"Its labels are: {some(known, 12)}."
        )


def budget_of(attack: Any) -> str:
    """Return what can end a search early, in words."""
    return "budget of queries" + (" or seconds" if vars(attack).get("seconds") else "")


def is_limited(attack: Any, genes_of_data: int) -> bool:
    """Return whether the settings of an attack leave out some genes of the data."""
    settings = vars(attack)
    chosen, left_out = settings.get("genes"), set(settings.get("exclude") or ())
    return bool(left_out) if chosen is None else len(set(chosen) - left_out) < genes_of_data
