"""``adverscarial reproduce``: a figure or table of the paper, on any annotated data set."""

from __future__ import annotations

import shlex
import sys
import time
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from adverscarial import datasets
from adverscarial.cli.app import AsJson, Seed, Tissue, console, notes, print_json, working
from adverscarial.errors import ParameterError
from adverscarial.reproduce import Outcome, fig2, setting, write


class Figure(StrEnum):
    """What the paper shows."""

    fig2 = "fig2"


_COLOURS = {"holds": "green", "does not hold": "yellow", "cannot be judged here": "dim"}


def reproduce(
    figure: Annotated[
        Figure,
        typer.Argument(help="fig2: survey of five classifiers."),
    ],
    data: Annotated[Path, typer.Option(help="Labelled cells: counts, or log-normalised values.")],
    groupby: Annotated[str, typer.Option(help="Column of obs that names each cell's type.")] = "cell_type",
    markers: Annotated[
        Path | None, typer.Option(help="Marker table for scType; the package's small blood table when left out.")
    ] = None,
    tissue: Tissue = None,
    exclude: Annotated[list[str], typer.Option(help="Type to leave out; repeat for several.")] = ["UNDETERMINED"],  # noqa: B006
    min_cells: Annotated[int, typer.Option(help="Types with fewer cells are left out.")] = 10,
    restarts: Annotated[int, typer.Option(help="Random orders of each max-change attack.")] = 1,
    out: Annotated[
        Path | None,
        typer.Option(help="Folder for tables, pictures and README.md; run again to continue.", show_default=False),
    ] = None,
    seed: Seed = 0,
    jobs: Annotated[int, typer.Option(help="Processes; -1 for all cores.")] = 1,
    quick: Annotated[bool, typer.Option("--quick", help="Smaller classifiers, to try things out.")] = False,
    json: AsJson = False,
) -> None:
    """Reproduce a figure of the paper: train its five classifiers, attack them, and say which of its findings hold.

    Example:  adverscarial reproduce fig2 --data pbmc3k.h5ad --markers sctype_db.tsv --jobs 2 --out fig2/
    """
    if markers is not None and not markers.is_file():
        raise ParameterError(f"There is no marker table '{markers}'. Name a .tsv, .csv or .xlsx file with --markers.")
    folder = Path(f"reproduce-{figure}") if out is None else out
    start = time.perf_counter()
    with working(f"Reading {data} ..."):
        adata = datasets.load(data)

    def say(text: str) -> None:
        notes.print(text, markup=False, highlight=False)

    found = setting(
        adata, groupby=groupby, name=data.name.split(".")[0], markers=markers, tissue=tissue, exclude=exclude,
        min_cells=min_cells, seed=seed, quick=quick, say=say,
    )  # fmt: skip
    outcome = fig2(found, out=folder, restarts=restarts, seed=seed, n_jobs=jobs, say=say)
    report(outcome, folder, start=start, json=json)


def report(outcome: Outcome, folder: Path, *, start: float, json: bool) -> None:
    """Write an outcome and tell what was found."""
    path = write(outcome, folder, command=shown_command(sys.argv[1:]))
    seconds = time.perf_counter() - start
    if json:
        print_json(
            {
                "title": outcome.title,
                "findings": [vars(finding) for finding in outcome.findings],
                "numbers": outcome.beside.to_dict(orient="records"),
                "readme": str(path),
                "seconds": round(seconds, 1),
            }
        )
        return
    console.print(f"[bold]{escape(outcome.title)}[/]")
    for finding in outcome.findings:
        colour = _COLOURS[finding.verdict]
        console.print(f"[{colour}]{finding.verdict}[/]  {escape(finding.claim)}. [dim]{escape(finding.because)}[/]")
    notes.print(f"{seconds:,.0f} s. Written: {path}", markup=False)


def shown_command(arguments: list[str]) -> str:
    """Return the command as typed, files by their names alone: folders differ from one computer to the next."""
    shown = [Path(word).name if i and arguments[i - 1] in _FILES else word for i, word in enumerate(arguments)]
    return shlex.join(["adverscarial", *shown])


_FILES = ("--data", "--markers", "--published", "--clusters", "--out")
