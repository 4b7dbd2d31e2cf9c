"""Read a certificate: whatever the file holds, only numbers and text that fit together come out."""

from __future__ import annotations

import base64
import math
import re
import zlib
from os import PathLike
from typing import Any, NamedTuple, TypedDict

import numpy as np

from adverscarial import _memory, _store
from adverscarial.errors import StorageError

_KIND = "adverscarial certificate of a lower bound"
_CHECKED = {
    "lower": int, "impossible": bool, "label": str, "change_type": str, "modification": str, "classifier": str,
    "groupby": str, "target": str, "seed": int, "some_genes": bool,
}  # fmt: skip
_ARGUMENTS = ("own sets", "share of the vote", "one set for all", "single genes")


class Claim(TypedDict):
    """What is claimed, and about what: see the attack and its result."""

    lower: int
    impossible: bool
    label: str
    towards: str | list[str] | None
    change_type: str
    modification: str
    classifier: str
    groupby: str
    target: str
    layer: str | None
    seed: int
    some_genes: bool


class Weighed(NamedTuple):
    """A whole classifier that weighs values as they are: names, shape (genes, scores), shape (scores,)."""

    genes: list[str]
    weights: np.ndarray
    bias: np.ndarray


#: kind, cell and weight of each row
Rows = tuple[np.ndarray, np.ndarray, np.ndarray]


class Proof(NamedTuple):
    """Why one label, the goal, cannot win; `loser` is the label that it must overtake.

    `mixtures` weigh the scores of the others, shape (mixtures, labels). `rows` stand for
    inequalities.
    """

    goal: int
    loser: int
    argument: str
    mixtures: np.ndarray
    rows: Rows | None


class Content(NamedTuple):
    """What a certificate holds.

    Attributes
    ----------
    claim
        What is claimed, and about what.
    labels, cells, genes
        Names.
    scores
        Shape (cells, labels).
    size
        How much was added up for the scores of each cell, shape (cells,).
    weights
        Shape (genes, labels).
    steps
        New minus old value of what the weights multiply, shape (cells, genes).
    model
        The whole classifier; None where it does not weigh values as they are.
    proofs
        One for each label that counts.
    """

    claim: Claim
    labels: list[str]
    cells: list[str]
    genes: list[str]
    scores: np.ndarray
    size: np.ndarray
    weights: np.ndarray
    steps: np.ndarray
    model: Weighed | None
    proofs: list[Proof]

    @property
    def whole(self) -> bool:
        """Whether all that is added up are whole numbers, which no rounding touches."""
        numbers = (self.scores, self.steps, self.weights)
        return all(np.abs(a).max(initial=0) < 2**20 and np.array_equal(a, np.rint(a)) for a in numbers)


class ModelContent(NamedTuple):
    """What a certificate about trees or a network holds: no proof, but what tells what it is about.

    Attributes
    ----------
    claim
        What is claimed, and about what.
    form
        ``"trees"`` or ``"network"``.
    labels, cells
        Names.
    genes
        Names of the genes that can be changed.
    model, old, new
        Fingerprints of the classifier's numbers, of the cells' values, and of the genes' new values.
    values
        New values, shape (cells, genes); None where the modification says them.
    """

    claim: Claim
    form: str
    labels: list[str]
    cells: list[str]
    genes: list[str]
    model: str
    old: str
    new: str
    values: np.ndarray | None


def read(path: str | PathLike[str]) -> Content | ModelContent:
    """Read a certificate.

    Raises
    ------
    StorageError
        If the file is absent, damaged, or no certificate.
    """
    value = _store.read_json(path)
    form = value.get("format")
    if value.get("kind") != _KIND or type(form) is not int or form not in (1, 2):
        raise StorageError(
            f"'{path}' is no certificate of format 1 or 2. Write one with result.certificate(cells, model).save()."
        )
    try:
        return _content(value) if form == 1 else _model_content(value)
    except (KeyError, TypeError, ValueError, IndexError, OverflowError, zlib.error) as error:
        raise StorageError(
            f"'{path}' is damaged ({type(error).__name__}: {error}). Write the certificate again."
        ) from error


def labels_claimed(towards: object) -> list[str]:
    """Return the labels that a claim is about; none where it is about all."""
    return [] if towards is None else [towards] if isinstance(towards, str) else _names(towards)


def is_of_a_function(claim: Claim) -> bool:
    """Return whether new values come from a function of the user's own, so that nobody else can make them again."""
    return claim["modification"].startswith("custom:")


def _shared(value: dict[str, Any]) -> tuple[Claim, list[str], list[str], list[str]]:
    """Return claim, labels, cells and genes, once they make sense together."""
    labels, cells, genes = (_names(value[key]) for key in ("labels", "cells", "genes"))
    claim = value["claim"]
    for key, kind in _CHECKED.items():
        if type(claim[key]) is not kind:
            raise TypeError(f"{key} is {claim[key]!r}")
    if claim["change_type"] not in ("any", "named") or claim["lower"] < 0 or len(labels) < 2 or not cells:
        raise ValueError("the claim makes no sense")
    if claim["layer"] is not None and type(claim["layer"]) is not str:
        raise TypeError("layer is no text")
    if not set(labels_claimed(claim["towards"])) <= set(labels):
        raise ValueError("the claim is about a label that the classifier never gives")
    if labels_claimed(claim["towards"]) == [claim["label"]]:
        raise ValueError("the claim is about the label that the cluster has")
    return claim, labels, cells, genes


