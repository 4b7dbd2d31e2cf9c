"""``--recipe``: sets of attacks that belong together, by name."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

from adverscarial.attacks import Attack
from adverscarial.attacks.registered import build
from adverscarial.attacks.result import Result


class Recipe(StrEnum):
    """Names of sets of attacks."""

    paper = "paper"
    quick = "quick"
    thorough = "thorough"
    ci = "ci"


class Step(NamedTuple):
    """One attack with some modifications."""

    attack: str
    modifications: tuple[str, ...] = ()
    settings: dict[str, object] = {}  # noqa: RUF012 - read only


#: the five modifications of the paper's Fig. 2
PAPER = ("perc1", "perc99", "decile+5", "positive_aberrant", "negative_aberrant")
#: values that cells have: a gene that is lost, one that is at its highest, and a shift by half of the cells
POSSIBLE = ("perc1", "perc99", "decile+5")

STEPS: dict[Recipe, tuple[Step, ...]] = {
    Recipe.paper: (
        Step("single-gene", PAPER, {"search": "exact"}),
        Step("max-change", PAPER, {"restarts": 1}),
        Step("cgd"),
    ),
    Recipe.quick: (Step("single-gene", ("perc1", "perc99")),),
    Recipe.thorough: (
        Step("single-gene", (*PAPER, "random", "dropout:0.5"), {"search": "exact"}),
        Step("max-change", PAPER),
        Step("min-change", ("perc1", "perc99")),
        Step("cgd"),
    ),
    Recipe.ci: (Step("single-gene", POSSIBLE, {"search": "exact"}),),
}

HELP = (
    "A set of attacks, in place of --attack and --modification. paper: single-gene and max-change with the five "
    "modifications of Fig. 2, and cgd. quick: single genes at their 1st and 99th percentile. thorough: all that paper "
    "has, random values and dropout, ten orders of max-change, and min-change, which says how many genes a verdict "
    "rests on. ci: every single gene with values that cells have, for --fail-over."
)


def attacks_of_recipe(recipe: Recipe) -> list[Attack[Result]]:
    """Return the attacks of a recipe."""
    return [attack for step in STEPS[recipe] for attack in build(step.attack, step.modifications, step.settings)]
