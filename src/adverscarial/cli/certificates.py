"""``adverscarial verify-certificate``: check the proof of a lower bound that somebody wrote."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from adverscarial.cli.data import read
from adverscarial.cli.exits import LimitExceeded
from adverscarial.cli.options import AsJson, Prepare, Preprocess, Raw
from adverscarial.cli.output import alarm, print_json, say, working
from adverscarial.evaluation import verify_certificate


def verify(
    certificate: Annotated[Path, typer.Argument(help="File that result.certificate(cells, model).save() wrote.")],
    data: Annotated[
        Path | None, typer.Option(help="The cells that were attacked: its numbers are compared with them, too.")
    ] = None,
    preprocess: Prepare = Preprocess.none,
    raw: Raw = False,
    json: AsJson = False,
) -> None:
    """Check the proof of a lower bound of min-change, with code that shares nothing with the search.

    The exit code is 0 where everything holds, 1 where something does not.

    Example:  adverscarial verify-certificate proof.json --data pbmc3k.h5ad
    """
    cells = None if data is None else read(data, preprocess, raw=raw)
    with working(f"Checking {certificate} ..."):
        check = verify_certificate(certificate, cells)
    if json:
        table = check.table.to_dict(orient="records")
        print_json({"holds": bool(check), "claim": check.claim, "checked": table, "not_compared": check.left_out})
    else:
        say(str(check))
    if not check:
        alarm("The certificate does not hold.")
        raise LimitExceeded
