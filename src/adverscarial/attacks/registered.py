"""Attacks by name, and attacks as plain text, for the command line and for stored results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import MISSING, fields

from adverscarial.attacks.base import Attack
from adverscarial.attacks.result import Result
from adverscarial.attacks.storing import ATTACKS
from adverscarial.errors import ParameterError, did_you_mean
from adverscarial.modifications import Modification


def attacks() -> dict[str, type[Attack[Result]]]:
    """Return all attacks by name, those of other packages included, in the order of lists and tables."""
    return dict(sorted(ATTACKS.all().items(), key=lambda named: (named[1].place, named[0])))


def named(name: str) -> type[Attack[Result]]:
    """Return the attack with this command-line name.

    Raises
    ------
    ParameterError
        If there is none.

    Examples
    --------
    >>> named("single-gene").question
    'Which single genes flip the label?'
    """
    found = ATTACKS.find(name)
    if found is None:
        names = list(attacks())
        raise ParameterError(
            f"There is no attack '{name}'.{did_you_mean(name, names)} There are: {', '.join(names)}. An attack of "
            "another package is found when that package is installed."
        )
    return found


def build(
    name: str, modifications: Sequence[Modification | str], settings: Mapping[str, object] | None = None
) -> list[Attack[Result]]:
    """Return the attacks that a command line asks for: one per modification, or one for all where it combines them.

    Parameters
    ----------
    name
        Of the attack.
    modifications
        Modifications, or their short strings.
    settings
        Other settings of the attack; those that are None are left out.

    Raises
    ------
    ParameterError
        If a setting is given that the attack does not have, or one that it needs is not.
    """
    kind = named(name)
    known = {f.name: f for f in fields(kind)}
    given = {key: value for key, value in (settings or {}).items() if value is not None}
    if strange := [key for key in given if key not in known]:
        raise ParameterError(f"The attack '{name}' has no {strange[0]}. It has: {', '.join(known)}.")
    chosen = ("modification", "modifications")
    needed = [key for key, f in known.items() if f.default is MISSING and key not in (*given, *chosen)]
    if needed:
        raise ParameterError(f"The attack '{name}' needs {' and '.join(needed)}.")
    if "modification" in known:
        return [kind(**{"modification": change, **given}) for change in modifications]
    if "modifications" in known:
        given["modifications"] = tuple(modifications)
    return [kind(**given)]
