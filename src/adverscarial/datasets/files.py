"""One way to open a file, whatever its format; what is wrong with it is said in words."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import h5py
import numpy as np
import scipy.sparse as sp
from anndata import AnnData

from adverscarial._types import Matrix
from adverscarial.cells.matrix import is_sparse, layers_of
from adverscarial.datasets import hdf5, readers  # noqa: F401 - importing the readers makes them known
from adverscarial.datasets.cellxgene_layout import as_expected, is_of_cellxgene
from adverscarial.datasets.readers.registry import OPTIONS, Format, known, readable
from adverscarial.errors import AdverscarialError, DataError, MemoryLimitError, ParameterError, did_you_mean, some

logger = logging.getLogger(__name__)

#: what to do with files of other kinds
_ADVICE = {
    ".rda": "In R: load(file); saveRDS(x, 'x.rds'), with the name of what load() brought for x.",
    ".rdata": "In R: load(file); saveRDS(x, 'x.rds'), with the name of what load() brought for x.",
    ".h5seurat": "In R: saveRDS(SeuratDisk::LoadH5Seurat(file), 'seurat.rds').",
    ".qs": "In R: saveRDS(qs::qread(file), 'x.rds').",
    ".xlsx": "Save the sheet as .csv.",
    ".tar": "Unpack it first.",
    ".tar.gz": "Unpack it first.",
    ".zip": "Unpack it first.",
}


def load(
    path: str | os.PathLike[str],
    *,
    backed: bool = False,
    transpose: bool | None = None,
    genome: str | None = None,
    mod: str | None = None,
    obs_names: str | None = None,
    var_names: str | None = None,
    arrange: bool = True,
) -> AnnData:
    """Read a data set; the format is recognised by the ending and, for HDF5 files, by what is inside.

    :func:`formats` lists the formats. The name of a file beginning with ``._``, as macOS leaves them beside others, is
    passed over in folders.

    Parameters
    ----------
    path
        File or folder.
    backed
        Leave the matrix of an ``.h5ad``, all matrices of a ``.zarr``, on disk and read from them when needed.
    transpose
        For tables, ``.mtx`` files and matrices of R: whether each row is a gene (True) or a cell (False). Left out,
        the names of rows and columns decide: gene symbols, Ensembl ids, barcodes.
    genome
        For 10x data: the genome to keep, where there are several (``"hg19"``).
    mod
        For MuData: the modality to read; ``rna`` when left out. For Seurat objects: the assay; ``RNA`` when left out.
    obs_names, var_names
        For loom: the attribute of columns with the cell names, of rows with the gene names; found by their usual names
        when left out.
    arrange
        Of files of CELLxGENE, which have Ensembl ids as names and counts in ``raw``: name genes by their symbols
        (``feature_name``), and put the counts into ``X`` and what ``X`` held into ``layers["normalized"]``. A warning
        says so. False, or `backed`: leave them as they are stored.

    Returns
    -------
    AnnData, cells x genes. Where ``X`` is empty and ``raw`` is not, ``raw`` takes its place, with a warning.

    Raises
    ------
    DataError
        If the file is absent, of an unknown format, damaged, or holds something else.
    ParameterError
        If an option is given that the format does not have.
    MissingDependencyError
        If the format needs a package that is not installed.

    Notes
    -----
    The HDF5 library crashes, or never ends, over some damaged files. So each such file is first gone through by another
    process, which takes some tenths of a second: names, texts, and arrays of up to 16 MiB; nothing of large matrices.

    Files of R are read without R, and nothing in them is run.

    Examples
    --------
    >>> import adverscarial as adv
    >>> adata = adv.datasets.load("pbmc3k.h5ad")  # doctest: +SKIP
    >>> adata = adv.datasets.load("GSM1_counts.csv.gz", transpose=True)  # doctest: +SKIP
    """
    path = Path(path)
    if not path.exists():
        raise DataError(_no_such(path))
    if not (path.is_file() or path.is_dir()):
        raise DataError(
            f"'{path}' is neither a file nor a folder, but a pipe or a device. Write what it gives into a file first."
        )
    given = {"transpose": transpose, "genome": genome, "mod": mod, "obs_names": obs_names, "var_names": var_names}
    options = {name: value for name, value in given.items() if value is not None}
    with _in_words(path):
        kind = format_of(path)
        _check_options(kind, options, path)
        if backed and kind.read_backed is None:
            able = ", ".join(each.name for each in known() if each.read_backed is not None)
            raise ParameterError(
                f"'{path}' is read as {kind.name}; backed=True works for {able} only. "
                "Leave it out, or write the data as .h5ad first (adata.write_h5ad)."
            )
        read = kind.read_backed if backed and kind.read_backed is not None else kind.read
        adata = _with_values(read(path, **options), path)
        _check(adata, path)
    return as_expected(adata, path) if arrange and not backed and is_of_cellxgene(adata) else adata


def _check_options(kind: Format, options: Mapping[str, object], path: Path) -> None:
    for name in options:
        if name not in kind.options:
            able = some([each.name for each in known() if name in each.options])
            raise ParameterError(
                f"'{path}' is read as {kind.name}, which has no {name}= ({OPTIONS[name]}). It is for {able}; "
                "leave it out."
            )


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
            "content does not fit its ending. Copy or download it again, or write it anew from the source. "
            + readable()
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


def format_of(path: Path) -> Format:
    """Return the format of a file or folder.

    Raises
    ------
    DataError
        If it is none that is known.
    """
    if path.is_dir():
        return _folder_format(path)
    name = path.name.lower()
    ending = max((end for each in known() for end in each.endings if name.endswith(end)), key=len, default="")
    if not ending:
        if name.endswith((".h5ad.gz", ".h5.gz", ".loom.gz", ".h5mu.gz")):
            raise DataError(f"'{path}' is compressed as a whole. Unpack it first: gunzip '{path.name}'.")
        advice = next((f" {line}" for end, line in _ADVICE.items() if name.endswith(end)), "")
        raise DataError(
            f"'{path}' has an ending that is not known ('{''.join(path.suffixes[-2:])}'). {readable()}{advice}"
        )
    if name.startswith("._"):
        raise DataError(
            f"'{path}' is a file that macOS adds to archives, and holds no data. Name '{path.name[2:]}' instead."
        )
    kind = next(each for each in known() if ending in each.endings)
    return kind if kind.hdf5 is None else _hdf5_format(path)


def _folder_format(path: Path) -> Format:
    for kind in known():
        if kind.folder is not None and kind.folder(path):
            return kind
    names = sorted(entry.name for entry in path.iterdir())
    have = f"It holds: {some(names)}." if names else "It is empty."
    raise DataError(f"The folder '{path}' is neither a zarr folder nor one with an .mtx file. {have} {readable()}")


def _hdf5_format(path: Path) -> Format:
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
        for kind in known():
            if kind.hdf5 is not None and kind.hdf5(file):
                return kind
        names = sorted(file)
    raise DataError(
        f"'{path}' is an HDF5 file with {some(names) or 'nothing in it'}: neither an AnnData "
        f"(with 'obs' and 'var'), nor a MuData, a loom or a 10x file. {readable()}"
    )


def _with_values(adata: AnnData, path: Path) -> AnnData:
    """Return data whose X has values: raw in its place where it has none; float32 in place of float16."""
    if adata.isbacked:
        return adata
    if adata.raw is not None and not layers_of(adata) and _empty(adata.X) and not _empty(adata.raw.X):
        logger.warning("'%s': X is empty; raw, with its %d genes, takes its place.", path, adata.raw.n_vars)
        adata = adata.raw.to_adata()
    if isinstance(adata.X, np.ndarray) and adata.X.dtype == np.float16:
        adata.X = adata.X.astype(np.float32)  # the same values; scipy and numba know no float16
    for name, layer in layers_of(adata).items():
        if isinstance(layer, np.ndarray) and layer.dtype == np.float16:
            adata.layers[name] = layer.astype(np.float32)
    return adata


def _empty(X: Matrix | None) -> bool:
    if X is None:
        return True
    if is_sparse(X):
        return not X.nnz
    return isinstance(X, np.ndarray) and not X.any()


def _check(adata: AnnData, path: Path) -> None:
    if 0 in adata.shape:
        raise DataError(
            f"'{path}' holds {adata.n_obs:,} cells x {adata.n_vars:,} genes. Expected at least one of each."
        )
    X = adata.X if not adata.isbacked or "X" in adata.file else None
    for matrix in [X, *layers_of(adata).values()]:
        # a damaged index would crash compiled code much later, without a word
        if isinstance(matrix, sp.csr_matrix | sp.csr_array | sp.csc_matrix | sp.csc_array):
            matrix.check_format(full_check=True)
        elif hasattr(matrix, "group") or isinstance(matrix, h5py.Dataset):
            _check_on_disk(matrix, adata)


def _check_on_disk(matrix: Matrix, adata: AnnData) -> None:
    """Open all parts of a matrix in a file; their values are checked when they are read."""
    if tuple(matrix.shape) != adata.shape:
        raise ValueError(f"the matrix is of the shape {tuple(matrix.shape)}, the names are {adata.shape}")
    group = getattr(matrix, "group", None)
    parts = [matrix] if group is None else [group[name] for name in ("data", "indices", "indptr")]
    if len({part.shape for part in parts[:2]}) != 1 or parts[0].dtype.kind not in "biuf":
        raise ValueError("its values do not fit their places, or are no numbers")
