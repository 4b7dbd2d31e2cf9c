"""R's serialisation (``saveRDS``), versions 2 and 3, as plain objects. Functions are passed over, never run.

Every announced length is compared with the bytes that are left before anything is made of that size. Layout: "R
Internals", section 1.8, Serialization Formats.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from adverscarial.errors import DataError

NA_INTEGER = -(2**31)
_DEEP = 150  # objects within objects; those of Seurat and Bioconductor stay below 40
_LONGEST = 2**28  # numbers of a sequence that is kept as its ends

_ATTRIBUTES, _TAG = 0x200, 0x400
_NULLS = (0, 254, 242, 241, 253, 252, 251, 250)  # NULL, and environments and marks that a file names only
_SYMBOL, _ENVIRONMENT, _S4, _CHARS, _STRINGS, _RAW = 1, 4, 25, 9, 16, 24
#: symbols, environments, packages and pointers
_REFERRED_TO = (_SYMBOL, _ENVIRONMENT, 22, 23, 247, 248, 249)
_PAIRS = {2: "pairlist", 3: "function", 5: "promise", 6: "language", 17: "pairlist", 239: "pairlist", 240: "language"}
_LISTS = {19: "list", 20: "expression"}
_NUMBERS = {10: ("logical", ">i4"), 13: ("integer", ">i4"), 14: ("double", ">f8"), 15: ("complex", ">c16")}


@dataclass
class RObject:
    """One object of R.

    Parameters
    ----------
    kind
        ``logical``, ``integer``, ``double``, ``complex``, ``character``, ``raw``, ``list``, ``S4``, ``environment``,
        ``null``, ``symbol`` or another of R's types.
    data
        An array, with R's own integers for missing values; a list of texts, None where missing; a list of objects; a
        dict of objects for an environment.
    attributes
        Attributes, or the slots of an S4 object.
    """

    kind: str
    data: Any = None
    attributes: dict[str, RObject] = field(default_factory=dict)

    def slot(self, *path: str) -> RObject | None:
        """Return the attribute of an attribute ...; None where one is missing or NULL."""
        node: RObject | None = self
        for name in path:
            node = None if node is None else node.attributes.get(name)
        return None if node is None or node.kind == "null" else node

    def texts(self, *path: str) -> list[str | None] | None:
        """Return a slot that holds texts."""
        node = self.slot(*path)
        return node.data if node is not None and node.kind == "character" else None

    @property
    def classes(self) -> list[str]:
        """What ``class(x)`` says in R."""
        said = self.texts("class")
        if said:
            return [str(name) for name in said]
        if "dim" in self.attributes:
            return ["matrix"]
        if "levels" in self.attributes:
            return ["factor"]
        return ["numeric" if self.kind == "double" else "NULL" if self.kind == "null" else self.kind]


class _CutShortError(ValueError):
    """The file ends too early, or announces more than it holds."""


def parse(data: bytes, path: Path) -> RObject:
    """Return the object in the unpacked content of an .rds file; `path` is for messages."""
    if data[:2] == b"A\n":
        raise DataError(
            f"'{path}' is written as text (ascii=TRUE). In R: saveRDS(readRDS(file), file), and load it again."
        )
    if data[:2] not in (b"X\n", b"B\n"):
        raise DataError(f"'{path}' is no .rds file: it begins with {data[:12]!r}. Expected what saveRDS() writes.")
    return _Parser(data, path, ">" if data[:1] == b"X" else "<").whole()


class _Parser:
    def __init__(self, data: bytes, path: Path, order: str) -> None:
        self.data = data
        self.path = path
        self.at = 2
        self.order = order
        self._two = struct.Struct(order + "Ii")
        self.known: list[RObject] = []  # symbols and environments, which later places refer to
        self.depth = 0

    def whole(self) -> RObject:
        version = self.integer()
        self.at += 8  # the versions of R that wrote it, and that can read it
        if version not in (2, 3):
            raise DataError(f"'{self.path}' is of serialisation version {version}. Expected version 2 or 3.")
        if version == 3:
            self.take(self.integer())  # the name of R's own encoding
        return self.item()

    # bytes ----------------------------------------------------------------------------------------------------------

    def take(self, size: int) -> bytes:
        if size < 0 or size > len(self.data) - self.at:
            raise _CutShortError(f"{size:,} bytes are announced, {len(self.data) - self.at:,} are left")
        self.at += size
        return self.data[self.at - size : self.at]

    def integer(self) -> int:
        return int(struct.unpack(self.order + "i", self.take(4))[0])

    def length(self, smallest: int) -> int:
        """Return the length of a vector, whose elements take at least so many bytes each."""
        n = self.integer()
        if n == -1:
            n = (self.integer() << 32) + (self.integer() & 0xFFFFFFFF)
        if n < 0 or n * smallest > len(self.data) - self.at:
            raise _CutShortError(f"{n:,} elements are announced, {len(self.data) - self.at:,} bytes are left")
        return n

    # objects --------------------------------------------------------------------------------------------------------

    def item(self) -> RObject:
        if self.depth >= _DEEP:
            raise DataError(f"'{self.path}' nests objects more than {_DEEP} deep: it is damaged, or made to do harm.")
        self.depth += 1
        try:
            return self.of_type(self.integer() & 0xFFFFFFFF)
        finally:
            self.depth -= 1

    def of_type(self, flags: int) -> RObject:
        kind = flags & 0xFF
        if kind in _NULLS:
            return RObject("null")
        if kind == 255:
            return self.reference(flags >> 8)
        if kind in _PAIRS:
            return self.pairs(flags)
        if kind == 238:
            return self.alternative()
        found = self.named(kind) if kind in _REFERRED_TO else self.vector(kind)
        if flags & _ATTRIBUTES and kind != _ENVIRONMENT:
            found.attributes = self.attributes()
        return found

    def reference(self, place: int) -> RObject:
        place = place or self.integer()
        if not 0 < place <= len(self.known):
            raise _CutShortError(f"object {place} is referred to, {len(self.known)} are known")
        return self.known[place - 1]

    def named(self, kind: int) -> RObject:
        """Return what later places may refer to."""
        if kind == _SYMBOL:
            found = RObject("symbol", str(self.item().data))
            self.known.append(found)
        elif kind == _ENVIRONMENT:
            self.integer()  # whether it is locked
            found = RObject("environment", {})
            self.known.append(found)
            self.item()  # the environment around it
            frame, table = self.item(), self.item()
            for part in [frame, *(table.data if table.kind == "list" else [])]:
                found.data.update(_tagged(part))
            found.attributes = _tagged(self.item())
        elif kind in (22, 23):  # pointers and weak references
            found = RObject("pointer")
            self.known.append(found)
            if kind == 22:
                self.item(), self.item()
        else:  # namespaces and packages, by name
            self.integer()
            found = RObject("environment", {})
            for _ in range(self.length(8)):
                self.item()
            self.known.append(found)
        return found

    def vector(self, kind: int) -> RObject:
        if kind in _NUMBERS:
            name, code = _NUMBERS[kind]
            code = code if self.order == ">" else code.replace(">", "<")
            size = np.dtype(code).itemsize
            n = self.length(size)
            values = np.frombuffer(self.data, dtype=code, count=n, offset=self.at) if n else np.empty(0, dtype=code)
            self.at += n * size
            return RObject(name, values.astype(values.dtype.newbyteorder("=")))
        if kind == _STRINGS:
            return RObject("character", self.strings(self.length(8)))
        if kind in _LISTS:
            return RObject(_LISTS[kind], [self.item() for _ in range(self.length(4))])
        if kind == _CHARS:
            self.at -= 4  # read again, as one text
            return RObject("text", self.strings(1)[0])
        if kind == _RAW:
            return RObject("raw", np.frombuffer(self.take(self.length(1)), dtype=np.uint8))
        if kind == _S4:
            return RObject("S4")
        if kind in (7, 8):  # functions that are part of R, by name
            self.take(self.integer())
            return RObject("function")
        raise DataError(
            f"'{self.path}' holds compiled code of R, or something else that is not known (type {kind}). In R, keep "
            "only the data: saveRDS(SingleCellExperiment::SingleCellExperiment(list(counts = ...)), 'sce.rds')."
        )

    def strings(self, n: int) -> list[str | None]:
        found: list[str | None] = []
        data, at, end = self.data, self.at, len(self.data)
        for _ in range(n):
            if at + 8 > end:
                raise _CutShortError("a text is cut short")
            flags, size = self._two.unpack_from(data, at)
            at += 8
            if flags & 0xFF != _CHARS or size < -1 or at + max(size, 0) > end:
                raise _CutShortError("a text is damaged")
            if size < 0:
                found.append(None)
                continue
            latin = flags >> 12 & 4
            found.append(data[at : at + size].decode("latin-1" if latin else "utf-8", errors="replace"))
            at += size
        self.at = at
        return found

    def pairs(self, flags: int) -> RObject:
        """Return a pairlist, or what is written like one; its tags are kept as an attribute."""
        kind = _PAIRS[flags & 0xFF]
        values, tags = [], []
        while flags & 0xFF in _PAIRS:
            if flags & _ATTRIBUTES or flags & 0xFF in (239, 240):
                self.item()
            tag = self.item() if flags & _TAG else None
            tags.append(tag.data if tag is not None and tag.kind == "symbol" else "")
            values.append(self.item())
            flags = self.integer() & 0xFFFFFFFF
        self.of_type(flags)
        return RObject(kind, values, {"names": RObject("character", tags)})

    def attributes(self) -> dict[str, RObject]:
        return _tagged(self.item())

    def alternative(self) -> RObject:
        """Return a vector that R keeps in another form: a sequence by its ends, numbers as text, one in a wrapper."""
        info, state, attributes = self.item(), self.item(), self.item()
        name = str(info.data[0].data) if info.kind == "pairlist" and info.data else ""
        if name in ("compact_intseq", "compact_realseq"):
            n, first, step = (float(value) for value in state.data[:3])
            if not 0 <= n <= _LONGEST:
                raise _CutShortError(f"a sequence of {n:,.0f} numbers is announced")
            values = first + step * np.arange(int(n))
            found = RObject("double", values) if "real" in name else RObject("integer", values.astype(np.int32))
        elif name == "deferred_string" and state.kind in ("pairlist", "list"):
            found = RObject("character", _as_text(state.data[0]))
        elif name.startswith("wrap_") and state.kind in ("list", "pairlist"):
            found = RObject(state.data[0].kind, state.data[0].data, dict(state.data[0].attributes))
        else:
            raise DataError(f"'{self.path}' holds a vector of the kind '{name}', which is not known here.")
        found.attributes.update(_tagged(attributes))
        return found


def _tagged(pairs: RObject) -> dict[str, RObject]:
    if pairs.kind not in ("pairlist", "language"):
        return {}
    tags = pairs.attributes["names"].data
    return {str(tag): value for tag, value in zip(tags, pairs.data, strict=True) if tag}


def _as_text(numbers: RObject) -> list[str | None]:
    """Return numbers as as.character() writes them, up to 15 digits."""
    if numbers.kind == "integer":
        return [None if value == NA_INTEGER else str(value) for value in numbers.data.tolist()]
    return [None if np.isnan(value) else f"{value:.15g}" for value in numbers.data.tolist()]
