#!/usr/bin/env bash
# Guess: the order of the columns is no biology: AUCell scores of the same cells are the same with the genes
# reversed.
# What happens: equal values, above all the many zeros, are ranked by their place in the table (after one fixed
# shuffle). Cells that have none of a set's genes score above 0, more or less so after a change of the order. ulm
# gives the same scores for both orders.
# Version: decoupler 2.2.0.
# Seen: "cells without any of the set's genes: highest score 0.02 in one order, 0.11 in the other; of 30 cells 30
# change"
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

counts = np.random.default_rng(0).poisson(0.2, (30, 60)).astype("float32")
adata = anndata.AnnData(counts)
sets = pd.DataFrame({"source": "T", "target": [str(i) for i in range(6)], "weight": 1.0})
turned = adata[:, ::-1].copy()
scores = {}
for name in ("aucell", "ulm"):
    for data in (adata, turned):
        getattr(dc.mt, name)(data, sets, n_up=20) if name == "aucell" else getattr(dc.mt, name)(data, sets)
    scores[name] = [data.obsm[f"score_{name}"]["T"].to_numpy() for data in (adata, turned)]
first, second = scores["aucell"]
empty = (counts[:, :6] == 0).all(axis=1)
low, high = sorted((first[empty].max(), second[empty].max()))
print(
    f"cells without any of the set's genes: highest score {low:.2f} in one order, {high:.2f} in the other; "
    f"of 30 cells {(abs(first - second) > 1e-6).sum()} change"
)
assert high > 0.1
assert (abs(first - second) > 1e-6).sum() > 5
np.testing.assert_allclose(*scores["ulm"], atol=1e-5)
PYTHON
