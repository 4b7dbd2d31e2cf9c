#!/usr/bin/env bash
# Guess: a factor is read as its labels, and a missing one as a missing label.
# What happens: a factor without gaps comes back as a list of labels. As soon as one label is missing, what comes
# back is the raw tree of the file: a dictionary with codes that count from 1, as decimal numbers, with NaN.
# Version: rds2py 0.10.6; the files are written here byte by byte, as R documents its format (version 3).
# Seen: "no gap: ['T', 'B', 'T']; a gap: dict with data [1.0, nan, 2.0]"
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
import struct

import rds2py

GAP = -(2**31)  # R's NA for integers


def number(*values):
    return struct.pack(f">{len(values)}i", *values)


def text(*values):
    return number(16, len(values)) + b"".join(number(0x40009, len(v)) + v.encode() for v in values)


def symbol(name):
    return number(0x402, 1, 0x40009, len(name)) + name.encode()


def factor(path, codes):
    head = b"X\n" + number(3, 0x40300, 0x30500, 5) + b"UTF-8"
    values = number(13 | 0x300, len(codes), *codes)
    with open(path, "wb") as file:
        file.write(head + values + symbol("levels") + text("T", "B") + symbol("class") + text("factor") + number(254))


factor("whole.rds", [1, 2, 1])
factor("gap.rds", [1, GAP, 2])
whole, gap = rds2py.read_rds("whole.rds"), rds2py.read_rds("gap.rds")
print(f"no gap: {list(whole)}; a gap: {type(gap).__name__} with data {[float(v) for v in gap['data']]}")
assert list(whole) == ["T", "B", "T"]
assert isinstance(gap, dict) and gap["data"][0] == 1 and gap["data"][1] != gap["data"][1]
PYTHON
