#!/usr/bin/env bash
# Guess: obs is a DataFrame; a column that was dropped from it is gone once the file has been overwritten.
# What happens: overwrite writes the columns that are there and keeps all others of the file, also those that were
# read and dropped. So a column of personal details stays in the file that is passed on. (The class's own
# remove_column removes it.)
# Version: cap-anndata 0.6.0.
# Seen: "in memory ['cell_type'], in the file ['cell_type', 'donor']"
set -euo pipefail
python=${PYTHON:-python3}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"$python" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --no-compile --disable-pip-version-check \
    cap-anndata==0.6.0 anndata==0.12.19 numpy==2.4.6 scipy==1.17.1 pandas==2.3.3
cd "$folder"
venv/bin/python -W ignore - <<'PYTHON'
import anndata
import cap_anndata
import numpy as np
import pandas as pd

obs = pd.DataFrame({"donor": ["d1", "d2", "d1"], "cell_type": ["T", "B", "T"]}, index=["x", "y", "z"])
anndata.AnnData(np.ones((3, 2), dtype="float32"), obs=obs).write_h5ad("cells.h5ad")
with cap_anndata.read_h5ad("cells.h5ad", edit=True) as file:
    file.read_obs()
    file.obs.drop(columns=["donor"], inplace=True)
    memory = list(file.obs.columns)
    file.overwrite(["obs"])
stored = sorted(anndata.read_h5ad("cells.h5ad").obs)
print(f"in memory {memory}, in the file {stored}")
assert memory == ["cell_type"] and stored == ["cell_type", "donor"]
PYTHON
