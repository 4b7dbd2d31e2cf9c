"""All numbers of a classifier that decide, as plain arrays: for those who check what was proven about it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np


class PlainTrees(NamedTuple):
    """Trees whose leaves add up to scores; the label is the one with the largest score, the first on a tie.

    Attributes
    ----------
    genes
        Names of the genes that are tested.
    labels
        Names in the order of the scores. Two labels may share one score: then it means the second one above `cut`.
    roots
        Where each tree begins, shape (trees,).
    feature
        The gene that each node tests, a position in `genes`; -1 at a leaf.
    threshold
        A value at or below it goes left.
    left, right
        Positions of the children, behind their parent.
    value
        What each leaf adds to each score, shape (nodes, scores).
    bias
        What the scores start from, shape (scores,).
    cut
        See `labels`.
    single
        Values are rounded to float32 before they are compared.
    """

    genes: list[str]
    labels: list[str]
    roots: np.ndarray
    feature: np.ndarray
    threshold: np.ndarray
    left: np.ndarray
    right: np.ndarray
    value: np.ndarray
    bias: np.ndarray
    cut: float
    single: bool

    @property
    def form(self) -> str:
        """What certificates call it."""
        return "trees"


class PlainNetwork(NamedTuple):
    """Dense layers with ReLU between them; the label is the one with the largest output, the first on a tie.

    Attributes
    ----------
    genes
        Names, in the order of the first layer's rows.
    labels
        Names, in the order of the outputs.
    layers
        Kernel, shape (inputs, units), and bias of each layer; two layers at least.
    single
        The network adds up in float32.
    """

    genes: list[str]
    labels: list[str]
    layers: list[tuple[np.ndarray, np.ndarray]]
    single: bool

    @property
    def form(self) -> str:
        """What certificates call it."""
        return "network"


Plain = PlainTrees | PlainNetwork


def fingerprint(*parts: object) -> str:
    """Return the SHA-256 of arrays, names and numbers; any other ones have another, whatever their shapes.

    Examples
    --------
    >>> fingerprint(np.array([1.0, 2.0])) == fingerprint(np.array([1, 2]))
    True
    >>> fingerprint(np.array([1.0, 2.0])) == fingerprint(np.array([[1.0, 2.0]]))
    False
    """
    digest = hashlib.sha256()
    for part in _flat(parts):
        if isinstance(part, np.ndarray):
            digest.update(json.dumps(["array", *part.shape]).encode())
            digest.update(np.ascontiguousarray(part, dtype="<f8").tobytes())
        else:
            digest.update(json.dumps(["value", part]).encode())
    return digest.hexdigest()


def _flat(parts: object) -> Iterator[object]:
    if isinstance(parts, tuple | list):
        yield f"{len(parts)} parts"
        for part in parts:
            yield from _flat(part)
    else:
        yield parts if isinstance(parts, np.ndarray) or type(parts) in (bool, int, float) else str(parts)
