"""``adverscarial transfer``: does what flips one classifier flip others, too?"""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import pandas as pd
import typer
from rich import box
from rich.table import Table

from adverscarial import _store
from adverscarial.classifiers import Classifier
from adverscarial.cli.data import read_as
from adverscarial.cli.models import names_of, ready_made, short_name, trainable, with_genes
from adverscarial.cli.options import AsJson, Panel, Reading
from adverscarial.cli.output import console, notes, print_json, working
from adverscarial.cli.report import attacked
from adverscarial.errors import ParameterError, StorageError
from adverscarial.evaluation.transfer import transfer as carried_over
from adverscarial.surveys import Survey
from adverscarial.surveys.plan import classifier_identity
from adverscarial.surveys.spreadsheets import csv


class Values(StrEnum):
    """Which attacks are tried."""

    possible = "possible"
    impossible = "impossible"


def transfer(
    run: Annotated[Path, typer.Argument(help="Folder of a finished survey.")],
    *,
    data: Annotated[Path, Panel.DATA.option(help="The cells that were attacked.")],
    classifier: Annotated[
        list[str],
        Panel.CLASSIFIER.option(
            help="A saved classifier, one in R, or sctype: the flips are tried on it. Those of the survey may be among "
            "them. Repeat for more."
        ),
    ],
    values: Annotated[
        Values, Panel.CHANGE.option(help="Try attacks that write values that cells can have, or the others.")
    ] = Values.possible,
    counts: Annotated[
        bool, Panel.OUTPUT.option("--counts", help="Numbers of flips and of refusals, in place of shares.")
    ] = False,
    out: Annotated[Path | None, Panel.OUTPUT.option(help="Write the table to this .csv file, too.")] = None,
    reading: Reading,
    json: AsJson = False,
) -> None:
    """Try the flips that a survey found on one classifier on other classifiers, and say how many carry over.

    Example:  adverscarial transfer run/ --data pbmc3k.h5ad --classifier forest.npz --classifier mlp.npz
    """
    if out is not None and out.suffix != ".csv":
        raise ParameterError(f"--out ends in '{out.suffix}'; the table is written as .csv.")
    if not run.is_dir():
        raise StorageError(f"There is no folder '{run}'. Name the one that adverscarial survey wrote to (its --out).")
    with working(f"Reading {run} ..."):
        survey = Survey.load(run)
    models = _named(survey, classifier, reading)
    cells = attacked(survey, read_as(data, reading), run)
    cells = with_genes(cells, models.values(), reading)
    table = carried_over(cells, survey, models, values=values.value, counts=counts)
    if out is not None:
        _store.write_text(out, csv(table.reset_index()))
    if json:
        print_json(rows(table))
        return
    show(table, counts)
    if out is not None:
        notes.print(f"Written: {out}")


def _named(survey: Survey, specs: list[str], reading: Reading) -> dict[str, Classifier]:
    """Return classifiers by the names that they have in the survey, which their content tells; else by their own."""
    if untrained := [spec for spec in specs if spec in trainable()]:
        raise ParameterError(
            f"'{untrained[0]}' must be trained first: adverscarial train LABELLED.h5ad --groupby COLUMN --classifier "
            f"{untrained[0]} --out model.npz; then --classifier model.npz."
        )
    known = {mark: name for name, mark in survey.plan["classifiers"].items()}
    names = names_of(reading, for_=specs)
    models = {}
    for spec in dict.fromkeys(specs):
        model = ready_made(spec, reading, names)
        name = known.get(classifier_identity(model), short_name(spec))
        models[spec if name in models else name] = model
    return models


def rows(table: pd.DataFrame) -> list[dict[str, object]]:
    """Return the table as JSON values; the share of no flips is left out."""
    found = table.reset_index().astype(object).to_dict(orient="records")
    return [{str(key): value for key, value in row.items() if not pd.isna(value)} for row in found]


def show(table: pd.DataFrame, counts: bool) -> None:
    """Print the attacked classifiers below each other, those that were tried beside."""
    what = "flips" if counts else "share of the flips"
    console.print(f"{what} that carry over, of n found on the classifier of the row", style="italic", soft_wrap=True)
    shown = Table(box=box.SIMPLE_HEAD, padding=(0, 1))
    shown.add_column("attacked")
    for column in table.columns:
        shown.add_column(str(column), justify="right")
    for name, row in table.iterrows():
        shares = [_text(value, counts) for value in row.drop("n")]
        shown.add_row(str(name), f"{int(row['n']):,}", *shares)
    console.print(shown)


def _text(value: float, counts: bool) -> str:
    return "-" if pd.isna(value) else f"{int(value):,}" if counts else f"{value:.0%}"
