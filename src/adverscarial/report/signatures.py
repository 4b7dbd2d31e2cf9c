"""What the report says of how much can change while the label holds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, cast

from adverscarial.attacks import MaxChangeResult
from adverscarial.report.sections import AttackSection, Compared, Detail, describes, no_result, span
from adverscarial.report.sentences import count, percent
from adverscarial.surveys.grid import Entry, Grid


@describes("max-change")
class MaxChangeSection(AttackSection[MaxChangeResult]):
    """Signatures: what was left alone while all else was rewritten."""

    title: ClassVar[str] = "How much can change unnoticed?"
    meaning: ClassVar[str] = (
        "Length of the signature: the genes that were left as they are while all others were rewritten at once and the "
        "label held. The shorter, the more of the expression profile the classifier ignores. Other signatures of the "
        "same length can exist, and shorter ones where it is not said that no fewer genes can do (proven)."
    )
    noun: ClassVar[str] = "signature search"
    compared: ClassVar[Compared | None] = Compared(
        "modifiable",
        "genes that can be rewritten at once",
        "overlooks the fewest changes",
        "overlook the fewest changes",
    )

    def summary(self, grid: Grid) -> list[str]:
        """Return how much of the transcriptome can be rewritten without one classifier noticing."""
        done = sorted(grid.done, key=lambda entry: entry.value or 0)
        if not done:
            return [f"{self.searches(len(grid.entries), len(grid.entries))} {no_result(grid)}."]
        free = [entry for entry in done if entry.value == 0]
        bound = [entry for entry in done if entry.value != 0]
        said = []
        if free:
            some = self.searches(len(free), len(grid.entries))
            said.append(f"In {some} no gene has to stay; for example, {_holds(free[0])}.")
        if bound:
            shortest = _holds(bound[0])
            said.append(
                f"The shortest signature elsewhere: {shortest}." if free else f"{shortest[0].upper()}{shortest[1:]}."
            )
        if len(bound) > 1 and bound[-1].value != bound[0].value:
            said.append(f"The longest signature found: {_holds(bound[-1])}.")
        proven = sum(cast("MaxChangeResult", entry.result).optimal for entry in bound)
        if len(bound) > 1 and proven:
            which = "each signature" if proven == len(bound) else f"{proven:,} of {count(len(bound), 'signature')}"
            said.append(f"For {which} it is proven that no fewer genes can do.")
        return said

    def brief(self, entries: Sequence[Entry], title: str) -> str:  # noqa: D102
        values = [entry.value for entry in entries if entry.value is not None]
        return f"signature {span(values)}" if values else ""

    def detail(self, result: MaxChangeResult) -> Detail:  # noqa: D102
        free, left = len(result.modifiable), len(result.protected)
        text = (
            f"{free:,} of {count(free + left, 'gene')} can be rewritten at once; the label is then {result.label} "
            f"({percent(result.share)} of the cells). "
        )
        if not left:
            text += "No gene has to stay."
        elif result.maximal or result.optimal:
            which = "it" if left == 1 else "any one of them"
            text += f"The signature is the remaining {count(left, 'gene')}{result.limit}. "
            text += f"Rewriting {which} as well would flip the label, or be refused:"
        else:
            spent = "" if result.complete else ", because the budget was spent"
            text += f"{count(left, 'gene')} were left as they are{result.limit}. "
            text += f"It was not shown that all of them must{spent}:"
        return Detail(text, names=result.signature, names_title="Signature")


def _holds(entry: Entry) -> str:
    """Return what stayed of one cluster's label, beginning with ``the label``."""
    result = cast("MaxChangeResult", entry.result)
    left, free = len(result.protected), len(result.modifiable)
    label = f"the label of cluster {entry.cluster}"
    if not free:
        return f"{label} was not found to hold with even one of {count(left, 'gene')} rewritten ({entry.heading})"
    genes = f"{free:,} of {count(left + free, 'gene')}" if left else f"all {count(free, 'gene')}"
    text = f"{label} holds while {genes} are rewritten at once ({entry.heading})"
    if left and entry.marks:
        fewer = f"; fewer may do, but no fewer than {result.lower:,}" if result.limit else ", though fewer may do"
        return f"{text}; the other {left:,} were left as they are{fewer}"
    carry = f"{count(left, 'gene')} {'carries' if left == 1 else 'carry'} it (signature){result.limit}"
    return f"{text}; {carry}" if left else text
