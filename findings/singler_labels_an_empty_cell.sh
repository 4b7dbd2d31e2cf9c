#!/usr/bin/env bash
# Guess: a cell without a single count has no correlation with any reference, so it gets no label (NaN, None or an
# error).
# What happens: it gets a label with a score of 0.5 for every type, and the type that wins does so by the last bit
# of a number. Only the column delta, 0 but for rounding, tells that nothing was found; the labels themselves do
# not.
# Version: singler 0.5.0.
# Seen: "label of an empty cell 'b', scores 0.50 and 0.50, delta below 1e-12 True"
set -euo pipefail
python=${PYTHON:-python3}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"$python" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --no-compile --disable-pip-version-check \
    singler==0.5.0 biocframe==0.8.1 biocutils==0.5.0 numpy==2.4.6 scipy==1.17.1 pandas==2.3.3
cd "$folder"
venv/bin/python -W ignore - <<'PYTHON'
import numpy as np
import singler

rng = np.random.default_rng(0)
reference = rng.poisson(3, (100, 20)).astype(float)
reference[:10, :10] += 20
reference[10:20, 10:] += 20
genes = [f"g{i}" for i in range(100)]
found = singler.annotate_single(
    np.zeros((100, 1)), ref_data=reference, ref_labels=["a"] * 10 + ["b"] * 10, test_features=genes, ref_features=genes
)
label, delta = found.column("best")[0], float(found.column("delta")[0])
scores = [float(found.column("scores").column(name)[0]) for name in ("a", "b")]
print(
    f"label of an empty cell {label!r}, scores {scores[0]:.2f} and {scores[1]:.2f}, delta below 1e-12 {delta < 1e-12}"
)
assert label in ("a", "b")
np.testing.assert_allclose(scores, 0.5, atol=1e-9)
assert delta < 1e-12
PYTHON
