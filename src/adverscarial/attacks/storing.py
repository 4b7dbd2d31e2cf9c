"""Attacks as plain text, for results and surveys that are stored, and the register of all attacks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import TYPE_CHECKING, Any, NoReturn

from adverscarial._registry import Registry, distribution_of
from adverscarial.errors import StorageError
from adverscarial.modifications import Custom, Modification
from adverscarial.modifications.base import parse

if TYPE_CHECKING:
    from adverscarial.attacks.base import Attack
    from adverscarial.attacks.result import Result

#: all attacks by their names; those of other packages come in through entry points
ATTACKS: Registry[type[Attack[Result]]] = Registry("adverscarial.attacks")


def describe(attack: Attack[Result]) -> dict[str, object]:
    """Return an attack's type and settings as JSON values."""
    settings: dict[str, object] = {}
    for f in fields(attack):
        value = getattr(attack, f.name)
        if f.name == "modifications":
            value = [str(modification) for modification in value]
        settings[f.name] = str(value) if isinstance(value, Modification) else value
    told: dict[str, object] = {"type": type(attack).__name__, "settings": settings}
    package = distribution_of(type(attack))
    return told if package == "adverscarial" else {**told, "name": attack.name, "package": package}


def rebuild(description: Mapping[str, Any]) -> Attack[Result]:
    """Return the attack that :func:`describe` described.

    Raises
    ------
    StorageError
        If it is an attack of a package that is not installed.
    """
    kind = _kind(str(description["type"]), description)
    settings = dict(description["settings"])
    if "modification" in settings:
        settings["modification"] = _modification(settings["modification"])
    if "modifications" in settings:
        settings["modifications"] = [_modification(text) for text in settings["modifications"]]
    for name, value in settings.items():
        if isinstance(value, list) and any(isinstance(item, list | dict) for item in value):
            raise ValueError(f"the setting '{name}' is a list of lists")
    settings = {name: tuple(value) if isinstance(value, list) else value for name, value in settings.items()}
    return kind(**settings)


def _kind(name: str, description: Mapping[str, object]) -> type[Attack[Result]]:
    package = str(description.get("package", "adverscarial"))
    for kind in ATTACKS.all().values():
        if kind.__name__ == name and distribution_of(kind) == package:
            return kind
    if package == "adverscarial":
        raise StorageError(f"There is no attack '{name}' in this version. There are: {', '.join(ATTACKS)}.")
    raise StorageError(
        f"This is a result of the attack '{description.get('name', name)}' of the package '{package}', which is not "
        f"installed here. Install it, then read the result again: pip install {package}"
    )


def _modification(text: str) -> Modification:
    return _lost(text) if text.startswith("custom:") else parse(text)


def _lost(name: str) -> Custom:
    def function(*_: object) -> NoReturn:
        raise StorageError(
            f"The modification '{name}' is a function and was not stored; run the attack again to apply it."
        )

    function.__name__ = name.removeprefix("custom:")
    return Custom(function)
