"""What a reproduction leaves behind: tables, pictures, and a README in words. Every file is written in one step."""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import pandas as pd

from adverscarial import _store
from adverscarial.reproduce.findings import Finding

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_DPI = 130


@dataclass(frozen=True)
class Outcome:
    """What a reproduction found.

    Attributes
    ----------
    title
        Of the README.
    tables
        Name -> table; each becomes ``NAME.csv``.
    beside
        Numbers beside the paper's: ``what, here, paper, dataset, where``.
    findings
        The paper's statements, judged.
    figures
        Name -> picture; each becomes ``NAME.png``. With what it shows, in words.
    notes
        What a reader should know of data, classifiers and protocol.
    shown
        Tables that the README shows too.
    """

    title: str
    tables: Mapping[str, pd.DataFrame]
    beside: pd.DataFrame
    findings: list[Finding]
    figures: Mapping[str, tuple[Figure, str]]
    notes: list[str]
    shown: list[str] = field(default_factory=list)


def write(outcome: Outcome, out: str | PathLike[str], *, command: str = "") -> Path:
    """Write an outcome into a folder, and return the path of its README.

    Parameters
    ----------
    outcome
        What was found.
    out
        Folder; made when it is not there. Files of the same names are replaced.
    command
        What was typed, for the README.

    Raises
    ------
    StorageError
        If the folder cannot be written to.
    """
    folder = Path(out)
    for name, table in outcome.tables.items():
        _store.write_text(folder / f"{name}.csv", table.to_csv(index=False, lineterminator="\n", float_format="%.6g"))
    for name, (figure, _) in outcome.figures.items():
        _store.write_atomically(folder / f"{name}.png", partial(_save, figure))
    return _store.write_text(folder / "README.md", readme(outcome, command))


def figure_of(ax: Axes) -> Figure:
    """Return the figure of Axes, once no window manager holds it any more."""
    from matplotlib import pyplot as plt

    figure = ax.get_figure(root=True)
    assert figure is not None
    plt.close(figure)
    return figure


def _save(figure: Figure, file: BinaryIO) -> None:
    """Write a figure as a PNG of few colours: a third of the bytes, and no difference that one could see."""
    from PIL import Image

    drawn = io.BytesIO()
    figure.savefig(drawn, format="png", dpi=_DPI, bbox_inches="tight")
    Image.open(drawn).convert("RGB").quantize(128).save(file, format="PNG", optimize=True)


def readme(outcome: Outcome, command: str = "") -> str:
    """Return the README: findings first, then numbers beside the paper's, pictures, tables and notes."""
    parts = [f"# {outcome.title}"]
    if command:
        parts.append(f"Made by\n\n```sh\n{command}\n```")
    if outcome.findings:
        judged = [f"- **{finding.verdict}**: {finding.claim}. {finding.because}" for finding in outcome.findings]
        parts.append("## What the paper found, and what holds here\n\n" + "\n".join(judged))
    if len(outcome.beside):
        names = {"what": "", "here": "here", "paper": "paper", "dataset": "paper's data", "where": "where"}
        parts.append("## Numbers beside the paper's\n\n" + markdown(outcome.beside.rename(columns=names)))
    parts += [f"![{caption}]({name}.png)" for name, (_, caption) in outcome.figures.items()]
    parts += [f"## {name.replace('_', ' ').capitalize()}\n\n{markdown(outcome.tables[name])}" for name in outcome.shown]
    if outcome.notes:
        parts.append("## Notes\n\n" + "\n".join(f"- {note}" for note in outcome.notes))
    parts.append("Tables: " + ", ".join(f"[{name}.csv]({name}.csv)" for name in outcome.tables) + ".")
    return "\n\n".join(parts) + "\n"


def markdown(table: pd.DataFrame) -> str:
    """Return a table in Markdown.

    Examples
    --------
    >>> print(markdown(pd.DataFrame({"gene": ["CD79A"], "n": [3]})))
    | gene | n |
    | --- | ---: |
    | CD79A | 3 |
    """
    numeric = [pd.api.types.is_numeric_dtype(dtype) for dtype in table.dtypes]
    lines = [_line(table.columns), _line(["---:" if right else "---" for right in numeric])]
    lines += [_line([_text(value) for value in row]) for row in table.itertuples(index=False)]
    return "\n".join(lines)


def _line(cells: Iterable[object]) -> str:
    return "| " + " | ".join(str(cell).replace("|", "\\|") for cell in cells) + " |"


def _text(value: object) -> str:
    if pd.isna(value):
        return ""
    if isinstance(value, float):
        return f"{value:.3g}"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)
