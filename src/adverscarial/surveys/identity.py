"""What an object is known by: a hash of its content, the same for the same content in every process.

Plain values, arrays and tables are hashed by their values; functions by their code and by everything that the code
holds or names (:mod:`adverscarial.surveys.code_identity`); other objects by their class and their own state, as
pickling would store it. Nothing is taken for the same because of its name alone, except code of installed packages,
which is known by name and version. An object that cannot be read in this way is *unidentified*: it has no hash.
"""

from __future__ import annotations

import copyreg
import sys
import types
from collections import OrderedDict
from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import scipy.sparse as sp
import scipy.special

from adverscarial.classifiers.adapters.functions import CellFunction
from adverscarial.classifiers.base import Classifier
from adverscarial.errors import AdverscarialError
from adverscarial.surveys.code_identity import combine, installed_version, is_code, read_code

if TYPE_CHECKING:
    import torch


class Unidentified(Exception):
    """An object whose content cannot be read; the text says which one and why."""


def identity(content: object) -> str:
    """Return a hash of the content of any object, 32 letters.

    Raises
    ------
    Unidentified
        If some part of it cannot be read: an open connection, a handle of compiled code, a generator.

    Examples
    --------
    >>> identity([1, "a"]) == identity([1, "a"])
    True
    >>> identity(lambda x: x + 1) == identity(lambda x: x + 2)
    False
    """
    try:
        return ContentReader().of(content).hex()
    except Unidentified:
        raise
    except RecursionError as error:
        raise Unidentified(f"a {type(content).__name__} holds objects in objects, deeper than can be read") from error


_PLAIN = frozenset({type(None), bool, int, float, complex, str, bytes, type(...), type(NotImplemented), range})


