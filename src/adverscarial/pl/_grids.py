"""What the figures of a survey's counts share: which grids to draw, what they are called, what their marks mean."""

from __future__ import annotations

from typing import TYPE_CHECKING

from adverscarial.errors import ParameterError, did_you_mean, some

if TYPE_CHECKING:
    from adverscarial.surveys.grid import Grid
    from adverscarial.surveys.table import Survey


def chosen_grids(survey: Survey, kind: str, classifier: str | None = None) -> list[Grid]:
    """Return the grids to draw, one per classifier.

    Raises
    ------
    ParameterError
        If the survey had no attack of this name, or one that counts nothing, or no such classifier.
    """
    from adverscarial.surveys.grid import ALIASES, counted, grids

    found = grids(survey, kind)
    if not found:
        names = counted(survey)
        known = [*(short for short, name in ALIASES.items() if name in names), *names]
        raise ParameterError(
            f"kind='{kind}' draws the attack '{ALIASES.get(kind, kind)}', and the survey has none that could be drawn."
            f"{did_you_mean(kind, known)} This survey has: {some(known) if known else 'no attack that counts genes'}"
            f"{'; name one with kind=.' if known else '.'}"
        )
    names = [grid.classifier for grid in found]
    if classifier is not None and classifier not in names:
        raise ParameterError(
            f"There is no classifier '{classifier}' to draw.{did_you_mean(classifier, names)} There are: {some(names)}."
        )
    return [grid for grid in found if classifier in (None, grid.classifier)]


def title(chosen: list[Grid]) -> str:
    """Return what the numbers count, as a heading."""
    text = chosen[0].count.title
    return text[:1].upper() + text[1:]


def footnote(chosen: list[Grid]) -> str:
    """Return the explanation of the marks that occur."""
    meanings = {mark: text for grid in chosen for mark, text in grid.meanings.items()}
    return "\n".join(f"{mark} {meanings[mark]}" for mark in chosen[0].count.marks if mark in meanings)
