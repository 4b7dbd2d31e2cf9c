"""Gene symbols in place of Ensembl ids."""

from __future__ import annotations

import logging

import numpy as np
import pandas as pd
from anndata import AnnData
from anndata.utils import make_index_unique

from adverscarial._matrix import copy_of
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


def gene_symbols(adata: AnnData, column: str | None = None) -> AnnData:
    """Name genes by their symbols, which a column of ``var`` holds.

    Parameters
    ----------
    adata
        Cells x genes; not changed.
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
    if not names.is_unique:
        repeated = names[names.duplicated()].unique()
        logger.info("%d symbols repeat (%s); numbers were added to all but the first.", len(repeated), some(repeated))
        names = make_index_unique(names)
    new = copy_of(adata)
    new.var["gene_id"] = np.asarray(old, dtype=object)
    new.var_names = names
    new.var_names.name = None  # an index named like a column cannot be written
    return new


def _column(var: pd.DataFrame, column: str | None) -> str:
    known = [str(name) for name in var.columns]
    have = f"var has the columns {some(known, 10)}." if known else "var has no columns."
    if column is not None:
        if column not in known:
            raise DataError(f"adata.var has no column '{column}'.{did_you_mean(column, known)} {have}")
        return column
    lower = {name.lower(): name for name in reversed(known)}
    for candidate in COLUMNS:
        if candidate in lower:
            return lower[candidate]
    raise DataError(
        f"No column of adata.var is known to hold gene symbols. {have} Expected one of {some(COLUMNS, len(COLUMNS))}. "
        "Name the column with column= (command line: --symbols COLUMN); if there is none, "
        "add one from your annotation (for example "
        "scanpy.queries.biomart_annotations)."
    )
