"""All attacks by name: for the command line, and to store an attack's settings as plain text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import MISSING, fields
from typing import Any

from adverscarial.attacks.base import Attack
from adverscarial.attacks.cgd import ClusterGradientDescent
from adverscarial.attacks.fgsm import FastGradientSign
from adverscarial.attacks.grid import Grid
from adverscarial.attacks.max_change import MaxChange
from adverscarial.attacks.pgd import ProjectedGradientDescent
from adverscarial.attacks.random_walk import RandomWalk
from adverscarial.attacks.single_gene import SingleGene
from adverscarial.errors import ParameterError, StorageError, did_you_mean
from adverscarial.modifications import Custom, Modification, parse

ATTACKS: dict[str, type[Attack]] = {
    "single-gene": SingleGene,
    "max-change": MaxChange,
    "cgd": ClusterGradientDescent,
    "grid": Grid,
    "random-walk": RandomWalk,
    "fgsm": FastGradientSign,
    "pgd": ProjectedGradientDescent,
}


def attack_named(name: str) -> type[Attack]:
    """Return the attack with this command-line name.

    Raises
    ------
    ParameterError
        If there is none.
    """
    if name not in ATTACKS:
        raise ParameterError(
            f"There is no attack '{name}'.{did_you_mean(name, list(ATTACKS))} There are: {', '.join(ATTACKS)}."
        )
    return ATTACKS[name]


def build(
    name: str,
    modifications: Sequence[str],
    *,
    genes: Sequence[str] | None = None,
    alpha: float | None = None,
    epsilon: float | None = None,
    confirm: bool | None = None,
) -> list[Attack]:
    """Return the attacks that a command line asks for: one per modification, or one for all where it combines them.

    Raises
    ------
    ParameterError
        If a setting is given that the attack does not have, or one that it needs is not.
    """
    kind = attack_named(name)
    known = {f.name: f for f in fields(kind)}
    given = {"genes": tuple(genes) if genes else None, "alpha": alpha, "epsilon": epsilon, "confirm": confirm}
    settings = {key: value for key, value in given.items() if value is not None}
    if strange := [key for key in settings if key not in known]:
        raise ParameterError(f"The attack '{name}' has no {strange[0]}. It has: {', '.join(known)}.")
    needed = [key for key in given if key in known and known[key].default is MISSING and key not in settings]
    if needed:
        raise ParameterError(f"The attack '{name}' needs {' and '.join(needed)}.")
    if "modification" in known:
        return [kind(**{"modification": change, **settings}) for change in modifications]
    if "modifications" in known:
        settings["modifications"] = tuple(modifications)
    return [kind(**settings)]


def describe(attack: Attack) -> dict[str, Any]:
    """Return an attack's type and settings as JSON values."""
    settings = {}
    for f in fields(attack):
        value = getattr(attack, f.name)
        if f.name == "modifications":
            value = [str(modification) for modification in value]
        settings[f.name] = str(value) if isinstance(value, Modification) else value
    return {"type": type(attack).__name__, "settings": settings}


def rebuild(description: dict[str, Any]) -> Attack:
    """Return the attack that :func:`describe` described."""
    kinds = {kind.__name__: kind for kind in ATTACKS.values()}
    settings = dict(description["settings"])
    if "modification" in settings:
        settings["modification"] = _modification(settings["modification"])
    if "modifications" in settings:
        settings["modifications"] = [_modification(text) for text in settings["modifications"]]
    settings = {name: tuple(value) if isinstance(value, list) else value for name, value in settings.items()}
    return kinds[description["type"]](**settings)


def _modification(text: str) -> Modification:
    return _lost(text) if text.startswith("custom:") else parse(text)


def _lost(name: str) -> Custom:
    def function(*_: Any) -> Any:
        raise StorageError(
            f"The modification '{name}' is a function and was not stored; run the attack again to apply it."
        )

    function.__name__ = name.removeprefix("custom:")
    return Custom(function)
