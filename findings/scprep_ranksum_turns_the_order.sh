#!/usr/bin/env bash
# Guess: differential_expression puts the genes that differ first, and with direction="up" those that are higher in the
# first group, whichever measure is asked for.
# What happens: with measure="ranksum" the statistic is the smaller of the two U, which does not know the direction and
# is small where the groups differ. "both" sorts it downwards: the genes that differ are last. "up" puts the gene
# that is lower first, and "down" is "up" in reverse.
# Version: scprep 1.2.3.
# Seen: "ttest: up ['higher', ...], both ['lower', 'higher', ...]", "ranksum: up ['lower', 'higher', ...], both [...,
# 'higher', 'lower']"
set -euo pipefail
python=${PYTHON:-python3}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"$python" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --no-compile --disable-pip-version-check \
    scprep==1.2.3 numpy==1.26.4 scipy==1.13.1 pandas==2.0.3 scikit-learn==1.5.2
cd "$folder"
venv/bin/python -W ignore - <<'PYTHON'
import numpy as np
import pandas as pd
import scprep

rng = np.random.default_rng(0)
genes = ["higher", "lower", "same 1", "same 2", "same 3"]
first, second = (pd.DataFrame(rng.poisson(3, (200, 5)), columns=genes) for _ in range(2))
first["higher"] += 3
second["lower"] += 5

order = {}
for measure in ("difference", "ttest", "ranksum"):
    for direction in ("up", "down", "both"):
        found = scprep.stats.differential_expression(first, second, measure=measure, direction=direction)
        order[measure, direction] = list(found.index)
    print(f"{measure}: " + ", ".join(f"{direction} {order[measure, direction]}" for direction in ("up", "both")))
for measure in ("difference", "ttest"):
    assert order[measure, "up"][0] == order[measure, "down"][-1] == "higher"
    assert set(order[measure, "both"][:2]) == {"higher", "lower"}
assert order["ranksum", "up"][:2] == ["lower", "higher"]
assert order["ranksum", "both"][-2:] == ["higher", "lower"]
assert order["ranksum", "down"] == order["ranksum", "both"] == order["ranksum", "up"][::-1]
PYTHON
