#!/usr/bin/env bash
# Guess: chunksize is there for memory and speed, as its description says; the copy numbers do not depend on it.
# What happens: what is small against the spread of the smoothed values is set to 0, and that spread is taken over the
# cells of one chunk, not over all. The gain of a cell is kept or wiped out by its company in the chunk: by chunksize
# and by the order of the cells. With the default of 5000 this concerns all larger data sets.
# Version: infercnvpy 0.6.1.
# Seen: "cells whose small gain is found: 0 of 100 in one chunk, 100 with chunksize 100, 0 with chunksize 100 and the
# cells in another order"
set -euo pipefail
python=${PYTHON:-python3}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"$python" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --no-compile --disable-pip-version-check \
    infercnvpy==0.6.1 scanpy==1.11.5 anndata==0.12.19 numpy==2.3.5 scipy==1.17.1 pandas==2.3.3 scikit-learn==1.9.1
cd "$folder"
venv/bin/python -W ignore - <<'PYTHON'
import anndata
import infercnvpy
import numpy as np
import pandas as pd

rng = np.random.default_rng(0)
kinds = np.repeat(["normal", "small gain", "large gain"], 100)
values = rng.normal(0, 0.3, (300, 400)).astype("float32")
values[kinds == "small gain", 100:200] += 0.5  # the second of four chromosomes
values[kinds == "large gain", 100:200] += 2.5
adata = anndata.AnnData(values)
adata.obs["kind"] = pd.Categorical(kinds)
adata.var["chromosome"] = [f"chr{1 + gene // 100}" for gene in range(400)]
adata.var["start"] = 1000 * np.arange(400)
adata.var["end"] = adata.var["start"] + 500


def gained(data, chunksize):
    settings = {"window_size": 50, "n_jobs": 1, "inplace": False, "chunksize": chunksize}
    places, found, _ = infercnvpy.tl.infercnv(data, reference_key="kind", reference_cat="normal", **settings)
    second = found.toarray()[:, places["chr2"] : places["chr3"]]
    return int((second[data.obs["kind"] == "small gain"] > 0).any(axis=1).sum())


whole, chunks = gained(adata, 5000), gained(adata, 100)
mixed = gained(adata[rng.permutation(300)].copy(), 100)
print(
    f"cells whose small gain is found: {whole} of 100 in one chunk, {chunks} with chunksize 100, {mixed} with "
    "chunksize 100 and the cells in another order"
)
assert whole < 10
assert chunks > 90
assert mixed < 10
PYTHON
