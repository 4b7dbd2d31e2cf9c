#!/usr/bin/env bash
# Guess: a table of cells x components is read as such, also when there happen to be as many cells as components.
# What happens: the orientation is told from the shape, and components x cells is tried first. A square table is
# read the other way round: its columns are taken for cells, and the corrected table is far from the one with one
# component less, or more.
# Version: harmonypy 2.1.0.
# Seen: "40 cells; largest move of a coordinate: 39 components 1.3, 40 components 7.4 (0.5 if transposed), 41
# components 1.5"
set -euo pipefail
python=${PYTHON:-python3}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"$python" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --no-compile --disable-pip-version-check \
    harmonypy==2.1.0 scikit-learn==1.9.1 numpy==2.4.6 scipy==1.17.1 pandas==2.3.3
cd "$folder"
venv/bin/python -W ignore - <<'PYTHON'
import harmonypy
import numpy as np
import pandas as pd

rng = np.random.default_rng(0)
batch = np.array(["a", "b"] * 20)
moves = {}
for components in (39, 40, 41):
    table = rng.normal(size=(40, components))
    table[batch == "a"] += 3
    corrected = harmonypy.run_harmony(table, pd.DataFrame({"batch": batch}), "batch", nclust=3, verbose=False).Z_corr
    assert corrected.shape == table.shape
    moves[components] = float(abs(corrected - table).max())
    if components == 40:
        transposed = float(abs(corrected.T - table).max())
print(
    f"40 cells; largest move of a coordinate: 39 components {moves[39]:.1f}, 40 components {moves[40]:.1f} "
    f"({transposed:.1f} if transposed), 41 components {moves[41]:.1f}"
)
assert moves[40] > 3 * max(moves[39], moves[41])
assert transposed < moves[40] / 3
PYTHON
