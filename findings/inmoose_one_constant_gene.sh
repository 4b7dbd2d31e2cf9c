#!/usr/bin/env bash
# Guess: pycombat_norm corrects 50 genes between two batches; a gene with one value in all cells has nothing to correct and
# stays, or is refused.
# What happens: every value of every gene becomes NaN. The variance of that gene is 0, its standardised values are 0/0,
# and what the batches are like is estimated over all genes. No error says so. A gene that is constant in one of the
# batches only does no harm.
# Version: inmoose 0.9.1.
# Seen: "50 genes, none of them constant: NaN 0.00", "with one gene that is 0 everywhere: NaN 1.00", "that is 3.5
# everywhere: NaN 1.00", "that is 0 in one batch: NaN 0.00"
set -euo pipefail
python=${PYTHON:-python3}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"$python" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --no-compile --disable-pip-version-check \
    inmoose==0.9.1 numpy==2.3.5 scipy==1.17.1 pandas==2.3.3 scikit-learn==1.9.1
cd "$folder"
venv/bin/python -W ignore - <<'PYTHON'
import numpy as np
import pandas as pd
from inmoose.pycombat import pycombat_norm

rng = np.random.default_rng(0)
values = rng.normal(5, 1, (50, 20))
values[:, 10:] += 1
batches = [0] * 10 + [1] * 10


def share(row):
    given = np.vstack([values[:49], row])
    return float(np.isnan(np.asarray(pycombat_norm(pd.DataFrame(given), batches), dtype=float)).mean())


told = {
    "50 genes, none of them constant": share(values[49]),
    "with one gene that is 0 everywhere": share(np.zeros(20)),
    "that is 3.5 everywhere": share(np.full(20, 3.5)),
    "that is 0 in one batch": share(np.where(np.arange(20) < 10, 0, values[49])),
}
for what, found in told.items():
    print(f"{what}: NaN {found:.2f}")
assert list(told.values()) == [0, 1, 1, 0]
PYTHON
