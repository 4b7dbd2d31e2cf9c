#!/usr/bin/env bash
# Guess: the univariate linear model is fitted within each cell, so a cell's score needs no other cell.
# What happens: genes that are 0 in all the cells given are left out before the fit. A cell asked alone gets another
# score than among others, and a gene set whose genes lie among them falls below tmin and is left out of the scores
# with no warning.
# Version: decoupler 2.2.0.
# Seen: "score of the first cell: 0.54 among 30 cells, -0.30 alone", "sets scored: ['B', 'T'] among 30 cells, ['T']
# alone"
set -euo pipefail
python=${PYTHON:-python3}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"$python" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --no-compile --disable-pip-version-check \
    decoupler==2.2.0 scikit-learn==1.9.1 anndata==0.12.19 numpy==2.4.6 scipy==1.17.1 pandas==2.3.3
cd "$folder"
venv/bin/python -W ignore - <<'PYTHON'
import anndata
import decoupler as dc
import numpy as np
import pandas as pd

counts = np.random.default_rng(0).poisson(1, (30, 60)).astype("float32")
counts[0, 10:16] = 0  # the genes of B are silent in the first cell
adata = anndata.AnnData(counts)
adata.obs_names = [f"cell {i}" for i in range(30)]
sets = pd.DataFrame({
    "source": ["T"] * 20 + ["B"] * 6,
    "target": [str(i) for i in [*range(20, 40), *range(10, 16)]],
    "weight": 1.0,
})
alone = adata[:1].copy()
dc.mt.ulm(adata, sets)
dc.mt.ulm(alone, sets)
among, one = adata.obsm["score_ulm"], alone.obsm["score_ulm"]
print(f"score of the first cell: {among['T'].iloc[0]:.2f} among 30 cells, {one['T'].iloc[0]:.2f} alone")
print(f"sets scored: {sorted(among)} among 30 cells, {sorted(one)} alone")
assert abs(among["T"].iloc[0] - one["T"].iloc[0]) > 0.05
assert sorted(among) == ["B", "T"] and sorted(one) == ["T"]
PYTHON
