"""The paper's figures end to end, as a user runs them: training, every attack, figures and tables."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

import pandas as pd

from common import QUICK, data_folder, save, show, wall

FIGURES = ("table1",) if QUICK else ("table1", "fig2")
JOBS = 2


def run(figure: str, out: Path) -> tuple[float, float]:
    """Return wall and processor seconds of one command, its processes included."""
    data = data_folder()
    command = [sys.executable, "-m", "adverscarial", "reproduce", figure, "--data", str(data / "pbmc3k.h5ad")]
    command += ["--markers", str(data / "sctype_db.tsv"), "--jobs", str(JOBS), "--out", str(out)]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    start = wall()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    took, after = wall() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    return took, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    rows = []
    with tempfile.TemporaryDirectory() as name:
        for figure in FIGURES:
            took, processor = run(figure, Path(name) / figure)
            row = {"command": f"reproduce {figure} --jobs {JOBS}", "attacks": "", "wall, s": f"{took:.0f}"}
            row |= {
                "processor, s": f"{processor:.0f}",
                "attacks alone, s": "",
                "the paper's, s": "",
                "ratio, roughly": "",
            }
            attacks = pd.read_csv(Path(name) / figure / "attacks.csv")
            row["attacks"] = f"{len(attacks):,}"
            if figure == "table1":
                timed = attacks.dropna(subset=["paper_seconds"])
                ours, theirs = timed["seconds"].sum(), timed["paper_seconds"].sum()
                row["attacks alone, s"], row["the paper's, s"] = f"{ours:.1f}", f"{theirs:,.0f}"
                row["ratio, roughly"] = f"{theirs / ours:,.0f}"
            rows.append(row)
            print(json.dumps(row), flush=True)
    print(show(rows))
    save("paper", rows)


if __name__ == "__main__":
    main()
