#!/usr/bin/env bash
# Guess: the folder (matrix.mtx) and the file (.h5) that Cell Ranger writes for one sample are read as the same
# thing.
# What happens: from the .h5 come two modalities, RNA and antibodies; from the folder comes one, called RNA, with
# the antibodies among its genes. In both, "-1" is cut off the barcodes: none of the cells has the name that scanpy
# gives it.
# Version: pegasusio 0.11.0, scanpy 1.11.5.
# Seen: "folder {'unknown-rna': 3}, file {'GRCh38-citeseq': 1, 'GRCh38-rna': 2}; barcodes AAAC and AAAC-1"
set -euo pipefail
python=${PYTHON:-python3}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"$python" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --no-compile --disable-pip-version-check \
    pegasusio==0.11.0 scanpy==1.11.5 anndata==0.12.19 numpy==2.4.6 scipy==1.17.1 pandas==2.3.3 scikit-learn==1.9.1 \
    h5py==3.16.0
cd "$folder"
venv/bin/python -W ignore - <<'PYTHON'
import gzip
import logging
import os

import h5py
import numpy as np
import pegasusio
import scanpy as sc
import scipy.io
import scipy.sparse as sp

logging.disable(logging.INFO)
counts = sp.csc_matrix(np.array([[1, 0], [2, 3], [9, 8]], dtype="int32"))  # features x cells
ids, names = ["ENSG1", "ENSG2", "CD4"], ["CD4", "CD8A", "CD4_protein"]
kinds = ["Gene Expression"] * 2 + ["Antibody Capture"]
barcodes = ["AAAC-1", "AAAG-1"]
os.mkdir("sample")
with gzip.open("sample/matrix.mtx.gz", "wb") as file:
    scipy.io.mmwrite(file, counts)
for name, lines in {"features": zip(ids, names, kinds, strict=True), "barcodes": zip(barcodes, strict=True)}.items():
    with gzip.open(f"sample/{name}.tsv.gz", "wt") as file:
        file.writelines("\t".join(line) + "\n" for line in lines)
with h5py.File("sample.h5", "w") as file:
    for key in ("data", "indices", "indptr"):
        file[f"matrix/{key}"] = getattr(counts, key)
    file["matrix/shape"] = np.array(counts.shape, dtype="int32")
    file["matrix/barcodes"] = np.array(barcodes, dtype="S")
    columns = {"id": ids, "name": names, "feature_type": kinds, "genome": ["GRCh38", "GRCh38", ""]}
    for key, values in columns.items():
        file[f"matrix/features/{key}"] = np.array(values, dtype="S")

found, cells = [], set()
for path in ("sample", "sample.h5"):
    data = pegasusio.read_input(path)
    found.append({key: int(data.get_data(key).shape[1]) for key in sorted(data.list_data())})
    cells |= set(data.obs_names)
theirs = list(sc.read_10x_h5("sample.h5").obs_names)
print(f"folder {found[0]}, file {found[1]}; barcodes {min(cells)} and {theirs[0]}")
assert found == [{"unknown-rna": 3}, {"GRCh38-citeseq": 1, "GRCh38-rna": 2}]
assert cells == {"AAAC", "AAAG"} and theirs == barcodes
PYTHON
