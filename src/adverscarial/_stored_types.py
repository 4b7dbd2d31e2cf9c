"""Whether a value that was read from a file is of the type that an annotation says."""

from __future__ import annotations

import types
from typing import Any, Literal, Union, get_args, get_origin, is_typeddict


def fits(value: object, hint: object) -> bool:
    """Return whether a value is of the type that an annotation says; True where the annotation cannot be checked.

    >>> fits([1, 2], list[int]), fits([1, "a"], list[int]), fits(True, int), fits(None, int | None)
    (True, False, False, True)
    """
    if hint is Any:
        return True
    kind, parts = get_origin(hint), get_args(hint)
    if kind in (Union, types.UnionType):
        return any(fits(value, part) for part in parts)
    if kind is Literal:
        return value in parts
    if kind in (list, tuple):  # JSON has no tuples
        return isinstance(value, list | tuple) and all(fits(item, parts[0]) for item in value)
    if kind is dict:
        return isinstance(value, dict) and all(fits(k, parts[0]) and fits(v, parts[1]) for k, v in value.items())
    if is_typeddict(hint):
        return isinstance(value, dict)
    if hint in (int, float):
        return isinstance(value, int if hint is int else int | float) and not isinstance(value, bool)
    hint = type(None) if hint is None else kind or hint
    return isinstance(value, hint) if isinstance(hint, type) else True


def shown(value: object) -> str:
    """Return a value as text, cut to one line."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:60]}..."
