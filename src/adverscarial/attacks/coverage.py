"""What a result proves of the genes that did not flip the label: verdicts rest on it."""

from __future__ import annotations

from typing import NamedTuple


class Coverage(NamedTuple):
    """What one result proves about single genes and sets of genes.

    Attributes
    ----------
    tested
        Whether every single gene of the data was tested, so that what did not flip the label is known not to.
    why, todo
        Why it proves nothing, as the end of a sentence, and what to do about it; empty where it proves something, or
        where there is nothing to prove.
    idle, read
        Genes that were to be raised and were not, and all that the classifier reads.
    lower, never
        No set of fewer genes flips the label, and whether no set does at all; None where nothing is proven of sets.
    second
        Whether another attack with the same modification may prove it instead.
    """

    tested: bool
    why: str = ""
    todo: str = ""
    idle: int = 0
    read: int = 0
    lower: int | None = None
    never: bool = False
    second: bool = False
