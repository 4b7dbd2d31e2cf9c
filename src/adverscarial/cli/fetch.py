"""``adverscarial fetch``: a data set of CELLxGENE Discover, as .h5ad."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from adverscarial import datasets
from adverscarial.cli.data import check_free, write_data
from adverscarial.cli.options import AsJson, Overwrite, Panel
from adverscarial.cli.output import notes, print_json
from adverscarial.datasets.quality import PAPER
from adverscarial.datasets.remote.portal import PAPER_IDS
from adverscarial.errors import ParameterError


def fetch(
    dataset: Annotated[
        str, typer.Argument(help=f"An id or address of CELLxGENE, or a data set of the paper: {', '.join(PAPER_IDS)}.")
    ],
    out: Annotated[Path, typer.Argument(help="The .h5ad file to write: counts in X, symbols as names of genes.")],
    preset: Annotated[
        str | None,
        Panel.DATA.option(
            help="Leave cells out as the paper does; that of the name, for its data sets.", metavar="|".join(PAPER)
        ),
    ] = None,
    refresh: Annotated[
        bool, Panel.DATA.option("--refresh", help="Ask the portal again whether there is a newer version.")
    ] = False,
    sha256: Annotated[str | None, Panel.DATA.option(help="What the SHA-256 of the portal's file must be.")] = None,
    overwrite: Overwrite = False,
    json: AsJson = False,
) -> None:
    """Fetch a data set of CELLxGENE, the paper's among them, and write it as .h5ad.

    A transfer that was cut goes on where it ended, when the command is run again.

    Example:  adverscarial fetch liver10k liver10k.h5ad
    """
    if out.suffix != ".h5ad":
        raise ParameterError(f"The output ends in '{out.suffix}'; it must end in .h5ad.")
    check_free(out, overwrite)
    adata = datasets.cellxgene(dataset, preset=preset, refresh=refresh, sha256=sha256)
    write_data(out, adata)
    told = adata.uns["cellxgene"]
    if json:
        print_json({"out": str(out), "cells": adata.n_obs, "genes": adata.n_vars, **told})
        return
    for reason, n in adata.uns.get("quality_control", {}).get("removed", {}).items():
        notes.print(f"Left out, {reason}: {n:,} cells")
    notes.print(f"Written: {out}   {adata.n_obs:,} cells x {adata.n_vars:,} genes; SHA-256 {told['sha256']}")
