"""What there is, read from the source of the package: importing it takes seconds, and a list should not."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from importlib.metadata import entry_points
from importlib.util import find_spec
from pathlib import Path
from shutil import which
from typing import Any, NamedTuple

_ROOT = Path(__file__).parents[1]

#: how a function of the user's own is named on the command line, with what it does
_CUSTOM = {"custom:module:function": "your own function of a gene's values in the cluster; its module is imported"}

#: classifiers in R: files, not families
_IN_R = {"model.R, model.R:FUNCTION": "Your own function in R, or a stored model (.rds); needs R."}


class Declared(NamedTuple):
    """A class that registers itself, with what is written out of its declaration.

    Attributes
    ----------
    name, doc
        The name it gives, and the first line of its docstring.
    keywords
        Its other class keywords; of a call, the arguments without a name, and each named one behind a dot.
    attributes
        Its class attributes.
    """

    name: str
    doc: str
    keywords: dict[str, Any]
    attributes: dict[str, Any]


@cache
def declared(room: str, keyword: str) -> tuple[Declared, ...]:
    """Return the classes of a room that give themselves a name with a class keyword: ``class X(Y, name="x")``.

    Parameters
    ----------
    room
        Folder of the package.
    keyword
        The class keyword that holds the name.

    Examples
    --------
    >>> next(one.attributes["question"] for one in declared("attacks", "name") if one.name == "single-gene")
    'Which single genes flip the label?'
    """
    return tuple(
        Declared(name, (ast.get_docstring(node) or "").split("\n")[0], dict(_keywords(node)), dict(_literals(node)))
        for text in _sources(room)
        if f"{keyword}=" in text  # parsing is what costs: no other file can hold such a class
        for node in ast.parse(text).body
        if isinstance(node, ast.ClassDef) and (name := _keyword(node, keyword))
    )


def _sources(room: str) -> Iterator[str]:
    for path in sorted((_ROOT / room).rglob("*.py")):
        yield path.read_text(encoding="utf-8")


def attacks() -> dict[str, dict[str, str]]:
    """Return question and cost of each attack by name, in the order of lists and tables."""
    if entry_points(group="adverscarial.attacks"):  # other packages can only be asked
        from adverscarial.attacks.registered import attacks as registered

        return {name: {"question": kind.question, "cost": kind.cost} for name, kind in registered().items()}
    found = {one.name: one.attributes for one in declared("attacks", "name")}
    order = sorted(found, key=lambda name: (found[name].get("place", 100), name))
    return {name: {key: str(found[name].get(key, "")) for key in ("question", "cost")} for name in order}


def modifications() -> dict[str, str]:
    """Return short strings of modifications, each with what it does."""
    found = declared("modifications", "name")
    if not found or entry_points(group="adverscarial.modifications"):
        from adverscarial.modifications.base import examples

        return examples() | _CUSTOM
    ordered = sorted(found, key=lambda one: (one.attributes.get("place", 100), one.name))
    return {text: does for one in ordered for text, does in one.attributes.get("examples", {}).items()} | _CUSTOM


def classifiers() -> dict[str, str]:
    """Return what each family of classifiers is, by the name that the command line has for it."""
    found = declared("classifiers", "family")
    if not found or entry_points(group="adverscarial.classifiers"):
        from adverscarial.classifiers.registry import FAMILIES

        kinds = FAMILIES.all().items()
        listed = [
            (row.name, row.help) if (row := kind.command_line) else (name.replace("_", "-"), _first_line(kind))
            for name, kind in kinds
        ]
        return dict(sorted(listed)) | _IN_R
    rows = [one.keywords.get("command_line", [one.name.replace("_", "-"), one.doc]) for one in found]
    return dict(sorted((name, text) for name, text, *_ in rows)) | _IN_R


def not_installed() -> dict[str, str]:
    """Return what is missing here of what :func:`classifiers` names, each with the command that installs it."""
    needs = {
        str(one.keywords["command_line"][0]): one.keywords["command_line.needs"]
        for one in declared("classifiers", "family")
        if "command_line.needs" in one.keywords
    }
    missing = {
        name: f"pip install 'adverscarial[{extra}]'"
        for name, (module, extra) in needs.items()
        if find_spec(module) is None
    }
    if which("Rscript") is None:
        missing |= dict.fromkeys(_IN_R, "install R 4.0 or newer (Debian, Ubuntu: apt-get install r-base-core)")
    return missing


def _first_line(kind: type) -> str:
    return (kind.__doc__ or "").strip().split("\n")[0]


def _keyword(node: ast.ClassDef, keyword: str) -> str:
    """Return the value of a class keyword; empty where it is absent, or no text."""
    values = [one.value for one in node.keywords if one.arg == keyword]
    return str(values[0].value) if values and isinstance(values[0], ast.Constant) else ""


def _keywords(node: ast.ClassDef) -> Iterator[tuple[str, Any]]:
    """Yield the keywords of a class whose values are written out."""
    for one in node.keywords:
        parts = {str(one.arg): ast.List(one.value.args) if isinstance(one.value, ast.Call) else one.value}
        if isinstance(one.value, ast.Call):
            parts |= {f"{one.arg}.{inner.arg}": inner.value for inner in one.value.keywords}
        for name, value in parts.items():
            try:
                yield name, ast.literal_eval(value)
            except ValueError:
                continue


def _literals(node: ast.ClassDef) -> Iterator[tuple[str, Any]]:
    """Yield the attributes of a class whose values are written out."""
    for line in node.body:
        if not isinstance(line, ast.Assign | ast.AnnAssign) or line.value is None:
            continue
        for target in line.targets if isinstance(line, ast.Assign) else [line.target]:
            try:
                yield ast.unparse(target), ast.literal_eval(line.value)
            except ValueError:
                continue  # computed when the class is made
