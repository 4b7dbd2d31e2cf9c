"""``adverscarial reproduce``: a figure or table of the paper, on any annotated data set."""

from __future__ import annotations

import shlex
import sys
import time
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import pandas as pd
import typer
from rich.markup import escape

from adverscarial import datasets
from adverscarial import reproduce as paper
from adverscarial.cli.app import AsJson, Seed, Tissue, console, notes, print_json, working
from adverscarial.errors import DataError, ParameterError, some


class Figure(StrEnum):
    """What the paper shows."""

    fig2 = "fig2"
    fig3 = "fig3"
    fig4 = "fig4"
    table1 = "table1"
    sctype = "sctype"


_HELP = (
    "fig2: five classifiers, every cluster, five modifications. fig3: genes that a gradient descent modifies. "
    "fig4: its strength, accuracy, ROC and F1. table1: one cluster per classifier, timed. "
    "sctype: the published scType gene sets."
)
_COLOURS = {"holds": "green", "does not hold": "yellow", "cannot be judged here": "dim"}
_FILES = ("--data", "--markers", "--published", "--clusters", "--out")


def reproduce(
    figure: Annotated[Figure, typer.Argument(help=_HELP)],
    data: Annotated[Path, typer.Option(help="Labelled cells: counts, or log-normalised values.")],
    groupby: Annotated[str, typer.Option(help="Column of obs that names each cell's type.")] = "cell_type",
    markers: Annotated[
        Path | None, typer.Option(help="Marker table for scType; the package's small blood table when left out.")
    ] = None,
    tissue: Tissue = None,
    exclude: Annotated[
        list[str], typer.Option(help="Type to leave out, where it occurs; repeat for several. Not for sctype.")
    ] = ["UNDETERMINED"],  # noqa: B006
    min_cells: Annotated[int, typer.Option(help="Types with fewer cells are left out. Not for sctype.")] = 10,
    target: Annotated[
        str | None, typer.Option(help="For fig3 and fig4: the cluster; FCGR3A+ Mono or the largest when left out.")
    ] = None,
    clusters: Annotated[
        Path | None,
        typer.Option(help="For sctype: CSV of cells (first column) and their clusters (last), named by scType."),
    ] = None,
    published: Annotated[
        Path | None,
        typer.Option(help="For sctype: published attacks, JSON of cluster, modification, single_gene, gene: label."),
    ] = None,
    restarts: Annotated[
        int | None,
        typer.Option(
            help="Random orders of each max-change attack (none in fig3, fig4); 1, for sctype 10, when left out."
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="Folder for tables, pictures and README.md; fig2 and sctype, run again, go on there."),
    ] = None,
    seed: Seed = 0,
    jobs: Annotated[int, typer.Option(help="For fig2 and sctype: processes; -1 for all cores.")] = 1,
    quick: Annotated[
        bool, typer.Option("--quick", help="Smaller classifiers, to try things out; not for sctype.")
    ] = False,
    json: AsJson = False,
) -> None:
    """Reproduce a figure of the paper: train its five classifiers, attack them, and say which of its findings hold.

    Example:  adverscarial reproduce fig2 --data pbmc3k.h5ad --markers sctype_db.tsv --jobs 2 --out fig2/
    """
    for given in (markers, clusters, published):
        if given is not None and not given.is_file():
            raise ParameterError(f"There is no file '{given}'. Name one that is there, or leave the option out.")
    if figure is not Figure.sctype and (clusters or published):
        raise ParameterError(f"--clusters and --published belong to 'reproduce sctype'; leave them out for {figure}.")
    if target is not None and figure not in (Figure.fig3, Figure.fig4):
        raise ParameterError(f"--target belongs to fig3 and fig4; {figure} attacks every cluster it needs.")
    folder = Path(f"reproduce-{figure}") if out is None else out
    start = time.perf_counter()
    with working(f"Reading {data} ..."):
        adata = datasets.load(data)
    name = data.name.split(".")[0]
    if figure is Figure.sctype:
        outcome = paper.sctype(
            adata, groupby=groupby, name=name, markers=markers, tissue=tissue, out=folder, seed=seed, n_jobs=jobs,
            clusters=None if clusters is None else read_clusters(clusters),
            published=None if published is None else paper.read_published(published),
            restarts=10 if restarts is None else restarts, say=say,
        )  # fmt: skip
    else:
        setting = paper.setting(
            adata, groupby=groupby, name=name, markers=markers, tissue=tissue, exclude=exclude, min_cells=min_cells,
            seed=seed, quick=quick, say=say,
        )  # fmt: skip
        orders = 1 if restarts is None else restarts
        if figure is Figure.table1:
            outcome = paper.table1(setting, restarts=orders, seed=seed, say=say)
        elif figure is Figure.fig3:
            outcome = paper.fig3(setting, target=target, seed=seed, quick=quick, say=say)
        elif figure is Figure.fig4:
            outcome = paper.fig4(setting, target=target, seed=seed, quick=quick, say=say)
        else:
            outcome = paper.fig2(setting, out=folder, restarts=orders, seed=seed, n_jobs=jobs, say=say)
    tell(outcome, folder, seconds=time.perf_counter() - start, json=json)


def say(text: str) -> None:
    """Tell how far it is."""
    notes.print(text, markup=False, highlight=False, soft_wrap=True)


def read_clusters(path: Path) -> pd.Series:
    """Read the cluster of each cell: names in the first column, clusters in the last."""
    try:
        table = pd.read_csv(path, dtype=str, index_col=0)
    except (OSError, ValueError) as error:
        raise DataError(f"'{path}' cannot be read as a CSV table ({type(error).__name__}: {error}).") from error
    if not table.shape[1] or not table.index.is_unique:
        raise DataError(
            f"'{path}' has {table.shape[1] + 1} column(s) ({some([table.index.name, *table.columns])}) and "
            f"{len(table):,} rows; expected one row per cell, its name first and its cluster last."
        )
    return table.iloc[:, -1]


def tell(outcome: paper.Outcome, folder: Path, *, seconds: float, json: bool) -> None:
    """Write an outcome and tell what was found."""
    path = paper.write(outcome, folder, command=shown_command(sys.argv[1:]))
    if json:
        print_json(
            {
                "title": outcome.title,
                "findings": [vars(finding) for finding in outcome.findings],
                "numbers": outcome.beside.to_dict(orient="records"),
                "readme": str(path),
            }
        )
        return
    console.print(f"[bold]{escape(outcome.title)}[/]")
    for finding in outcome.findings:
        colour = _COLOURS[finding.verdict]
        console.print(
            f"[{colour}]{finding.verdict}[/]  {escape(finding.claim)}. [dim]{escape(finding.because)}[/]",
            soft_wrap=True,
        )
    notes.print(f"{seconds:,.0f} s. Written: {path}", markup=False)


def shown_command(arguments: list[str]) -> str:
    """Return the command as typed, files by their names alone: folders differ from one computer to the next."""
    shown = [Path(word).name if i and arguments[i - 1] in _FILES else word for i, word in enumerate(arguments)]
    return shlex.join(["adverscarial", *shown])
