"""Matrix Market files with lists of genes and cells: folders of 10x, STARsolo, kb-python, alevin-fry and Parse."""

from __future__ import annotations

import logging
import os
import re
from pathlib import Path

import numpy as np
import pandas as pd
import scipy.io
import scipy.sparse as sp
from anndata import AnnData

from adverscarial.datasets import text
from adverscarial.datasets.readers.features import names_may_repeat, only_genes
from adverscarial.datasets.readers.mtx_names import (
    Companions,
    NameList,
    cell_table,
    companions,
    gene_table,
    lacking,
    stem_of,
    visible,
)
from adverscarial.datasets.readers.registry import register
from adverscarial.errors import DataError, some

logger = logging.getLogger(__name__)

_MTX = (".mtx", ".mtx.gz")
_DEEP = 3  # folders below the one that was named
_MANY = 500  # folders that are looked into


@register(
    "10x mtx",
    endings=_MTX,
    about="a folder of 10x, STARsolo, kb-python, alevin-fry or Parse with a matrix, genes and cells",
    options=("genome", "transpose"),
    folder=lambda path: bool(_folders(path)),
)
def read(path: Path, *, genome: str | None = None, transpose: bool | None = None) -> AnnData:
    """Read a matrix and the lists beside it; any of them may be gzipped, and have the common prefixes of GEO.

    `path` is the folder, or the ``.mtx`` file. `transpose` says whether the rows of the matrix are genes, as 10x
    writes them; left out, the lengths of the lists decide.
    """
    if path.is_dir() and genome is not None and (inside := [f for f in _folders(path) if f.name == genome]):
        path, genome = inside[0], None  # Cell Ranger 2: one folder for each genome
    matrix = _matrix_in(path) if path.is_dir() else path
    n_rows, n_columns, stored = _size(matrix)
    found = companions(matrix)
    if error := lacking(matrix, found):
        raise error
    genes, cells, rows_genes = _fitting(matrix, found, (n_rows, n_columns), transpose)
    _check_numbers(matrix, stored)
    with text.open_bytes(matrix) as file:
        X = scipy.io.mmread(file, spmatrix=False)
    counts = sp.csr_matrix(X.T if rows_genes else X)
    counts.sum_duplicates()
    with names_may_repeat():
        adata = AnnData(_small(counts), obs=cell_table(cells), var=gene_table(genes, found.symbols))
        return only_genes(_usa(adata, matrix), matrix, genome)


def _folders(path: Path) -> list[Path]:
    """Return the folders that hold a matrix: this one, else those a few levels below."""
    if any(_matrices(path)):
        return [path]
    found = []
    for looked, (place, folders, _) in enumerate(os.walk(path)):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        if looked > _MANY or len(Path(place).relative_to(path).parts) >= _DEEP:
            folders.clear()
        if place != str(path) and any(_matrices(Path(place))):
            found.append(Path(place))
    return found


def _matrices(folder: Path) -> list[str]:
    """Return the matrices of a folder, each once though it may lie there gzipped and not."""
    names = [name for name in visible(folder) if name.lower().endswith(_MTX)]
    return [name for name in names if not (name.endswith(".gz") and name.removesuffix(".gz") in names)]


def _matrix_in(path: Path) -> Path:
    """Return the matrix of a folder; of several the one with the name that programs give to the usual one."""
    folders = _folders(path)
    if len(folders) > 1:
        shown = [str(folder.relative_to(path)) for folder in folders]
        raise DataError(f"'{path}' holds several folders with a matrix: {some(shown, 8)}. Name one of them instead.")
    folder = folders[0]
    if folder != path:
        logger.info("'%s': the matrix in '%s' is read.", path, folder)
    names = _matrices(folder)
    usual = [name for name in names if stem_of(Path(name)) in ("matrix", "cells_x_genes", "quants_mat")]
    ending = [name for name in names if stem_of(Path(name)).endswith("matrix")]
    for chosen in (names, usual, ending):
        if len(chosen) == 1:
            return folder / chosen[0]
    raise DataError(f"'{folder}' holds several matrices: {some(names)}. Name one of the files instead.")


def _size(matrix: Path) -> tuple[int, int, int]:
    """Return rows, columns and values that the first lines announce."""
    with text.open_bytes(matrix) as file:
        first = line = file.readline(2**16)
        while line.startswith(b"%") or (line and not line.strip()):
            line = file.readline(2**16)
    header = first.decode("ascii", errors="replace").lower().split()
    if header[:3] != ["%%matrixmarket", "matrix", "coordinate"] or "complex" in header:
        raise DataError(
            f"'{matrix}' begins with {first[:60]!r}. Expected '%%MatrixMarket matrix coordinate ...', the head of a "
            "sparse matrix. It is damaged, or of another format; fetch it again."
        )
    sizes = line.split()
    if len(sizes) != 3 or not all(size.isdigit() and len(size) < 19 for size in sizes):
        raise DataError(f"'{matrix}' announces its size as {line[:60]!r}. Expected three whole numbers: it is damaged.")
    n_rows, n_columns, stored = map(int, sizes)
    return n_rows, n_columns, stored


