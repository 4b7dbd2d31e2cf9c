"""Instructions instead of seconds: the exact scan and the plain loop of each family, counted by valgrind.

A virtual machine hides the processor's counters, so the program runs on valgrind's, which counts what is executed, busy
machine or not. Instructions are not time (one of them may do one addition or eight), but noise cannot move their ratio.
Needs valgrind; each family is trained outside of it.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import cloudpickle

from common import QUICK, save, show
from single_gene import MODIFICATION, TARGET, Case, asked, cases, scan

# kernels are compiled for a processor that valgrind knows too, once, outside of it
PROCESSOR = {"NUMBA_CPU_NAME": "x86-64-v3", "NUMBA_CPU_FEATURES": ""}
LEFT_OUT = ("SingleR",)  # a compiled library of its own, most of an hour under valgrind


def counted(what: str, folder: Path, work: Callable[[], object]) -> int:
    """Return the instructions of one call, in a process that runs under callgrind."""

    def tell(*words: str) -> None:
        subprocess.run(["callgrind_control", *words, str(os.getpid())], check=True, stdout=subprocess.DEVNULL)

    tell("--zero")
    work()
    tell("--dump=" + what)
    dumps = [dump.read_text() for dump in folder.glob("callgrind.out*")]
    (text,) = (text for text in dumps if f"Trigger: --dump={what}" in text or f"dump {what}" in text)
    return int(re.search(r"^totals: (\d+)", text, re.MULTILINE)[1])


def inside(folder: Path) -> None:
    """Count one family, in this process; print scan and one step of the loop."""
    from adverscarial.cells.cluster import Cluster

    case: Case = cloudpickle.loads((folder / "case.pkl").read_bytes())  # main() wrote it
    cluster = Cluster(case.cells, "cell_type", TARGET)
    gene = cluster.positions(scan(case).gene[:1])
    value = MODIFICATION.values(cluster, gene)[0][0]
    asked(case.predict, cluster.X, gene[0], value)
    if "CALLGRIND" not in os.environ:
        return  # the kernels are compiled now
    subprocess.run(["callgrind_control", "--instr=on", str(os.getpid())], check=True, stdout=subprocess.DEVNULL)
    ours = counted("scan", folder, lambda: scan(case))
    step = counted("step", folder, lambda: asked(case.predict, cluster.X, gene[0], value))
    print(ours, step, len(cluster.genes))


def main() -> None:
    if not shutil.which("callgrind_control"):
        print("Left out: valgrind is not installed (Debian, Ubuntu: apt-get install valgrind).")
        return
    rows = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        environment = os.environ | PROCESSOR | {"NUMBA_CACHE_DIR": str(folder / "kernels")}
        for case in cases():
            if case.family in LEFT_OUT:
                continue
            if QUICK and rows:
                break
            (folder / "case.pkl").write_bytes(cloudpickle.dumps(case))
            command = [sys.executable, __file__, *sys.argv[1:], str(folder)]
            subprocess.run(command, check=True, env=environment)
            valgrind = ["valgrind", "--tool=callgrind", "--instr-atstart=no", "--quiet"]
            valgrind.append(f"--callgrind-out-file={folder / 'callgrind.out'}")
            inner = environment | {"CALLGRIND": "1"}
            done = subprocess.run([*valgrind, *command], capture_output=True, text=True, env=inner)
            if done.returncode:
                raise SystemExit(f"{case.family}: the process under valgrind failed.\n{done.stderr[-2000:]}")
            ours, step, genes = map(int, done.stdout.split())
            rows.append(
                {
                    "family": case.family,
                    "one step of the plain loop, million": f"{step / 1e6:,.1f}",
                    "exact scan, million": f"{ours / 1e6:,.0f}",
                    "steps of the loop in a scan": f"{ours / step:,.1f}",
                    "ratio": f"{step * genes / ours:,.0f}",
                }
            )
            print(rows[-1], flush=True)
            for dump in folder.glob("callgrind.out*"):
                dump.unlink()
    print(show(rows))
    save("instructions", rows)


if __name__ == "__main__":
    if Path(sys.argv[-1]).is_dir():
        inside(Path(sys.argv[-1]))
    else:
        main()
