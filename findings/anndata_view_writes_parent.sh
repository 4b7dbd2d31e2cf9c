#!/usr/bin/env bash
# Guess: a view is copied when it is written to, so that the object it was cut from stays as it was. That is what
# happens when obs or a layer of a view is set ("ImplicitModificationWarning: copy").
# What happens: setting X of a view does not copy: the values land in the object that the view was cut from, and the
# view stays a view. Setting a layer of the same view leaves the first object alone. (anndata 0.13 copies in both
# cases.)
# Version: anndata 0.12.19.
# Seen: "after view.X = 0: parent's X [0, 0, 9]; after view.layers['counts'] = 0: parent's layer [7, 8, 9]"
set -euo pipefail
python=${PYTHON:-python3}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"$python" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --no-compile --disable-pip-version-check \
    anndata==0.12.19 numpy==2.4.6 scipy==1.17.1 pandas==2.3.3
cd "$folder"
venv/bin/python -W ignore - <<'PYTHON'
import anndata
import numpy as np

values = np.array([[7.0], [8.0], [9.0]], dtype="float32")
adata = anndata.AnnData(values.copy(), layers={"counts": values.copy()})
view = adata[:2]
view.X = np.zeros((2, 1), dtype="float32")
assert view.is_view
other = anndata.AnnData(values.copy(), layers={"counts": values.copy()})
second = other[:2]
second.layers["counts"] = np.zeros((2, 1), dtype="float32")
assert not second.is_view
x, layer = adata.X.ravel().astype(int).tolist(), other.layers["counts"].ravel().astype(int).tolist()
print(f"after view.X = 0: parent's X {x}; after view.layers['counts'] = 0: parent's layer {layer}")
assert x == [0, 0, 9]
assert layer == [7, 8, 9]
PYTHON
