"""The examples in the docstrings run, and print what they show; the parameters that are described exist."""

from __future__ import annotations

import doctest
import importlib
import inspect
import pkgutil
import re
from collections.abc import Callable, Iterator
from typing import Any, get_args, get_type_hints

import numpy as np
import pytest

import adverscarial
from adverscarial._docs import documented, documented_own

MODULES = sorted(
    module.name
    for module in pkgutil.walk_packages(adverscarial.__path__, "adverscarial.")
    if not module.name.endswith("__main__")
)


@pytest.mark.fast(6)
@pytest.mark.parametrize("name", MODULES)
def test_the_examples_of_docstrings_run(name: str, tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    module = importlib.import_module(name)
    outcome = doctest.testmod(module, extraglobs={"np": np}, optionflags=doctest.NORMALIZE_WHITESPACE)
    assert outcome.failed == 0, f"{outcome.failed} of {outcome.attempted} examples"


def described(text: str, section: str) -> list[str]:
    """Return the names of the entries in a section of a numpy docstring."""
    found = re.search(rf"^{section}\n-+\n(.*?)(?=\n\n[^\n ][^\n]*\n---|\Z)", text, re.DOTALL | re.MULTILINE)
    heads = [] if found is None else [line for line in found[1].splitlines() if line and not line.startswith(" ")]
    return [name.strip().lstrip("*") for head in heads for name in head.partition(":")[0].split(",")]


def callables(name: str) -> Iterator[tuple[str, Callable[..., Any]]]:
    """Return the classes, functions and methods that a module defines, by name."""
    for key, value in vars(importlib.import_module(name)).items():
        if getattr(value, "__module__", None) != name or not (inspect.isclass(value) or inspect.isfunction(value)):
            continue
        yield key, value
        if inspect.isclass(value):
            methods = {attribute: getattr(value, attribute) for attribute in vars(value)}
            yield from ((f"{key}.{a}", method) for a, method in methods.items() if inspect.isroutine(method))


def unpacked(thing: Callable[..., Any]) -> set[str]:
    """Return the names of the arguments that a function takes as ``**arguments: Unpack[Arguments]``."""
    kinds = {name: parameter.kind for name, parameter in inspect.signature(thing).parameters.items()}
    if inspect.Parameter.VAR_KEYWORD not in kinds.values() or "Unpack" not in str(inspect.get_annotations(thing)):
        return set()
    return {
        key
        for name, hint in get_type_hints(thing).items()
        if kinds.get(name) is inspect.Parameter.VAR_KEYWORD
        for key in get_type_hints(get_args(hint)[0])
    }


@pytest.mark.parametrize("name", MODULES)
def test_every_parameter_that_a_docstring_describes_exists(name: str) -> None:
    for key, thing in callables(name):
        text = inspect.getdoc(thing) or ""
        assert "%(" not in text, f"{key} names a shared text: it needs @documented, or a class that fills its text in"
        names = described(text, "Parameters")
        if not names or thing.__doc__ is None:
            continue
        known = set(inspect.signature(thing).parameters)
        known |= unpacked(thing)
        if inspect.ismethod(getattr(thing, "__init_subclass__", None)):  # or it belongs into a subclass's statement
            known |= set(inspect.signature(thing.__init_subclass__).parameters)
        assert set(names) <= known, f"{key} has no {sorted(set(names) - known)}"
        assert len(names) == len(set(names)), f"{key} describes one twice: {names}"


def test_shared_texts_stand_where_a_docstring_names_them() -> None:
    class Thing:
        """Do.

        Parameters
        ----------
        %(adata)s
        other
            100%(of it)s.
        """

        @documented
        def method(self, adata: object) -> None:
            """Do.

            Parameters
            ----------
            %(adata)s
            """

    text = inspect.getdoc(documented(Thing))
    assert described(text, "Parameters") == ["adata", "other"]
    assert "\n    Cells x genes, or a MuData; not changed.\nother\n    100%(of it)s." in text
    assert described(inspect.getdoc(Thing.method), "Parameters") == ["adata"]


def test_a_shared_text_that_does_not_exist_is_an_error() -> None:
    def do() -> None:
        """Do.

        %(adatta)s
        """

    with pytest.raises(KeyError, match="adatta"):
        documented(do)


def test_only_what_the_package_defines_is_filled_in_by_itself() -> None:
    def do() -> None:
        """Do.

        %(ax)s
        """

    assert "%(ax)s" in (documented_own(do).__doc__ or "")
    do.__module__ = "adverscarial.pl.do"
    assert "Where to draw" in (documented_own(do).__doc__ or "")


def test_without_docstrings_nothing_is_filled_in() -> None:  # python -OO
    def do() -> None:
        pass

    assert documented(do).__doc__ is None
