#!/usr/bin/env bash
# Guess: a dictionary from cluster to cell type that was saved is the same when it is loaded.
# What happens: keys are stored by their text, so the cluster 1 and the cluster "1" are one afterwards: one entry is
# lost without a word, and the key takes the type of the one, the value of the other.
# Version: skops 0.16.0.
# Seen: "saved {1: 'T', '1': 'B'}, loaded {1: 'B'}"
set -euo pipefail
python=${PYTHON:-python3}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"$python" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --no-compile --disable-pip-version-check \
    skops==0.16.0 scikit-learn==1.9.1 numpy==2.4.6 scipy==1.17.1
cd "$folder"
venv/bin/python -W ignore - <<'PYTHON'
import skops.io

saved = {1: "T", "1": "B"}
loaded = skops.io.loads(skops.io.dumps(saved))
print(f"saved {saved}, loaded {loaded}")
assert loaded == {1: "B"}
PYTHON
