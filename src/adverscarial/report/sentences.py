"""Numbers, shares and lists as prose."""

from __future__ import annotations

from collections.abc import Iterable

from adverscarial.classifiers.answers import in_percent


def count(n: int, noun: str, plural: str = "") -> str:
    """Return a number with its noun.

    >>> count(1, "gene"), count(13714, "gene"), count(2, "search")
    ('1 gene', '13,714 genes', '2 searches')
    """
    return f"{n:,} {noun if n == 1 else plural or noun + ('es' if noun.endswith('ch') else 's')}"


def percent(share: float) -> str:
    """Return a share in percent; neither everything nor nothing is said of what is only close to it.

    A number that is no share, as some functions in R give beside a label, stays the number it is.

    >>> percent(0.5), percent(0.9999), percent(1.0), percent(0.0001), percent(2.17)
    ('50%', '>99%', '100%', '<1%', '2.17')
    """
    text = in_percent(share)
    return ">99%" if text == "100%" and share < 1 else "<1%" if text == "0%" and share > 0 else text


def decimal(number: float) -> str:
    """Return a number with one decimal, or none where there is none.

    >>> decimal(13675.0), decimal(16.68)
    ('13,675', '16.7')
    """
    return f"{number:,.1f}".removesuffix(".0")


def listed(names: Iterable[object], most: int = 4) -> str:
    """Return names as prose.

    >>> listed(["B", "NK", "T"]), listed("ABCDEF")
    ('B, NK and T', 'A, B, C, D and 2 others')
    """
    shown = [str(name) for name in names]
    if len(shown) > most:
        return f"{', '.join(shown[:most])} and {count(len(shown) - most, 'other')}"
    return " and ".join([", ".join(shown[:-1]), shown[-1]] if len(shown) > 1 else shown)