class ContentReader:
    """Reads one object and all that it holds; objects that hold each other are read once."""

    def __init__(self) -> None:
        self._known: dict[int, bytes] = {}
        self._open: dict[int, int] = {}  # objects that are being read, and how deep they lie
        self._kept: list[object] = []  # so that no new object gets the id of one that is gone

    def of(self, obj: object) -> bytes:
        """Return the hash of an object."""
        kind = type(obj)
        if kind in _PLAIN:
            return combine(kind.__name__, [_plain(obj)])
        key = id(obj)
        if key in self._known:
            return self._known[key]
        if key in self._open:  # an object that holds itself: how far above it lies
            return combine("above", [str(len(self._open) - self._open[key]).encode()])
        self._open[key] = len(self._open)
        self._kept.append(obj)
        try:
            self._known[key] = self._read(obj)
        except (Unidentified, RecursionError):
            raise
        except Exception as error:  # whatever an object raises when its state is asked for
            raise Unidentified(
                f"the content of a {kind.__module__}.{kind.__qualname__} cannot be read ({error})"
            ) from error
        finally:
            del self._open[key]
        return self._known[key]

    def all(self, tag: str, parts: Iterable[object]) -> bytes:
        """Return the hash of several objects in their order."""
        return combine(tag, (self.of(part) for part in parts))

    def _read(self, obj: object) -> bytes:
        kind = type(obj)
        # the kinds themselves: what derives from them may hold more
        if isinstance(obj, list | tuple) and kind in (list, tuple):
            return self.all(kind.__name__, obj)
        if isinstance(obj, dict) and kind in (dict, OrderedDict):
            return self.all(kind.__name__, (part for item in obj.items() for part in item))
        if isinstance(obj, set | frozenset) and kind in (set, frozenset):
            return combine(kind.__name__, sorted(self.of(part) for part in obj))
        if is_code(obj):
            return read_code(self, obj)
        if isinstance(obj, np.ndarray | np.generic | np.dtype):
            return self._array(obj)
        if isinstance(obj, sp.sparray | sp.spmatrix):
            rows = obj.tocsr()
            return self.all(kind.__name__, (rows.shape, rows.data, rows.indices, rows.indptr))
        if isinstance(obj, pd.DataFrame):  # not as pandas keeps it: that depends on how it was put together
            return self.all("DataFrame", (obj.columns, obj.index, *(obj.iloc[:, k].array for k in range(obj.shape[1]))))
        if isinstance(obj, pd.Series):
            return self.all("Series", (obj.name, obj.index, obj.array))
        if isinstance(obj, Classifier):
            return self._classifier(obj)
        if (torch := sys.modules.get("torch")) is not None and isinstance(obj, torch.Tensor):
            return self._tensor(obj, torch.uint8)
        return self._instance(obj)

    def _array(self, array: np.ndarray | np.generic | np.dtype[np.generic]) -> bytes:
        if isinstance(array, np.dtype):
            return combine("dtype", [repr(array).encode()])
        values = np.asarray(array)
        name = type(array).__name__
        more = [self.of(vars(array))] if getattr(array, "__dict__", None) else []  # the mask of a masked array
        if values.dtype.names is not None:  # field by field: between fields lies what was in memory before
            fields = (np.ascontiguousarray(values[field]) for field in values.dtype.names)
            return combine(name, [self.of(values.dtype), self.all("fields", fields), *more])
        if values.dtype.kind in "OT":
            return combine(name, [self.of(values.shape), self.all("objects", values.ravel().tolist()), *more])
        about = f"{values.dtype.str} {values.shape}".encode()
        return combine(name, [about, np.ascontiguousarray(values).tobytes(), *more])

    def _tensor(self, tensor: torch.Tensor, byte: torch.dtype) -> bytes:
        values = tensor.detach().cpu().contiguous()
        about = (type(tensor).__name__, str(tensor.dtype), tuple(tensor.shape))
        content = values.reshape(-1).view(byte).numpy() if values.numel() else np.empty(0, np.uint8)
        return self.all("tensor", (about, content))

    def _classifier(self, model: Classifier) -> bytes:
        """Return the hash of what a classifier's answers depend on."""
        if isinstance(model, CellFunction):  # it learns its classes from its answers
            asked = (model.needs_all_cells, model.takes, model._tested)  # about which cells, and in which form
            return self.all("CellFunction", (model.function, model._given_classes, model.genes, *asked))
        if installed_version(type(model).__module__) is None:
            return self._instance(model)
        try:
            stored = model.state()
        except AdverscarialError:  # it cannot be stored
            return self._instance(model)
        return self.all("classifier", (type(model), *stored))

    def _instance(self, obj: object) -> bytes:
        """Return the hash of an object's class and of what pickling would store of it."""
        kind = type(obj)
        reduce = copyreg.dispatch_table.get(kind)
        stored = obj.__reduce_ex__(4) if reduce is None else reduce(obj)
        if isinstance(stored, str):  # known by its name in a module
            return self.all("name", (kind, _module_of(obj, stored), stored))
        make, given, state, items, pairs = (*stored, None, None, None)[:5]
        parts = [kind, make, given, state, list(items or ()), list(pairs or ()), list(stored[5:])]
        if _stores_itself(kind):  # its own words may leave something out
            parts.append(getattr(obj, "__dict__", None))
        return self.all("object", parts)


def _plain(value: object) -> bytes:
    if isinstance(value, str):
        return value.encode("utf-8", "surrogatepass")
    if isinstance(value, bytes):
        return value
    return (hex(value) if isinstance(value, int) else repr(value)).encode()


def _module_of(obj: object, name: str) -> types.ModuleType | None:
    """Return the module in which an object is found by its name; None for a part of its class's package, as a dtype."""
    named = getattr(obj, "__module__", None)
    if named is None and not isinstance(obj, np.ufunc):
        return None
    modules = [sys.modules.get(named)] if named is not None else [np, scipy.special]
    for place in modules:
        if place is not None and getattr(place, name, None) is obj:
            return place
    raise Unidentified(f"the content of '{name}', a {type(obj).__name__}, cannot be read")


def _stores_itself(kind: type) -> bool:
    """Return whether a class that is no installed package's says by itself what is stored of its objects."""
    names = ("__getstate__", "__reduce__", "__reduce_ex__")
    own = next((base for base in kind.__mro__ if any(name in vars(base) for name in names)), object)
    return own is not object and installed_version(own.__module__) is None
