"""Figures by name, each with the question that it answers; those of other packages come in by entry points."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, NamedTuple, ParamSpec, TypeVar

from adverscarial._docs import documented_own
from adverscarial._registry import Registry
from adverscarial.pl._options import DEFAULTS, finish, in_use, parameters, with_text

P = ParamSpec("P")
R = TypeVar("R")


class Figure(NamedTuple):
    """A function that draws, and the question that its picture answers."""

    draw: Callable[..., object]
    question: str


#: all figures by name; a package names its own as entry points of this group
FIGURES: Registry[Figure] = Registry("adverscarial.figures")


def figure(question: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Register a function as a figure: ``adv.pl.NAME`` is then there, and lists name it.

    Every figure has the options ``figsize, save, show, palette, cmap``. The function does not get them: what it draws
    with :mod:`adverscarial.pl` follows them, and the figure is saved and shown when it returns its Axes.

    Parameters
    ----------
    question
        What its picture answers, in one sentence.

    Examples
    --------
    >>> @figure("How many genes flip each cluster?")
    ... def flips(survey): ...
    >>> figures()["flips"]
    'How many genes flip each cluster?'
    """

    def register(draw: Callable[P, R]) -> Callable[P, R]:
        own = inspect.signature(draw)
        kept = [p for p in own.parameters.values() if p.kind is not inspect.Parameter.VAR_KEYWORD]
        names = {parameter.name for parameter in kept}

        @functools.wraps(draw)
        def drawn(*given: P.args, **named: P.kwargs) -> R:
            options: Any = {key: named.pop(key) for key in DEFAULTS if key in named}
            if unknown := [key for key in named if key not in names]:
                raise TypeError(f"{draw.__name__}() got an unexpected keyword argument '{unknown[0]}'")
            with in_use(draw.__name__, options):
                axes: Any = draw(*given, **named)
            finish(axes, options)
            found: R = axes
            return found

        setattr(drawn, "__signature__", own.replace(parameters=[*kept, *parameters()]))  # noqa: B010
        drawn.__doc__ = with_text(documented_own(draw).__doc__)
        FIGURES.add(draw.__name__, Figure(drawn, question))
        return drawn

    return register


def figures() -> dict[str, str]:
    """Return the question of each figure, by name.

    Examples
    --------
    >>> import adverscarial as adv
    >>> adv.pl.figures()["genes_needed"]
    "How many genes must change before a cluster's label flips?"
    """
    return {name: found.question for name, found in sorted(FIGURES.all().items())}
