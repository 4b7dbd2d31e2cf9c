"""A number that no other content of an array has, for all that can happen by chance, at the speed of reading it.

64 bits, of which every value and its place decide: each word of a block is mixed with a key of its place, so that every
bit of it moves half of all bits, and the sums of the blocks are mixed in their order. A hash of the standard library
takes ten times as long.
"""

from __future__ import annotations

import numpy as np

from adverscarial._compiled import compiled

_BLOCK = 1024  # words
#: odd numbers with bits all over: steps of the keys, and two that mix bits upwards, as SplitMix64 does
_STEP, _UP, _UP_AGAIN = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
_HALF, _DOWN = np.uint64(32), np.uint64(29)


def checksum(values: np.ndarray) -> tuple[object, ...] | None:
    """Return what an array's content is known by; None where it does not lie in memory in one piece.

    Examples
    --------
    >>> one, other = np.array([1.0, 0.0]), np.array([0.0, 1.0])
    >>> checksum(one) == checksum(one.copy()), checksum(one) == checksum(other)
    (True, False)
    """
    if not values.flags.forc or not values.flags.aligned or values.dtype.kind not in "fiub":
        return None
    flat = values.ravel(order="K").view(np.uint8)
    whole = len(flat) // 8 * 8
    words = flat[:whole].view(np.uint64)
    if not words.flags.aligned:
        return None
    order = "C" if values.flags.c_contiguous else "F"
    with np.errstate(over="ignore"):  # where nothing is compiled
        mixed = int(_mixed(words))
    return values.dtype.str, values.shape, order, flat[whole:].tobytes(), mixed


@compiled
def _mixed(words: np.ndarray) -> np.uint64:
    state = np.uint64(0)
    for start in range(0, len(words), _BLOCK):
        block = words[start : start + _BLOCK]
        total = key = np.uint64(0)
        for j in range(len(block)):
            key += _STEP
            word = (block[j] ^ key) * _UP
            word = (word ^ (word >> _HALF)) * _UP_AGAIN
            total += word ^ (word >> _DOWN)
        state = (state ^ total) * _STEP
        state ^= state >> _DOWN
    return state
