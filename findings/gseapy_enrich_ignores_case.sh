#!/usr/bin/env bash
# Guess: mouse symbols (Cd4) do not match a collection of human gene sets (CD4), and so enrich finds nothing.
# What happens: if the sets are written in capitals and the asked genes are not, the genes are turned to capitals.
# The result is that of the human genes, with nothing in the table to tell: orthology is taken from the spelling.
# Version: gseapy 1.3.1.
# Seen: "human and mouse symbols: overlap 20/20 and 20/20, same p-values True"
set -euo pipefail
python=${PYTHON:-python3}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"$python" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --no-compile --disable-pip-version-check \
    gseapy==1.3.1 numpy==2.4.6 scipy==1.17.1 pandas==2.3.3
cd "$folder"
venv/bin/python -W ignore - <<'PYTHON'
import gseapy

genes = [f"CD{i}" for i in range(1, 101)]
sets = {"first": genes[:20], "second": genes[20:60]}
tables = []
for asked in (genes[:25], [gene.capitalize() for gene in genes[:25]]):
    tables.append(gseapy.enrich(asked, gene_sets=sets, background=2000, outdir=None).results.set_index("Term"))
human, mouse = tables
same = bool((human["P-value"] == mouse["P-value"]).all())
print(
    f"human and mouse symbols: overlap {human.loc['first', 'Overlap']} and {mouse.loc['first', 'Overlap']}, "
    f"same p-values {same}"
)
assert human.loc["first", "Overlap"] == mouse.loc["first", "Overlap"] == "20/20"
assert same
PYTHON
