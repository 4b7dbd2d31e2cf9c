"""Cells that an analysis leaves out: too few or too many genes, too many mitochondrial counts."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData

from adverscarial._docs import documented
from adverscarial.cells.choice import Cells, meant
from adverscarial.cells.cluster import cluster_labels
from adverscarial.cells.matrix import layer_of
from adverscarial.datasets.symbols import symbol_column
from adverscarial.errors import DataError, ParameterError, did_you_mean, some

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Limits:
    """What cells must keep to.

    Attributes
    ----------
    min_genes, max_genes
        Fewest and most genes with any count.
    max_mito
        Largest part of a cell's counts that is mitochondrial, in percent.
    remove
        Cell types that are left out.
    """

    min_genes: int | None = None
    max_genes: int | None = None
    max_mito: float | None = None
    remove: tuple[str, ...] = ()


#: the limits of section 2.1 of the paper, by the names of its data sets. Of liver and axilla it says "<8000"; that can
#: only mean that at most 8,000 genes are kept
PAPER = {
    "pbmc3k": Limits(min_genes=200, max_genes=2_500, max_mito=5),
    "axilla10k": Limits(max_genes=8_000, max_mito=50),
    "liver10k": Limits(max_genes=8_000, max_mito=50, remove=("blood vessel endothelial cell", "fibroblast")),
    "kidney10k": Limits(min_genes=500, max_mito=20),
}


def limits_of(preset: str) -> Limits:
    """Return the limits of one of the paper's data sets.

    Raises
    ------
    ParameterError
        If it is none of them.
    """
    if preset not in PAPER:
        hint = did_you_mean(preset, list(PAPER))
        raise ParameterError(f"There is no preset '{preset}'.{hint} There are: {', '.join(PAPER)}.")
    return PAPER[preset]


@documented
def quality_control(  # noqa: PLR0913
    adata: Cells,
    preset: str | None = None,
    *,
    min_genes: int | None = None,
    max_genes: int | None = None,
    max_mito: float | None = None,
    remove: Iterable[str] | None = None,
    groupby: str = "cell_type",
    mod: str | None = None, use_raw: bool = False, layer: str | None = None,
) -> AnnData:  # fmt: skip
    """Leave out cells with too few or too many genes, or too many mitochondrial counts.

    Parameters
    ----------
    %(adata)s
    preset
        ``"pbmc3k"``, ``"axilla10k"``, ``"liver10k"`` or ``"kidney10k"``: the limits of section 2.1 of the paper. What
        is named below comes in their place.
    min_genes, max_genes
        Fewest and most genes with any count that a cell may have.
    max_mito
        Most mitochondrial counts, in percent of all counts of the cell. The genes are those whose symbol begins with
        ``MT-`` or ``mt-``.
    remove, groupby
        Cell types to leave out, and the column of ``obs`` that names each cell's; left alone where `remove` names none.
    %(modality)s
    use_raw, layer
        Where the counts are: in ``raw``, or in a layer; in ``X`` when both are left out. Only the limits are judged by
        them: the cells that are returned hold what they held.

    Returns
    -------
    A new AnnData of the cells that keep to all limits, with ``n_genes_by_counts``, ``total_counts`` and
    ``pct_counts_mt`` in ``obs``, as ``scanpy.pp.calculate_qc_metrics`` names them. How many cells each limit took is
    logged, and kept in ``uns["quality_control"]``.

    Raises
    ------
    DataError
        If no cell is left, or no gene is known to be mitochondrial although `max_mito` is given.
    ParameterError
        If there is no such preset.

    %(cells_example)s
    >>> quality_control(cells, min_genes=200).shape
    (693, 765)
    """
    base = Limits() if preset is None else limits_of(preset)
    given = {
        "min_genes": min_genes, "max_genes": max_genes, "max_mito": max_mito,
        "remove": None if remove is None else (remove,) if isinstance(remove, str) else tuple(remove),
    }  # fmt: skip
    chosen: dict[str, Any] = {name: getattr(base, name) if value is None else value for name, value in given.items()}
    limits = Limits(**chosen)
    adata = meant(adata, mod=mod)
    adata = adata.to_memory() if adata.isbacked else adata
    metrics = _metrics(meant(adata, use_raw=use_raw, layer=layer), limits, layer)
    taken = _taken(metrics, limits)
    if limits.remove:
        labels = pd.Series(cluster_labels(adata, groupby))
        if absent := [
            name for name in (limits.remove or () if remove is not None else ()) if name not in set(labels.dropna())
        ]:
            raise ParameterError(
                f"remove= names {some(absent)}, which obs['{groupby}'] does not hold."
                f"{did_you_mean(absent[0], sorted(set(labels.dropna())))}"
            )
        taken |= {f"'{name}'": (labels == name).to_numpy() for name in limits.remove}
    kept = ~np.logical_or.reduce([np.zeros(adata.n_obs, dtype=bool), *taken.values()])
    counts = {name: int(out.sum()) for name, out in taken.items()}
    told = ", ".join(f"{name}: {n:,}" for name, n in counts.items()) or "no limit"
    if not kept.any():
        raise DataError(f"No cell of {adata.n_obs:,} is left ({told}). Are these counts, and the limits right?")
    logger.info("Quality control keeps %d of %d cells (%s).", int(kept.sum()), adata.n_obs, told)
    new = adata[kept].copy()
    for name in metrics:
        new.obs[name] = metrics[name].to_numpy()[kept]
    new.uns["quality_control"] = {
        "cells_before": adata.n_obs,
        "removed": {name.replace("/", "_"): n for name, n in counts.items()},
    }
    return new


def _metrics(adata: AnnData, limits: Limits, layer: str | None) -> pd.DataFrame:
    """Return genes and counts of each cell, as scanpy computes them, and the percentage that is mitochondrial."""
    column = symbol_column(adata.var)
    names = [adata.var_names, *([] if column is None else [pd.Index(adata.var[column])])]
    mito = np.logical_or.reduce([name.astype(str).str.upper().str.startswith("MT-") for name in names])
    if limits.max_mito is not None and not mito.any():
        raise DataError(
            f"No gene is known to be mitochondrial: none of {some(names[-1], 3)} begins with 'MT-' or 'mt-'. Name "
            "genes by symbols first (datasets.gene_symbols), or leave max_mito out."
        )
    import scanpy as sc

    work = AnnData(layer_of(adata, layer), var=pd.DataFrame({"mt": mito}, index=adata.var_names))
    found, _ = sc.pp.calculate_qc_metrics(work, qc_vars=["mt"], percent_top=None, log1p=False, inplace=False)
    return found[["n_genes_by_counts", "total_counts", "pct_counts_mt"]]


def _taken(metrics: pd.DataFrame, limits: Limits) -> dict[str, np.ndarray]:
    """Return which cells each limit takes, by a name for it."""
    genes, percent = metrics["n_genes_by_counts"].to_numpy(), metrics["pct_counts_mt"].to_numpy()
    found = {}
    if limits.min_genes is not None:
        found[f"fewer than {limits.min_genes:,} genes"] = genes < limits.min_genes
    if limits.max_genes is not None:
        found[f"more than {limits.max_genes:,} genes"] = genes > limits.max_genes
    if limits.max_mito is not None:
        found[f"more than {limits.max_mito:g}% mitochondrial"] = ~(
            percent <= limits.max_mito
        )  # without any count there is no share
    return found
