"""Writes .rds files as R does, for tests: R's serialisation of vectors, lists, attributes and S4 objects."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp

NA = -(2**31)
NULL = struct.pack(">I", 254)


def _text(value: str | None) -> bytes:
    if value is None:
        return struct.pack(">Ii", 9, -1)
    raw = value.encode()
    return struct.pack(">Ii", 9 | 8 << 12, len(raw)) + raw


def _symbol(name: str) -> bytes:
    return struct.pack(">I", 1) + _text(name)


def pairs(values: dict[str, bytes]) -> bytes:
    """Return a pairlist, such as attributes are kept in."""
    return b"".join(struct.pack(">I", 2 | 0x400) + _symbol(name) + value for name, value in values.items()) + NULL


def _made(kind: int, body: bytes, attributes: dict[str, bytes]) -> bytes:
    flags = kind | (0x200 if attributes else 0) | (0x100 if "class" in attributes else 0)
    return struct.pack(">I", flags) + body + (pairs(attributes) if attributes else b"")


def character(*values: str | None, **attributes: bytes) -> bytes:
    return _made(16, struct.pack(">i", len(values)) + b"".join(map(_text, values)), attributes)


def integer(*values: int, **attributes: bytes) -> bytes:
    return _made(13, struct.pack(f">i{len(values)}i", len(values), *values), attributes)


def logical(*values: int, **attributes: bytes) -> bytes:
    return _made(10, struct.pack(f">i{len(values)}i", len(values), *values), attributes)


def double(*values: float, **attributes: bytes) -> bytes:
    return _made(14, struct.pack(f">i{len(values)}d", len(values), *values), attributes)


def listed(*values: bytes, **attributes: bytes) -> bytes:
    return _made(19, struct.pack(">i", len(values)) + b"".join(values), attributes)


def named(**values: bytes) -> bytes:
    """Return a list with names."""
    return listed(*values.values(), names=character(*values))


def s4(cls: str, package: str = "made.up", **slots: bytes) -> bytes:
    return _made(25, b"", {**slots, "class": character(cls, package=character(package))})


def environment(**values: bytes) -> bytes:
    return struct.pack(">Ii", 4, 0) + struct.pack(">I", 242) + pairs(values) + NULL + NULL


def factor(codes: list[int], levels: list[str]) -> bytes:
    return integer(*codes, levels=character(*levels), **{"class": character("factor")})


def sparse(matrix: Any, rows: list[str] | None, columns: list[str] | None, kind: str = "dgCMatrix") -> bytes:
    """Return one of the package Matrix's classes for general matrices."""
    X = {"C": sp.csc_matrix, "R": sp.csr_matrix, "T": sp.coo_matrix}[kind[2]](matrix)
    slots = {
        "Dim": integer(*X.shape),
        "Dimnames": listed(*(NULL if n is None else character(*n) for n in (rows, columns))),
    }
    if kind[2] == "T":
        slots |= {"i": integer(*X.row.tolist()), "j": integer(*X.col.tolist())}
    else:
        slots |= {"p": integer(*X.indptr.tolist()), "i" if kind[2] == "C" else "j": integer(*X.indices.tolist())}
    if kind[0] == "d":
        slots["x"] = double(*X.data.tolist())
    elif kind[0] == "l":
        slots["x"] = logical(*X.data.astype(int).tolist())
    return s4(kind, "Matrix", **slots)


def dense(matrix: Any, rows: list[str] | None = None, columns: list[str] | None = None, make: Any = double) -> bytes:
    X = np.asarray(matrix)
    attributes = {"dim": integer(*X.shape)}
    if rows is not None or columns is not None:
        attributes["dimnames"] = listed(*(NULL if n is None else character(*n) for n in (rows, columns)))
    return make(*X.ravel(order="F").tolist(), **attributes)


def data_frame(
    rows: list[str] | None, columns: dict[str, bytes], n: int = 0, cls: tuple[str, ...] = ("data.frame",)
) -> bytes:
    """Return a data.frame; without names of rows, R writes their number."""
    names = integer(NA, -n) if rows is None else character(*rows)
    return listed(*columns.values(), **{"names": character(*columns), "class": character(*cls), "row.names": names})


def bioc_frame(rows: list[str] | None, columns: dict[str, bytes], n: int) -> bytes:
    return s4(
        "DFrame",
        "S4Vectors",
        rownames=NULL if rows is None else character(*rows),
        nrows=integer(n),
        listData=named(**columns) if columns else listed(),
    )


def experiment(
    assays: dict[str, bytes],
    genes: list[str],
    cells: list[str],
    columns: dict[str, bytes] | None = None,
    cls: str = "SingleCellExperiment",
    reduced: dict[str, bytes] | None = None,
    old: bool = False,
) -> bytes:
    """Return a (Single|Summarized)Experiment; `old`: with the assays in an environment, as before Bioconductor 3.11."""
    listing = s4("SimpleList", "S4Vectors", listData=named(**assays))
    holder = {".xData": environment(data=listing)} if old else {"data": listing}
    slots = {
        "assays": s4("ShallowSimpleListAssays" if old else "SimpleAssays", "SummarizedExperiment", **holder),
        "colData": bioc_frame(cells, columns or {}, len(cells)),
        "NAMES": character(*genes),
        "elementMetadata": bioc_frame(None, {}, len(genes)),
    }
    if cls == "SingleCellExperiment":
        names = s4("PartitioningByEnd", "IRanges", NAMES=character(*genes))
        slots |= {"NAMES": NULL, "rowRanges": s4("CompressedGRangesList", "GenomicRanges", partitioning=names)}
        inner = bioc_frame(None, reduced, len(cells)) if reduced else bioc_frame(None, {}, len(cells))
        slots["int_colData"] = bioc_frame(None, {"reducedDims": inner}, len(cells))
    return s4(cls, cls, **slots)


def write(path: Path, content: bytes, version: int = 3) -> None:
    head = struct.pack(">iii", version, 0x00040201, 0x00030500)
    encoding = struct.pack(">i", 5) + b"UTF-8" if version == 3 else b""
    path.write_bytes(gzip.compress(b"X\n" + head + encoding + content))
