"""Arrays are known by all of their values, and by where these stand."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adverscarial.cells.checksum import checksum


@settings(max_examples=60, deadline=None)
@given(
    size=st.sampled_from([1, 2, 3, 8, 1023, 1024, 1025, 4096, 5001]),
    dtype=st.sampled_from([np.float32, np.float64, np.int64, np.int32, np.uint8, bool]),
    data=st.data(),
)
def test_one_other_bit_gives_another_number(size: int, dtype: type, data: st.DataObject) -> None:
    values = np.random.default_rng(size).integers(0, 2, size).astype(dtype)
    known = checksum(values)
    assert known == checksum(values.copy())
    changed = values.copy()
    at = data.draw(st.integers(0, changed.nbytes - 1))
    changed.view(np.uint8)[at] ^= 1 << (0 if dtype is bool else data.draw(st.integers(0, 7)))
    assert checksum(changed) != known


@pytest.mark.parametrize("apart", [1, 2, 7, 1024, 2048])
def test_values_that_trade_places_give_another_number(apart: int) -> None:
    values = np.random.default_rng(0).normal(size=(5, 1024))
    known = checksum(values)
    flat = values.ravel()
    flat[[3, 3 + apart]] = flat[[3 + apart, 3]]
    assert checksum(values) != known
    flat[[3, 3 + apart]] = flat[[3 + apart, 3]]
    assert checksum(values) == known
    values[[0, 1]] = values[[1, 0]]
    assert checksum(values) != known


def test_sums_that_stay_equal_give_another_number() -> None:
    """Steps that cancel in a sum, or in a sum that weighs places."""
    values = np.arange(64, dtype=np.int64) + 1000
    known = checksum(values)
    for steps in ([1, -1], [1, -2, 1], [1, -3, 3, -1]):
        changed = values.copy()
        changed[: len(steps)] += steps
        assert checksum(changed) != known


def test_no_two_of_many_arrays_share_a_number() -> None:
    random = np.random.default_rng(1)
    found = set()
    for _ in range(20_000):
        counts = np.zeros(64, dtype=np.float32)
        counts[random.integers(0, 64, 3)] = random.integers(1, 4, 3)
        found.add((checksum(counts), counts.tobytes()))
    assert len({number for number, _ in found}) == len(found)


def test_shape_type_and_order_belong_to_the_content() -> None:
    zeros = [np.zeros(6), np.zeros((2, 3)), np.zeros((3, 2)), np.zeros((2, 3), order="F"), np.zeros(12, dtype="f4")]
    assert len({checksum(values) for values in zeros}) == 5


def test_what_does_not_lie_in_one_piece_is_not_known() -> None:
    assert checksum(np.zeros((4, 4))[:, ::2]) is None
    assert checksum(np.array(["a"])) is None
    assert checksum(np.array([None])) is None
    odd = np.zeros(8, dtype=np.float32)[1:]  # begins in the middle of a word
    assert checksum(odd) == checksum(odd.copy())


def test_read_only_arrays_are_read() -> None:
    values = np.arange(9.0)
    known = checksum(values)
    values.flags.writeable = False
    assert checksum(values) == known
