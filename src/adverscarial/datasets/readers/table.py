"""Tables of text: cells x genes, genes x cells, or one line for each cell and gene."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pandas as pd
import scipy.sparse as sp
from anndata import AnnData

from adverscarial.datasets.orientation import is_cell_word, is_gene_word, rows_are_genes, unclear
from adverscarial.datasets.readers import long_table, table_text
from adverscarial.datasets.readers.features import names_may_repeat, unique_genes
from adverscarial.datasets.readers.registry import register
from adverscarial.errors import DataError, some

logger = logging.getLogger(__name__)

_ENDINGS = tuple(
    f"{ending}{packed}" for packed in ("", ".gz", ".bz2", ".xz") for ending in (".csv", ".tsv", ".txt", ".tab")
)
#: columns of numbers that describe genes, as featureCounts writes them
_ABOUT_GENES = ("chr", "start", "end", "strand", "length")


@register("table", endings=_ENDINGS, about="a table of text, cells x genes or genes x cells", options=("transpose",))
def read(path: Path, *, transpose: bool | None = None) -> AnnData:
    """Read a table; the first column names the rows. Columns of text go to ``obs``, or to ``var`` where rows are genes.

    `transpose` says whether rows are genes; left out, names and header decide. X is CSR when more than half of the
    values are zero, else dense; the numeric type is kept.
    """
    how = table_text.layout(path)
    names, table = table_text.read(path, how)
    if transpose is None and (found := long_table.columns_of(how.header, names, table)):
        return long_table.read(found, path)
    return from_frame(names, how.header[0], table, path, transpose)


def from_frame(names: list[str], title: str, table: pd.DataFrame, path: Path, transpose: bool | None) -> AnnData:
    """Return a table of names and columns as an AnnData; `title` stands above the names."""
    names, title, table = _named_by_second(names, title, table)
    nameless = sum(not name for name in names)
    if nameless:
        raise DataError(f"'{path}': {nameless:,} rows have no cell name in the first column.")
    numbers = np.array([dtype.kind in "iuf" for dtype in map(_plain, table.dtypes)], dtype=bool)
    _check_text(table.loc[:, ~numbers], path)
    if not numbers.any():
        raise DataError(f"'{path}' has no column of numbers: {some(table.columns)}. Expected one column per gene.")
    texts = [str(name) for name in table.columns[~numbers]]
    if transpose is None:
        transpose = rows_are_genes(names, [str(name) for name in table.columns[numbers]], [title, *texts])
        if transpose is None:
            raise DataError(unclear(path, names, [str(name) for name in table.columns[numbers]]))
        if transpose:
            logger.warning(
                "'%s': rows are taken for genes (%s) and columns for cells (%s), and so the table is transposed; "
                "transpose=False reads the rows as cells.",
                path, some(names, 2), some(table.columns[numbers], 2),
            )  # fmt: skip
    if transpose:
        numbers &= ~np.array([str(name).lower() in _ABOUT_GENES for name in table.columns])
    described = table.loc[:, ~numbers].copy()
    described.index = pd.Index(names, dtype=object)
    if len(described.columns):
        place = "var" if transpose else "obs"
        logger.info("Columns of text in '%s' go to %s: %s.", path, place, some(described.columns))
    others = pd.DataFrame(index=pd.Index([str(name) for name in table.columns[numbers]], dtype=object))
    values = table.loc[:, numbers].to_numpy()
    values = np.ascontiguousarray(values.T) if transpose else values
    X = sp.csr_matrix(values) if np.count_nonzero(values) < values.size / 2 else values
    obs, var = (others, described) if transpose else (described, others)
    with names_may_repeat():
        return unique_genes(AnnData(X, obs=obs, var=var), path)


def _plain(dtype: object) -> np.dtype:
    return dtype if isinstance(dtype, np.dtype) else np.dtype(object)


def _named_by_second(names: list[str], title: str, table: pd.DataFrame) -> tuple[list[str], str, pd.DataFrame]:
    """Take the second column for names, where the first only numbers the rows and the second is called so."""
    if title or not table.shape[1] or not all(name.isdecimal() for name in names):
        return names, title, table
    second = str(table.columns[0])
    if not (is_gene_word(second) or is_cell_word(second)) or _plain(table.dtypes.iloc[0]).kind in "iuf":
        return names, title, table
    if not table.iloc[:, 0].is_unique:
        return names, title, table
    return ["" if pd.isna(name) else str(name) for name in table.iloc[:, 0]], second, table.iloc[:, 1:]


def _check_text(table: pd.DataFrame, path: Path) -> None:
    """Raise a DataError for a column that holds numbers and text."""
    for place, name in enumerate(table.columns):
        column = table.iloc[:, place]
        if _plain(column.dtype).kind == "b" or isinstance(column.dtype, pd.CategoricalDtype):
            continue
        readable = pd.to_numeric(column, errors="coerce").notna()
        if readable.any():
            odd = column[~readable & column.notna()]
            raise DataError(
                f"'{path}': column '{name}' mixes numbers and text ({some(odd.unique(), 3)} in {len(odd):,} rows). "
                "Expected numbers for a gene, or only text for a column of obs. Correct the table."
            )
