"""``adverscarial report``: the HTML report of a finished survey, made again, with the cells where they are given."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import numpy as np
import pandas as pd
import typer
from anndata import AnnData

from adverscarial import datasets
from adverscarial.classifiers import Classifier, load
from adverscarial.classifiers.matching import widened
from adverscarial.cli import made
from adverscarial.cli.data import read
from adverscarial.cli.options import AsJson, Deciding, Layer, Mod, Panel, Prepare, Preprocess, Raw, Trust, rules_of
from adverscarial.cli.output import notes, print_json, working
from adverscarial.errors import DataError, ParameterError, StorageError, some
from adverscarial.report.sentences import count
from adverscarial.surveys import Survey
from adverscarial.surveys.plan import classifier_identity


def report(
    run: Annotated[Path, typer.Argument(help="Folder of a finished survey.")],
    *,
    out: Annotated[Path | None, Panel.OUTPUT.option(help="HTML file; report.html in the folder when left out.")] = None,
    data: Annotated[
        Path | None,
        Panel.DATA.option(help="The cells that were attacked: adds the most telling flips, before and after."),
    ] = None,
    preprocess: Prepare = Preprocess.none,
    mod: Mod = None,
    layer: Layer = None,
    raw: Raw = False,
    deciding: Deciding,
    classifier: Annotated[
        list[Path] | None,
        Panel.CLASSIFIER.option(
            help="With --data, a saved classifier of the survey: adds harm and visibility. Repeat for more."
        ),
    ] = None,
    trust: Trust = False,
    stress: Annotated[
        Path | None,
        Panel.DATA.option(
            help="Folder of a finished adverscarial stress on the same cells: adds when labels are lost, and the "
            "verdicts take it into account."
        ),
    ] = None,
    json: AsJson = False,
) -> None:
    """Write the HTML report of a finished survey again, from its folder, and with --data from the cells.

    Example:  adverscarial report run/ --data pbmc3k.h5ad --preprocess counts --out report.html
    """
    path = run / "report.html" if out is None else out
    if path.suffix not in (".html", ".htm"):
        raise ParameterError(f"--out ends in '{path.suffix}'; the report is an .html file.")
    if classifier and data is None:
        raise ParameterError("--classifier needs --data: harm and visibility are measured on the cells.")
    if not run.is_dir():
        raise StorageError(f"There is no folder '{run}'. Name the one that adverscarial survey wrote to (its --out).")
    with working(f"Reading {run} ..."):
        survey = Survey.load(run)
    rules = made.read_numbers(run, made.RULES) | rules_of(deciding)
    models = _matched(survey, classifier or [], trust)
    cells = None if data is None else attacked(survey, read(data, preprocess, raw=raw, layer=layer, mod=mod), run)
    with working("Writing the report ..."):
        survey.report(path, adata=cells, classifiers=models, made=made.read(run), rules=rules, stress=stress)
    if json:
        print_json({"report": str(path), "attacks": len(survey.tasks), "failed": len(survey.failed)})
        return
    failed = f", {len(survey.failed):,} failed" if survey.failed else ""
    notes.print(f"Report: {path}   {count(len(survey.tasks), 'attack')}{failed}")


def _matched(survey: Survey, files: list[Path], trust: bool) -> dict[str, Classifier]:
    """Return saved classifiers by their names in the survey, which their content tells."""
    names = {mark: name for name, mark in survey.plan["classifiers"].items()}
    models = {}
    for file in files:
        model = load(file, trust=trust)
        mark = classifier_identity(model)
        if mark not in names:
            raise ParameterError(
                f"'{file}' is none of the classifiers of this survey ({some(names.values())}): its content differs."
            )
        models[names[mark]] = model
    return models


def _with_added(cells: AnnData, added: dict[str, float], layer: str | None) -> AnnData:
    """Return the cells with the genes that ``adverscarial survey --missing-genes`` added to them."""
    absent = {gene: value for gene, value in added.items() if gene not in cells.var_names}
    return widened(cells, pd.Index(absent), np.array(list(absent.values())), layer) if absent else cells


def attacked(survey: Survey, adata: AnnData, run: Path) -> AnnData:
    """Return the cells that were attacked: all, or the half that ``adverscarial survey`` left out of training.

    With the genes that the survey added to them.
    """
    data = survey.plan["data"]
    if data["groupby"] not in adata.obs:
        raise DataError(f"The data have no column '{data['groupby']}' in obs, which the survey's clusters come from.")
    if adata.n_obs != data["cells"]:
        adata = datasets.split(adata, data["groupby"], seed=survey.plan["seed"])[1]
    return _with_added(adata, made.read_numbers(run, made.ADDED), data["layer"])
