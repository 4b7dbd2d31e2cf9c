"""The survey of Fig. 2 in one process and in two: the same table, how much sooner, how many threads run at a time.

Each survey has a fresh process, with the number of BLAS threads left to the machine, as a user starts it. Processor
time tells what two cores of their own would give on a machine where other jobs take part of them.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import psutil

import adverscarial as adv
from common import QUICK, data_folder, halves, save, show, wall

MODIFICATIONS = ["perc99"] if QUICK else ["perc1", "perc99", "decile+5", "positive_aberrant", "negative_aberrant"]


class Watch(threading.Thread):
    """Looks at this process and its children twice a second: processor time of each, and threads that run."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.seconds: dict[int, float] = {}
        self.running: list[int] = []
        self.over = False

    def run(self) -> None:
        me = psutil.Process()
        while not self.over:
            busy = 0
            for process in [me, *me.children(recursive=True)]:
                try:
                    times = process.cpu_times()
                    self.seconds[process.pid] = times.user + times.system
                    for state in Path(f"/proc/{process.pid}/task").glob("*/stat"):
                        busy += state.read_text().rpartition(")")[2].split()[0] == "R"
                except (psutil.Error, OSError):
                    continue
            self.running.append(busy)
            time.sleep(0.5)


def one(folder: Path, n_jobs: int) -> None:
    """Run the survey in this process, and print what it took."""
    _, test = halves()
    models = {path.stem: adv.classifiers.load(path) for path in sorted(folder.glob("sc*"))}
    attacks = [adv.attacks.SingleGene(name) for name in MODIFICATIONS]
    attacks += [adv.attacks.MaxChange(name, restarts=1) for name in MODIFICATIONS]
    watch = Watch()
    me = psutil.Process()
    before = sum(me.cpu_times()[:2])
    watch.start()
    start = wall()
    survey = adv.survey(test, models, attacks=attacks, groupby="cell_type", n_jobs=n_jobs, progress=False)
    took = wall() - start
    watch.over = True
    watch.join()
    own = sum(me.cpu_times()[:2]) - before
    watch.seconds.pop(me.pid)
    workers = sorted((seconds for seconds in watch.seconds.values() if seconds > 0.5), reverse=True)
    table = folder / f"table-{n_jobs}.csv"
    survey.to_frame().to_csv(table)
    print(json.dumps([took, own, workers, max(watch.running), sum(watch.running) / len(watch.running)]))


def main() -> None:
    data_folder()
    train, _ = halves()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        adv.classifiers.ScType(data_folder() / "sctype_db.tsv", tissue="Immune system").save(folder / "scType")
        adv.classifiers.RandomForest(seed=0).fit(train, "cell_type").save(folder / "scRF")
        adv.classifiers.MLP(seed=0).fit(train, "cell_type").save(folder / "scMLP")
        free = {key: value for key, value in os.environ.items() if not key.endswith("_NUM_THREADS")}
        rows, needed = [], {}
        for n_jobs in (1, 2):
            command = [sys.executable, __file__, *sys.argv[1:], str(folder), str(n_jobs)]
            done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=free)
            took, own, workers, most, mean = json.loads(done.stdout.splitlines()[-1])
            needed[n_jobs] = took, own + max(workers, default=0.0)
            rows.append(
                {
                    "processes": n_jobs,
                    "wall, s": f"{took:.1f}",
                    "processor, s: parent": f"{own:.1f}",
                    "workers": ", ".join(f"{seconds:.1f}" for seconds in workers),
                    "threads that run, watcher included: most, mean": f"{most}, {mean:.1f}",
                    "ratio by wall": f"{needed[1][0] / took:.2f}",
                    "ratio by the busiest process": f"{needed[1][1] / needed[n_jobs][1]:.2f}",
                }
            )
            print(rows[-1], flush=True)
        assert (folder / "table-1.csv").read_bytes() == (folder / "table-2.csv").read_bytes()
    print(f"load average {os.getloadavg()[0]:.1f}; the tables are the same, byte for byte")
    print(show(rows))
    save("survey_jobs", rows)


if __name__ == "__main__":
    if sys.argv[-1] in ("1", "2"):
        one(Path(sys.argv[-2]), int(sys.argv[-1]))
    else:
        main()
