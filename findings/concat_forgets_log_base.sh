#!/usr/bin/env bash
# Guess: cells cut in two and put together again (anndata.concat) give the fold changes that they gave before.
# What happens: scanpy notes the base of the logarithm in uns["log1p"], concat drops uns, and rank_genes_groups then
# takes the natural logarithm for granted. After log1p(base=2) all fold changes come out wrong, with no warning.
# Version: scanpy 1.11.5 with anndata 0.12.19.
# Seen: "fold change of the gene 2.00 before, 2.83 after concat"
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
counts = rng.poisson(20, (200, 3)).astype("float32")
counts[:100, 0] = 4 * 20  # four times as many: a log2 fold change of 2
counts[100:, 0] = 20
adata = anndata.AnnData(counts)
adata.obs["half"] = ["a"] * 100 + ["b"] * 100
adata.obs_names = [f"cell {i}" for i in range(200)]
sc.pp.log1p(adata, base=2)
again = anndata.concat([adata[:50], adata[50:]])
assert (again.X == adata.X).all()
fold = []
for data in (adata, again):
    data.obs["half"] = data.obs["half"].astype("category")
    sc.tl.rank_genes_groups(data, "half", method="t-test")
    table = sc.get.rank_genes_groups_df(data, "a").set_index("names")
    fold.append(float(table.loc["0", "logfoldchanges"]))
print(f"fold change of the gene {fold[0]:.2f} before, {fold[1]:.2f} after concat")
assert abs(fold[0] - 2) < 0.01
assert fold[1] > 2.4
PYTHON
