"""One table of what was found of each statement of the paper, read off the pages of ``adverscarial reproduce``."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
PAGE, MARK = "results", "<!-- verdicts -->"

_FINDING = re.compile(r"^- \*\*(?P<verdict>[a-z ]+)\*\*: (?P<statement>.+?\.)(?: |$)", re.MULTILINE)
_SHORT = {"holds": "yes", "does not hold": "**no**", "cannot be judged here": "not judged"}


def findings(folder: Path) -> dict[tuple[str, str], dict[str, str]]:
    """Return the verdict on each statement, by figure and statement, then by data set.

    Parameters
    ----------
    folder
        Holds a folder for each data set, and in it one for each figure with its README.
    """
    found: dict[tuple[str, str], dict[str, str]] = {}
    for page in sorted(folder.glob("*/fig*/README.md")):
        data, figure = page.parts[-3:-1]
        for match in _FINDING.finditer(page.read_text(encoding="utf-8")):
            found.setdefault((figure, match["statement"]), {})[data] = match["verdict"]
    return dict(sorted(found.items(), key=lambda item: item[0][0]))


def table(folder: Path) -> str:
    """Return the findings as a table of Markdown: statements down, data sets across, verdicts as links."""
    found = findings(folder)
    names = sorted({name for told in found.values() for name in told}, key=lambda name: (name != "pbmc3k", name))
    heads = [name.replace("_", " ") for name in names]  # a name that breaks leaves room for the statements
    lines = [f"| Fig. | statement | {' | '.join(heads)} |", f"| --- | --- |{' --- |' * len(names)}"]
    for (figure, statement), told in found.items():
        cells = [
            f"[{_SHORT.get(told[name], told[name])}](results/{name}/{figure}/README.md)" if name in told else ""
            for name in names
        ]
        lines.append(f"| {figure[3:]} | {statement} | {' | '.join(cells)} |")
    return "\n".join(lines)


def read(app: Any, docname: str, source: list[str]) -> None:
    """Put the table where the page has its mark; for Sphinx's event ``source-read``."""
    if docname == PAGE:
        source[0] = source[0].replace(MARK, table(HERE / "results"))
