"""``adverscarial verify-certificate``: check the proof of a lower bound that somebody wrote."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from adverscarial.cli.data import read_as
from adverscarial.cli.exits import LimitExceeded
from adverscarial.cli.models import names_of, ready_made, with_genes
from adverscarial.cli.options import AsJson, Panel, Reading
from adverscarial.cli.output import alarm, print_json, say, working
from adverscarial.evaluation import verify_certificate


def verify(
    certificate: Annotated[Path, typer.Argument(help="File that result.certificate(cells, model).save() wrote.")],
    data: Annotated[
        Path | None,
        typer.Option(
            help="The cells that were attacked: the certificate's numbers are compared with them. Needed for trees and "
            "networks.",
            rich_help_panel=Panel.DATA,
        ),
    ] = None,
    classifier: Annotated[
        str | None,
        typer.Option(
            "--classifier",
            "--model",
            help="File of the classifier that was attacked. Needed for trees and networks: the bound is proven anew. "
            "Of linear and marker models its weights are compared.",
            rich_help_panel=Panel.CLASSIFIER,
        ),
    ] = None,
    *,
    reading: Reading,
    json: AsJson = False,
) -> None:
    """Check the proof of a lower bound of min-change, with code that shares nothing with the search.

    Certificates of linear and marker models hold a proof. For trees and networks the bound is proven anew, from the
    cells and the classifier.

    The exit code is 0 where everything holds, 1 where something does not.

    Example:  adverscarial verify-certificate proof.json --data pbmc3k.h5ad --classifier forest.npz
    """
    cells = None if data is None else read_as(data, reading)
    model = None
    if classifier is not None:
        model = ready_made(classifier, reading, names_of(reading, for_=[classifier]))
        cells = None if cells is None else with_genes(cells, [model], reading)
    with working(f"Checking {certificate} ..."):
        check = verify_certificate(certificate, cells, model)
    if json:
        table = check.table.to_dict(orient="records")
        print_json({"holds": bool(check), "claim": check.claim, "checked": table, "not_compared": check.left_out})
    else:
        say(str(check))
    if not check:
        alarm("The certificate does not hold.")
        raise LimitExceeded
