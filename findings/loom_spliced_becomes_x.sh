#!/usr/bin/env bash
# Guess: the main matrix of a loom file is X, and further matrices are layers, as the format has it.
# What happens: if the file has a layer named "spliced" (as velocyto writes), scanpy.read_loom makes that X and puts
# the main matrix in layers["matrix"]. In a file without that layer the main matrix is X. Nothing is said: counts
# are too low.
# Version: scanpy 1.11.5 (anndata 0.12.19), file written by loompy 3.0.8.
# Seen: "main matrix 5.0, spliced 2.0: X is 2.0, layers are ['matrix', 'spliced', 'unspliced']"
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
import loompy
import numpy as np
import scanpy as sc

main = np.full((4, 3), 5.0)
genes, cells = {"Gene": np.array(list("abcd"))}, {"CellID": np.array(list("xyz"))}
loompy.create("velocity.loom", {"": main, "spliced": main - 3, "unspliced": main - 4}, genes, cells)
loompy.create("plain.loom", main, genes, cells)
adata, plain = sc.read_loom("velocity.loom"), sc.read_loom("plain.loom")
print(f"main matrix 5.0, spliced 2.0: X is {adata.X.max()}, layers are {sorted(adata.layers)}")
assert adata.X.toarray().max() == 2 and adata.layers["matrix"].toarray().min() == 5
assert plain.X.toarray().min() == 5
PYTHON
