"""AnnData's own formats: ``.h5ad`` files and ``.zarr`` folders."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import anndata
import h5py
import numpy as np
import scipy.sparse as sp
from anndata import AnnData

from adverscarial._types import Matrix
from adverscarial.datasets.readers.registry import register
from adverscarial.errors import DataError, some

if TYPE_CHECKING:
    import zarr
    from anndata.experimental import IOSpec


#: what a reader finds in an open file
Stored: TypeAlias = "h5py.Group | h5py.Dataset"


def read_h5ad_backed(path: Path) -> AnnData:
    """Read an AnnData file, but leave its X on disk."""
    with h5py.File(path, "r") as file:
        check_places(file)
        if "X" in file and _sparse_float16(file["X"]):
            raise DataError(
                f"X of '{path}' is sparse and of float16, which scipy does not know. Leave backed out: it is then read "
                "as float32."
            )
    return anndata.read_h5ad(path, backed="r")


def _is_h5ad(file: h5py.File) -> bool:
    return {"obs", "var"} <= set(file) and "mod" not in file


@register("h5ad", endings=(".h5ad",), about="an AnnData file", backed=read_h5ad_backed, hdf5=_is_h5ad)
def read_h5ad(path: Path) -> AnnData:
    """Read an AnnData file; sparse matrices of float16, which scipy does not know, become float32."""
    with h5py.File(path, "r") as file:
        check_places(file)
        if not any(_sparse_float16(file[name]) for name in _matrices(file)):
            return anndata.read_h5ad(path)
        return read_as_float32(file)


def read_as_float32(group: h5py.Group) -> AnnData:
    """Read an AnnData from a group of an open file; sparse matrices of float16 become float32."""
    check_places(group)

    def read(function: Callable[[Stored], object], name: str, element: Stored, iospec: IOSpec) -> object:
        if _sparse_float16(element):
            kind = {"csr_matrix": anndata.abc.CSRDataset, "csc_matrix": anndata.abc.CSCDataset}
            assert iospec.encoding_type in kind
            return _widened(element, iospec.encoding_type)
        return function(element)

    return anndata.experimental.read_dispatched(group, read)


def _widened(group: h5py.Group, encoding: str) -> sp.csr_matrix | sp.csc_matrix:
    make = sp.csr_matrix if encoding == "csr_matrix" else sp.csc_matrix
    parts = group["data"][()].astype(np.float32), group["indices"][()], group["indptr"][()]
    return make(parts, shape=tuple(group.attrs["shape"]))


def _matrices(file: h5py.Group) -> list[str]:
    inside = [
        f"{place}/{name}"
        for place in ("layers", "raw")
        if isinstance(file.get(place), h5py.Group)
        for name in file[place]
    ]
    return [name for name in ["X", *inside] if name in file]


def check_places(file: h5py.Group) -> None:
    """Raise a DataError where places of a sparse matrix are no whole numbers: scipy would round them."""
    for name in _matrices(file):
        for part in ("indices", "indptr"):
            element = file[name].get(part) if isinstance(file[name], h5py.Group) else None
            if isinstance(element, h5py.Dataset) and element.dtype.kind not in "iu":
                raise DataError(
                    f"'{element.name}' of '{file.file.filename}' holds {element.dtype}, expected whole numbers: the "
                    "file is damaged. Write it anew from the source."
                )


def _sparse_float16(element: object) -> bool:
    return (
        isinstance(element, h5py.Group)
        and "data" in element
        and isinstance(element["data"], h5py.Dataset)
        and element["data"].dtype == np.float16
        and str(element.attrs.get("encoding-type", "")) in ("csr_matrix", "csc_matrix")
    )


def read_zarr_backed(path: Path) -> AnnData:
    """Read names and annotations of a zarr folder, but leave X and the layers on disk."""
    import zarr

    root = zarr.open_group(path, mode="r")
    parts = {name: anndata.io.read_elem(root[name]) for name in ("obs", "var", "uns", "obsm") if name in root}
    layers = {name: _on_disk(element) for name, element in root["layers"].members()} if "layers" in root else {}
    return AnnData(X=_on_disk(root["X"]) if "X" in root else None, layers=layers, **parts)


def _on_disk(element: zarr.Group | zarr.Array) -> Matrix:
    return anndata.io.sparse_dataset(element) if hasattr(element, "members") else element


def _is_zarr(path: Path) -> bool:
    if (path / "mod").is_dir():  # a MuData folder
        return False
    return path.suffix == ".zarr" or any((path / name).exists() for name in ("zarr.json", ".zgroup"))


@register("zarr", endings=(".zarr",), about="an AnnData folder", backed=read_zarr_backed, folder=_is_zarr)
def read_zarr(path: Path) -> AnnData:
    """Read an AnnData zarr folder."""
    check_zarr(path)
    return anndata.io.read_zarr(path)


def check_zarr(path: Path) -> None:
    """Raise a DataError for a zarr folder that holds no AnnData."""
    names = sorted(entry.name for entry in path.iterdir())
    if not {"obs", "var"} <= set(names):
        raise DataError(
            f"The zarr folder '{path}' holds {some(names)}: no AnnData, which has 'obs' and 'var'. "
            "Name the folder that adata.write_zarr wrote."
        )
