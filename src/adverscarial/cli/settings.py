"""Settings of attacks as options of a command, read off the attacks themselves, those of other packages included."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from functools import wraps
from typing import Annotated, Any, TypeVar

from rich.markup import escape

from adverscarial.attacks import Attack
from adverscarial.attacks.columns import Option
from adverscarial.attacks.registered import attacks, build, named
from adverscarial.attacks.result import Result
from adverscarial.cli.changes import changes
from adverscarial.cli.options import Panel
from adverscarial.errors import ParameterError

logger = logging.getLogger(__name__)

Ended = TypeVar("Ended")


def flag_of(option: Option) -> str:
    """Return an option as it is typed, without the dashes before it.

    >>> flag_of(Option("max_genes", int, "Most genes."))
    'max-genes'
    """
    return (option.flag or option.setting).replace("_", "-")


def with_settings(command: Callable[..., Ended]) -> Callable[..., Ended]:
    """Give a command, as typer sees it, one option for each setting that any attack offers.

    The command takes them as ``**settings``; it hands these on to :func:`attacks_of`.
    """

    @wraps(command)
    def wrapped(**arguments: object) -> Ended:
        return command(**arguments)

    signature = inspect.signature(command, eval_str=True)
    own = [p for p in signature.parameters.values() if p.kind is not inspect.Parameter.VAR_KEYWORD]
    offered = _offered({flag for p in own for flag in _flags(p)})
    more = [_parameter(options) for options in offered.values()]
    setattr(wrapped, "__signature__", signature.replace(parameters=[*own, *more]))  # noqa: B010 - mypy knows no such name
    return wrapped


def attacks_of(
    names: Sequence[str], modifications: Sequence[str], settings: Mapping[str, object]
) -> list[Attack[Result]]:
    """Return the attacks that a command line asks for; each gets the settings that it has.

    Parameters
    ----------
    names, modifications
        Of ``--attack`` and ``--modification``.
    settings
        What :func:`with_settings` gave the command.

    Raises
    ------
    ParameterError
        If a setting is given that none of these attacks has, or one that an attack needs is not.
    """
    given = {name.replace("_", "-"): value for name, value in settings.items() if value not in (None, [], ())}
    kinds = {name: named(name) for name in names}
    has = {name: {flag_of(option): option for option in kind.options} for name, kind in kinds.items()}
    for flag in given:
        if not any(flag in options for options in has.values()):
            whose = ", ".join(f"'{name}'" for name in kinds)
            offered = sorted({f"--{known}" for options in has.values() for known in options})
            raise ParameterError(
                f"The attack {whose} has no {flag} on the command line. It has: {', '.join(offered) or 'none'}."
            )
    made = changes(modifications)
    return [
        attack
        for name, options in has.items()
        for attack in build(
            name,
            made,
            {
                options[flag].setting: tuple(value) if isinstance(value, list) else value
                for flag, value in given.items()
                if flag in options
            },
        )
    ]


def _flags(parameter: inspect.Parameter) -> set[str]:
    """Return what an option of the command itself is called."""
    declared = [info for info in getattr(parameter.annotation, "__metadata__", ()) if hasattr(info, "param_decls")]
    names = {str(name) for info in declared for name in (info.default, *(info.param_decls or ())) if name}
    typed = {part.lstrip("-") for name in names if name.startswith("-") for part in name.split("/")}
    return typed | {parameter.name.replace("_", "-")}


def _offered(taken: set[str]) -> dict[str, dict[str, Option]]:
    """Return the options of all attacks by flag and attack; one that cannot be told from another is left out."""
    found: dict[str, dict[str, Option]] = {}
    for name, kind in attacks().items():
        for option in kind.options:
            flag = flag_of(option)
            same = next(iter(found.get(flag, {}).values()), option)
            if flag in taken or (same.type, same.several) != (option.type, option.several):
                logger.warning("The option --%s of the attack '%s' means something else already.", flag, name)
            else:
                found.setdefault(flag, {})[name] = option
    return found


def _parameter(options: Mapping[str, Option]) -> inspect.Parameter:
    """Return one option for all attacks that have it."""
    option = next(iter(options.values()))
    flag = flag_of(option)
    names: dict[str, list[str]] = {}
    for name, one in options.items():
        names.setdefault(one.help.rstrip("."), []).append(name)
    text = " ".join(f"{escape(help)} ({', '.join(which)})." for help, which in names.items())
    declared = f"--{flag}"
    if option.type is bool and any(_default(named(name), one) is True for name, one in options.items()):
        declared = f"--{flag}/--no-{flag}"
    kind: Any = list[option.type] if option.several else option.type  # type: ignore[name-defined]
    return inspect.Parameter(
        flag.replace("-", "_"),
        inspect.Parameter.KEYWORD_ONLY,
        default=None,
        annotation=Annotated[kind | None, Panel.SETTINGS.option(declared, help=text)],
    )


def _default(kind: type[Attack[Result]], option: Option) -> object:
    return next((field.default for field in fields(kind) if field.name == option.setting), None)
