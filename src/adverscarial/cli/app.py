"""The application, and what its commands share: options, reading data, making classifiers, exit codes."""

from __future__ import annotations

import json
import logging
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from anndata import AnnData
from rich.console import Console

from adverscarial import datasets
from adverscarial.classifiers import Classifier, Markers, RandomForest, ScType, load
from adverscarial.errors import ParameterError, did_you_mean

app = typer.Typer(
    name="adverscarial",
    help="How easily can a cell-type label be flipped? Start with: adverscarial demo",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)

#: what people read goes to standard output unless --json takes it; progress and notes go to standard error
console = Console()
notes = Console(stderr=True)


class Preprocess(StrEnum):
    """What to do with the data before anything else."""

    none = "none"
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
        help="random-forest, markers, sctype, sctype:MARKERS.tsv, or a file that a classifier was saved to.",
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
        help="counts: log-normalise and z-score raw counts; scale: z-score log-normalised values; none: leave them.",
    ),
]

TRAINED = {"random-forest": RandomForest, "markers": Markers}


def read(path: Path, prepare: Preprocess) -> AnnData:
    """Read a data file and prepare it."""
    adata = datasets.load(path)
    if prepare is Preprocess.none:
        return adata
    return datasets.preprocess(adata, target_sum=1e4 if prepare is Preprocess.counts else None)


def setting(
    specs: list[str], adata: AnnData, train: Path | None, prepare: Preprocess, *, groupby: str, layer: str | None,
    seed: int, tissue: str | None,
) -> tuple[AnnData, dict[str, Classifier]]:  # fmt: skip
    """Return the cells to attack, and the classifiers that specifications mean, trained where they need to be.

    Without a file to train on, one half of the cells is trained on and all classifiers are asked about the other.
    """
    labelled = adata if train is None else read(train, prepare)
    if train is None and any(spec in TRAINED for spec in specs):
        labelled, adata = datasets.split(adata, groupby, seed=seed)
        notes.print(
            f"Trained on one half of the cells ({labelled.n_obs:,}); the other half ({adata.n_obs:,}) is attacked."
        )
    models: dict[str, Classifier] = {}
    for spec in specs:
        kind, _, argument = spec.partition(":")
        if kind == "sctype":
            models[spec] = ScType(argument or None, tissue=tissue, scaled=prepare is not Preprocess.none)
        elif kind in TRAINED:
            model: Classifier = RandomForest(seed=seed) if kind == "random-forest" else Markers()
            models[spec] = model.fit(labelled, groupby, layer=layer)
        elif Path(spec).exists():
            models[spec] = load(spec)
        else:
            known = [*TRAINED, "sctype"]
            raise ParameterError(
                f"'{spec}' is neither a classifier nor a file.{did_you_mean(kind, known)} "
                f"Classifiers: {', '.join(known)}."
            )
    return adata, models


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
