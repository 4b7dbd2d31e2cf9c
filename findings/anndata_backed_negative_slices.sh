#!/usr/bin/env bash
# Guess: slices with negative numbers mean the same for a file that is open (backed="r") as in memory, or are
# refused.
# What happens, for a sparse X: adata[::-1] has six cell names but an X of five rows, and no error until something
# counts them; adata[-2:] is an error from scipy about an index pointer. The same slices of a dense X: [-2:] works,
# [::-1] is refused.
# Version: anndata 0.13.4, which needs Python 3.12 or newer.
# Seen: "[::-1]: 6 names, X of shape (5, 4)", "[-2:]: index pointer size 2 should be 3"
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
import scipy.sparse as sp

values = np.arange(1, 25, dtype="float32").reshape(6, 4)
anndata.AnnData(sp.csr_matrix(values)).write_h5ad("sparse.h5ad")
anndata.AnnData(values).write_h5ad("dense.h5ad")

memory, opened = anndata.read_h5ad("sparse.h5ad"), anndata.read_h5ad("sparse.h5ad", backed="r")
assert (memory[::-1].X.toarray() == values[::-1]).all()
assert (memory[-2:].X.toarray() == values[-2:]).all()
back = opened[::-1]
print(f"[::-1]: {len(back.obs_names)} names, X of shape {back.X.shape}")
assert back.X.shape == (5, 4)
try:
    opened[-2:].X
except ValueError as error:
    print("[-2:]:", error)
    assert "index pointer" in str(error)
else:
    raise SystemExit("[-2:] works now")
dense = anndata.read_h5ad("dense.h5ad", backed="r")
assert (dense[-2:].X == values[-2:]).all()
PYTHON
