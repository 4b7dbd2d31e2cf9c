"""What is read from the file of a result is checked, field by field: it may come from somebody else."""

from __future__ import annotations

from dataclasses import fields
from functools import cache
from typing import TYPE_CHECKING, Any, get_type_hints

import numpy as np

from adverscarial._stored_types import fits, shown

if TYPE_CHECKING:
    from adverscarial.attacks.result import Result

#: what tables, figures and reports ask every result
_ASKED = (
    "success",
    "genes",
    "changed_genes",
    "genes_needed",
    "n_rejected",
    "labels_given",
    "marks",
    "sentence",
    "notes",
)


def check_result(result: Result) -> None:
    """Raise a ValueError, or whatever a result raises, when its parts are not what they must be or do not fit."""
    hints = _hints(type(result))
    for field in fields(result):
        value = getattr(result, field.name)
        if field.name != "attack" and not fits(value, hints.get(field.name, Any)):
            raise ValueError(f"'{field.name}' is {shown(value)}, expected {field.type}")
    for name in _ASKED:
        getattr(result, name)
    for read in (result.to_frame, result.__repr__, result.__str__, result.flips, result.nearest, result.trajectory):
        read()
    if (kept := result.stored_values()) is not None:
        _check_values(*kept)
    several = {name: value for name, value in result.row().items() if isinstance(value, list | dict | tuple)}
    if several:
        raise ValueError(f"'{next(iter(several))}' is no single value")


def _check_values(cells: np.ndarray, genes: np.ndarray, values: np.ndarray) -> None:
    if values.dtype.kind not in "fiu" or values.shape != (len(cells), len(genes)):
        raise ValueError(f"new values of {len(cells)} cells and {len(genes)} genes have shape {values.shape}")
    if any(names.size and names.dtype.kind != "U" for names in (cells, genes)):
        raise ValueError("names of cells or genes are no text")


@cache
def _hints(kind: type) -> dict[str, object]:
    try:
        return get_type_hints(kind, localns={"Attack": type})  # of an attack's own class nothing is asked
    except NameError:  # in a type of another package
        return {}
