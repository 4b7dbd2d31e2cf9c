"""``adverscarial reproduce``: a figure or table of the paper, on any annotated data set."""

from __future__ import annotations

import shlex
import sys
import time
from enum import StrEnum
from pathlib import Path
from typing import Annotated, NamedTuple, TypedDict

import pandas as pd
import typer
from anndata import AnnData
from rich.text import Text

from adverscarial import reproduce as paper
from adverscarial.cli.data import fetched, load
from adverscarial.cli.options import AsJson, Layer, Mod, Raw, Seed, Tissue
from adverscarial.cli.output import console, notes, print_json
from adverscarial.errors import DataError, ParameterError, some
from adverscarial.reproduce.protocol import Executed
from adverscarial.reproduce.sctype import Published


class Figure(StrEnum):
    """What the paper shows."""

    fig1 = "fig1"
    fig2 = "fig2"
    fig3 = "fig3"
    fig4 = "fig4"
    table1 = "table1"
    sctype = "sctype"
    discovery = "discovery"
    statements = "statements"


#: those that take several data sets, and those whose runs go on where they were
_SEVERAL = (Figure.table1, Figure.discovery)
_OF_ONE_CLUSTER = (Figure.fig1, Figure.fig3, Figure.fig4)
_SCTYPE = (Figure.sctype, Figure.statements)
_HELP = (
    "fig1: cells by predicted type, before and after three attacks. fig2: five classifiers, every cluster, five "
    "modifications. fig3: genes that a gradient descent modifies, and heatmaps. "
    "fig4: its strength, accuracy, ROC and F1. table1: one cluster per classifier, timed. "
    "sctype: the published scType gene sets. discovery: genes that attacks find and statistics do not. "
    "statements: all of these, and every statement of the paper judged in one table."
)
_COLOURS = {"holds": "green", "does not hold": "yellow", "cannot be judged here": "dim"}
_FILES = ("--data", "--markers", "--published", "--clusters", "--numbers", "--out")


def reproduce(
    figure: Annotated[Figure, typer.Argument(help=_HELP)],
    data: Annotated[
        list[Path],
        typer.Option(
            help="Labelled cells: counts, or log-normalised values; or axilla10k, liver10k or kidney10k, which are "
            "fetched from CELLxGENE. Repeat for several, in table1 and discovery."
        ),
    ],
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
        str | None,
        typer.Option(help="For fig1, fig3 and fig4: the cluster; FCGR3A+ Mono or the largest when left out."),
    ] = None,
    clusters: Annotated[
        Path | None,
        typer.Option(
            help="For sctype and statements: CSV of cells (first column) and their clusters (last), named by scType."
        ),
    ] = None,
    published: Annotated[
        Path | None,
        typer.Option(
            help="For sctype, statements: published attacks, JSON of cluster, modification, single_gene, gene: label."
        ),
    ] = None,
    numbers: Annotated[
        Path | None, typer.Option(help="For statements: CSV of published numbers; ours stand beside them in a table.")
    ] = None,
    restarts: Annotated[
        int | None,
        typer.Option(
            help="Random orders of each max-change attack (fig4 makes none); 1, for sctype 10, when left out."
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="Folder for tables, pictures and README.md; surveys, run again, go on there."),
    ] = None,
    mod: Mod = None,
    layer: Layer = None,
    raw: Raw = False,
    seed: Seed = 0,
    jobs: Annotated[int, typer.Option(help="For surveys: processes; -1 for all cores.")] = 1,
    quick: Annotated[
        bool, typer.Option("--quick", help="Smaller classifiers, to try things out; not for sctype.")
    ] = False,
    json: AsJson = False,
) -> None:
    """Reproduce a figure of the paper: train its five classifiers, attack them, and say which of its findings hold.

    Example:  adverscarial reproduce fig2 --data pbmc3k.h5ad --markers sctype_db.tsv --jobs 2 --out fig2/
    """
    _check(figure, data, [markers, clusters, published, numbers], target, bool(clusters or published), restarts)
    folder = Path(f"reproduce-{figure}") if out is None else out
    start = time.perf_counter()
    sets = {path.name.split(".")[0]: _read(path, raw=raw, layer=layer, mod=mod) for path in data}
    first, adata = next(iter(sets.items()))
    gene_sets: GeneSets = {
        "markers": markers, "tissue": tissue, "clusters": None if clusters is None else read_clusters(clusters),
        "published": None if published is None else paper.read_published(published),
    }  # fmt: skip
    if figure is Figure.sctype:
        outcome = paper.sctype(
            adata, groupby=groupby, name=first, out=folder, seed=seed, n_jobs=jobs,
            restarts=10 if restarts is None else restarts, say=say, **gene_sets,
        )  # fmt: skip
    else:
        settings = [
            paper.setting(
                cells, groupby=groupby, name=name, markers=markers, tissue=tissue, exclude=exclude,
                min_cells=min_cells, seed=seed, quick=quick, train=figure is not Figure.fig2, say=say,
            )
            for name, cells in sets.items()
        ]  # fmt: skip
        whole = adata if figure is Figure.statements else None
        sets.clear()  # room for the attacks
        del adata
        asked = _Asked(figure, target, restarts, folder, seed, jobs, quick)
        beside = None if numbers is None else paper.read_numbers(numbers)
        outcome = asked.made(settings, whole, gene_sets, beside)
    tell(outcome, folder, seconds=time.perf_counter() - start, json=json)


