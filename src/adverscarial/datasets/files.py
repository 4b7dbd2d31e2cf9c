"""One way to open a file, whatever its format; what is wrong with it is said in words."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import anndata
import h5py
import scipy.sparse as sp
from anndata import AnnData

from adverscarial.datasets import formats, hdf5, rds
from adverscarial.errors import AdverscarialError, DataError, MemoryLimitError, ParameterError, did_you_mean, some

_HDF5 = (".h5ad", ".h5", ".hdf5", ".loom")
#: endings of tables of text
TABLES = (".csv", ".tsv", ".txt", ".csv.gz", ".tsv.gz", ".txt.gz")
_MTX = (".mtx", ".mtx.gz")
_RDS = (".rds",)
_READABLE = (
    "Files that can be read: .h5ad, .zarr folder, .loom, 10x folder (matrix.mtx) or 10x .h5, "
    ".csv/.tsv/.txt (may be .gz; cells x genes), SingleCellExperiment .rds."
)


def load(path: str | os.PathLike[str], *, backed: bool = False) -> AnnData:
    """Read a data set; the format is recognised by the ending and, for HDF5 files, by what is inside.

    ================== =========================================================================================
    ``.h5ad``          AnnData
    ``.zarr``          folder of an AnnData
    ``.loom``          needs ``pip install 'adverscarial[loom]'``
    10x                folder with ``matrix.mtx``, features or genes and barcodes; or Cell Ranger's ``.h5``
    ``.csv`` ``.tsv``  cells x genes, first column cell names, may be ``.gz``; columns of text go to ``obs``
    ``.rds``           SingleCellExperiment of R, needs ``pip install 'adverscarial[rds]'``
    ================== =========================================================================================

    Parameters
    ----------
    path
        File or folder.
    backed
        Leave the matrix of an ``.h5ad``, all matrices of a ``.zarr``, on disk and read from them when needed.

    Returns
    -------
    AnnData, cells x genes.

    Raises
    ------
    DataError
        If the file is absent, of an unknown format, damaged, or holds something else.
    ParameterError
        If `backed` is asked of another format than ``.h5ad`` and ``.zarr``.
    MissingDependencyError
        If the format needs a package that is not installed.

    Notes
    -----
    The HDF5 library crashes, or never ends, over some damaged files. So each such file is first gone through by another
    process, which takes some tenths of a second: names, texts, and arrays of up to 16 MiB; nothing of large matrices.

    Examples
    --------
    >>> import adverscarial as adv
    >>> adata = adv.datasets.load("pbmc3k.h5ad")  # doctest: +SKIP
    """
    path = Path(path)
    if not path.exists():
        raise DataError(_no_such(path))
    with _in_words(path):
        kind = _kind(path)
        if backed and kind not in ("h5ad", "zarr"):
            raise ParameterError(
                f"'{path}' is read as {kind}; backed=True works for .h5ad and .zarr only. "
                "Leave it out, or write the data as .h5ad first (adata.write_h5ad)."
            )
        adata = _BACKED[kind](path) if backed else _READERS[kind](path)
        _check(adata, path)
    return adata


_READERS = {
    "h5ad": anndata.read_h5ad,
    "zarr": formats.read_zarr,
    "loom": formats.read_loom,
    "10x h5": formats.read_10x_h5,
    "10x mtx": formats.read_10x_mtx,
    "table": formats.read_table,
    "rds": rds.read_sce,
}
_BACKED = {"h5ad": formats.read_h5ad_backed, "zarr": formats.read_zarr_backed}


@contextmanager
def _in_words(path: Path) -> Iterator[None]:
    """Turn whatever a foreign reader raises into a DataError."""
    try:
        yield
    except AdverscarialError:
        raise
    except MemoryError as error:
        raise MemoryLimitError(
            f"'{path}' announces more than fits into memory ({error}). If its size is right: read an .h5ad with "
            "backed=True, or on a larger machine; else it is damaged."
        ) from error
    except Exception as error:
        size = f", {path.stat().st_size:,} bytes" if path.is_file() else ""
        raise DataError(
            f"'{path}'{size} cannot be read ({type(error).__name__}: {error}). It is damaged or cut short, or its "
            "content does not fit its ending. Copy or download it again, or write it anew from the source. " + _READABLE
        ) from error


def _no_such(path: Path) -> str:
    text = f"There is no file or folder '{path}'"
    if not path.is_absolute():
        text += f" (looked in '{Path.cwd()}')"
    folder = path.parent
    if not folder.is_dir():
        return f"{text}: its folder '{folder}' does not exist either. Check the path."
    names = sorted(entry.name for entry in folder.iterdir() if not entry.name.startswith("."))
    have = f"The folder holds: {some(names)}." if names else "The folder is empty."
    return f"{text}.{did_you_mean(path.name, names)} {have}"


def _kind(path: Path) -> str:
    name = path.name.lower()
    if path.is_dir():
        return _folder_kind(path)
    if name.endswith(_HDF5):
        return _hdf5_kind(path)
    for endings, kind in ((_MTX, "10x mtx"), (TABLES, "table"), (_RDS, "rds")):
        if name.endswith(endings):
            return kind
    if name.endswith(".h5ad.gz"):
        raise DataError(f"'{path}' is compressed as a whole. Unpack it first: gunzip '{path.name}'.")
    raise DataError(f"'{path}' has an ending that is not known ('{''.join(path.suffixes[-2:])}'). {_READABLE}")


def _folder_kind(path: Path) -> str:
    names = sorted(entry.name for entry in path.iterdir())
    if path.suffix == ".zarr" or {"zarr.json", ".zgroup"} & set(names):
        if not {"obs", "var"} <= set(names):
            raise DataError(
                f"The zarr folder '{path}' holds {some(names)}: no AnnData, which has 'obs' and 'var'. "
                "Name the folder that adata.write_zarr wrote."
            )
        return "zarr"
    if any(name.endswith(_MTX) for name in names):
        return "10x mtx"
    have = f"It holds: {some(names)}." if names else "It is empty."
    raise DataError(f"The folder '{path}' is neither a zarr nor a 10x folder. {have} {_READABLE}")


def _hdf5_kind(path: Path) -> str:
    if not h5py.is_hdf5(path):
        with path.open("rb") as file:
            start = file.read(16)
        found = f"starts with {start!r}" if start else "is empty"
        raise DataError(
            f"'{path}' is no HDF5 file: it {found} ({path.stat().st_size:,} bytes). Expected what its ending "
            "promises. An interrupted download, an error page or a git-lfs pointer look like this: fetch it again."
        )
    hdf5.look_over(path)
    with h5py.File(path, "r") as file:
        names = set(file)
        if {"obs", "var"} <= names:
            return "h5ad"
        if {"matrix", "row_attrs", "col_attrs"} <= names:
            return "loom"
        groups = [entry for entry in file.values() if isinstance(entry, h5py.Group)]
        if any({"barcodes", "indptr"} <= set(group) for group in groups):
            return "10x h5"
    hint = "This is a MuData file: read it with mudata and save one modality as .h5ad." if "mod" in names else _READABLE
    raise DataError(
        f"'{path}' is an HDF5 file with {some(sorted(names)) or 'nothing in it'}: neither an AnnData "
        f"(with 'obs' and 'var'), nor a loom, nor a 10x file. {hint}"
    )


def _check(adata: AnnData, path: Path) -> None:
    if 0 in adata.shape:
        raise DataError(
            f"'{path}' holds {adata.n_obs:,} cells x {adata.n_vars:,} genes. Expected at least one of each."
        )
    X = adata.X if not adata.isbacked or "X" in adata.file else None
    for matrix in [X, *adata.layers.values()]:
        # a damaged index would crash compiled code much later, without a word
        if isinstance(matrix, sp.csr_matrix | sp.csr_array | sp.csc_matrix | sp.csc_array):
            matrix.check_format(full_check=True)
        elif hasattr(matrix, "group") or isinstance(matrix, h5py.Dataset):
            _check_on_disk(matrix, adata)


def _check_on_disk(matrix: Any, adata: AnnData) -> None:
    """Open all parts of a matrix in a file; their values are checked when they are read."""
    if tuple(matrix.shape) != adata.shape:
        raise ValueError(f"the matrix is of the shape {tuple(matrix.shape)}, the names are {adata.shape}")
    names = ("data", "indices", "indptr") if hasattr(matrix, "group") else ()
    parts = [matrix.group[name] for name in names] or [matrix]
    if len({part.shape for part in parts[:2]}) != 1 or parts[0].dtype.kind not in "biuf":
        raise ValueError("its values do not fit their places, or are no numbers")
