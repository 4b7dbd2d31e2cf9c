"""What many results have in common, such as names of genes, held once: each process sends a copy with every result."""

from __future__ import annotations

import hashlib
from dataclasses import fields, replace
from typing import Any, TypeVar

import numpy as np

from adverscarial.attacks.result import Result

R = TypeVar("R", bound=Result)


class SharedArrays:
    """The arrays of results that were seen.

    Examples
    --------
    >>> import adverscarial as adv
    >>> model, adata = adv.classifiers.ScType(scaled=False), adv.datasets.embedded()
    >>> asked = {"groupby": "cell_type", "target": "Dendritic"}
    >>> one, other = (adv.attacks.SingleGene(change)(adata, model, **asked) for change in ("perc1", "perc99"))
    >>> arrays = SharedArrays()
    >>> arrays.shared(one).gene is arrays.shared(other).gene
    True
    """

    def __init__(self) -> None:
        self._known: dict[tuple[str, bytes], np.ndarray] = {}

    def shared(self, result: R) -> R:
        """Return a result whose arrays are those of an earlier one where they hold the same bytes."""
        values = {field.name: getattr(result, field.name) for field in fields(result) if field.init}
        arrays = {
            name: value for name, value in values.items() if isinstance(value, np.ndarray) and not value.dtype.hasobject
        }
        same: dict[str, Any] = {name: self._first(value) for name, value in arrays.items()}
        return replace(result, **same) if any(same[name] is not arrays[name] for name in arrays) else result

    def _first(self, values: np.ndarray) -> np.ndarray:
        content = np.ascontiguousarray(values)
        key = f"{content.dtype.str} {content.shape}", hashlib.blake2b(content.tobytes(), digest_size=16).digest()
        return self._known.setdefault(key, values)
