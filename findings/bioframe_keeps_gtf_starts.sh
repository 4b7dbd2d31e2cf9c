#!/usr/bin/env bash
# Guess: a table that bioframe reads with schema="gtf" is in bioframe's own coordinates (0-based, half open), so it
# can be overlapped with a BED file at once.
# What happens: the starts stay 1-based as in the GTF. Each gene is one base too short, and a peak on its first base
# does not overlap it. pyranges subtracts one.
# Version: bioframe 0.8.0, pyranges 0.1.7.
# Seen: "a gene of 10 bases: bioframe 9, pyranges 10; peaks on its first base: 0 and 1"
set -euo pipefail
python=${PYTHON:-python3}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"$python" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --no-compile --disable-pip-version-check \
    bioframe==0.8.0 pyranges==0.1.7 setuptools==80.9.0 numpy==2.4.6 scipy==1.17.1 pandas==2.3.3
cd "$folder"
venv/bin/python -W ignore - <<'PYTHON'
import bioframe
import pyranges

with open("genes.gtf", "w") as file:
    file.write('chr1\tHAVANA\tgene\t11\t20\t.\t+\t.\tgene_id "ENSG1"; gene_name "CD4";\n')
with open("peaks.bed", "w") as file:
    file.write("chr1\t10\t11\n")  # the base that the GTF calls 11
one = bioframe.read_table("genes.gtf", schema="gtf")
two = pyranges.read_gtf("genes.gtf")
lengths = [int((one.end - one.start).iloc[0]), int(two.lengths().iloc[0])]
peaks = bioframe.read_table("peaks.bed", schema="bed3")
found = [len(bioframe.overlap(one, peaks, how="inner")), len(two.overlap(pyranges.read_bed("peaks.bed")))]
print(
    f"a gene of 10 bases: bioframe {lengths[0]}, pyranges {lengths[1]}; "
    f"peaks on its first base: {found[0]} and {found[1]}"
)
assert lengths == [9, 10] and found == [0, 1]
PYTHON
