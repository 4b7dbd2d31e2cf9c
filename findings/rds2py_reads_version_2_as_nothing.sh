#!/usr/bin/env bash
# Guess: a file in R's older serialisation (version 2: R before 3.5, or saveRDS(..., version = 2)) is read, or
# refused by that name.
# What happens: depending on what is in it, read_rds returns None, as it does for R's NULL, or fails with a message
# about an encoding or a header. The same vectors written as version 3 are read. rdata reads both.
# Version: rds2py 0.10.6; the files are written by rdata 1.1.0.
# Seen: "version 3 FloatList(data=[1.5, 2.5]), version 2 None", "integers: PyRdsParserError ... failed to parse the
# R object header"
set -euo pipefail
python=${PYTHON:-python3}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"$python" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --no-compile --disable-pip-version-check \
    rds2py[optional]==0.10.6 rdata==1.1.0 singlecellexperiment==0.7.0 summarizedexperiment==0.8.0 biocframe==0.8.1 \
    biocutils==0.5.0 numpy==2.4.6 scipy==1.17.1 pandas==2.3.3
cd "$folder"
venv/bin/python -W ignore - <<'PYTHON'
import numpy as np
import rdata
import rds2py

read = {}
for version in (3, 2):
    rdata.write_rds(f"{version}.rds", np.array([1.5, 2.5]), format_version=version)
    read[version] = rds2py.read_rds(f"{version}.rds")
    assert rdata.read_rds(f"{version}.rds").tolist() == [1.5, 2.5]
print(f"version 3 {read[3]!r}, version 2 {read[2]!r}")
assert list(read[3]) == [1.5, 2.5] and read[2] is None
rdata.write_rds("integers.rds", np.array([5, 6, 7], dtype="int32"), format_version=2)
try:
    rds2py.read_rds("integers.rds")
except Exception as error:
    print("integers:", type(error).__name__, str(error).splitlines()[0])
else:
    raise SystemExit("integers of version 2 are read")
PYTHON
