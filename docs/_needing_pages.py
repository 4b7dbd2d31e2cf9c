"""Pages that ask R: they run when the documentation is built where R is; elsewhere they show what they printed before.

In such a page a ``{shown}`` block behind a ``{code-cell}`` holds what the cell prints. Where R is, these blocks are
left out, since the cells run; elsewhere the cells become plain code. A test runs the cells and compares.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from typing import Any, NamedTuple

#: pages that ask R
PAGES = ("tasks/r-classifier",)

_CELL = re.compile(r"```\{code-cell\}\n(?P<tags>(?::[^\n]*\n)*)(?P<code>.*?)```\n", re.DOTALL)
_SHOWN = re.compile(r"\n```\{shown\}\n(?P<text>.*?)```\n", re.DOTALL)
_FRONT = re.compile(r"\A---\n.*?\n---\n", re.DOTALL)
_FILE = re.compile(r"%%writefile (?P<name>\S+)\n")


class Cell(NamedTuple):
    """One cell of a page.

    Attributes
    ----------
    code
        What runs.
    file
        Where the code is only written to; empty otherwise.
    shown
        What the page says that it prints; None where it says nothing.
    """

    code: str
    file: str
    shown: str | None


def cells(page: str) -> list[Cell]:
    """Return the cells of a page."""
    found = []
    for match in _CELL.finditer(page):
        code = match["code"].strip("\n") + "\n"
        file = _FILE.match(code)
        shown = _SHOWN.match(page, match.end())
        found.append(Cell(_FILE.sub("", code, count=1), file["name"] if file else "", shown["text"] if shown else None))
    return found


def with_r(page: str) -> str:
    """Return a page whose cells run."""
    return _SHOWN.sub("", page)


def without_r(page: str) -> str:
    """Return a page that runs nothing, and shows what was printed elsewhere."""

    def plain(match: re.Match[str]) -> str:
        code = match["code"].strip("\n") + "\n"
        file = _FILE.match(code)
        if file:
            return f"```{{code-block}} r\n:caption: {file['name']}\n\n{_FILE.sub('', code, count=1)}```\n"
        return f"```python\n{code}```\n"

    shown = _SHOWN.sub(lambda match: f"\n```text\n{match['text']}```\n", _FRONT.sub("", page))
    return _CELL.sub(plain, shown)


def read(app: Any, docname: str, source: list[str]) -> None:
    """Turn a page into what can be built here; for Sphinx's event ``source-read``."""
    if docname in PAGES:
        source[0] = with_r(source[0]) if can_run() else without_r(source[0])


def can_run() -> bool:
    """Return whether R is here, with the package that the pages use."""
    program = shutil.which("Rscript")
    if program is None:
        return False
    return subprocess.run([program, "-e", "library(randomForest)"], capture_output=True, check=False).returncode == 0
