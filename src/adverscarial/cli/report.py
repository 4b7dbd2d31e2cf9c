"""``adverscarial report``: the HTML report of a finished survey, made again."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from adverscarial.cli.app import AsJson, notes, print_json, working
from adverscarial.errors import ParameterError
from adverscarial.evaluation import Survey


def report(
    run: Annotated[Path, typer.Argument(help="Folder of a finished survey.")],
    out: Annotated[Path | None, typer.Option(help="HTML file; report.html in the folder when left out.")] = None,
    json: AsJson = False,
) -> None:
    """Write the HTML report of a finished survey again, from its folder alone.

    Example:  adverscarial report run/ --out report.html
    """
    path = run / "report.html" if out is None else out
    if path.suffix not in (".html", ".htm"):
        raise ParameterError(f"--out ends in '{path.suffix}'; the report is an .html file.")
    with working(f"Reading {run} ..."):
        survey = Survey.load(run)
        survey.report(path)
    if json:
        print_json({"report": str(path), "attacks": len(survey.tasks), "failed": len(survey.errors)})
        return
    failed = f", {len(survey.errors):,} failed" if survey.errors else ""
    notes.print(f"Report: {path}   {len(survey.tasks):,} attacks{failed}", markup=False)
