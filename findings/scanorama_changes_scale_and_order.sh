#!/usr/bin/env bash
# Guess: a corrected expression matrix has the cells' scale and the genes' order of what went in.
# What happens: every cell has length 1 afterwards, also where nothing had to be corrected, the genes are sorted as
# text (gene 10 before gene 2) and cut to those that all batches share, and layers are gone. A classifier that
# expects log-normalised values, or genes by position, is asked about something else.
# Version: scanorama 1.7.4.
# Seen: "length of the first cell 20.2 before, 1.0 after; genes g0, g1, g10, g11, g12; layers []"
set -euo pipefail
python=${PYTHON:-python3}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"$python" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --no-compile --disable-pip-version-check \
    scanorama==1.7.4 scikit-learn==1.9.1 anndata==0.12.19 numpy==2.4.6 scipy==1.17.1 pandas==2.3.3
cd "$folder"
venv/bin/python -W ignore - <<'PYTHON'
import contextlib
import io

import anndata
import numpy as np
import scanorama

rng = np.random.default_rng(0)
batches = []
for batch in range(2):
    adata = anndata.AnnData(rng.poisson(3, (60, 30)).astype("float32"))
    adata.var_names = [f"g{i}" for i in range(30)]
    adata.obs_names = [f"cell {batch}-{i}" for i in range(60)]
    adata.layers["counts"] = adata.X.copy()
    batches.append(adata)
with contextlib.redirect_stdout(io.StringIO()):
    corrected = scanorama.correct_scanpy(batches)[0]
before, after = np.linalg.norm(batches[0].X[0]), np.linalg.norm(corrected.X.toarray(), axis=1)
genes = list(corrected.var_names)
print(
    f"length of the first cell {before:.1f} before, {after[0]:.1f} after; "
    f"genes {', '.join(genes[:5])}; layers {list(corrected.layers)}"
)
np.testing.assert_allclose(after, 1, atol=1e-4)
assert genes == sorted(batches[0].var_names) != list(batches[0].var_names)
assert list(corrected.layers) == []
PYTHON
