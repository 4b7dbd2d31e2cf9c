"""Cell Ranger's HDF5 files, of version 2 (one group per genome) and 3 (one group ``matrix``)."""

from __future__ import annotations

from pathlib import Path

import h5py
from anndata import AnnData

from adverscarial.datasets.readers.features import names_may_repeat, only_genes
from adverscarial.datasets.readers.registry import register
from adverscarial.errors import DataError, ParameterError, did_you_mean, some


def _genomes(file: h5py.File) -> list[str]:
    """Return the groups that hold a matrix: the genomes, or ``matrix`` in version 3."""
    return [
        name for name, group in file.items() if isinstance(group, h5py.Group) and {"barcodes", "indptr"} <= set(group)
    ]


@register(
    "10x h5",
    endings=(".h5", ".hdf5"),
    about="a 10x file of Cell Ranger",
    options=("genome",),
    hdf5=lambda file: bool(_genomes(file)),
)
def read(path: Path, *, genome: str | None = None) -> AnnData:
    """Read Cell Ranger's HDF5 file; only features of the type 'Gene Expression', where there are any."""
    with h5py.File(path, "r") as file:
        groups = _genomes(file)
        for name in groups:
            _check_numbers(path, file[name])
    old = "matrix" not in groups
    if old and genome is None and len(groups) > 1:
        raise DataError(
            f"'{path}' holds one matrix for each of the genomes {some(groups)}. Choose one: "
            f"load(path, genome={groups[0]!r}) (command line: adverscarial convert IN OUT --genome {groups[0]})."
        )
    if old and genome is not None and genome not in groups:
        raise ParameterError(
            f"'{path}' has no genome '{genome}'.{did_you_mean(genome, groups)} It holds {some(groups)}."
        )
    import scanpy as sc

    with names_may_repeat():
        adata = sc.read_10x_h5(path, genome=genome if old else None, gex_only=False)
        return only_genes(adata, path, None if old else genome)


def _check_numbers(path: Path, group: h5py.Group) -> None:
    for name in ("data", "indices", "indptr", "shape"):
        element = group.get(name)
        if not isinstance(element, h5py.Dataset) or element.dtype.kind not in ("iuf" if name == "data" else "iu"):
            found = element.dtype if isinstance(element, h5py.Dataset) else "nothing"
            raise DataError(
                f"'{group.name}/{name}' of '{path}' holds {found}, expected numbers: the file is damaged. Copy or "
                "download it again."
            )
