#!/usr/bin/env bash
# Guess: counts below 256 fit into uint8, so means, variances and tests are those of the same counts as floats.
# What happens: values are squared in their own type, in which 16 * 16 is 0. aggregate gives a variance of 0, of sparse
# counts too. Of dense counts, the variance beside highly variable genes is negative, and the t-test's score of a clear
# marker is 0. Means are right, and nothing is said about the type. uint16 and int16 do the same from larger counts on.
# Version: scanpy 1.11.5.
# Seen: "variance of the marker in its cells: 70.2 as float32, 0.0 as uint8, 0.0 as sparse uint8; in all cells 124.6,
# -131.4, 124.6; its t-test's score 21.8, 0.0, 21.8"
set -euo pipefail
python=${PYTHON:-python3}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"$python" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --no-compile --disable-pip-version-check \
    scanpy==1.11.5 anndata==0.12.19 numpy==2.3.5 scipy==1.17.1 pandas==2.3.3 scikit-learn==1.9.1
cd "$folder"
venv/bin/python -W ignore - <<'PYTHON'
import anndata
import numpy as np
import pandas as pd
import scanpy as sc
import scipy.sparse as sp

rng = np.random.default_rng(0)
counts = rng.poisson(5, (200, 40))
counts[:100, 0] = rng.negative_binomial(10, 0.3, 100)  # a marker of the first hundred cells
assert counts.max() < 256
within, over, score = [], [], []
for form, kind in ((np.asarray, "float32"), (np.asarray, "uint8"), (sp.csr_matrix, "uint8")):
    adata = anndata.AnnData(form(counts.astype(kind)))
    adata.obs["type"] = pd.Categorical(np.repeat(["A", "B"], 100))
    summary = sc.get.aggregate(adata, "type", func=["mean", "var"])
    np.testing.assert_allclose(summary.layers["mean"][0], counts[:100].mean(axis=0), rtol=1e-5)
    within.append(float(summary.layers["var"][0, 0]))
    sc.experimental.pp.highly_variable_genes(adata, n_top_genes=5)
    over.append(float(adata.var["variances"].iloc[0]))
    sc.tl.rank_genes_groups(adata, "type", method="t-test")
    score.append(float(sc.get.rank_genes_groups_df(adata, "A").set_index("names").loc["0", "scores"]))
told = [", ".join(f"{value:.1f}" for value in values) for values in (over, score)]
print(
    f"variance of the marker in its cells: {within[0]:.1f} as float32, {within[1]:.1f} as uint8, {within[2]:.1f} as "
    f"sparse uint8; in all cells {told[0]}; its t-test's score {told[1]}"
)
assert abs(within[0] - counts[:100, 0].var(ddof=1)) < 0.01
assert within[1] == within[2] == 0
assert over[0] > 50 and over[1] < 0 and abs(over[2] - over[0]) < 0.01
assert score[0] > 10 and score[1] == 0 and abs(score[2] - score[0]) < 0.01
PYTHON
