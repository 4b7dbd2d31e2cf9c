#!/usr/bin/env bash
# Guess: an integer that R cannot hold (R's integers have 32 bits) is refused or written as a double.
# What happens: write_rds keeps the lower 32 bits of each number of an array: 3,000,000,000 comes back negative, and
# 2^31 becomes the very number that R reads as NA. rdata 1.1.0 refuses such an array, and so does write_rds if it is
# a list.
# Version: rds2py 0.10.6.
# Seen: "written [1, 2147483648, 3000000000], read [1, None, -1294967296]"
set -euo pipefail
python=${PYTHON:-python3}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"$python" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --no-compile --disable-pip-version-check \
    rds2py[optional]==0.10.6 singlecellexperiment==0.7.0 summarizedexperiment==0.8.0 biocframe==0.8.1 \
    biocutils==0.5.0 numpy==2.4.6 scipy==1.17.1 pandas==2.3.3
cd "$folder"
venv/bin/python -W ignore - <<'PYTHON'
import numpy as np
import rds2py

written = [1, 2**31, 3_000_000_000]
rds2py.write_rds(np.array(written), "total.rds")
read = list(rds2py.read_rds("total.rds"))
print(f"written {written}, read {read}")
assert read == [1, None, 3_000_000_000 - 2**32]
PYTHON
