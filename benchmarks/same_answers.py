"""Do two versions of the package give the same tables, byte for byte? For changes that must not change any answer.

Both versions run the demonstration and, with ``--data``, the paper's figure 2. Every cell of every table that the first
one writes must stand in the other one's, in the same row and column; times and versions are in none of them. Columns
that only the second one has are named. What a better search for signatures changes is judged otherwise: no signature
may be longer, and the number of genes outside of it, the share of cells that keep the label and the number of queries
follow from it.

    python benchmarks/same_answers.py OLD/src src --data pbmc3k.h5ad --markers sctype_db.tsv
"""

from __future__ import annotations

import argparse
import csv
import os
import subprocess
import sys
import tempfile
from pathlib import Path

#: columns of a row of MaxChange that follow from the set that was found
FOLLOW = ("modifiable", "share", "queries")
#: the table that sums up the lengths of signatures, by its column that says what a row counts
SUMS = ("number of", "genes of the signatures")

Rows = list[dict[str, str]]


def tables(source: Path, out: Path, figure: list[str]) -> dict[str, bytes]:
    """Run one version, and return the tables that it wrote by their names."""
    environment = {**os.environ, "PYTHONPATH": str(source.resolve())}
    commands = [["demo", "--out", str(out / "demo")]]
    if figure:
        commands.append(["reproduce", "fig2", *figure, "--out", str(out / "fig2")])
    for command in commands:
        print(f"{source}: {' '.join(command[:2])}", flush=True)
        subprocess.run([sys.executable, "-m", "adverscarial", *command], env=environment, check=True, cwd=out)
    return {str(path.relative_to(out)): path.read_bytes() for path in sorted(out.rglob("*.csv"))}


def rows_of(table: bytes) -> Rows:
    return list(csv.DictReader(table.decode().splitlines()))


def lengths(row: dict[str, str]) -> dict[str, str]:
    """Return the lengths of signatures that a row holds, by column."""
    if row.get("attack") == "MaxChange":
        return {"signature": row["signature"]} if "signature" in row else {}
    what, signatures = SUMS
    return (
        {name: value for name, value in row.items() if name != what and value.isdigit()}
        if (row.get(what) == signatures)
        else {}
    )


def differences(old: Rows, new: Rows) -> tuple[list[str], list[str], int]:
    """Return what is another, which signatures are longer, and how many are shorter."""
    if len(old) != len(new):
        return [f"{len(old):,} rows, now {len(new):,}"], [], 0
    if lost := [name for name in (old[0] if old else {}) if name not in new[0]]:
        return [f"no column {', '.join(lost)} any more"], [], 0
    other, longer, shorter = [], [], 0
    for number, (before, now) in enumerate(zip(old, new, strict=True), 1):
        judged = lengths(before)
        follow = FOLLOW if before.get("attack") == "MaxChange" else ()
        where = f"row {number} ({', '.join(list(now.values())[:2])}, {now.get('modification', '')})"
        for name, value in before.items():
            if now[name] == value:
                continue
            if name in judged and value.isdigit() and now[name].isdigit():
                shorter += int(now[name]) < int(value)
                if int(now[name]) > int(value):
                    longer.append(f"{where}: {name} {value}, now {now[name]}")
            elif name not in follow:
                other.append(f"{where}: {name} {value!r}, now {now[name]!r}")
    return other, longer, shorter


def compared(name: str, old: bytes | None, new: bytes | None) -> bool:
    """Say how the two versions of a table differ; return whether they agree."""
    if old is None or new is None:
        print(f"{'new' if old is None else 'GONE':6}{name}")
        return old is None  # a table more takes no answer away
    before, now = rows_of(old), rows_of(new)
    other, longer, shorter = differences(before, now)
    added = [column for column in (now[0] if now else {}) if before and column not in before[0]]
    judged = sum(len(lengths(row)) for row in before)
    notes = [f"{len(now):,} rows"]
    if added:
        notes.append(f"new columns: {', '.join(added)}")
    if judged:
        notes.append(f"of {judged:,} lengths of signatures {shorter:,} are shorter, {len(longer):,} longer")
    print(f"{'OTHER' if other else 'LONGER' if longer else 'same':7}{name} ({'; '.join(notes)})")
    for line in [*other[:10], *longer[:10]]:
        print(f"       {line}")
    return not other and not longer


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("old", type=Path, help="folder src of one version")
    parser.add_argument("new", type=Path, help="folder src of the other")
    parser.add_argument("--data", type=Path, help="PBMC3k with cell types, for figure 2")
    parser.add_argument("--markers", type=Path, help="marker table of scType, for figure 2")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--quick", action="store_true", help="smaller classifiers, for figure 2")
    parser.add_argument("--out", type=Path, help="keep here what both versions wrote; an interrupted figure goes on")
    given = parser.parse_args()
    figure = []
    if given.data is not None and given.markers is not None:
        figure = ["--data", str(given.data.resolve()), "--markers", str(given.markers.resolve())]
        figure += ["--jobs", str(given.jobs), *(["--quick"] if given.quick else [])]
    with tempfile.TemporaryDirectory() as name:
        found = []
        for number, source in enumerate((given.old, given.new)):
            out = (given.out or Path(name)).resolve() / ("old", "new")[number]
            out.mkdir(parents=True, exist_ok=True)
            found.append(tables(source, out, figure))
    old, new = found
    agree = [compared(table, old.get(table), new.get(table)) for table in sorted({*old, *new})]
    sys.exit(0 if all(agree) else 1)


if __name__ == "__main__":
    main()
