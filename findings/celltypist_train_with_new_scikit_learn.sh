#!/usr/bin/env bash
# Guess: pip installs versions that work together; training a model with the newest of all is fine.
# What happens: celltypist asks for scikit-learn in any newer version, and its default solver passes an argument
# that scikit-learn has taken away. Training fails with a TypeError; with use_SGD=True it works.
# Version: celltypist 1.7.1 with scikit-learn 1.9.1.
# Seen: "default: LogisticRegression.__init__() got an unexpected keyword argument 'multi_class'; use_SGD: ['B'
# 'T']"
set -euo pipefail
python=${PYTHON:-python3}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"$python" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --no-compile --disable-pip-version-check \
    celltypist==1.7.1 leidenalg==0.12.0 scanpy==1.11.5 anndata==0.12.19 numpy==2.4.6 scipy==1.17.1 pandas==2.3.3 \
    scikit-learn==1.9.1
cd "$folder"
venv/bin/python -W ignore - <<'PYTHON'
import logging

import anndata
import celltypist
import numpy as np
import scanpy as sc

logging.disable(logging.CRITICAL)
counts = np.random.default_rng(0).poisson(1, (200, 50)).astype("float32")
counts[:100, :5] += 10
adata = anndata.AnnData(counts, obs={"label": ["T"] * 100 + ["B"] * 100})
sc.pp.normalize_total(adata, target_sum=1e4)
sc.pp.log1p(adata)
options = {"n_jobs": 1, "max_iter": 100, "check_expression": False}
try:
    celltypist.train(adata, "label", **options)
except TypeError as error:
    message = str(error)
else:
    raise SystemExit("the default solver works")
model = celltypist.train(adata, "label", use_SGD=True, **options)
print(f"default: {message}; use_SGD: {model.cell_types}")
assert "multi_class" in message
assert list(model.cell_types) == ["B", "T"]
PYTHON
