"""Peak memory and time of `reproduce fig2 --jobs 2`, all processes together, an older version beside this one.

    git worktree add ../older f7d3ac8
    python benchmarks/peak_memory.py ../older/src src
    python benchmarks/peak_memory.py ../older/src src --figure table1

Memory is the proportional set size (a page that several processes share counts once), summed over the command's
process tree every tenth of a second. The two versions run one after the other; processor seconds are those of all
their processes, so that other jobs of the machine weigh less than in wall time. Both compile their loops once: after
a change of either version run it twice. A second table has one process of a survey beside the data that it attacks.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from common import QUICK, data_folder, save, show

EVERY = 0.1  # seconds between two looks

#: attacks one large cluster in a fresh process; prints the MB of the data, and what was held before and at most
ONE = """
import json, sys
import numpy as np, pandas as pd, scipy.sparse as sp
from anndata import AnnData
import adverscarial as adv
cells, genes = int(sys.argv[1]), 2_000
def held(key):
    return int(open("/proc/self/status").read().split(key + ":")[1].split()[0]) / 1e3
own = {"a": ["g0", "g1"], "b": ["g2", "g3"]}
def data(n):
    X = sp.random_array((n, genes), density=0.1, format="csr", dtype=np.float32, rng=np.random.default_rng(0))
    kinds = pd.Categorical(np.where(np.arange(n) % 2, "attacked", "other"))
    names = [f"c{k}" for k in range(n)], [f"g{k}" for k in range(genes)]
    return AnnData(X, obs=pd.DataFrame({"kind": kinds}, index=names[0]), var=pd.DataFrame(index=names[1]))
model = adv.classifiers.Markers(own)
attacks = [adv.attacks.SingleGene("perc99"), adv.attacks.MaxChange("perc1")]
ask = dict(attacks=attacks, groupby="kind", targets=["attacked"], progress=False)
adv.survey(data(100), [model], **ask)  # compiles
adata = data(cells)
size = (adata.X.data.nbytes + adata.X.indices.nbytes + adata.X.indptr.nbytes) / 1e6
before = held("VmRSS")
open("/proc/self/clear_refs", "w").write("5")  # the peak is counted from here
adv.survey(adata, [model], **ask)
print(json.dumps({"data": size, "before": before, "peak": held("VmHWM")}))
"""


def tree(root: int) -> list[int]:
    """Return a process and all that it has started, directly or not."""
    found, todo = [], [root]
    while todo:
        process = todo.pop()
        found.append(process)
        for file in Path(f"/proc/{process}/task").glob("*/children"):
            try:
                todo += [int(child) for child in file.read_text().split()]
            except OSError:  # it has ended
                continue
    return found


def held(process: int) -> float:
    """Return the proportional memory of a process in MB; 0 once it has ended."""
    try:
        lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0.0
    return sum(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1e3


def watched(command: list[str], environment: dict[str, str]) -> dict[str, float]:
    """Return peak memory in MB, and wall and processor seconds, of a command and all processes that it starts."""
    before, start, most = os.times(), time.perf_counter(), 0.0
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    process = subprocess.Popen(command, env=environment, **quiet)
    while process.poll() is None:
        most = max(most, sum(map(held, tree(process.pid))))
        time.sleep(EVERY)
    after = os.times()
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {process.returncode}.")
    spent = after.children_user + after.children_system - before.children_user - before.children_system
    return {"peak, MB": most, "wall, s": time.perf_counter() - start, "processor, s": spent}


def reproduced(source: Path, figure: str) -> dict[str, float]:
    """Run one version's `reproduce`, and return what it took."""
    data = data_folder()
    environment = {**os.environ, "PYTHONPATH": str(source.resolve())}
    environment |= {f"{name}_NUM_THREADS": "1" for name in ("OMP", "OPENBLAS", "MKL")}
    command = [sys.executable, "-m", "adverscarial", "reproduce", figure, "--data", str(data / "pbmc3k.h5ad")]
    with tempfile.TemporaryDirectory() as out:
        command += ["--markers", str(data / "sctype_db.tsv"), "--jobs", "2", "--out", out]
        return watched(command, environment)


def one_process(source: Path, cells: int) -> dict[str, float]:
    """Return what a survey of one process held, as the program above prints it."""
    environment = {**os.environ, "PYTHONPATH": str(source.resolve())}
    done = subprocess.run(
        [sys.executable, "-c", ONE, str(cells)], env=environment, check=True, capture_output=True, text=True
    )
    return dict(json.loads(done.stdout.splitlines()[-1]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("old", type=Path, help="folder src of one version")
    parser.add_argument("new", type=Path, help="folder src of the other")
    parser.add_argument("--figure", default="fig2", help="or table1, which is short")
    parser.add_argument("--one", action="store_true", help="only the table of one process")
    parser.add_argument("--quick", action="store_true", help="small, and nothing is saved")
    parser.add_argument("--save", action="store_true", help="put the tables into the README")
    given = parser.parse_args()
    rows: list[dict[str, object]] = []
    if not given.one:
        figure = "table1" if QUICK else given.figure
        before, now = (reproduced(source, figure) for source in (given.old, given.new))
        for what, old in before.items():
            ratio = f"{now[what] / old:.2f}"
            rows.append({f"reproduce {figure} --jobs 2": what, "before": f"{old:,.0f}", "now": f"{now[what]:,.0f}"})
            rows[-1]["now over before"] = ratio
        print(show(rows))
        if given.save:
            save("peak_memory", rows)
    table: list[dict[str, object]] = []
    for cells in (10_000, 20_000) if QUICK else (50_000, 100_000, 200_000):
        found = one_process(given.new, cells)
        more = found["peak"] - found["before"] + found["data"]
        line: dict[str, object] = {"cells": f"{cells:,}", "data, MB": f"{found['data']:,.0f}"}
        line |= {"data and what the survey added, MB": f"{more:,.0f}", "ratio": f"{more / found['data']:.2f}"}
        table.append(line)
    print(show(table))
    if given.save:
        save("peak_memory_one", table)


if __name__ == "__main__":
    main()
