"""Long tables: one line for each cell and gene that was seen, as ``umi_tools count`` writes them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import scipy.sparse as sp
from anndata import AnnData

from adverscarial.datasets.orientation import rows_are_genes
from adverscarial.errors import DataError

_GENE = re.compile(r"(?:gene|feature)[\W_]?(?:id|name|symbol)?|symbol", re.IGNORECASE)
_CELL = re.compile(r"cell(?:[\W_]?(?:id|name|barcode|index))?|(?:cell[\W_]?)?barcode|cb|bc", re.IGNORECASE)
_COUNT = re.compile(r"(?:umi|read)?[\W_]?counts?|umis?|reads?|value|n|expression|x", re.IGNORECASE)


class Long(NamedTuple):
    """The three columns of a long table."""

    genes: list[str]
    cells: list[str]
    counts: pd.Series


def columns_of(header: list[str], names: list[str], table: pd.DataFrame) -> Long | None:
    """Return the columns of genes, cells and counts; None where the table is no long one."""
    if table.shape[1] != 2 or len(header) != 3:
        return None
    columns = [pd.Series(names, dtype=object), table.iloc[:, 0], table.iloc[:, 1]]
    found = [
        next((i for i, name in enumerate(header) if kind.fullmatch(name)), None) for kind in (_GENE, _CELL, _COUNT)
    ]
    if None in found or len(set(found)) != 3:
        found = _by_content(columns)
    if not found:
        return None
    gene, cell, count = (columns[place] for place in found if place is not None)
    if not pd.api.types.is_numeric_dtype(count):
        return None
    return Long([str(name) for name in gene], [str(name) for name in cell], count.reset_index(drop=True))


def _by_content(columns: list[pd.Series]) -> list[int | None]:
    """Tell two columns of text that repeat, and one of numbers: which text is genes, its names say."""
    if any(map(pd.api.types.is_numeric_dtype, columns[:2])) or not pd.api.types.is_numeric_dtype(columns[2]):
        return []
    first, second = ([str(name) for name in column.unique()] for column in columns[:2])
    if len(first) == len(columns[0]) or len(second) == len(columns[1]):
        return []
    genes_first = rows_are_genes(first, second)
    return [] if genes_first is None else [0, 1, 2] if genes_first else [1, 0, 2]


def read(long: Long, path: Path) -> AnnData:
    """Return a long table as cells x genes, in the order in which the names first come."""
    rows, cells = pd.factorize(np.array(long.cells, dtype=object))
    columns, genes = pd.factorize(np.array(long.genes, dtype=object))
    twice = pd.MultiIndex.from_arrays([rows, columns]).duplicated()
    if twice.any():
        cell, gene = cells[rows[twice][0]], genes[columns[twice][0]]
        raise DataError(
            f"'{path}' has one line for each cell and gene, but {int(twice.sum()):,} lines come twice (first: cell "
            f"'{cell}', gene '{gene}'). Expected each pair once. Add them up, or keep the cells of one sample."
        )
    X = sp.csr_matrix((long.counts.to_numpy(), (rows, columns)), shape=(len(cells), len(genes)))
    return AnnData(X, obs=pd.DataFrame(index=list(cells)), var=pd.DataFrame(index=list(genes)))
