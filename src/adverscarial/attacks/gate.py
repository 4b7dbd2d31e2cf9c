"""When the outcome of an attack makes a build fail: what ``--fail-over`` compares its number with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from adverscarial.attacks.result import Result


@dataclass(frozen=True)
class Gate:
    """How one number of a result is compared with a limit.

    Parameters
    ----------
    column
        Column of the result's row that holds the number.
    fails
        ``"above"``: a number above the limit fails, as of genes that flip a label. ``"below"``: one below the limit
        fails, as of genes that must change together before the label flips.
    text
        What to say about a number, with the places ``{value}`` and ``{where}``.
    on_success
        Whether the number means something only where the attack reached its goal.

    Examples
    --------
    >>> gate = Gate("flipped", "above", "{value} single genes flip {where}")
    >>> gate.beyond(3, limit=2), gate.beyond(2, limit=2)
    (True, False)
    >>> gate.sentence(3, "cluster 'B'")
    "3 single genes flip cluster 'B'"
    """

    column: str
    fails: Literal["above", "below"]
    text: str
    on_success: bool = False

    def value(self, result: Result) -> int | None:
        """Return the number of a result; None where the attack did not reach the goal that the number is about."""
        return None if self.on_success and not result.success else result.number_in(self.column)

    def beyond(self, value: int, limit: int) -> bool:
        """Return whether a number fails."""
        return value > limit if self.fails == "above" else value < limit

    def sentence(self, value: int, where: str) -> str:
        """Return what was found."""
        return self.text.format(value=f"{value:,}", where=where)

    def allowed(self, limit: int) -> str:
        """Return what would not fail."""
        return f"{limit:,}" if self.fails == "above" else f"no fewer than {limit:,}"
