"""Pages that need R, data or a package: they run when the documentation is built where these are; elsewhere they show
what they printed before.

In such a page a ``{shown}`` block behind a ``{code-cell}`` holds what the cell prints. Where all is there, these blocks
are left out, since the cells run; elsewhere the cells become plain code. A test runs the cells and compares, and
``python docs/_needing_pages.py tutorials/interferon`` writes the blocks anew.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

HERE = Path(__file__).parent


class Need(NamedTuple):
    """What a page needs to run.

    Attributes
    ----------
    here
        Returns whether it is there.
    note
        What readers are told where it is not.
    exact
        Whether the page prints the same numbers on every machine; those of a neural net differ.
    """

    here: Callable[[], bool]
    note: str
    exact: bool = True


def _r_is_here() -> bool:
    program = shutil.which("Rscript")
    if program is None:
        return False
    return subprocess.run([program, "-e", "library(randomForest)"], capture_output=True, check=False).returncode == 0


def _data(*names: str, package: str | None = None, exact: bool = True) -> Need:
    """Return the need of data files in the folder ``ADVERSCARIAL_DATA``, and of a package."""

    def here() -> bool:
        folder = os.environ.get("ADVERSCARIAL_DATA")
        files = [Path(folder) / f"{name}.h5ad" for name in names] if folder else []
        return (
            bool(files)
            and all(file.is_file() for file in files)
            and (package is None or find_spec(package) is not None)
        )

    files = " and ".join(f"`{name}.h5ad`" for name in names)
    beside = f", and where {package} is installed" if package else ""
    return Need(
        here,
        "This page was built where its data are not at hand: what its cells print was kept from another time. It runs "
        f"where the environment variable `ADVERSCARIAL_DATA` names a folder with {files}{beside}.",
        exact,
    )


PAGES = {
    "tasks/r-classifier": Need(_r_is_here, ""),
    "tutorials/two-blood-data-sets": _data("pbmc_facs", "pbmc3k", package="celltypist"),
    "tutorials/forest-and-net": _data("pbmc3k", package="torch", exact=False),
    "tutorials/interferon": _data("pbmc_ifnb"),
    "tutorials/scanvi": _data("pbmc_hao_small", package="scvi", exact=False),
}

_CELL = re.compile(r"```\{code-cell\}\n(?P<tags>(?::[^\n]*\n|---\n.*?\n---\n)*)(?P<code>.*?)```\n", re.DOTALL)
_SHOWN = re.compile(r"\n```\{shown\}\n(?P<text>.*?)```\n", re.DOTALL)
_FRONT = re.compile(r"\A---\n.*?\n---\n", re.DOTALL)
_FILE = re.compile(r"%%writefile (?P<name>\S+)\n")
_TITLE = re.compile(r"^# [^\n]*\n", re.MULTILINE)


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


def running(page: str) -> str:
    """Return a page whose cells run."""
    return _SHOWN.sub("", page)


def still(page: str, note: str = "") -> str:
    """Return a page that runs nothing, and shows what was printed elsewhere; a note stands below its title."""

    def plain(match: re.Match[str]) -> str:
        code = match["code"].strip("\n") + "\n"
        file = _FILE.match(code)
        if file:
            return f"```{{code-block}} r\n:caption: {file['name']}\n\n{_FILE.sub('', code, count=1)}```\n"
        return f"```python\n{code}```\n"

    shown = _SHOWN.sub(lambda match: f"\n```text\n{match['text']}```\n", _FRONT.sub("", page))
    text = _CELL.sub(plain, shown)
    return _TITLE.sub(lambda match: f"{match[0]}\n:::{{note}}\n{note}\n:::\n", text, count=1) if note else text


def read(app: Any, docname: str, source: list[str]) -> None:
    """Turn a page into what can be built here; for Sphinx's event ``source-read``."""
    if docname in PAGES:
        need = PAGES[docname]
        source[0] = running(source[0]) if need.here() else still(source[0], need.note)


def printed(page: str) -> list[str]:
    """Run the cells of a page in the current folder, and return what each prints."""
    names: dict[str, object] = {"__name__": "__main__"}
    found = []
    for cell in cells(page):
        if cell.file:
            Path(cell.file).write_text(cell.code, encoding="utf-8")
            found.append("")
            continue
        with contextlib.redirect_stdout(io.StringIO()) as out:
            exec(compile(cell.code, "page", "exec"), names)
        found.append(out.getvalue())
    return found


def filled(page: str, texts: list[str]) -> str:
    """Return a page whose blocks hold what its cells print."""
    said = iter(texts)

    def block(match: re.Match[str]) -> str:
        text = next(said)
        return f"{match[0]}\n```{{shown}}\n{text}```\n" if text else match[0]

    return _CELL.sub(block, _SHOWN.sub("", page))


if __name__ == "__main__":
    import tempfile

    for name in sys.argv[1:]:
        file = HERE / f"{name}.md"
        text = file.read_text(encoding="utf-8")
        with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
            file.write_text(filled(text, printed(text)), encoding="utf-8")
