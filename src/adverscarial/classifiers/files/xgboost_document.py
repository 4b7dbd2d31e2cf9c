"""What an XGBoost model says, looked through before XGBoost itself reads it.

XGBoost trusts its files: one that is cut short, or whose trees point out of their tables, can crash the process.
Source: the model schema of XGBoost's documentation, and UBJSON (https://ubjson.org, draft 12), its binary form.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

_TYPES = {b"i": ">i1", b"U": ">u1", b"I": ">i2", b"l": ">i4", b"L": ">i8", b"d": ">f4", b"D": ">f8"}
_CONSTANTS = {b"Z": None, b"T": True, b"F": False}
_DEPTH = 100  # XGBoost's models are some ten deep
_NO_PARENT = 2**31 - 1
_COLUMNS = ("left_children", "right_children", "parents", "split_indices", "split_conditions", "default_left")


def check_model(content: bytes, reader: str = "") -> None:
    """Raise ValueError where XGBoost should not see a model: not whole, or with trees that lead nowhere.

    Trees whose leaves hold one value per class are written otherwise by every version, and XGBoost 3.2 ends the process
    over those of 2.1; so they are only let through to the version that wrote them.

    Parameters
    ----------
    content
        The document, as JSON or UBJSON.
    reader
        Version of the XGBoost that is going to read it; any, when left out.

    Examples
    --------
    >>> check_model(b'{"learner": {"gradient_booster"')
    Traceback (most recent call last):
    ...
    json.decoder.JSONDecodeError: Expecting ':' delimiter: line 1 column 32 (char 31)
    """
    document: object = json.loads(content) if content[1:2] in b'"} \t\r\n' else read_ubjson(content)
    if not isinstance(document, dict) or "learner" not in document:
        raise ValueError("no XGBoost model: it has no 'learner'")
    learner = document["learner"]
    booster = learner["gradient_booster"]
    if booster["name"] not in ("gbtree", "dart"):
        return
    model = booster.get("gbtree", booster)["model"]
    sizes = learner["learner_model_param"]
    groups = max(int(sizes["num_class"]), int(sizes.get("num_target", 1)), 1)
    if not _within(model["tree_info"], 0, groups) or len(model["tree_info"]) != len(model["trees"]):
        raise ValueError("its trees are not each of one class")
    if not _within(model.get("iteration_indptr", []), 0, len(model["trees"]) + 1):
        raise ValueError("its rounds point to trees that it does not have")
    if any(int(tree["tree_param"].get("size_leaf_vector", 1)) > 1 for tree in model["trees"]):
        _check_version(document.get("version"), reader)
    for number, tree in enumerate(model["trees"]):
        if not _is_tree(tree, int(sizes["num_feature"])):
            raise ValueError(f"tree {number} is damaged: a node points to what cannot follow it")


def _check_version(written: Sequence[int] | None, reader: str) -> None:
    """Raise ValueError where a model of several outputs was written by another version than the one that reads it."""
    found = ".".join(str(part) for part in list(written or [])[:2]) or "an unknown version"
    expected = ".".join(reader.split(".")[:2])
    if reader and found != expected:
        raise ValueError(
            f"its trees have one leaf value per class and were written by XGBoost {found}, which XGBoost {expected} "
            "cannot safely read; install that version, or train the model without multi_strategy='multi_output_tree'"
        )


def _is_tree(tree: dict[str, Any], n_features: int) -> bool:
    """Tell whether nodes point forward, inside the tree, and test features that there are."""
    n_nodes = int(tree["tree_param"]["num_nodes"])
    if n_nodes < 1 or any(len(tree[key]) != n_nodes for key in _COLUMNS):
        return False
    left, right, parents = (np.asarray(tree[key]) for key in _COLUMNS[:3])
    inside = left != -1
    children = np.stack([left, right])[:, inside]
    categorical = len(tree.get("categories", []))
    segments = np.add(tree.get("categories_segments", []), tree.get("categories_sizes", []))
    return bool(
        (children > np.flatnonzero(inside)).all()
        and (children < n_nodes).all()
        and _within(parents[parents != _NO_PARENT], -1, n_nodes)
        and _within(np.asarray(tree["split_indices"])[inside], 0, n_features)
        and _within(tree.get("categories_nodes", []), 0, n_nodes)
        and _within(segments, 0, categorical + 1)
    )


def _within(values: npt.ArrayLike, low: int, high: int) -> bool:
    numbers = np.asarray(values)
    return bool(((numbers >= low) & (numbers < high)).all())


def read_ubjson(text: bytes) -> object:
    """Return what a UBJSON text says; ValueError where it ends too early, goes on, or holds what is not known."""
    value, end = _value(text, 0, 0)
    if end != len(text):
        raise ValueError(f"it ends at byte {end:,} of {len(text):,}")
    return value


def _value(text: bytes, at: int, depth: int) -> tuple[object, int]:
    """Return the value that starts at a byte, and where it ends."""
    marker, at = _take(text, at, 1)
    if marker in _CONSTANTS:
        return _CONSTANTS[marker], at
    if marker in _TYPES:
        numbers, at = _numbers(text, at, marker, 1)
        return numbers[0], at
    if marker == b"S":
        return _string(text, at)
    if marker not in (b"{", b"["):
        raise ValueError(f"its byte {at - 1:,} is {marker!r}, which starts no value")
    if depth == _DEPTH:
        raise ValueError(f"its values lie more than {_DEPTH} deep in each other")
    return _object(text, at, depth) if marker == b"{" else _array(text, at, depth)


def _object(text: bytes, at: int, depth: int) -> tuple[dict[str, object], int]:
    found: dict[str, object] = {}
    while text[at : at + 1] != b"}":
        key, at = _string(text, at)
        found[key], at = _value(text, at, depth + 1)
    return found, at + 1


def _array(text: bytes, at: int, depth: int) -> tuple[object, int]:
    found = []
    if text[at : at + 1] == b"$":  # numbers of one type, end to end
        kind, at = _take(text, at + 1, 1)
        if kind not in _TYPES or text[at : at + 1] != b"#":
            raise ValueError(f"its typed array at byte {at:,} has no known type or no length")
        length, at = _length(text, at + 1)
        return _numbers(text, at, kind, length)
    if text[at : at + 1] == b"#":
        length, at = _length(text, at + 1)
        for _ in range(length):
            value, at = _value(text, at, depth + 1)
            found.append(value)
        return found, at
    while text[at : at + 1] != b"]":
        value, at = _value(text, at, depth + 1)
        found.append(value)
    return found, at + 1


def _string(text: bytes, at: int) -> tuple[str, int]:
    length, at = _length(text, at)
    content, at = _take(text, at, length)
    return content.decode(), at


def _length(text: bytes, at: int) -> tuple[int, int]:
    marker, at = _take(text, at, 1)
    if marker not in _TYPES or marker in b"dD":
        raise ValueError(f"its byte {at - 1:,} is {marker!r}, where a length should start")
    numbers, at = _numbers(text, at, marker, 1)
    length = int(numbers[0])
    if length < 0:
        raise ValueError(f"a length before byte {at:,} is {length:,}")
    return length, at


def _numbers(text: bytes, at: int, marker: bytes, count: int) -> tuple[np.ndarray, int]:
    kind = np.dtype(_TYPES[marker])
    content, at = _take(text, at, count * kind.itemsize)
    return np.frombuffer(content, kind), at


def _take(text: bytes, at: int, size: int) -> tuple[bytes, int]:
    """Return the next bytes, and where they end."""
    end = at + size
    if end > len(text):
        raise ValueError(f"it is cut short: {len(text):,} bytes, where at least {end:,} are needed")
    return text[at:end], end
