#!/usr/bin/env bash
# Guess: what is written to a loom file is read back, or refused.
# What happens: loompy leaves out every letter that is not ASCII. Cell types that differ in a Greek letter only
# become one.
# Version: loompy 3.0.8.
# Seen: "written ['αβ T', 'γδ T', 'B'], read [' T', ' T', 'B']"
set -euo pipefail
python=${PYTHON:-python3}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"$python" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --no-compile --disable-pip-version-check \
    loompy==3.0.8 setuptools==80.9.0 numpy==2.4.6 scipy==1.17.1
cd "$folder"
venv/bin/python -W ignore - <<'PYTHON'
import loompy
import numpy as np

written = ["αβ T", "γδ T", "B"]
loompy.create(
    "types.loom", np.ones((2, 3)), {"Gene": np.array(["a", "b"])},
    {"CellID": np.array(["x", "y", "z"]), "cell_type": np.array(written)},
)
with loompy.connect("types.loom", mode="r") as file:
    read = [str(label) for label in file.ca.cell_type]
print(f"written {written}, read {read}")
assert read == [" T", " T", "B"]
PYTHON
