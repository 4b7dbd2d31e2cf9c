"""Run every benchmark, each in its own process, and fill the tables of the README."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

SCRIPTS = (
    "single_gene.py",
    "where_the_time_goes.py",
    "cgd.py",
    "toolbox.py",
    "sctype_table.py",
    "five_classifiers.py",
    "hardening.py",
)

if __name__ == "__main__":
    for script in SCRIPTS:
        print(f"== {script}", flush=True)
        subprocess.run([sys.executable, Path(__file__).parent / script], check=True)