def _model_content(value: dict[str, Any]) -> ModelContent:
    claim, labels, cells, genes = _shared(value)
    if value["form"] not in ("trees", "network"):
        raise ValueError(f"the classifier's form is {value['form']!r}")
    prints = [value["fingerprints"][key] for key in ("model", "old", "new")]
    if not all(isinstance(text, str) and re.fullmatch("[0-9a-f]{64}", text) for text in prints):
        raise ValueError("a fingerprint is none")
    if is_of_a_function(claim) != ("values" in value):
        raise ValueError("new values are written down where they come from a function, and only there")
    values = None
    if "values" in value:
        values = np.ascontiguousarray(_numbers(value["values"], (len(genes), len(cells))).T)
    model, old, new = prints
    return ModelContent(claim, value["form"], labels, cells, genes, model, old, new, values)


def _content(value: dict[str, Any]) -> Content:
    claim, labels, cells, genes = _shared(value)
    n_labels = len(labels)
    if value["model"] is not None:
        names, n = _names(value["model"]["genes"]), value["model"]["bias"]["shape"][0]
        if n != n_labels and (n, n_labels) != (1, 2):
            raise ValueError(f"the classifier has {n} scores")
        parts = {"weights": (len(names), n), "bias": (n,)}
        model = Weighed(names, *(_numbers(value["model"][key], shape) for key, shape in parts.items()))
    else:
        model = None
    return Content(
        claim, labels, cells, genes,
        scores=_numbers(value["scores"], (len(cells), n_labels)),
        size=_numbers(value["size"], (len(cells),)),
        weights=_numbers(value["weights"], (len(genes), n_labels)),
        steps=np.ascontiguousarray(_numbers(value["steps"], (len(genes), len(cells))).T),
        model=model,
        proofs=[_proof(proof, n_labels, len(cells)) for proof in value["proofs"]],
    )  # fmt: skip


def _names(value: object) -> list[str]:
    if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
        raise TypeError("names are no list of text")
    if len(set(value)) < len(value):
        raise ValueError("a name stands twice")
    return value


def _numbers(value: dict[str, Any], shape: tuple[int, ...]) -> np.ndarray:
    """Unpack numbers; never more of them than the names in the file call for."""
    if value["shape"] != list(shape):
        raise ValueError(f"numbers have the shape {value['shape']}, expected {list(shape)}")
    n_bytes = 8 * math.prod(shape)
    _memory.check(4 * n_bytes, f"Checking a certificate with numbers of shape {shape}", "Use a machine with more.")
    raw = zlib.decompressobj().decompress(base64.b64decode(value["zlib"], validate=True), n_bytes + 1)
    if len(raw) != n_bytes:
        raise ValueError(f"numbers of shape {list(shape)} have {len(raw):,} bytes or more")
    numbers = np.frombuffer(raw, dtype="<f8").astype(np.float64).reshape(shape)
    if not np.isfinite(numbers).all():
        raise ValueError("some numbers are NaN or infinite")
    return numbers


def _proof(value: dict[str, Any], n_labels: int, n_cells: int) -> Proof:
    goal, loser = (_place(value[key], n_labels) for key in ("goal", "loser"))
    if goal == loser:
        raise ValueError("a label is to overtake itself")
    if value["argument"] not in _ARGUMENTS:
        raise ValueError(f"there is no argument {value['argument']!r}")
    mixtures = np.array(value["mixtures"], dtype=np.float64).reshape(-1, n_labels)
    if not np.isfinite(mixtures).all() or (mixtures < 0).any() or (mixtures[:, goal] != 0).any():
        raise ValueError("a mixture has other weights than it may have")
    if (mixtures.sum(axis=1) <= 0).any():
        raise ValueError("a mixture is empty")
    parts = None
    if "rows" in value:
        rows = np.array(value["rows"], dtype=np.float64).reshape(-1, 3)
        kind, cell, y = rows[:, 0].astype(np.int64), rows[:, 1].astype(np.int64), rows[:, 2]
        known = (kind >= -1) & (kind < n_labels + len(mixtures)) & (kind != goal) & (cell >= 0) & (cell < n_cells)
        if not known.all() or not np.isfinite(y).all() or (y < 0).any():
            raise ValueError("a row stands for nothing, or has a negative weight")
        parts = kind, cell, y
    return Proof(goal, loser, value["argument"], mixtures, parts)


def _place(value: object, n: int) -> int:
    if type(value) is not int or not 0 <= value < n:
        raise ValueError(f"{value!r} is no place among {n} labels")
    return value
