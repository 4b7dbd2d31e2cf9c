"""Cells as the portal's files hold them: Ensembl ids, symbols in ``feature_name``, counts in ``raw``."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import scipy.sparse as sp
from anndata import AnnData

SYMBOLS = ["ALB", "APOA1", "CYP3A4", "MT-CO1", "MT-ND1", *(f"GENE{k}" for k in range(35))]
TYPES = ["hepatocyte", "T cell", "fibroblast", "blood vessel endothelial cell"]


def portal_cells(n: int = 60, *, normalized: bool = True) -> AnnData:
    """Return a small data set of the portal; every fifth cell is mostly mitochondrial."""
    rng = np.random.default_rng(0)
    counts = rng.poisson(2.0, (n, len(SYMBOLS))).astype(np.float32)
    counts[::5, 3:5] += 200
    obs = pd.DataFrame(
        {"cell_type": pd.Categorical([TYPES[k % 4] for k in range(n)]), "cell_type_ontology_term_id": "CL:0000182"},
        index=[f"cell{k}" for k in range(n)],
    )
    var = pd.DataFrame(
        {"feature_name": pd.Categorical(SYMBOLS), "feature_biotype": "gene"},
        index=[f"ENSG{k:011d}" for k in range(len(SYMBOLS))],
    )
    adata = AnnData(sp.csr_matrix(counts), obs=obs, var=var, uns={"schema_version": "5.2.0", "title": "Liver"})
    if normalized:
        adata.raw = adata.copy()
        adata.X = sp.csr_matrix(np.log1p(counts))
    return adata


def portal_file(folder: Path) -> bytes:
    """Return the bytes of such a file."""
    path = folder / "portal.h5ad"
    portal_cells().write_h5ad(path)
    return path.read_bytes()
