#!/usr/bin/env bash
# Guess: the score of a gene set says something about a cell, so it depends on what is in that cell.
# What happens: the control genes are drawn at random from bins that are cut over all cells, by position. The same
# cells without their neighbours, or with the genes in another order, get other scores, of either sign.
# Version: scanpy 1.11.5.
# Seen: "of 50 cells, 14 change sign when the others leave, 15 when the genes are reversed"
set -euo pipefail
python=${PYTHON:-python3}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"$python" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --no-compile --disable-pip-version-check \
    scanpy==1.11.5 anndata==0.12.19 numpy==2.4.6 scipy==1.17.1 pandas==2.3.3 scikit-learn==1.9.1
cd "$folder"
venv/bin/python -W ignore - <<'PYTHON'
import anndata
import numpy as np
import scanpy as sc

rng = np.random.default_rng(0)
adata = anndata.AnnData(rng.poisson(2, (100, 60)).astype("float32"))
adata.obs_names = [f"cell {i}" for i in range(100)]
adata.var_names = [f"gene {i}" for i in range(60)]
sc.pp.log1p(adata)


def score(data):
    data = data.copy()
    sc.tl.score_genes(data, ["gene 0", "gene 1"], ctrl_size=5, n_bins=5)
    return data.obs["score"].to_numpy()[:50]


whole, alone, turned = score(adata), score(adata[:50]), score(adata[:, ::-1])
assert (whole == score(adata)).all()
few, order = int((np.sign(whole) != np.sign(alone)).sum()), int((np.sign(whole) != np.sign(turned)).sum())
print(f"of 50 cells, {few} change sign when the others leave, {order} when the genes are reversed")
assert few > 0
assert order > 0
PYTHON
