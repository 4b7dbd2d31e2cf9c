"""Names that repeat."""

from __future__ import annotations

from collections.abc import Iterable


def numbered(names: Iterable[str]) -> list[str]:
    """Return the names, each one once: a name that is taken gets the next free number.

    >>> numbered(["scRF", "scRF", "scMLP", "scRF"])
    ['scRF', 'scRF #2', 'scMLP', 'scRF #3']
    >>> numbered(["a #2", "a", "a"])
    ['a #2', 'a', 'a #3']
    >>> numbered(["a", "a", "a #2"])
    ['a', 'a #3', 'a #2']
    """
    given = list(names)
    own = set(given)
    taken: dict[str, None] = {}
    for name in given:
        number, free = 1, name
        while free in taken or (free in own and free != name):
            number += 1
            free = f"{name} #{number}"
        taken[free] = None
    return list(taken)