class GeneSets(TypedDict):
    """What `sctype` is told of markers, clusters and published attacks."""

    markers: Path | None
    tissue: str | None
    clusters: pd.Series | None
    published: Published | None


class _Asked(NamedTuple):
    """What was asked for, of trained classifiers."""

    figure: Figure
    target: str | None
    restarts: int | None
    folder: Path
    seed: int
    jobs: int
    quick: bool

    def made(
        self, settings: list[paper.Setting], whole: AnnData | None, gene_sets: GeneSets, numbers: pd.DataFrame | None
    ) -> paper.Outcome:
        """Make it; only the statements need the `whole` data as well."""
        one, how = settings[0], Executed(seed=self.seed, say=say)
        orders = 1 if self.restarts is None else self.restarts
        if self.figure is Figure.table1:
            return paper.table1(settings, restarts=orders, **how)
        if self.figure is Figure.fig1:
            return paper.fig1(one, target=self.target, restarts=orders, quick=self.quick, **how)
        if self.figure is Figure.fig3:
            return paper.fig3(one, target=self.target, restarts=orders, quick=self.quick, **how)
        if self.figure is Figure.fig4:
            return paper.fig4(one, target=self.target, quick=self.quick, **how)
        if self.figure is Figure.discovery:
            return paper.discovery(
                settings, out=self.folder, restarts=orders, quick=self.quick, n_jobs=self.jobs, **how
            )
        if whole is not None:
            return paper.statements(
                one,
                whole,
                out=self.folder,
                numbers=numbers,
                restarts=self.restarts,
                quick=self.quick,
                n_jobs=self.jobs,
                **gene_sets,
                **how,
            )
        return paper.fig2(one, out=self.folder, restarts=orders, n_jobs=self.jobs, **how)


def _check(
    figure: Figure, data: list[Path], files: list[Path | None], target: str | None, gene_sets: bool,
    restarts: int | None,
) -> None:  # fmt: skip
    """Refuse files that are not there, and options that belong to another figure."""
    for given in files:
        if given is not None and not given.is_file():
            raise ParameterError(f"There is no file '{given}'. Name one that is there, or leave the option out.")
    if figure not in _SCTYPE and gene_sets:
        raise ParameterError(
            f"--clusters and --published belong to 'reproduce sctype' and 'statements'; leave them out for {figure}."
        )
    if files[-1] is not None and figure is not Figure.statements:
        raise ParameterError(f"--numbers belongs to 'reproduce statements'; leave it out for {figure}.")
    if target is not None and figure not in _OF_ONE_CLUSTER:
        raise ParameterError(f"--target belongs to {some(_OF_ONE_CLUSTER)}; {figure} attacks every cluster it needs.")
    if restarts is not None and figure is Figure.fig4:
        raise ParameterError("--restarts is about max-change attacks, and fig4 makes none; leave it out.")
    if len(data) > 1 and figure not in _SEVERAL:
        raise ParameterError(
            f"{figure} is about one data set, and --data names {len(data)}. Only {some(_SEVERAL)} take several."
        )
    names = [path.name.split(".")[0] for path in data]
    if len(set(names)) < len(names):
        raise ParameterError(
            f"The data sets are called by their files' names, and these are not different: {some(names)}."
        )


def say(text: str) -> None:
    """Tell how far it is."""
    notes.print(text, soft_wrap=True)


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


def _read(path: Path, *, raw: bool, layer: str | None, mod: str | None) -> AnnData:
    """Read a file, or fetch one of the paper's data sets by its name."""
    known = None if path.exists() else fetched(str(path), raw=raw, layer=layer)
    return load(path, raw=raw, layer=layer, mod=mod) if known is None else known


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
    console.print(outcome.title, style="bold")
    for finding in outcome.findings:
        console.print(
            Text.assemble(
                (finding.verdict, _COLOURS[finding.verdict]), f"  {finding.claim}. ", (finding.because, "dim")
            ),
            soft_wrap=True,
        )
    notes.print(f"{seconds:,.0f} s. Written: {path}")


def shown_command(arguments: list[str]) -> str:
    """Return the command as typed, files by their names alone: folders differ from one computer to the next."""
    shown = [Path(word).name if i and arguments[i - 1] in _FILES else word for i, word in enumerate(arguments)]
    return shlex.join(["adverscarial", *shown])
