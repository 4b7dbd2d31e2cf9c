"""What an attack says of its own numbers, so that tables, plots and reports need not know the attack."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from adverscarial.errors import ParameterError


@dataclass(frozen=True)
class Column:
    """One column that a result adds to the table of a survey.

    Attributes
    ----------
    name
        Of the column; the key in :meth:`Result.row`.
    kind
        ``"whole"``, ``"number"``, ``"yes-no"`` or ``"text"``; cells may be empty.
    meaning
        One sentence.
    """

    name: str
    kind: Literal["whole", "number", "yes-no", "text"]
    meaning: str


@dataclass(frozen=True)
class Count:
    """The one number of an attack that a grid of clusters x modifications shows.

    Attributes
    ----------
    column
        Which column of the table it is.
    title
        What is counted, such as ``"single genes that flip the label"``.
    marks
        Marks behind a number, with their meaning: they keep it from claiming more than was tested.
    """

    column: str
    title: str
    marks: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not isinstance(self.marks, dict):
            raise ParameterError(
                f"Count(marks=) of the column '{self.column}' must be a dict of mark -> meaning, such as "
                f"{{'†': 'only a bound'}}; got {self.marks!r}."
            )


@dataclass(frozen=True)
class Option:
    """One setting of an attack that the command line offers.

    Attributes
    ----------
    setting
        Name of the setting, a field of the attack; ``--setting`` on the command line.
    type
        What its text is turned into.
    help
        One line.
    several
        Whether it can be given several times.
    flag
        Name of the option where it is another one, such as ``"gene"`` for the setting ``genes``.
    """

    setting: str
    type: type[str] | type[int] | type[float] | type[bool]
    help: str
    several: bool = False
    flag: str = ""


#: how many of the changes that were tested came to each end
OUTCOMES = (
    Column("flipped", "whole", "Those of them that flip the label."),
    Column("held", "whole", "Those that leave the label as it is."),
    Column("rejected", "whole", "Those that the classifier refused."),
)
#: settings that several attacks have
GENES = Option("genes", str, "Attack only this gene; repeat for several.", several=True, flag="gene")
EXCLUDE = Option("exclude", str, "Leave this gene alone; repeat for several.", several=True)
CHANGE_TYPE = Option("change_type", str, "any: every new label counts; named: only that of a real cell type.")
TOWARDS = Option("towards", str, "Only a flip to this label counts; repeat for several.", several=True)
NEW_TARGET = Option("new_target", str, "The label to reach; any other one when left out.")
WHICH_GENES = (GENES, EXCLUDE, CHANGE_TYPE, TOWARDS)
