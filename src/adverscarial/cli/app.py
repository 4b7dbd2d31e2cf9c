"""The application, and what its commands share: options, reading and writing data, exit codes."""

from __future__ import annotations

import json
import logging
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, BinaryIO

import typer
from anndata import AnnData
from rich.console import Console
from rich.markup import escape
from rich.status import Status

from adverscarial import _progress, _store, datasets
from adverscarial.datasets.files import TABLES
from adverscarial.errors import DataError

app = typer.Typer(
    name="adverscarial",
    help="How easily can a cell-type label be flipped? Start with: adverscarial demo",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)

#: what people read goes to standard output unless --json takes it; notes go to standard error, above the bars there
console = Console()
notes = _progress.console()


class Preprocess(StrEnum):
    """What to do with the data before anything else."""

    none = "none"
    lognorm = "lognorm"
    scale = "scale"
    counts = "counts"


DataFile = Annotated[Path, typer.Argument(help="AnnData file (.h5ad), or another format that datasets.load reads.")]
Groupby = Annotated[str, typer.Option(help="Column of obs that names each cell's cluster.")]
Layer = Annotated[str | None, typer.Option(help="Layer to attack; X when left out.")]
Seed = Annotated[int, typer.Option(help="Of every random draw; the same seed gives the same result.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON on standard output.")]
FailOver = Annotated[
    int | None,
    typer.Option(
        "--fail-over", help="Exit with code 1 if more than this many single genes flip one cluster.", metavar="N"
    ),
]
ClassifierSpec = Annotated[
    str,
    typer.Option(
        help="random-forest, markers, mlp, chetah, scannotatr, singler (trained first), sctype, sctype:MARKERS.tsv, "
        "or a file: .npz (of train), .skops (scikit-learn), .json or .ubj (XGBoost), .txt (LightGBM), .pkl, .pickle "
        "or .joblib (CellTypist, scikit-learn; needs --trust).",
    ),
]
TrainFile = Annotated[
    Path | None, typer.Option("--train", help="Labelled cells to train on; left out, half of the data is.")
]
Tissue = Annotated[str | None, typer.Option(help="Tissue of the marker table, for sctype.")]
Prepare = Annotated[
    Preprocess,
    typer.Option(
        "--preprocess",
        help="lognorm: log-normalise raw counts; counts: log-normalise and z-score raw counts; scale: z-score "
        "log-normalised values; none: leave them.",
    ),
]
Trust = Annotated[
    bool,
    typer.Option(
        "--trust", help="Also read classifier files that can run code (pickles). Only if you know their origin."
    ),
]
Confirm = Annotated[
    bool, typer.Option("--confirm", help="For grid: really test more than 100,000 combinations; may take very long.")
]
Classes = Annotated[
    Path | None,
    typer.Option(
        help="Text file, one class name a line, in the model's order: for XGBoost and LightGBM files, which name none."
    ),
]
Genes = Annotated[
    Path | None,
    typer.Option(
        help="Text file, one gene a line, in the order of the model's columns: for files that do not name them."
    ),
]


def working(text: str) -> Status:
    """Show on a terminal that something goes on: ``with working("Reading ..."):``."""
    return notes.status(escape(text))


def load(path: Path) -> AnnData:
    """Read a data file; of a table, note which columns were taken for no genes."""
    with working(f"Reading {path} ..."):
        adata = datasets.load(path)
    if path.name.lower().endswith(TABLES) and len(adata.obs.columns):
        columns = [f"'{name}' ('{adata.obs[name].iloc[0]}', ...)" for name in adata.obs]
        shown = ", ".join(columns[:5]) + (f" and {len(columns) - 5:,} more" if len(columns) > 5 else "")
        note(f"{path.name}: read as descriptions of cells, not as genes, since they hold no numbers: {shown}.")
    return adata


def read(path: Path, prepare: Preprocess) -> AnnData:
    """Read a data file and prepare it."""
    adata = load(path)
    if prepare is Preprocess.none:
        return adata
    with working(f"Preparing {path} ..."):
        return datasets.preprocess(
            adata, target_sum=None if prepare is Preprocess.scale else 1e4, scale=prepare is not Preprocess.lognorm
        )


def note(text: str) -> None:
    """Print a note on standard error; the text may hold any name."""
    notes.print(f"[yellow]Note:[/] {escape(text)}", highlight=False)


def write_data(path: Path, adata: AnnData) -> None:
    """Write an ``.h5ad`` file; under its name there is all of it, or what was there before."""

    def write(file: BinaryIO) -> None:
        try:
            adata.write_h5ad(file.name)  # by name: HDF5 wants a file of its own
        except OSError:
            raise  # of the disk, not of the data
        except Exception as error:  # anndata's own error for a type is no public class
            raise unstorable(path, error) from error

    _store.write_atomically(path, write)


def unstorable(path: Path, error: Exception) -> DataError:
    """Return the error for data that a file format cannot hold."""
    where = "".join(getattr(error, "__notes__", [])[:1])  # anndata notes there which element it was
    return DataError(
        f"The data cannot be written to '{path}' ({type(error).__name__}: {error}{' ' + where if where else ''}). "
        "Some element is of a type that AnnData files cannot hold: remove it (adata.uns, adata.obs) and try again."
    )


def print_json(value: Any) -> None:
    """Print JSON on standard output."""
    typer.echo(json.dumps(value, indent=1, ensure_ascii=False, default=str))


def fail_over(limit: int | None, flips: int, where: str) -> None:
    """Exit with code 1 when more single genes flip a label than allowed."""
    if limit is not None and flips > limit:
        notes.print(f"[bold red]{flips:,} single genes flip {where}; --fail-over allows {limit:,}.[/]")
        raise typer.Exit(1)


@app.callback()
def verbosity(
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Show what the library logs.")] = False,
) -> None:
    """How easily can a cell-type label be flipped?"""
    if verbose:
        logging.basicConfig(level=logging.INFO, format="%(name)s: %(message)s")
