#!/usr/bin/env bash
# Guess: a study of enriched terms reads the table "gene -> terms" and leaves it alone, so that a second study with
# propagate_counts=False counts the terms as they were annotated.
# What happens: the first study, by default, writes all the terms above into the table that it was given. The second
# one counts those too: it finds the broad term, which no gene carries.
# Version: goatools 1.6.9.
# Seen: "terms of a gene: 1 before, 3 after; terms counted without propagation: 1 in a fresh table, 3 in the used
# one"
set -euo pipefail
python=${PYTHON:-python3}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"$python" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --no-compile --disable-pip-version-check \
    goatools==1.6.9 numpy==2.4.6 scipy==1.17.1 pandas==2.3.3 statsmodels==0.15.0
cd "$folder"
venv/bin/python -W ignore - <<'PYTHON'
import copy

from goatools.go_enrichment import GOEnrichmentStudy
from goatools.obo_parser import GODag

with open("terms.obo", "w") as file:
    file.write(
        "format-version: 1.2\n\n"
        "[Term]\nid: GO:0000001\nname: process\nnamespace: biological_process\n\n"
        "[Term]\nid: GO:0000002\nname: response\nnamespace: biological_process\nis_a: GO:0000001 ! process\n\n"
        "[Term]\nid: GO:0000003\nname: defence\nnamespace: biological_process\nis_a: GO:0000002 ! response\n"
    )
dag = GODag("terms.obo", prt=None)
genes = [f"g{i}" for i in range(50)]
used = {gene: {"GO:0000003"} for gene in genes[:5]}
fresh = copy.deepcopy(used)


def counted(table, **options):
    study = GOEnrichmentStudy(genes, table, dag, methods=["bonferroni"], log=None, **options)
    return len(study.run_study(genes[:3], prt=None))


before = len(used["g0"])
counted(used)
after = len(used["g0"])
with_fresh, with_used = counted(fresh, propagate_counts=False), counted(used, propagate_counts=False)
print(
    f"terms of a gene: {before} before, {after} after; terms counted without propagation: {with_fresh} in a fresh "
    f"table, {with_used} in the used one"
)
assert (before, after) == (1, 3)
assert (with_fresh, with_used) == (1, 3)
PYTHON
