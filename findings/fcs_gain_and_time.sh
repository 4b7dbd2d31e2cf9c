#!/usr/bin/env bash
# Guess: two readers of the same file of a cytometer give the same numbers.
# What happens: flowio divides each channel by its gain ($PnG) and counts time in seconds ($TIMESTEP) unless it is told
# not to. readfcs, which makes an AnnData by way of fcsparser, gives the numbers as they lie in the file; the gain
# stands in var. A threshold or a model of the one is wrong by the gain for the other.
# Version: flowio 1.4.0, readfcs 2.1.1, fcsparser 0.2.8.
# Seen: "a cell with 20 in CD4, gain 4, 3 in Time, step 0.1: flowio CD4 5.0, Time 0.3; readfcs CD4 20.0, Time 3.0;
# flowio, preprocess=False, CD4 20.0, Time 3.0"
set -euo pipefail
python=${PYTHON:-python3}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"$python" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --no-compile --disable-pip-version-check \
    flowio==1.4.0 readfcs==2.1.1 fcsparser==0.2.8 six==1.17.0 anndata==0.12.19 numpy==1.26.4 scipy==1.13.1 pandas==2.2.3
cd "$folder"
venv/bin/python -W ignore - <<'PYTHON'
import flowio
import numpy as np
import readfcs

channels = ["CD3", "CD4", "Time"]
events = np.array([[10, 20, 3], [30, 40, 4]], dtype=float)
keywords = {"p2g": "4.0", "timestep": "0.1"}
with open("cells.fcs", "wb") as file:
    flowio.create_fcs(file, events.ravel().tolist(), ["FL1-A", "FL2-A", "Time"], channels, metadata_dict=keywords)
adata = readfcs.read("cells.fcs")
assert list(adata.var_names) == channels
assert float(adata.var.loc["CD4", "PnG"]) == 4
found = {
    "flowio": flowio.FlowData("cells.fcs").as_array(),
    "readfcs": np.asarray(adata.X),
    "flowio, preprocess=False,": flowio.FlowData("cells.fcs").as_array(preprocess=False),
}
told = "; ".join(f"{name} CD4 {values[0, 1]:.1f}, Time {values[0, 2]:.1f}" for name, values in found.items())
print(f"a cell with 20 in CD4, gain 4, 3 in Time, step 0.1: {told}")
np.testing.assert_allclose(found["flowio"], events / [1, 4, 10])
np.testing.assert_allclose(found["readfcs"], events)
np.testing.assert_allclose(found["flowio, preprocess=False,"], events)
PYTHON
