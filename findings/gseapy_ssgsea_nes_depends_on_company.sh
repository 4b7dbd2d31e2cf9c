#!/usr/bin/env bash
# Guess: single-sample GSEA scores one sample at a time: its normalised score is the same with or without other
# samples.
# What happens: ES is, but NES is ES over the range of the ES of all samples and sets that were given together. The
# same sample and set get another NES when the other samples leave, and again when another set leaves.
# Version: gseapy 1.3.1.
# Seen: "sample a, set A: ES 2.157 in all cases, NES 0.099 with all, 0.491 alone, 0.142 with one set"
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
import numpy as np
import pandas as pd

genes = [f"G{i}" for i in range(100)]
table = pd.DataFrame(np.random.default_rng(0).normal(size=(100, 4)), index=genes, columns=list("abcd"))
sets = {"A": genes[:20], "B": genes[20:40]}


def score(samples, sets):
    found = gseapy.ssgsea(samples, gene_sets=sets, outdir=None, threads=1).res2d.set_index(["Name", "Term"])
    return float(found.loc[("a", "A"), "ES"]), float(found.loc[("a", "A"), "NES"])


(es, every), (es_alone, alone) = score(table, sets), score(table[["a"]], sets)
es_one, one = score(table, {"A": sets["A"]})
print(f"sample a, set A: ES {es:.3f} in all cases, NES {every:.3f} with all, {alone:.3f} alone, {one:.3f} with one set")
assert abs(es - es_alone) < 1e-6 and abs(es - es_one) < 1e-6
assert len({round(every, 3), round(alone, 3), round(one, 3)}) == 3
PYTHON
