#!/usr/bin/env bash
# Guess: a count matrix means the same to XGBoost as scipy.sparse and as a dense array, as it does to scikit-learn.
# What happens: an entry that a sparse matrix leaves out is a missing value, not 0. A model fitted on the sparse
# matrix sends it along each tree's default way, so that the same cells, asked as a dense array, get other labels,
# and the reverse.
# Version: xgboost-cpu 3.2.0.
# Seen: "fitted on sparse: 1.00 right on sparse, 0.87 right on dense", "fitted on dense: 0.29 right on sparse, 1.00
# right on dense"
set -euo pipefail
python=${PYTHON:-python3}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"$python" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --no-compile --disable-pip-version-check \
    xgboost-cpu==3.2.0 scikit-learn==1.9.1 numpy==2.4.6 scipy==1.17.1
cd "$folder"
venv/bin/python -W ignore - <<'PYTHON'
import numpy as np
import scipy.sparse as sp
import xgboost

rng = np.random.default_rng(0)
dense = rng.poisson(1, (300, 20)).astype("float32")
labels = (dense[:, 0] + dense[:, 1] > 2).astype(int) + (dense[:, 2] > 2)
sparse = sp.csr_matrix(dense)
assert (sparse.toarray() == dense).all()

right = {}
for name, data in {"sparse": sparse, "dense": dense}.items():
    model = xgboost.XGBClassifier(n_estimators=20, max_depth=3).fit(data, labels)
    right[name] = [float((model.predict(asked) == labels).mean()) for asked in (sparse, dense)]
    print(f"fitted on {name}: {right[name][0]:.2f} right on sparse, {right[name][1]:.2f} right on dense")
assert right["sparse"][0] == 1 and right["sparse"][1] < 0.95
assert right["dense"][1] == 1 and right["dense"][0] < 0.5
PYTHON
