"""Example data sets: one that comes with scanpy, and the PBMC3k of the paper."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import pandas as pd
import scipy.sparse as sp
from anndata import AnnData

from adverscarial.datasets.files import load
from adverscarial.errors import DataError, some

logger = logging.getLogger(__name__)

#: environment variable that names a folder with data files
FOLDER = "ADVERSCARIAL_DATA"


def embedded() -> AnnData:
    """Return the small blood data set that is installed with scanpy: no network, no file to find.

    It is ``scanpy.datasets.pbmc68k_reduced``, with the log-normalised values of its ``raw``.

    Returns
    -------
    AnnData of 700 cells x 765 genes; ``X`` is float32 CSR, log-normalised; ``obs["cell_type"]`` has ten types.

    Examples
    --------
    >>> import adverscarial as adv
    >>> adv.datasets.embedded().shape
    (700, 765)
    """
    import scanpy as sc

    packaged = sc.datasets.pbmc68k_reduced()
    obs = pd.DataFrame({"cell_type": packaged.obs["bulk_labels"].astype("category")}, index=packaged.obs_names)
    return AnnData(packaged.raw.X.copy(), obs=obs, var=pd.DataFrame(index=packaged.raw.var_names))


def pbmc3k() -> AnnData:
    """Return PBMC3k (10x Genomics), the data set of the paper's main figures, as raw counts.

    The file ``pbmc3k.h5ad`` in the folder named by the environment variable ``ADVERSCARIAL_DATA`` is taken when there
    is one. Otherwise scanpy fetches the counts and its tutorial's labels once (about 30 MB) and keeps them in
    ``scanpy.settings.datasetdir``; genes seen in fewer than 3 cells are dropped, as in the Seurat tutorial.

    Returns
    -------
    AnnData of 2,700 cells x 13,714 genes; ``X`` is CSR, raw UMI counts; ``obs["cell_type"]`` is ``"UNDETERMINED"`` for
    the cells that the tutorials filter out. Names of types are those of the source: Seurat's in the paper's file,
    scanpy's (its ``louvain`` column) when fetched.

    Raises
    ------
    DataError
        If there is no such file and it cannot be fetched, or the file has no ``obs["cell_type"]``.

    Examples
    --------
    >>> import adverscarial as adv
    >>> adata = adv.datasets.pbmc3k()  # doctest: +SKIP
    >>> adata = adata[adata.obs["cell_type"] != "UNDETERMINED"]  # doctest: +SKIP
    """
    folder = os.environ.get(FOLDER)
    if not folder:
        return _fetch(f"the environment variable {FOLDER} is not set")
    path = Path(folder) / "pbmc3k.h5ad"
    if not path.is_file():
        return _fetch(f"there is no file '{path}' ({FOLDER})")
    adata = load(path)
    if "cell_type" not in adata.obs:
        raise DataError(
            f"'{path}' has no obs['cell_type'], only {some(adata.obs.columns)}. "
            f"Put a labelled PBMC3k there, or unset {FOLDER} to fetch it."
        )
    adata.X = sp.csr_matrix(adata.X)
    return adata


def _fetch(why: str) -> AnnData:
    import scanpy as sc

    cache = sc.settings.datasetdir
    logger.info("Fetching PBMC3k through scanpy into '%s': %s.", cache, why)
    try:
        adata = sc.datasets.pbmc3k()
        louvain = sc.datasets.pbmc3k_processed().obs["louvain"]
    except Exception as error:
        # the network, a proxy's error page, a full disk, a half-written cache: each raises something else
        raise DataError(
            f"PBMC3k is not at hand: {why}, and scanpy.datasets.pbmc3k() and pbmc3k_processed() failed "
            f"({type(error).__name__}: {error}). Put pbmc3k.h5ad into a folder and name it in {FOLDER}, "
            f"or try again with a network connection (if '{cache}' holds a damaged pbmc3k file, delete it). "
            "datasets.embedded() is a smaller data set that needs no network."
        ) from error
    adata.var_names_make_unique()
    sc.pp.filter_genes(adata, min_cells=3)
    labels = louvain.astype(object).reindex(adata.obs_names)
    if labels.isna().all():
        raise DataError(
            f"The cell names of scanpy's pbmc3k ({some(adata.obs_names, 2)}) and pbmc3k_processed "
            f"({some(louvain.index, 2)}) do not match. Delete both files in '{cache}' and try again."
        )
    adata.obs["cell_type"] = pd.Categorical(labels.where(labels.notna(), "UNDETERMINED"))
    adata.X = sp.csr_matrix(adata.X)
    return adata
