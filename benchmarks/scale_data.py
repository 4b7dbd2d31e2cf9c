"""Data sets of any size, simulated from PBMC3k and written block by block: never whole in memory.

A simulated cell is two cells of one type of PBMC3k, added and drawn anew (Poisson, with a depth of its own), so that
every cell is another one and about as sparse as the real ones. Genes up to 20,000 are rare ones, seen in 0.01% to 2%
of the cells. Values are log-normalised (counts per 10,000), float32. One cluster, ``B, attacked``, holds 10,000 cells
(a tenth of smaller data sets), strewn over the whole file.

    python benchmarks/scale_data.py 1000000 benchmarks/data/1M.h5ad     (and 1M.zarr)
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import anndata
import h5py
import numpy as np
import pandas as pd
import scipy.sparse as sp
import zarr
from anndata.io import sparse_dataset, write_elem

from common import data_folder

GENES = 20_000
CELLS_AT_A_TIME = 10_000
ATTACKED = "B, attacked"


def clusters(n_cells: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return each cell's type, with the shares of PBMC3k, and its cluster."""
    import adverscarial as adv

    data_folder()
    types = adv.datasets.pbmc3k().obs["cell_type"].astype(str)
    shares = types[types != "UNDETERMINED"].value_counts(normalize=True).sort_index()
    rng = np.random.default_rng(seed)
    kind = rng.choice(shares.index.to_numpy(dtype=str), n_cells, p=shares.to_numpy()).astype(object)
    cluster = kind.copy()
    cluster[rng.choice(np.flatnonzero(kind == "B"), min(10_000, n_cells // 10), replace=False)] = ATTACKED
    return kind, cluster


def blocks(kind: np.ndarray, seed: int) -> Iterator[sp.csr_matrix]:
    """Yield the log-normalised values, some thousand cells at a time."""
    import adverscarial as adv

    real = adv.datasets.pbmc3k()
    counts = sp.csr_matrix(real.X, dtype=np.float64)
    members = {name: np.flatnonzero(real.obs["cell_type"] == name) for name in np.unique(kind)}
    n_rare = GENES - real.n_vars
    rates = 10 ** np.random.default_rng(seed).uniform(-4, -1.7, n_rare)
    for start in range(0, len(kind), CELLS_AT_A_TIME):
        here = kind[start : start + CELLS_AT_A_TIME]
        rng = np.random.default_rng([seed, start])
        pairs = np.array([rng.choice(members[name], 2) for name in here])
        cells = counts[pairs[:, 0]] + counts[pairs[:, 1]]
        depth = rng.lognormal(-0.4, 0.3, len(here))
        cells.data = rng.poisson(cells.data * np.repeat(depth, np.diff(cells.indptr))).astype(np.float64)
        rare = sp.csr_matrix(rng.random((len(here), n_rare), dtype=np.float32) < rates, dtype=np.float64)
        cells = sp.hstack([cells, rare], format="csr")
        cells.eliminate_zeros()
        totals = np.asarray(cells.sum(axis=1)).ravel()
        cells.data = np.log1p(cells.data / np.repeat(totals, np.diff(cells.indptr)) * 1e4)
        yield _wide(cells.astype(np.float32))


def write(path: Path, n_cells: int, seed: int = 0) -> None:
    """Write a data set as .h5ad."""
    import adverscarial as adv

    kind, cluster = clusters(n_cells, seed)
    names = adv.datasets.pbmc3k().var_names
    genes = [*names, *(f"RARE{i:05d}" for i in range(GENES - len(names)))]
    obs = pd.DataFrame(
        {"cell_type": pd.Categorical(kind), "cluster": pd.Categorical(cluster)},
        index=[f"cell{i}" for i in range(n_cells)],
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        _write(file, anndata.AnnData(obs=obs, var=pd.DataFrame(index=genes)), blocks(kind, seed))


def as_zarr(path: Path) -> None:
    """Write a data set again, beside itself, as .zarr."""
    backed = anndata.read_h5ad(path, backed="r")
    empty = anndata.AnnData(obs=backed.obs, var=backed.var)
    parts = (backed.X[i : i + CELLS_AT_A_TIME] for i in range(0, backed.n_obs, CELLS_AT_A_TIME))
    _write(zarr.open_group(path.with_suffix(".zarr"), mode="w"), empty, (_wide(part) for part in parts))


def _write(root: h5py.File | zarr.Group, empty: anndata.AnnData, parts: Iterator[sp.csr_matrix]) -> None:
    write_elem(root, "/", empty)
    write_elem(root, "X", next(parts))
    for part in parts:
        sparse_dataset(root["X"]).append(part)


def _wide(part: sp.csr_matrix) -> sp.csr_matrix:
    part.indptr = part.indptr.astype(np.int64)  # the whole may have more values than int32 counts
    return part


if __name__ == "__main__":
    write(Path(sys.argv[2]), int(sys.argv[1]))
    as_zarr(Path(sys.argv[2]))
