"""SingleCellExperiment files of R, read without R."""

from __future__ import annotations

import bz2
import gzip
import logging
import lzma
import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp
from anndata import AnnData

from adverscarial.errors import DataError, MissingDependencyError, some

logger = logging.getLogger(__name__)

#: first bytes of what saveRDS(compress=) writes
_COMPRESSION = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ": lzma.open}

#: where an SCE keeps its gene names, by the class of its row ranges; the first that is filled counts
_GENE_NAMES = (
    ("rowRanges", "partitioning", "NAMES"),  # no genomic ranges known: the usual case
    ("rowRanges", "ranges", "NAMES"),
    ("NAMES",),
    ("elementMetadata", "rownames"),
)


def read_sce(path: Path) -> AnnData:
    """Read a SingleCellExperiment: assay ``counts`` (else ``logcounts``, else the first) as X, the others as layers.

    ``colData`` becomes obs, ``rowData`` var, ``reducedDims`` obsm. Alternative experiments are left out.
    """
    try:
        import rds2py
        from rds2py.read_sce import read_single_cell_experiment
        from singlecellexperiment import SingleCellExperiment  # noqa: F401 - what rds2py builds
    except ImportError as error:
        raise MissingDependencyError("rds2py", "rds", "Reading .rds files") from error
    with tempfile.TemporaryDirectory() as folder:
        tree = rds2py.parse_rds(_unpacked(path, folder))
    found = tree.get("class_name", tree.get("type"))
    if found != "SingleCellExperiment":
        advice = (
            "In R, convert it: saveRDS(Seurat::as.SingleCellExperiment(x), 'sce.rds')."
            if found == "Seurat"
            else "In R, save one with saveRDS(sce, 'sce.rds')."
        )
        raise DataError(f"'{path}' holds an R object of class '{found}', expected 'SingleCellExperiment'. {advice}")
    _bring_row_data(tree)
    genes, cells = _gene_names(tree), _names(tree, ("colData", "rownames"))
    cell_factors, gene_factors = (_take_factors(tree, slot) for slot in ("colData", "elementMetadata"))
    sce = read_single_cell_experiment(tree)
    assays = {name: _cells_by_genes(name, matrix) for name, matrix in sce.assays.items()}
    if not assays:
        raise DataError(f"'{path}' has no assay. Expected counts or logcounts.")
    main = next((name for name in ("counts", "logcounts") if name in assays), next(iter(assays)))
    logger.info("'%s': assay '%s' is X.", path, main)
    X = assays.pop(main)
    if genes is None:
        raise DataError(f"'{path}' has no gene names. In R, set rownames(sce) and save it again.")
    if sce.alternative_experiments:
        logger.info("'%s': alternative experiments are left out: %s.", path, some(sce.alternative_experiments))
    adata = AnnData(
        X,
        obs=_frame(sce.column_data, cells or [f"cell{i + 1}" for i in range(X.shape[0])], cell_factors),
        var=_frame(sce.row_data, genes, gene_factors),
        layers=assays,
    )
    for name, values in sce.reduced_dims.items():
        adata.obsm[name] = np.asarray(getattr(values, "matrix", values))  # with names of rows, rds2py wraps a matrix
    return adata


def _unpacked(path: Path, folder: str) -> str:
    """Return the name of an uncompressed copy: rds2py knows gzip only, and one cut short makes it abort or hang."""
    with path.open("rb") as file:
        start = file.read(6)
    unpack: Any = next((unpack for magic, unpack in _COMPRESSION.items() if start.startswith(magic)), Path.open)
    plain = Path(folder, "plain.rds")
    with unpack(path, "rb") as packed, plain.open("wb") as out:
        shutil.copyfileobj(packed, out)
    return str(plain)


def _bring_row_data(tree: dict[str, Any]) -> None:
    """Bring rowData to where rds2py looks for it: R keeps it with the row ranges, if it keeps those."""
    ranges = tree["attributes"].get("rowRanges") or {}
    table = (ranges.get("attributes") or {}).get("elementMetadata") or {}
    if (table.get("attributes") or {}).get("listData", {}).get("data"):
        tree["attributes"]["elementMetadata"] = table


def _gene_names(tree: dict[str, Any]) -> list[str] | None:
    """Return the gene names from the raw R object: rds2py does not look into the row ranges."""
    for place in _GENE_NAMES:
        names = _names(tree, place)
        if names:
            return names
    return None


def _names(tree: dict[str, Any], place: tuple[str, ...]) -> list[str] | None:
    node: Any = tree
    for slot in place:
        node = (node.get("attributes") or {}).get(slot)
        if node is None:
            return None
    return [str(name) for name in node["data"]] if node.get("type") == "string" else None


def _take_factors(tree: dict[str, Any], slot: str) -> dict[str, pd.Categorical]:
    """Return the factors of colData or rowData, and leave their codes: rds2py stumbles over a missing value in one."""
    columns = tree["attributes"][slot]["attributes"]["listData"]
    names = columns["attributes"].get("names", {}).get("data") or []
    factors = {}
    for name, node in zip(names, columns["data"], strict=False):
        if "levels" not in (node.get("attributes") or {}):
            continue
        places = np.asarray(node["data"], dtype=np.float64)
        codes = np.where(places >= 1, places - 1, -1).astype(np.int64)  # a missing value is NaN, or 0
        factors[str(name)] = pd.Categorical.from_codes(codes, categories=node["attributes"]["levels"]["data"])
        node["attributes"] = {}
    return factors


def _cells_by_genes(name: str, matrix: Any) -> Any:
    if sp.issparse(matrix):
        return sp.csr_matrix(matrix.T)
    if isinstance(matrix, np.ndarray):
        return np.ascontiguousarray(matrix.T)
    raise DataError(
        f"Assay '{name}' is a {type(matrix).__name__}, whose values lie outside the .rds file. "
        f"In R, bring it into memory: assay(sce, '{name}') <- as(assay(sce, '{name}'), 'dgCMatrix'); then save again."
    )


def _frame(columns: Any, names: list[str], factors: dict[str, pd.Categorical]) -> pd.DataFrame:
    """Return a table of obs or var from a BiocFrame; only columns with one plain value per row."""
    table = pd.DataFrame(index=pd.Index(names, dtype=object))
    for name in map(str, columns.column_names):
        if name in factors:
            table[name] = factors[name]
            continue
        column = columns.column(name)
        values = column.to_pandas() if hasattr(column, "to_pandas") else list(column)
        plain = pd.Series(np.asarray(values, dtype=object) if isinstance(values, list) else values)
        if len(plain) != len(table) or plain.map(np.ndim).any():
            logger.info("Column '%s' is left out: it is nested.", name)
            continue
        table[name] = plain.infer_objects().to_numpy()
    return table
