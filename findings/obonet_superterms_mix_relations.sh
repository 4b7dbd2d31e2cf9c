#!/usr/bin/env bash
# Guess: networkx.descendants on an ontology that obonet has read gives the superterms of a cell type: what it is a
# kind of. The identifiers that a term had before a merge are found too.
# What happens: every relation of the file is an edge like "is a", so a T cell "is" the stem cell that it develops
# from. pronto's superclasses and goatools' parents leave that relation out. Of the three only goatools finds an
# alt_id, and it counts it as one more term.
# Version: obonet 1.3.0, pronto 2.7.4, goatools 1.6.9.
# Seen: "above a T cell: obonet ['CL:0000000', 'CL:0000037'], pronto ['CL:0000000'], goatools ['CL:0000000']",
# "alt_id found: obonet False, pronto False, goatools True; 3 terms are 3, 3 and 4"
set -euo pipefail
python=${PYTHON:-python3}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"$python" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --no-compile --disable-pip-version-check \
    obonet==1.3.0 pronto==2.7.4 goatools==1.6.9 networkx==3.6.1 numpy==2.4.6 scipy==1.17.1 pandas==2.3.3
cd "$folder"
venv/bin/python -W ignore - <<'PYTHON'
import networkx
import obonet
import pronto
from goatools.obo_parser import GODag

with open("cells.obo", "w") as file:
    file.write(
        "format-version: 1.2\nontology: cl\n\n"
        "[Term]\nid: CL:0000000\nname: cell\n\n"
        "[Term]\nid: CL:0000037\nname: hematopoietic stem cell\nis_a: CL:0000000 ! cell\n\n"
        "[Term]\nid: CL:0000084\nname: T cell\nalt_id: CL:0000804\nis_a: CL:0000000 ! cell\n"
        "relationship: develops_from CL:0000037 ! hematopoietic stem cell\n\n"
        "[Typedef]\nid: develops_from\nname: develops from\n"
    )
graph = obonet.read_obo("cells.obo")
ontology = pronto.Ontology("cells.obo")
dag = GODag("cells.obo", optional_attrs={"relationship"}, prt=None)
t_cell, former = "CL:0000084", "CL:0000804"
above = [
    sorted(networkx.descendants(graph, t_cell)),
    sorted(term.id for term in ontology[t_cell].superclasses(with_self=False)),
    sorted(dag[t_cell].get_all_parents()),
]
found = [former in graph, former in ontology, former in dag]
sizes = [len(graph), len(list(ontology.terms())), len(dag)]
print(f"above a T cell: obonet {above[0]}, pronto {above[1]}, goatools {above[2]}")
print(
    f"alt_id found: obonet {found[0]}, pronto {found[1]}, goatools {found[2]}; "
    f"3 terms are {sizes[0]}, {sizes[1]} and {sizes[2]}"
)
assert above == [["CL:0000000", "CL:0000037"], ["CL:0000000"], ["CL:0000000"]]
assert found == [False, False, True] and sizes == [3, 3, 4]
PYTHON
