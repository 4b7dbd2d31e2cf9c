#!/usr/bin/env bash
# Guess: an experiment with the one assay "counts" becomes an AnnData whose X is counts.
# What happens: to_anndata puts every assay into layers and leaves X empty (None). On the way back, cells that had
# an AnnData with X and a layer "counts" have an assay named "X" last. The names of cells and genes turn up twice,
# as a column "rownames" too.
# Version: singlecellexperiment 0.7.0.
# Seen: "X None, layers ['counts'], columns of obs ['cell_type', 'rownames']"
set -euo pipefail
python=${PYTHON:-python3}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"$python" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --no-compile --disable-pip-version-check \
    singlecellexperiment==0.7.0 delayedarray==0.6.2 summarizedexperiment==0.8.0 biocframe==0.8.1 biocutils==0.5.0 \
    anndata==0.12.19 numpy==2.4.6 scipy==1.17.1 pandas==2.3.3
cd "$folder"
venv/bin/python -W ignore - <<'PYTHON'
import numpy as np
from biocframe import BiocFrame
from singlecellexperiment import SingleCellExperiment

experiment = SingleCellExperiment(
    assays={"counts": np.ones((2, 3))},
    row_data=BiocFrame({"chromosome": ["1", "2"]}, row_names=["CD4", "CD8A"]),
    column_data=BiocFrame({"cell_type": ["T", "B", "T"]}, row_names=["x", "y", "z"]),
)
adata = experiment.to_anndata()[0]
print(f"X {adata.X}, layers {list(adata.layers)}, columns of obs {list(adata.obs)}")
assert adata.X is None and list(adata.layers) == ["counts"]
assert list(adata.obs) == ["cell_type", "rownames"]
PYTHON
