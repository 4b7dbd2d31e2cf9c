"""Do two versions of the package give the same tables, byte for byte? For changes that must not change any answer.

Both versions run the demonstration and, with ``--data``, the paper's figure 2. Every table that they write is compared;
times and versions are in none of them.

    python benchmarks/same_answers.py OLD/src src --data pbmc3k.h5ad --markers sctype_db.tsv
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path


def tables(source: Path, out: Path, data: Path | None, markers: Path | None, jobs: int) -> dict[str, bytes]:
    """Run one version, and return the tables that it wrote by their names."""
    environment = {**os.environ, "PYTHONPATH": str(source.resolve())}
    commands = [["demo", "--out", str(out / "demo")]]
    if data is not None and markers is not None:
        fig2 = ["reproduce", "fig2", "--data", str(data), "--markers", str(markers)]
        commands.append([*fig2, "--jobs", str(jobs), "--out", str(out / "fig2")])
    for command in commands:
        print(f"{source}: {' '.join(command[:2])}", flush=True)
        subprocess.run([sys.executable, "-m", "adverscarial", *command], env=environment, check=True, cwd=out)
    return {str(path.relative_to(out)): path.read_bytes() for path in sorted(out.rglob("*.csv"))}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("old", type=Path, help="folder src of one version")
    parser.add_argument("new", type=Path, help="folder src of the other")
    parser.add_argument("--data", type=Path, help="PBMC3k with cell types, for figure 2")
    parser.add_argument("--markers", type=Path, help="marker table of scType, for figure 2")
    parser.add_argument("--jobs", type=int, default=2)
    given = parser.parse_args()
    data, markers = (path and path.resolve() for path in (given.data, given.markers))
    with tempfile.TemporaryDirectory() as name:
        found = []
        for number, source in enumerate((given.old, given.new)):
            out = Path(name) / str(number)
            out.mkdir()
            found.append(tables(source, out, data, markers, given.jobs))
    old, new = found
    for table in sorted({*old, *new}):
        same = old.get(table) == new.get(table)
        rows = new.get(table, b"").count(b"\n") - 1
        print(f"{'same' if same else 'OTHER':6}{table} ({rows:,} rows)")
    sys.exit(0 if old == new else 1)


if __name__ == "__main__":
    main()