def _fitting(
    matrix: Path, found: Companions, shape: tuple[int, int], transpose: bool | None
) -> tuple[NameList, NameList, bool]:
    """Return the lists of genes and of cells that fit the matrix, and whether its rows are the genes."""
    pairs = [(genes, cells) for genes in found.genes for cells in found.cells if genes.path != cells.path]
    for genes, cells in pairs:
        sides = [side for side in (True, False) if (len(genes), len(cells)) == (shape if side else shape[::-1])]
        sides = [side for side in sides if transpose is None or side is transpose]
        if len(sides) == 1:
            return genes, cells, sides[0]
        if sides:
            return genes, cells, _square(matrix, genes, cells)
    lengths = ", ".join(f"'{each.path.name}' {len(each):,}" for each in [*found.genes, *found.cells])
    asked = "" if transpose is None else f" with transpose={transpose}"
    raise DataError(
        f"'{matrix}' has {shape[0]:,} rows and {shape[1]:,} columns; the lists beside it hold {lengths} names, which "
        f"do not fit{asked}. Expected as many names of genes and of cells. Are all three files of one run?"
    )


def _square(matrix: Path, genes: NameList, cells: NameList) -> bool:
    """Return whether rows are genes, of a matrix with as many genes as cells: by the program that wrote it."""
    by_cells = re.compile(r"cells_x_genes|quants_mat|dge|count_matrix", re.IGNORECASE)
    names = (stem_of(matrix), genes.path.name, cells.path.name)
    kb = genes.path.name.removesuffix(".gz") == f"{stem_of(matrix)}.genes.txt"
    side = not (kb or by_cells.match(names[0]) or "all_genes" in names[1] or "cell_metadata" in names[2])
    logger.warning(
        "'%s' has as many genes as cells; its rows are taken for %s, by its name (transpose= says it).",
        matrix, "genes" if side else "cells",
    )  # fmt: skip
    return side


# outside of numbers and white space; an exponent or a sign without digits
_LONGEST = 2**20  # letters of a line
_NO_NUMBER = re.compile(rb"[^0-9+\-.eE\s]|[eE](?![+-]?[0-9])|[+-](?![0-9.])")


def _check_numbers(path: Path, stored: int) -> None:
    """Raise a DataError for a damaged number or a missing line: the compiled reader ends the process over some."""
    lines = 0
    with text.open_bytes(path) as file:
        line = file.readline(_LONGEST)
        while line.startswith(b"%"):
            line = file.readline(_LONGEST)
        while line:
            rest = file.read(2**24)
            end = file.readline(_LONGEST)
            if _LONGEST in (len(line), len(end)):
                raise DataError(f"'{path}' has a line of {_LONGEST:,} letters or more: it is damaged. Fetch it again.")
            block = line + rest + end
            if odd := _NO_NUMBER.search(block):
                found = block[max(0, odd.start() - 10) : odd.end() + 10]
                raise DataError(
                    f"'{path}' holds {found!r} where only numbers should be: it is damaged. Fetch it again."
                )
            lines += block.count(b"\n") + (not block.endswith(b"\n"))
            line = file.readline(_LONGEST)
    if lines - 1 < stored:
        raise DataError(
            f"'{path}' announces {stored:,} values and has {lines - 1:,} lines for them: it is cut short. "
            "Fetch it again."
        )


def _small(X: sp.csr_matrix) -> sp.csr_matrix:
    """Return the values in float32 where they stay the same, else in float64."""
    small = X.astype(np.float32)
    return small if np.array_equal(small.data, X.data) else X.astype(np.float64)


def _usa(adata: AnnData, matrix: Path) -> AnnData:
    """Fold what alevin-fry counts apart: spliced, unspliced (``GENE-U``) and ambiguous (``GENE-A``) reads.

    X is spliced and ambiguous reads together, as alevin-fry's own readers take single-cell data; the parts are layers.
    """
    n, left = divmod(adata.n_vars, 3)
    names = adata.var_names.to_numpy()
    if (
        left
        or not n
        or any(list(names[k * n : (k + 1) * n]) != [f"{g}-{u}" for g in names[:n]] for k, u in ((1, "U"), (2, "A")))
    ):
        return adata
    parts = {
        name: sp.csr_matrix(adata.X[:, k * n : (k + 1) * n])
        for k, name in enumerate(("spliced", "unspliced", "ambiguous"))
    }
    logger.info("'%s': X is spliced and ambiguous reads together; the parts are layers.", matrix)
    X = sp.csr_matrix(parts["spliced"] + parts["ambiguous"])
    return AnnData(X, obs=adata.obs, var=pd.DataFrame(index=adata.var_names[:n]), layers=parts)
