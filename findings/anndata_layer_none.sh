#!/usr/bin/env bash
# Guess: an object with nothing but X has no layers, and every name of a layer is text.
# What happens: X is listed among the layers, under the name None. A loop over adata.layers meets X once more,
# sorting the names fails as soon as there is a layer with a real name, and deleting that layer None takes X away.
# (In 0.12 only real layers are listed.)
# Version: anndata 0.13.4, which needs Python 3.12 or newer.
# Seen: "layers: [None]; sorted: '<' not supported between instances of 'str' and 'NoneType'; X after deletion:
# None"
set -euo pipefail
python=${PYTHON:-python3}
"$python" -c "import sys; sys.exit(sys.version_info < (3, 12))" || {
    echo "This needs Python 3.12 or newer: PYTHON=python3.13 $0" >&2
    exit 2
}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"$python" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --no-compile --disable-pip-version-check \
    anndata==0.13.4 numpy==2.5.5 scipy==1.18.1 pandas==3.1.1
cd "$folder"
venv/bin/python -W ignore - <<'PYTHON'
import anndata
import numpy as np

adata = anndata.AnnData(np.ones((3, 2), dtype="float32"))
names = list(adata.layers)
adata.layers["counts"] = adata.X.copy()
try:
    sorted(adata.layers)
except TypeError as error:
    message = str(error)
else:
    raise SystemExit("names can be sorted")
del adata.layers[None]
print(f"layers: {names}; sorted: {message}; X after deletion: {adata.X}")
assert names == [None]
assert adata.X is None
PYTHON
