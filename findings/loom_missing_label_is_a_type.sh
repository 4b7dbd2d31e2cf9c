#!/usr/bin/env bash
# Guess: a cell without a label has none after the data went through a loom file, as with h5ad.
# What happens: the missing label comes back as the text "nan", a cell type like any other for isna, training and
# counting. True and False come back as 1 and 0.
# Version: anndata 0.12.19 with loompy 3.0.8, read by scanpy 1.11.5.
# Seen: "labels ['B', 'nan', 'T'], missing 0; flags [1, 0, 1] of type uint8"
set -euo pipefail
python=${PYTHON:-python3}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"$python" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --no-compile --disable-pip-version-check \
    loompy==3.0.8 setuptools==80.9.0 scanpy==1.11.5 anndata==0.12.19 numpy==2.4.6 scipy==1.17.1 pandas==2.3.3 \
    scikit-learn==1.9.1
cd "$folder"
venv/bin/python -W ignore - <<'PYTHON'
import anndata
import numpy as np
import pandas as pd
import scanpy as sc
import scipy.sparse as sp

obs = pd.DataFrame(
    {"cell_type": pd.Categorical(["B", None, "T"]), "doublet": [True, False, True]}, index=["x", "y", "z"]
)
adata = anndata.AnnData(sp.csr_matrix(np.ones((3, 2), dtype="float32")), obs=obs)
adata.write_loom("cells.loom")
back = sc.read_loom("cells.loom").obs
labels, flags = [str(label) for label in back["cell_type"]], back["doublet"]
print(
    f"labels {labels}, missing {back['cell_type'].isna().sum()}; flags {flags.tolist()} of type {flags.dtype}"
)
assert labels == ["B", "nan", "T"]
assert back["cell_type"].isna().sum() == 0 and flags.dtype == "uint8"
PYTHON
