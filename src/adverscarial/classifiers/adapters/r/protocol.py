"""Messages between Python and R: what each holds, as bytes. The other side is ``bridge.R``.

A request is three int32 (operation, number of the request, fields), then the fields. An answer is three int32 (status,
number of the request, fields), then the fields, the first two of which are warnings and how often each came. A field
is its kind (int32), its length (float64: elements, or bytes of texts), and its content: int32, float64, or texts in
UTF-8 with a separator behind each. Everything is little-endian.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Sequence
from enum import IntEnum
from typing import NamedTuple, TypeAlias

import numpy as np

from adverscarial.errors import ParameterError

_SEPARATOR = "\x1f"
_HEAD, _FIELD = struct.Struct("<iii"), struct.Struct("<id")
_INTEGERS, _NUMBERS, _TEXTS = 0, 1, 2
_MOST_FIELDS = 16  # more than any answer has: what says more is no answer

#: integers, numbers, or texts
Field: TypeAlias = np.ndarray | Sequence[str]


class Operation(IntEnum):
    """What R is asked to do; its number is the place of a function in ``bridge.R``."""

    SETUP = 1
    LOAD = 2
    ASK = 3
    ACCEPT = 4
    DROP = 5
    NODES = 6


class Status(IntEnum):
    """How an answer went."""

    ANSWERED = 0
    FAILED = 1
    REFUSED = 2


class Reply(NamedTuple):
    """One answer of R."""

    #: How it went.
    status: Status
    #: Number of the request that it answers.
    request: int
    #: What was answered; of a failure, one field of texts: kind, message, call, and more.
    fields: list[Field]
    #: Texts of warnings since the last answer, and how often each came.
    warnings: dict[str, int]

    def texts(self, place: int) -> list[str]:
        """Return a field of texts."""
        return [str(text) for text in self.fields[place]]

    def numbers(self, place: int) -> np.ndarray:
        """Return a field of integers or numbers."""
        return np.asarray(self.fields[place])


def request(operation: Operation, number: int, fields: Sequence[Field]) -> Iterator[bytes | memoryview]:
    """Yield the bytes of a request, piece by piece: large arrays are not copied.

    Parameters
    ----------
    operation
        What is asked.
    number
        Of the request; the answer repeats it.
    fields
        Texts, or arrays; integers go as int32, other numbers as float64, column by column.

    Raises
    ------
    ParameterError
        If a text holds a character that no name has.
    """
    yield _HEAD.pack(operation, number, len(fields))
    for field in fields:
        if not isinstance(field, np.ndarray):
            content = _joined(field)
            yield _FIELD.pack(_TEXTS, len(content)) + content
            continue
        whole = field.dtype.kind in "iub"
        values = np.asarray(field, dtype="<i4" if whole else "<f8").ravel(order="F")
        yield _FIELD.pack(_INTEGERS if whole else _NUMBERS, values.size)
        yield values.data.cast("B")


def _joined(texts: Sequence[str]) -> bytes:
    for text in texts:
        if _SEPARATOR in text or "\0" in text:
            raise ParameterError(f"{text!r} holds a control character, which R cannot be given in a name.")
    return "".join(f"{text}{_SEPARATOR}" for text in texts).encode("utf-8")


def reply(read: Callable[[int], bytearray]) -> Reply:
    """Read one answer.

    Parameters
    ----------
    read
        Returns that many bytes.

    Raises
    ------
    ValueError
        If what comes is no answer.
    """
    status, number, n_fields = _HEAD.unpack(read(_HEAD.size))
    if status not in iter(Status) or not 2 <= n_fields <= _MOST_FIELDS:
        raise ValueError(f"R answered what is no answer: {status}, {number}, {n_fields}")
    texts, counts, *fields = [_field(read) for _ in range(n_fields)]
    warnings = dict(zip((str(text) for text in texts), (int(n) for n in counts), strict=True))
    return Reply(Status(status), number, fields, warnings)


def _field(read: Callable[[int], bytearray]) -> Field:
    kind, length = _FIELD.unpack(read(_FIELD.size))
    size = int(length)
    if kind == _TEXTS:
        return read(size).decode("utf-8", "replace").split(_SEPARATOR)[:-1]
    if kind not in (_INTEGERS, _NUMBERS):
        raise ValueError(f"R answered a field of the unknown kind {kind}")
    dtype = np.dtype("<i4" if kind == _INTEGERS else "<f8")
    return np.frombuffer(read(size * dtype.itemsize), dtype=dtype)
