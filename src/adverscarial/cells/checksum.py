"""A number that no other content of an array has, for all that can happen by chance, at the speed of reading it."""

from __future__ import annotations

import numpy as np
import xxhash


def checksum(values: np.ndarray) -> tuple[object, ...] | None:
    """Return what an array's content is known by; None where it does not lie in memory in one piece.

    Examples
    --------
    >>> one, other = np.array([1.0, 0.0]), np.array([0.0, 1.0])
    >>> checksum(one) == checksum(one.copy()), checksum(one) == checksum(other)
    (True, False)
    """
    if not values.flags.forc or values.dtype.kind not in "fiub":
        return None
    order = "C" if values.flags.c_contiguous else "F"
    return values.dtype.str, values.shape, order, xxhash.xxh3_128_digest(values.ravel(order="K").data)
