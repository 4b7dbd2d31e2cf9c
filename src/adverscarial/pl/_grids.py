"""What the figures of a survey's counts share: which grids to draw, what they are called, what their marks mean."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from adverscarial.errors import ParameterError, did_you_mean, some

if TYPE_CHECKING:
    from adverscarial.evaluation.survey import Survey
    from adverscarial.report.grid import Grid

TITLES = {"single": "Genes that flip the label alone", "max": "Genes of the signature"}


def chosen_grids(survey: Survey, kind: Literal["single", "max"], classifier: str | None = None) -> list[Grid]:
    """Return the grids to draw, one per classifier.

    Raises
    ------
    ParameterError
        If `kind` is something else, the survey had no such attack, or no such classifier.
    """
    from adverscarial.report.grid import ATTACK, grids

    if kind not in ATTACK:
        raise ParameterError(f"kind must be 'single' or 'max', got '{kind}'.")
    found = grids(survey, kind)
    if not found:
        needed = ATTACK[kind].__name__
        raise ParameterError(
            f"kind='{kind}' draws {needed} attacks, and the survey has none. Add one, or draw another kind."
        )
    names = [grid.classifier for grid in found]
    if classifier is not None and classifier not in names:
        raise ParameterError(
            f"There is no classifier '{classifier}' to draw.{did_you_mean(classifier, names)} There are: {some(names)}."
        )
    return [grid for grid in found if classifier in (None, grid.classifier)]


def footnote(chosen: list[Grid]) -> str:
    """Return the explanation of the marks that occur."""
    from adverscarial.report.grid import MEANING

    used = "".join(entry.marks for grid in chosen for entry in grid.done)
    kind = chosen[0].kind
    return "\n".join(f"{mark} {text}" for (of, mark), text in MEANING.items() if of == kind and mark in used)
