#!/usr/bin/env bash
# Guess: ComBat cannot say how a batch of a single cell varies; that cell stays as it is, or there is an error.
# What happens: every value of every cell becomes NaN, also in the two large batches. The variance of one cell is 0/0,
# so the effect of its batch is NaN, and the effects of all batches go into one matrix product, in which 0 times NaN is
# NaN. No error or warning says so. With two cells in the batch all is well.
# Version: scanpy 1.11.5.
# Seen: "share of NaN in each batch: of 60, 59 and 1 cells [1.0, 1.0, 1.0], of 60, 58 and 2 cells [0.0, 0.0, 0.0]"
set -euo pipefail
python=${PYTHON:-python3}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"$python" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --no-compile --disable-pip-version-check \
    scanpy==1.11.5 anndata==0.12.19 numpy==2.3.5 scipy==1.17.1 pandas==2.3.3 scikit-learn==1.9.1
cd "$folder"
venv/bin/python - <<'PYTHON'
import warnings

import anndata
import numpy as np
import pandas as pd
import scanpy as sc

values = np.random.default_rng(0).normal(5, 1, (120, 30))


def missing(sizes):
    adata = anndata.AnnData(values.copy())
    adata.obs["batch"] = pd.Categorical(np.repeat(["x", "y", "z"], sizes))
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        sc.pp.combat(adata, key="batch")
    assert not any("batch" in str(one.message) for one in said)
    return [float(np.isnan(adata.X[adata.obs["batch"] == name]).mean()) for name in "xyz"]


one, two = missing([60, 59, 1]), missing([60, 58, 2])
print(f"share of NaN in each batch: of 60, 59 and 1 cells {one}, of 60, 58 and 2 cells {two}")
assert one == [1, 1, 1]
assert two == [0, 0, 0]
PYTHON
