"""Loom files, read with h5py alone: matrix and layers are genes x cells, names are attributes of rows and columns."""

from __future__ import annotations

import html
import logging
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import scipy.sparse as sp
from anndata import AnnData

from adverscarial.datasets.readers.features import names_may_repeat, unique_genes
from adverscarial.datasets.readers.registry import register
from adverscarial.errors import DataError, ParameterError, did_you_mean, some

logger = logging.getLogger(__name__)

_VALUES = 2**24  # made dense at a time

#: names of attributes, as the common programs write them, in order of preference; case does not matter
_CELL_NAMES = ("CellID", "obs_names", "cell_names", "cell_name", "cell_id", "Cell", "barcode", "barcodes", "index")
_GENE_NAMES = ("Gene", "var_names", "gene_names", "gene_name", "gene_symbol", "symbol", "Accession", "gene_id", "index")


def _is_loom(file: h5py.File) -> bool:
    return {"matrix", "row_attrs", "col_attrs"} <= set(file)


@register("loom", endings=(".loom",), about="a loom file", options=("obs_names", "var_names"), hdf5=_is_loom)
def read(path: Path, *, obs_names: str | None = None, var_names: str | None = None) -> AnnData:
    """Read a loom file: the main matrix as X, in its own numeric type; other layers as layers.

    The main matrix is X also where velocyto wrote a layer of spliced reads beside it.
    """
    with h5py.File(path, "r") as file:
        n_genes, n_cells = file["matrix"].shape
        cells, genes = _attributes(file["col_attrs"], n_cells), _attributes(file["row_attrs"], n_genes)
        cell_key = _names_in(cells, obs_names, _CELL_NAMES, "col_attrs", "obs_names")
        gene_key = _names_in(genes, var_names, _GENE_NAMES, "row_attrs", "var_names")
        layers = file.get("layers", {})
        layers = {name: _cells_by_genes(each) for name, each in layers.items() if each.shape == (n_genes, n_cells)}
        X = _cells_by_genes(file["matrix"])
    obs, obsm = _table(cells, cell_key)
    var, varm = _table(genes, gene_key)
    with names_may_repeat():
        return unique_genes(AnnData(X, obs=obs, var=var, obsm=obsm, varm=varm, layers=layers), path)


def _attributes(group: h5py.Group, length: int) -> dict[str, np.ndarray]:
    """Return the attributes with one value, or one row of values, for each gene or cell."""
    found = {}
    for name, element in group.items():
        if not isinstance(element, h5py.Dataset) or element.shape[:1] != (length,):
            continue
        values = element[()]
        if values.dtype.kind in "OS":
            texts = [each.decode() if isinstance(each, bytes) else str(each) for each in values.ravel()]
            # loom files of version 2 write what is not ASCII as in HTML
            values = np.array([html.unescape(text) for text in texts], dtype=object).reshape(values.shape)
        found[name] = values
    return found


def _names_in(
    attributes: dict[str, np.ndarray], asked: str | None, usual: tuple[str, ...], group: str, option: str
) -> str:
    """Return the attribute that holds names: the one asked for, one with a usual name, or the only one that can be."""
    flat = [name for name, values in attributes.items() if values.ndim == 1]
    have = some(flat, 12) or "nothing"
    if asked is not None:
        if asked not in flat:
            raise ParameterError(
                f"The loom file has no attribute '{asked}' in {group}.{did_you_mean(asked, flat)} It holds {have}."
            )
        return asked
    lower = {name.lower(): name for name in reversed(flat)}
    for name in usual:
        if name.lower() in lower:
            return lower[name.lower()]
    texts = [name for name in flat if attributes[name].dtype == object and pd.Index(attributes[name]).is_unique]
    if len(texts) != 1:
        raise DataError(
            f"The loom file's {group} hold {have}; names are expected in one of {some(usual, len(usual))}. Say which "
            f"attribute holds them: load(path, {option}='NAME') (command line: --{option.replace('_', '-')} NAME)."
        )
    logger.info("Names are taken from '%s' of %s, the only text without repeats.", texts[0], group)
    return texts[0]


def _cells_by_genes(matrix: h5py.Dataset) -> sp.csr_matrix:
    """Return a matrix of the file, some genes at a time, as cells x genes."""
    kind = np.dtype(np.float32) if matrix.dtype == np.float16 else matrix.dtype  # scipy knows no float16
    rows = max(1, _VALUES // max(1, matrix.shape[1]))
    starts = range(0, matrix.shape[0], rows)
    blocks = [sp.csr_matrix(np.asarray(matrix[start : start + rows], dtype=kind)) for start in starts]
    genes = sp.vstack(blocks, format="csr") if blocks else sp.csr_matrix(matrix.shape, dtype=kind)
    return sp.csr_matrix(genes.T)


def _table(attributes: dict[str, np.ndarray], key: str) -> tuple[pd.DataFrame, dict[str, np.ndarray]]:
    """Return the flat attributes as a table, and the others, which hold a row of numbers each."""
    index = pd.Index([str(name) for name in attributes[key]], dtype=object)
    flat = {name: _with_missing(v) for name, v in attributes.items() if name != key and v.ndim == 1}
    wide = {name: v for name, v in attributes.items() if v.ndim == 2 and v.dtype.kind in "biuf"}
    return pd.DataFrame(flat, index=index), wide


def _with_missing(values: np.ndarray) -> np.ndarray:
    """Return text with what is missing as None: programs of Python write it as ``nan``."""
    if values.dtype == object:
        values[values == "nan"] = None
    return values
