"""How long does the first attack on a fresh installation take, when every loop is still to be compiled?

    git worktree add ../older f7d3ac8
    python benchmarks/first_attack.py ../older/src src

Each is a fresh process with an empty folder of compiled loops, processor seconds of the first call; then a second
process that finds them there. The versions take turns. With one folder only that version is measured. Modules are
there as bytecode, as pip installs them: a version that imports them late is not charged with compiling them.
"""

from __future__ import annotations

import compileall
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from common import QUICK, save, show

RUNS = 1 if QUICK else 3
KINDS = ("markers", "CHETAH") if QUICK else ("markers", "scRF", "scMLP", "CHETAH", "scAnnotatR")

#: trains a classifier on example cells and times the first attack; prints seconds, and how many loops were compiled
FIRST = """
import json, sys, time
import adverscarial as adv
kind, attack = sys.argv[1:3]
cells = adv.datasets.embedded()
made = {
    "markers": lambda: adv.classifiers.ScType(scaled=False),
    "scRF": lambda: adv.classifiers.RandomForest(50, seed=0).fit(cells, "cell_type"),
    "scMLP": lambda: adv.classifiers.MLP(seed=0).fit(cells, "cell_type"),
    "CHETAH": lambda: adv.classifiers.Chetah(50).fit(cells, "cell_type"),
    "scAnnotatR": lambda: adv.classifiers.ScAnnotatR().fit(cells, "cell_type"),
}
start = time.process_time()
model = made[kind]()
middle = time.process_time()
getattr(adv.attacks, attack)("perc99")(cells, model, groupby="cell_type", target="Dendritic")
print(json.dumps([middle - start, time.process_time() - middle]))
"""


def first(source: Path, kind: str, attack: str, folder: str) -> list[float]:
    """Return processor seconds of training and of an attack in a fresh process."""
    environment = {**os.environ, "PYTHONPATH": str(source.resolve()), "NUMBA_CACHE_DIR": folder}
    words = [sys.executable, "-c", FIRST, kind, attack]
    done = subprocess.run(words, env=environment, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    return list(json.loads(done.stdout.splitlines()[-1]))


def installed(source: Path, folder: str) -> Path:
    """Return a copy of a folder of modules, with their bytecode."""
    copy = shutil.copytree(source, Path(tempfile.mkdtemp(dir=folder)) / "src")
    compileall.compile_dir(copy, quiet=2)
    return copy


def main() -> None:
    named = [Path(word) for word in sys.argv[1:] if word != "--quick"]
    if not named:
        raise SystemExit("Name one folder src, or two: an older version's, and this one's.")
    with tempfile.TemporaryDirectory() as folder:
        measure([installed(source, folder) for source in named])


def measure(sources: list[Path]) -> None:
    """Measure one version, or two, in turn; of two, keep the table."""
    rows = []
    for attack in ("SingleGene", "MaxChange"):
        for kind in KINDS:
            times: list[list[tuple[float, float]]] = [[] for _ in sources]
            for _ in range(RUNS):
                for source, some in zip(sources, times, strict=True):
                    with tempfile.TemporaryDirectory() as folder:
                        cold = sum(first(source, kind, attack, folder))
                        some.append((cold, sum(first(source, kind, attack, folder))))
            middle = [[statistics.median(values) for values in zip(*some, strict=True)] for some in times]
            row: dict[str, object] = {"attack, classifier": f"{attack}, {kind}"}
            for name, (cold, warm) in zip(("before", "now")[-len(sources) :], middle, strict=True):
                row |= {f"{name}: compiling, s": f"{cold:.1f}", f"{name}: compiled, s": f"{warm:.1f}"}
            if len(sources) == 2:
                row["ratio"] = f"{middle[1][0] / middle[0][0]:.2f}"
                row["of compiling alone"] = f"{(middle[1][0] - middle[1][1]) / (middle[0][0] - middle[0][1]):.2f}"
            rows.append(row)
            print(row, flush=True)
    print(show(rows))
    if len(sources) == 2:
        save("first_attack", rows)


if __name__ == "__main__":
    main()
