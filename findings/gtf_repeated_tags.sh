#!/usr/bin/env bash
# Guess: two readers of gene annotations agree on the attributes of a GENCODE line that carries several tags.
# What happens: pyranges keeps the last of the tags and drops the others, so a filter for "basic" misses the gene.
# gtfparse joins them with commas, so the same filter with == misses it too. An attribute that a line lacks is NaN
# in one, '' in the other.
# Version: pyranges 0.1.7, gtfparse 3.0.5.
# Seen: "tags basic, MANE_Select: pyranges 'MANE_Select', gtfparse 'basic,MANE_Select'; no tag: nan, ''"
set -euo pipefail
python=${PYTHON:-python3}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"$python" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --no-compile --disable-pip-version-check \
    pyranges==0.1.7 gtfparse==3.0.5 setuptools==80.9.0 numpy==2.4.6 scipy==1.17.1 pandas==2.3.3
cd "$folder"
venv/bin/python -W ignore - <<'PYTHON'
import gtfparse
import pyranges

line = 'chr1\tHAVANA\t{}\t11\t20\t.\t+\t.\tgene_id "ENSG1"; gene_name "CD4";{}\n'
with open("genes.gtf", "w") as file:
    file.write(line.format("transcript", ' tag "basic"; tag "MANE_Select";') + line.format("exon", ""))
one = pyranges.read_gtf("genes.gtf").df.set_index("Feature")["tag"]
two = gtfparse.read_gtf("genes.gtf").set_index("feature")["tag"]
print(
    f"tags basic, MANE_Select: pyranges {one['transcript']!r}, gtfparse {two['transcript']!r}; "
    f"no tag: {one['exon']!r}, {two['exon']!r}"
)
assert one["transcript"] == "MANE_Select" and two["transcript"] == "basic,MANE_Select"
assert one["exon"] != one["exon"] and two["exon"] == ""
PYTHON
