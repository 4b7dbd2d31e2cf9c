#!/usr/bin/env bash
# Guess: concat_on_disk does in files what concat does in memory: counts and normalised values together become floats.
# What happens: with sparse X all values are written in the type of the first file. After a file of int32, 0.5 becomes
# 0 and 2.5 becomes 2; after a file of uint8, a count of 300 becomes 255. The files the other way round are put together
# without loss. Nothing is said.
# Version: anndata 0.12.19.
# Seen: "0.5 and 2.5 after int32: in memory [0.5, 2.5], on disk [0, 2], on disk the other way round [0.5, 2.5]; 3 and
# 300 after uint8: in memory [3, 300], on disk [3, 255], on disk the other way round [3, 300]"
set -euo pipefail
python=${PYTHON:-python3}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"$python" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --no-compile --disable-pip-version-check \
    anndata==0.12.19 numpy==2.3.5 scipy==1.17.1 pandas==2.3.3
cd "$folder"
venv/bin/python -W ignore - <<'PYTHON'
import anndata
import numpy as np
import scipy.sparse as sp
from anndata.experimental import concat_on_disk


def last(adata):
    return adata["after"].X.toarray()[0].tolist()


told = []
for kind, second, wider, left in (("int32", [0.5, 2.5], "float64", [0, 2]), ("uint8", [3, 300], "int64", [3, 255])):
    parts = []
    for name, row, stored in (("before", [1, 2], kind), ("after", second, wider)):
        part = anndata.AnnData(sp.csr_matrix(np.array([row], dtype=stored)))
        part.obs_names = [name]
        part.write_h5ad(f"{name}.h5ad")
        parts.append(part)
    found = [last(anndata.concat(parts))]
    for files in (["before.h5ad", "after.h5ad"], ["after.h5ad", "before.h5ad"]):
        concat_on_disk(files, "both.h5ad")
        found.append(last(anndata.read_h5ad("both.h5ad")))
    told.append(
        f"{second[0]} and {second[1]} after {kind}: in memory {found[0]}, on disk {found[1]}, on disk the other way "
        f"round {found[2]}"
    )
    assert found[0] == second and found[2] == second
    assert found[1] == left
print("; ".join(told))
PYTHON
