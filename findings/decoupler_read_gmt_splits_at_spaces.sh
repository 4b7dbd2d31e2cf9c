#!/usr/bin/env bash
# Guess: a GMT file is separated by tabs, so a set named "T cell" is read under that name by all readers.
# What happens: decoupler separates at spaces too. "T cell" and "T helper" become one set "T", "cell" is taken for the
# description, and the description for a gene. gseapy reads the names as they stand.
# Version: decoupler 2.2.0, gseapy 1.3.1.
# Seen: "gseapy {'T cell': ['CD3D', 'CD3E'], 'T helper': ['CD4']}, decoupler {'T': ['markers', 'CD3D', 'CD3E',
# 'markers', 'CD4']}"
set -euo pipefail
python=${PYTHON:-python3}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"$python" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --no-compile --disable-pip-version-check \
    decoupler==2.2.0 gseapy==1.3.1 scikit-learn==1.9.1 anndata==0.12.19 numpy==2.4.6 scipy==1.17.1 pandas==2.3.3
cd "$folder"
venv/bin/python -W ignore - <<'PYTHON'
import decoupler as dc
import gseapy

with open("sets.gmt", "w") as file:
    file.write("T cell\tmarkers\tCD3D\tCD3E\nT helper\tmarkers\tCD4\n")
table = dc.pp.read_gmt("sets.gmt")
one = gseapy.read_gmt("sets.gmt")
two = {name: list(genes) for name, genes in table.groupby("source", sort=False)["target"]}
print(f"gseapy {one}, decoupler {two}")
assert one == {"T cell": ["CD3D", "CD3E"], "T helper": ["CD4"]}
assert two == {"T": ["markers", "CD3D", "CD3E", "markers", "CD4"]}
PYTHON
