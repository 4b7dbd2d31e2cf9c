"""Readers, one per format. A damaged file may raise anything here; ``load`` puts it in words."""

from __future__ import annotations

import gzip
import logging
import re
from pathlib import Path
from typing import Any

import anndata
import h5py
import numpy as np
import pandas as pd
import scanpy as sc
import scipy.sparse as sp
from anndata import AnnData

from adverscarial.datasets.hdf5 import closed_after_failure
from adverscarial.errors import DataError, MissingDependencyError, some

logger = logging.getLogger(__name__)


def read_h5ad_backed(path: Path) -> AnnData:
    """Read an AnnData file, but leave its X on disk."""
    return anndata.read_h5ad(path, backed="r")


def read_zarr(path: Path) -> AnnData:
    """Read an AnnData zarr folder."""
    return anndata.io.read_zarr(path)


def read_zarr_backed(path: Path) -> AnnData:
    """Read names and annotations of a zarr folder, but leave X and the layers on disk."""
    import zarr

    root = zarr.open_group(path, mode="r")
    parts = {name: anndata.io.read_elem(root[name]) for name in ("obs", "var", "uns", "obsm") if name in root}
    layers = {name: _on_disk(element) for name, element in root["layers"].members()} if "layers" in root else {}
    return AnnData(X=_on_disk(root["X"]) if "X" in root else None, layers=layers, **parts)


def _on_disk(element: Any) -> Any:
    return anndata.io.sparse_dataset(element) if hasattr(element, "members") else element


def read_loom(path: Path) -> AnnData:
    """Read a loom file: the main matrix as X, in its own numeric type; other layers as layers."""
    try:
        import loompy  # noqa: F401 - anndata imports it when it reads
    except ImportError as error:
        raise MissingDependencyError("loompy", "loom", "Reading loom files") from error
    with h5py.File(path, "r") as file:
        cells = _first_present(file["col_attrs"], ("CellID", "obs_names", "cell_names", "cell_id", "barcode"))
        genes = _first_present(file["row_attrs"], ("Gene", "var_names", "gene_names", "gene_symbol", "Accession"))
        dtype = file["matrix"].dtype.name
    # X_name="" is the main matrix; anndata's own choice is velocyto's layer of spliced reads
    with closed_after_failure(path):
        adata = anndata.io.read_loom(path, X_name="", obs_names=cells, var_names=genes, dtype=dtype)
    return _unique_genes(adata, path)


def _first_present(attributes: h5py.Group, names: tuple[str, ...]) -> str:
    for name in names:
        if name in attributes:
            return name
    raise DataError(
        f"The loom file's {attributes.name.strip('/')} hold {some(attributes) or 'nothing'}; names are expected "
        f"in one of {some(names, len(names))}. Rename the attribute that holds them."
    )


def read_10x_h5(path: Path) -> AnnData:
    """Read Cell Ranger's HDF5 file; only features of the type 'Gene Expression'."""
    return _unique_genes(sc.read_10x_h5(path), path)


def read_10x_mtx(path: Path) -> AnnData:
    """Read a 10x folder: matrix, genes or features, barcodes; with any common prefix, as GEO stores them.

    `path` is the folder, or the ``.mtx`` file in it.
    """
    folder = path if path.is_dir() else path.parent
    names = {entry.name for entry in folder.iterdir()}
    matrices = (
        [path.name] if path.is_file() else sorted(n for n in names if n.endswith(("matrix.mtx", "matrix.mtx.gz")))
    )
    prefixes = {name.removesuffix(".gz").removesuffix("matrix.mtx") for name in matrices}
    if len(prefixes) > 1:
        raise DataError(f"'{folder}' holds several matrices: {some(matrices)}. Name one of the files instead.")
    prefix = prefixes.pop() if prefixes else ""
    layouts = (
        [f"{prefix}matrix.mtx", f"{prefix}genes.tsv", f"{prefix}barcodes.tsv"],
        [f"{prefix}matrix.mtx.gz", f"{prefix}features.tsv.gz", f"{prefix}barcodes.tsv.gz"],
    )
    if not any(set(layout) <= names for layout in layouts):
        raise DataError(
            f"'{folder}' holds {some(sorted(names), 8)}. A 10x matrix needs three files: either {some(layouts[0])} "
            f"or {some(layouts[1])}. Bring the missing ones, or rename or (un)gzip them to match."
        )
    _check_numbers(folder / next(name for name in (layouts[0][0], layouts[1][0]) if name in names))
    return sc.read_10x_mtx(folder, prefix=prefix)


# outside of numbers and white space; an exponent or a sign without digits
_NO_NUMBER = re.compile(rb"[^0-9+\-.eE\s]|[eE](?![+-]?[0-9])|[+-](?![0-9.])")


def _check_numbers(path: Path) -> None:
    """Raise a DataError for a damaged number: the compiled reader ends the process over some."""
    with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
        line = file.readline()
        while line.startswith(b"%"):
            line = file.readline()
        while line:
            block = line + file.read(2**24) + file.readline()
            if odd := _NO_NUMBER.search(block):
                found = block[max(0, odd.start() - 10) : odd.end() + 10]
                raise DataError(
                    f"'{path}' holds {found!r} where only numbers should be: it is damaged. Fetch it again."
                )
            line = file.readline()


def read_table(path: Path) -> AnnData:
    """Read a table, cells x genes; the first column names the cells. Columns of text go to ``obs``.

    X is CSR when more than half of the values are zero, else dense; the numeric type is kept.
    """
    separator = "," if path.name.lower().removesuffix(".gz").endswith(".csv") else "\t"
    table = pd.read_csv(path, sep=separator, index_col=0, float_precision="round_trip", low_memory=False)
    nameless = int(np.count_nonzero(table.index.isna()))
    if nameless:
        raise DataError(f"'{path}': {nameless:,} rows have no cell name in the first column.")
    if table.shape[1] == 0:
        raise DataError(
            f"'{path}' has one column only. Expected cell names and then one column per gene, "
            f"separated by {'commas' if separator == ',' else 'tabs'}."
        )
    numbers = np.array([dtype.kind in "iuf" for dtype in table.dtypes])
    for name, column in table.loc[:, ~numbers].items():
        readable = pd.to_numeric(column, errors="coerce").notna()
        if column.dtype == object and readable.any():
            odd = column[~readable & column.notna()]
            raise DataError(
                f"'{path}': column '{name}' mixes numbers and text ({some(odd.unique(), 3)} in {len(odd):,} rows). "
                "Expected numbers for a gene, or only text for a column of obs. Correct the table."
            )
    if not numbers.any():
        raise DataError(f"'{path}' has no column of numbers: {some(table.columns)}. Expected one column per gene.")
    obs = table.loc[:, ~numbers].copy()
    if len(obs.columns):
        logger.info("Columns of text in '%s' go to obs: %s.", path, some(obs.columns))
    values = table.loc[:, numbers].to_numpy()
    X = sp.csr_matrix(values) if np.count_nonzero(values) < values.size / 2 else values
    obs.index = obs.index.astype(str)
    return AnnData(X, obs=obs, var=pd.DataFrame(index=table.columns[numbers].astype(str)))


def _unique_genes(adata: AnnData, path: Path) -> AnnData:
    """Make gene symbols unique that a format allows to repeat."""
    if not adata.var_names.is_unique:
        repeated = adata.var_names[adata.var_names.duplicated()].unique()
        logger.info("'%s': %d gene names repeat (%s); numbers were added.", path, len(repeated), some(repeated))
        adata.var_names_make_unique()
    return adata
