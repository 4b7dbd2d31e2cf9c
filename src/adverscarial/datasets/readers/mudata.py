"""MuData files: several modalities of the same cells, of which one is taken."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import anndata
import h5py
import pandas as pd
from anndata import AnnData

from adverscarial.datasets.readers.anndata_files import read_as_float32
from adverscarial.datasets.readers.registry import register
from adverscarial.errors import DataError, ParameterError, did_you_mean, some

logger = logging.getLogger(__name__)

_RNA = ("rna", "RNA", "gex", "GEX")  # how people call gene expression


@register(
    "MuData",
    endings=(".h5mu",),
    about="one modality of a MuData file",
    options=("mod",),
    hdf5=lambda file: isinstance(file.get("mod"), h5py.Group),
)
def read(path: Path, *, mod: str | None = None) -> AnnData:
    """Read one modality: `mod`, else ``rna``, else the only one. Columns of obs that all share are added."""
    with h5py.File(path, "r") as file:
        name = _chosen(list(file["mod"]), mod, f"MuData file '{path}'")
        adata = read_as_float32(file["mod"][name])
        shared = anndata.io.read_elem(file["obs"]) if "obs" in file else None
    _add_shared(adata, shared)
    return adata


def _is_zarr(path: Path) -> bool:
    return (path / "mod").is_dir() and (path / "obs").is_dir()


@register("MuData zarr", endings=(), about="one modality of a MuData folder", options=("mod",), folder=_is_zarr)
def read_zarr(path: Path, *, mod: str | None = None) -> AnnData:
    """Read one modality of a zarr folder, as :func:`read` does."""
    import zarr

    root = zarr.open_group(path, mode="r")
    names = sorted(entry.name for entry in (path / "mod").iterdir() if entry.is_dir())
    name = _chosen(names, mod, f"MuData file '{path}'")
    adata = anndata.io.read_zarr(path / "mod" / name)
    _add_shared(adata, anndata.io.read_elem(root["obs"]))
    return adata


def chosen_modality(data: Any, mod: str | None) -> AnnData:
    """Return a copy of one modality of a MuData in memory: `mod`, else ``rna``, else the only one."""
    adata: AnnData = data.mod[_chosen(list(data.mod), mod, "MuData")].copy()
    _add_shared(adata, data.obs)
    return adata


def _chosen(names: list[str], mod: str | None, what: str) -> str:
    if mod is not None:
        if mod not in names:
            raise ParameterError(
                f"The {what} has no modality '{mod}'.{did_you_mean(mod, names)} It holds {some(names)}."
            )
        return mod
    usual = [name for name in _RNA if name in names] or (names if len(names) == 1 else [])
    if not usual:
        have = some(names) or "no modality"
        advice = f" Choose one: load(path, mod={names[0]!r}) (command line: --mod {names[0]})." if names else ""
        raise DataError(f"The {what} holds {have}, and none is called 'rna'.{advice}")
    if len(names) > 1:
        logger.warning("The %s holds %s: '%s' is read (mod= chooses).", what, some(names), usual[0])
    return usual[0]


def _add_shared(adata: AnnData, shared: object) -> None:
    """Add columns of the obs that all modalities share; those of one modality begin with its name and a colon."""
    if not isinstance(shared, pd.DataFrame) or not shared.index.is_unique:
        return
    for column in shared:
        if ":" not in str(column) and column not in adata.obs:
            adata.obs[column] = shared[column].reindex(adata.obs_names)
