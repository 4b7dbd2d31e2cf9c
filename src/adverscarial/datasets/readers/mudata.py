"""MuData files: several modalities of the same cells, of which one is taken."""

from __future__ import annotations

import logging
from pathlib import Path

import anndata
import h5py
from anndata import AnnData

from adverscarial.cells.choice import named_modality, with_shared
from adverscarial.datasets.readers.anndata_files import read_as_float32
from adverscarial.datasets.readers.registry import register
from adverscarial.errors import some

logger = logging.getLogger(__name__)


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
        name = _chosen(list(file["mod"]), mod, path)
        adata = read_as_float32(file["mod"][name])
        shared = anndata.io.read_elem(file["obs"]) if "obs" in file else None
    adata.obs = with_shared(adata.obs, shared)
    return adata


def _is_zarr(path: Path) -> bool:
    return (path / "mod").is_dir() and (path / "obs").is_dir()


@register("MuData zarr", endings=(), about="one modality of a MuData folder", options=("mod",), folder=_is_zarr)
def read_zarr(path: Path, *, mod: str | None = None) -> AnnData:
    """Read one modality of a zarr folder, as :func:`read` does."""
    import zarr

    root = zarr.open_group(path, mode="r")
    names = sorted(entry.name for entry in (path / "mod").iterdir() if entry.is_dir())
    name = _chosen(names, mod, path)
    adata = anndata.io.read_zarr(path / "mod" / name)
    adata.obs = with_shared(adata.obs, anndata.io.read_elem(root["obs"]))
    return adata


def _chosen(names: list[str], mod: str | None, path: Path) -> str:
    name = named_modality(names, mod, f"MuData file '{path}'", "load(path, mod={!r}) (command line: --mod {})")
    if mod is None and len(names) > 1:
        logger.warning("The MuData file '%s' holds %s: '%s' is read (mod= chooses).", path, some(names), name)
    return name
