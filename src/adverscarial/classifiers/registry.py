"""Which classifiers there are: families that train or are ready-made, and adapters around foreign objects.

Both register themselves when their class is defined (:meth:`Classifier.__init_subclass__`), so this file names none.
Classes of other packages come in through the entry point group ``adverscarial.classifiers``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from adverscarial._registry import Registry

if TYPE_CHECKING:
    from adverscarial.classifiers.base import Classifier

GROUP = "adverscarial.classifiers"

#: families by the name that stored files carry
FAMILIES: Registry[type[Classifier]] = Registry(GROUP)

#: adapters by the name of their class
ADAPTERS: Registry[type[Classifier]] = Registry(GROUP)


@dataclass(frozen=True)
class CommandLine:
    """How a family is offered on the command line.

    Attributes
    ----------
    name
        What a user types, such as ``random-forest``.
    help
        One line that says what it is.
    trained
        Whether it must be trained on labelled cells before it can be used.
    unsuited
        Values of ``--preprocess`` that spoil the data for it.
    note
        What to tell a user who chooses one of them.
    place
        Where lists show it; small numbers come first.
    needs
        Module that it needs and that is not installed with this package, and the extra that brings it.
    """

    name: str
    help: str
    trained: bool = True
    unsuited: tuple[str, ...] = ()
    note: str = ""
    place: int = 100
    needs: tuple[str, str] | None = None


@dataclass(frozen=True)
class Choice:
    """What a user chose on the command line, for :meth:`Classifier.from_command_line`.

    Attributes
    ----------
    seed
        Value of ``--seed``.
    argument
        What stands behind a colon, as in ``sctype:MARKERS.tsv``; empty where nothing does.
    tissue
        Value of ``--tissue``.
    preprocess
        Value of ``--preprocess``.
    """

    seed: int = 0
    argument: str = ""
    tissue: str | None = None
    preprocess: str = "none"


def offered() -> dict[str, type[Classifier]]:
    """Return the families that the command line offers, by the name that a user types."""
    families = [family for family in FAMILIES.all().values() if family.command_line is not None]
    families.sort(key=lambda family: family.command_line.place if family.command_line else 0)
    return {family.command_line.name: family for family in families if family.command_line}
