"""Where the random numbers of a change come from."""

from __future__ import annotations

import zlib

import numpy as np

from adverscarial.stresses.base import Change


def generator(seed: int, change: Change, cluster: str, draw: int) -> np.random.Generator:
    """Return the source of chance of one draw: the same for every strength, and whatever else is asked for."""
    names = [zlib.crc32(text.encode()) for text in (str(change), cluster)]
    return np.random.default_rng([seed, *names, draw])
