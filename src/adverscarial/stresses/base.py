"""What a change of cells is: a name, a strength with a unit, and new counts of some cells."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import Field, fields
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
import scipy.sparse as sp

from adverscarial._docs import documented
from adverscarial._registry import Registry
from adverscarial._types import Ints
from adverscarial.errors import ParameterError, did_you_mean, some

if TYPE_CHECKING:
    from adverscarial.stresses.cells import CountCells

#: all kinds of changes by their names; those of other packages come in through entry points
CHANGES: Registry[type[Change]] = Registry("adverscarial.changes")

#: strengths of a change that is measured in shares
SHARES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95)


class Change(ABC):
    """Base of all changes; subclasses are frozen dataclasses that hold settings only.

    A subclass gives its name, and writes one method::

        @dataclass(frozen=True)
        class Halved(Change, name="halved"):
            \"\"\"Some cells lose half of their counts.\"\"\"

            unit = "share of cells"

            def apply(self, cells, rows, strength, rng):
                counts = cells.counts[rows]
                ...
                return counts

    It is registered where it is defined: ``changes=["halved"]`` then means it in Python and on the command line. A
    package names it as an entry point of the group ``adverscarial.changes``.

    Attributes
    ----------
    name
        In tables and on the command line.
    unit
        What the strength is, in words.
    strengths
        Those that are tried when none are named.
    happens
        What has happened at a strength, as it stands behind "when", with ``{:.0%}`` in its place.
    most
        The largest strength that makes sense.
    keeps_size
        Whether a cell has as many counts after the change as before.
    place
        Where tables show it: the smaller, the earlier.
    """

    if TYPE_CHECKING:  # written by the decorator of each subclass
        __dataclass_fields__: ClassVar[dict[str, Field[Any]]]

    name: ClassVar[str] = ""
    unit: ClassVar[str] = ""
    happens: ClassVar[str] = ""
    strengths: ClassVar[tuple[float, ...]] = SHARES
    most: ClassVar[float] = 1.0
    keeps_size: ClassVar[bool] = False
    place: ClassVar[int] = 100

    def __init_subclass__(cls, *, name: str = "", **other: object) -> None:
        super().__init_subclass__(**other)
        cls.name = name or str(vars(cls).get("name", ""))
        if cls.name:
            CHANGES.add(cls.name, cls)

    @abstractmethod
    def apply(self, cells: CountCells, rows: Ints, strength: float, rng: np.random.Generator) -> sp.csr_array:
        """Return the counts of some cells after the change.

        Parameters
        ----------
        cells
            Counts of all cells; not to be changed.
        rows
            Positions of the cells to change, of one cluster.
        strength
            Above 0, up to :attr:`most`.
        rng
            The only source of chance. It starts anew for each strength of a draw.

        Returns
        -------
        Whole numbers, shape (len(rows), genes).
        """

    def concerned(self, cells: CountCells, rows: Ints) -> Ints:
        """Return those of a cluster's cells that the change can happen to; all of them, unless a change says so."""
        return rows

    @classmethod
    def happened(cls, strength: float) -> str:
        """Return what has happened at a strength, as it stands behind "when"."""
        return cls.happens.format(strength) if cls.happens else f"{cls.name} is {strength:g} ({cls.unit})"

    @classmethod
    def parsed(cls, argument: str) -> Self:
        """Return the change that ``NAME:argument`` means; most changes take no argument."""
        if argument:
            raise ParameterError(f"The change '{cls.name}' takes no ':{argument}'; write '{cls.name}'.")
        return cls()

    def __str__(self) -> str:
        """Return the short string that means it."""
        values = [getattr(self, one.name) for one in fields(self)]
        texts = [",".join(map(str, value)) if isinstance(value, tuple) else str(value) for value in values]
        default = all(value == one.default for value, one in zip(values, fields(self), strict=True))
        return self.name if default else ":".join([self.name, *texts])


def kinds() -> dict[str, type[Change]]:
    """Return all kinds of changes by name, those of other packages included, in the order of tables."""
    return dict(sorted(CHANGES.all().items(), key=lambda named: (named[1].place, named[0])))


@documented
def parse(change: Change | str) -> Change:
    """Return the change that a short string means; a Change is returned as it is.

    %(errors_of_text)s
    """
    if isinstance(change, Change):
        return change
    name, _, argument = str(change).strip().partition(":")
    kind = CHANGES.find(name)
    if kind is None:
        known = list(kinds())
        raise ParameterError(f"'{name}' is no change.{did_you_mean(name, known)} There are: {some(known, 20)}.")
    return kind.parsed(argument)


def names_in(argument: str) -> tuple[str, ...]:
    """Return the names of genes that stand in an argument, ``"FOS,JUN"``."""
    return tuple(name.strip() for name in argument.split(",") if name.strip())


def checked_strengths(change: Change, strengths: Sequence[float]) -> tuple[float, ...]:
    """Return strengths in rising order, without 0, which is the unmodified cells.

    Raises
    ------
    ParameterError
        If there are none, or one is not from 0 to what makes sense.
    """
    values = np.unique(np.asarray(strengths, dtype=np.float64))
    values = values[values != 0]
    if not len(values) or not np.isfinite(values).all() or values.min() < 0 or values.max() > change.most:
        raise ParameterError(
            f"Strengths of '{change.name}' are numbers above 0, up to {change.most:g} ({change.unit}); got "
            f"{list(strengths)!r}."
        )
    return tuple(values.tolist())
