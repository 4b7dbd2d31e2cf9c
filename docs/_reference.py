"""Which names the reference page lists: for the settings, and for the test that none is missing."""

from __future__ import annotations

import importlib
import re


def documented(page: str) -> dict[str, object]:
    """Return the objects that the text of ``api.md`` lists, by their full names.

    A name stands alone and indented in a block of ``autosummary``, under the ``currentmodule`` that it belongs to; the
    classes of a module with ``automodule`` stand behind ``:members:``.
    """
    found: dict[str, object] = {}
    module = ""
    for line in page.splitlines():
        if match := re.match(r"\.\. (?:currentmodule|automodule):: (\S+)", line):
            module = match[1]
        elif match := re.match(r"   :members: (.+)", line):
            found |= {f"{module}.{name.strip()}": None for name in match[1].split(",")}
        elif match := re.fullmatch(r"   (\w+)", line):
            found[f"{module}.{match[1]}"] = None
    for name in found:
        place, _, attribute = name.rpartition(".")
        found[name] = getattr(importlib.import_module(place), attribute)
    return found
