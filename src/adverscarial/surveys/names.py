"""Names of genes that many results have in common, held once: each process sends its own copy with every result."""

from __future__ import annotations

import hashlib
from dataclasses import fields, replace
from typing import Any, TypeVar

import numpy as np

from adverscarial.attacks.result import Result

R = TypeVar("R", bound=Result)


class SharedNames:
    """The arrays of names that were seen.

    Examples
    --------
    >>> import adverscarial as adv
    >>> model, adata = adv.classifiers.ScType(scaled=False), adv.datasets.embedded()
    >>> asked = {"groupby": "cell_type", "target": "Dendritic"}
    >>> one, other = (adv.attacks.SingleGene(change)(adata, model, **asked) for change in ("perc1", "perc99"))
    >>> names = SharedNames()
    >>> names.shared(one).gene is names.shared(other).gene
    True
    """

    def __init__(self) -> None:
        self._known: dict[tuple[str, bytes], np.ndarray] = {}

    def shared(self, result: R) -> R:
        """Return a result whose arrays of names are those of an earlier one where they are equal."""
        names = {field.name: getattr(result, field.name) for field in fields(result) if field.init}
        names = {
            name: value for name, value in names.items() if isinstance(value, np.ndarray) and value.dtype.kind == "U"
        }
        same: dict[str, Any] = {name: self._first(value) for name, value in names.items()}
        return replace(result, **same) if any(same[name] is not names[name] for name in names) else result

    def _first(self, names: np.ndarray) -> np.ndarray:
        content = np.ascontiguousarray(names)
        key = f"{content.dtype.str} {content.shape}", hashlib.blake2b(content.data, digest_size=16).digest()
        return self._known.setdefault(key, names)
