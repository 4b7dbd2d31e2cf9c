"""Gene names: symbols in place of Ensembl ids, and ids without their version."""

from __future__ import annotations

import logging
import re

import numpy as np
import pandas as pd
from anndata import AnnData
from anndata.utils import make_index_unique

from adverscarial._docs import documented
from adverscarial.cells.matrix import copy_of
from adverscarial.errors import DataError, did_you_mean, some

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
def gene_symbols(adata: AnnData, column: str | None = None) -> AnnData:
    """Name genes by their symbols, which a column of ``var`` holds.

    Parameters
    ----------
    %(adata)s
    column
        Column of ``adata.var``; found by its name when left out (``gene_symbols``, ``symbol``, ``feature_name``, ...).

    Returns
    -------
    A new AnnData whose ``var_names`` are symbols and whose ``var["gene_id"]`` holds the old names. A gene without a
    symbol keeps its old name; a repeated symbol gets a number (``ACTB``, ``ACTB-1``), which is logged.

    Raises
    ------
    DataError
        If there is no such column, or it is empty.

    Examples
    --------
    >>> import pandas as pd
    >>> adata = AnnData(np.ones((2, 1)), var=pd.DataFrame({"symbol": ["CD3D"]}, index=["ENSG00000167286"]))
    >>> gene_symbols(adata).var["gene_id"]
    CD3D    ENSG00000167286
    Name: gene_id, dtype: object
    """
    column = _column(adata.var, column)
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
    return _renamed(adata, names, "symbols")


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
    return _renamed(adata, names, "ids")


_VERSION = re.compile(r"(ENS[A-Z]{0,6}[GTPE]\d+)\.\d+(?=$|_)", re.IGNORECASE)


def without_version(name: str) -> str:
    """Return an Ensembl id without its version, and any other name as it is.

    >>> without_version("ENSG00000182378.14_PAR_Y"), without_version("AC000061.1")
    ('ENSG00000182378_PAR_Y', 'AC000061.1')
    """
    return _VERSION.sub(r"\1", name)


def _renamed(adata: AnnData, names: pd.Index, what: str) -> AnnData:
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


def _column(var: pd.DataFrame, column: str | None) -> str:
    known = [str(name) for name in var.columns]
    have = f"var has the columns {some(known, 10)}." if known else "var has no columns."
    if column is not None:
        if column not in known:
            raise DataError(f"adata.var has no column '{column}'.{did_you_mean(column, known)} {have}")
        return column
    if (found := symbol_column(var)) is not None:
        return found
    raise DataError(
        f"No column of adata.var is known to hold gene symbols. {have} Expected one of {some(COLUMNS, len(COLUMNS))}. "
        "Name the column with column= (command line: --symbols COLUMN); if there is none, "
        "add one from your annotation (for example "
        "scanpy.queries.biomart_annotations)."
    )
