#!/usr/bin/env bash
# Guess: MuData holds the modalities it was given; making its own names unique is its own matter.
# What happens: the modalities are held by reference, and var_names_make_unique renames their genes too: the AnnData
# objects that went in have "rna:CD4" for a gene from then on, and CD4 is no longer found in them.
# Version: mudata 0.3.10.
# Seen: "rna before ['CD4', 'CD8A'], after ['rna:CD4', 'rna:CD8A']"
set -euo pipefail
python=${PYTHON:-python3}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"$python" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --no-compile --disable-pip-version-check \
    mudata==0.3.10 anndata==0.12.19 numpy==2.4.6 scipy==1.17.1 pandas==2.3.3
cd "$folder"
venv/bin/python -W ignore - <<'PYTHON'
import anndata
import mudata
import numpy as np

rna = anndata.AnnData(np.ones((3, 2), dtype="float32"))
rna.var_names = ["CD4", "CD8A"]
protein = rna.copy()
before = list(rna.var_names)
both = mudata.MuData({"rna": rna, "protein": protein})
both.var_names_make_unique()
print(f"rna before {before}, after {list(rna.var_names)}")
assert list(rna.var_names) == ["rna:CD4", "rna:CD8A"]
assert "CD4" not in rna.var_names
PYTHON
