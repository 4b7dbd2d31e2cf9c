#!/usr/bin/env bash
# Guess: a missing label of a pandas Categorical is missing in R too, as it is for a column of text or numbers.
# What happens: it is written as the code 0, which no factor of R has (NA would be -2^31), and read back as the last
# of the categories: a cell without a label is a T cell afterwards. Missing text, numbers and truth values survive.
# Version: rdata 1.1.0.
# Seen: "written ['B', nan, 'T'], read ['B', 'T', 'T']"
set -euo pipefail
python=${PYTHON:-python3}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"$python" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --no-compile --disable-pip-version-check \
    rdata==1.1.0 numpy==2.4.6 scipy==1.17.1 pandas==2.3.3
cd "$folder"
venv/bin/python -W ignore - <<'PYTHON'
import pandas as pd
import rdata

table = pd.DataFrame({"label": pd.Categorical(["B", None, "T"]), "text": ["p", None, "q"]}, index=["x", "y", "z"])
rdata.write_rds("cells.rds", table)
back = rdata.read_rds("cells.rds")
print(f"written {table['label'].tolist()}, read {list(back['label'])}")
assert list(back["label"]) == ["B", "T", "T"]
assert pd.isna(back["text"].iloc[1])
PYTHON
