"""Messages to and from R, without R."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adverscarial.classifiers.adapters.r.protocol import Operation, Reply, Status, reply, request
from adverscarial.errors import ParameterError

TEXTS = st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\x1f\0")), max_size=5)


def read_back(data: bytes) -> Reply:
    left = bytearray(data)

    def read(n: int) -> bytearray:
        taken, left[:] = left[:n], left[n:]
        assert len(taken) == n
        return taken

    found = reply(read)
    assert not left
    return found


def answer(fields: list, number: int = 7, status: int = 0) -> bytes:
    """Return what R would send: a request has the same form, with the operation in place of the status."""
    data = b"".join(bytes(piece) for piece in request(Operation.SETUP, number, [["a warning"], np.array([3]), *fields]))
    return struct.pack("<i", status) + data[4:]


@pytest.mark.slow
@given(TEXTS, st.lists(st.floats(width=32), max_size=6), st.lists(st.integers(-(2**31), 2**31 - 1), max_size=6))
def test_what_is_sent_is_what_is_read(texts: list[str], numbers: list[float], integers: list[int]) -> None:
    fields = [texts, np.array(numbers, dtype=np.float32), np.array(integers, dtype=np.int64)]
    found = read_back(answer(fields))
    assert (found.status, found.request, found.warnings) == (Status.ANSWERED, 7, {"a warning": 3})
    assert found.texts(0) == texts
    np.testing.assert_array_equal(found.numbers(1), np.array(numbers, dtype=np.float64))
    np.testing.assert_array_equal(found.numbers(2), integers)


def test_a_matrix_goes_column_by_column() -> None:
    X = np.arange(6).reshape(2, 3).astype(float)
    np.testing.assert_array_equal(read_back(answer([X])).numbers(0), [0, 3, 1, 4, 2, 5])


def test_a_query_costs_what_changes() -> None:
    def size(genes: int, cells: int) -> int:
        fields = [np.array([1]), np.array([0]), np.arange(genes), np.ones((cells, genes))]
        return sum(len(piece) for piece in request(Operation.ASK, 1, fields))

    assert size(1, 1) < 100
    assert size(1, 200) - size(1, 1) == 199 * 8
    assert size(10, 1) - size(1, 1) == 9 * 12


@pytest.mark.parametrize("text", ["a\x1fb", "a\0b"])
def test_a_name_with_a_control_character_is_refused(text: str) -> None:
    with pytest.raises(ParameterError, match="control character"):
        list(request(Operation.SETUP, 1, [[text]]))


@pytest.mark.parametrize("data", [answer([], status=9), struct.pack("<iii", 0, 1, 999)])
def test_what_is_no_answer_is_told(data: bytes) -> None:
    with pytest.raises(ValueError, match="no answer"):
        read_back(data)


def test_a_field_of_an_unknown_kind_is_told() -> None:
    with pytest.raises(ValueError, match="unknown kind"):
        read_back(struct.pack("<iii", 0, 1, 2) + struct.pack("<id", 9, 0))
