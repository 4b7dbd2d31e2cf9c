"""``adverscarial convert``: any format that can be read, as ``.h5ad`` or ``.zarr``."""

from __future__ import annotations

import shutil
import uuid
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from anndata import AnnData

from adverscarial import datasets
from adverscarial.cli.data import check_free, load, unstorable, write_data
from adverscarial.cli.options import AsJson, DataFile, Layer, Mod, Overwrite, Panel, Raw
from adverscarial.cli.output import notes, print_json, working
from adverscarial.errors import ParameterError, StorageError


class Species(StrEnum):
    """Whose gene names are wanted."""

    human = "human"
    mouse = "mouse"


@dataclass(frozen=True, kw_only=True)
class Naming:
    """How the genes are named anew: versions first, then symbols, then orthologues."""

    symbols: Annotated[
        str | None,
        Panel.DATA.option(
            help="Name genes by this column of var; auto finds the column of symbols, or looks names up in a table of "
            "human and mouse genes (adverscarial[genes]).",
            metavar="COLUMN|auto",
        ),
    ] = None
    strip_versions: Annotated[
        bool, Panel.DATA.option("--strip-versions", help="Take the version off Ensembl ids: ENSG00000167286.10.")
    ] = False
    orthologues: Annotated[
        Species | None,
        Panel.DATA.option(
            help="Name genes of the mouse by their orthologues in human, or the reverse (adverscarial[genes])."
        ),
    ] = None

    def named(self, adata: AnnData) -> AnnData:
        """Return the data with these names."""
        if self.strip_versions:
            adata = datasets.strip_versions(adata)
        if self.symbols is not None:
            adata = datasets.gene_symbols(adata, None if self.symbols == "auto" else self.symbols)
        if self.orthologues is not None:
            adata = datasets.orthologues(adata, to=self.orthologues.value)
        return adata


@dataclass(frozen=True, kw_only=True)
class Source:
    """What a file does not say itself of its cells and genes, and which of its values are read."""

    transpose: Annotated[
        bool | None,
        Panel.DATA.option(
            "--transpose/--no-transpose",
            help="Tables and .mtx: each row is a gene, or each row is a cell; left out, the names decide.",
        ),
    ] = None
    genome: Annotated[
        str | None, Panel.DATA.option(help="10x: the genome to keep, where there are several.", metavar="NAME")
    ] = None
    mod: Mod = None
    obs_names: Annotated[
        str | None, Panel.DATA.option(help="Loom: the attribute with the cell names.", metavar="NAME")
    ] = None
    var_names: Annotated[
        str | None, Panel.DATA.option(help="Loom: the attribute with the gene names.", metavar="NAME")
    ] = None
    layer: Layer = None
    raw: Raw = False


def convert(
    data: DataFile,
    out: Annotated[Path, typer.Argument(help="What to write: .h5ad (a file) or .zarr (a folder).")],
    *,
    naming: Naming,
    source: Source,
    overwrite: Overwrite = False,
    json: AsJson = False,
) -> None:
    """Read data of any known format and write it as .h5ad or .zarr.

    Example:  adverscarial convert filtered_feature_bc_matrix.h5 cells.h5ad
    """
    if out.suffix not in (".h5ad", ".zarr"):
        raise ParameterError(f"The output ends in '{out.suffix}'; it must end in .h5ad or .zarr.")
    check_free(out, overwrite)
    if out.exists() and out.is_dir() != (out.suffix == ".zarr"):
        raise StorageError(f"'{out}' is a {'folder' if out.is_dir() else 'file'}; it is not replaced. Remove it first.")
    adata = naming.named(load(data, **vars(source)))
    with working(f"Writing {out} ..."):
        if out.suffix == ".h5ad":
            write_data(out, adata)
        else:
            _write_zarr(out, adata)
    if json:
        print_json({"out": str(out), "cells": adata.n_obs, "genes": adata.n_vars, "obs": list(map(str, adata.obs))})
        return
    columns = ", ".join(map(str, adata.obs)) or "none"
    notes.print(f"Written: {out}   {adata.n_obs:,} cells x {adata.n_vars:,} genes; columns of obs: {columns}")


def _write_zarr(out: Path, adata: AnnData) -> None:
    """Write a folder beside its final place, then move it there."""
    new = out.parent / f".{out.name}.{uuid.uuid4().hex}.part"
    old = new.with_suffix(".old")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        adata.write_zarr(new)
        if out.exists():
            out.rename(old)
        new.rename(out)
    except OSError as error:
        raise StorageError(
            f"'{out}' cannot be written ({type(error).__name__}: {error.strerror or error}). "
            "Name a folder where you may write, on a disk with space left."
        ) from error
    except Exception as error:  # anndata's own error for a type is no public class
        raise unstorable(out, error) from error
    finally:
        if old.exists() and not out.exists():
            old.rename(out)  # the new folder did not get there
        for left in (new, old):
            shutil.rmtree(left, ignore_errors=True)
