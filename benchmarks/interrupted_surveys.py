"""Surveys killed at random, over folders in which something was changed: is the table always that of a fresh run?

    python benchmarks/interrupted_surveys.py [--kills 500] [--seed N]

Each round begins a survey in a process of its own and kills it (SIGKILL) at a random moment. Before a third of the
rounds something is changed: the model, what a function holds, a modification, the data, the seed, or a file of the
folder. A survey that is refused the folder starts in a new one. Now and then one may run to its end. Whenever a survey
ends, its table must be that of a survey of the same settings in a fresh folder, byte for byte, and so must the table
that the folder gives back.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from anndata import AnnData
from sklearn.linear_model import LogisticRegression

import adverscarial as adv
from adverscarial.attacks import MaxChange, SingleGene
from adverscarial.errors import StorageError

LIMIT = 300  # seconds for a survey that is not to be killed
REFUSED = 7  # exit code of a survey that was refused the folder


class Setting(NamedTuple):
    """What a survey is asked for."""

    labels: int = 0  # which labels the estimator was trained on
    level: float = 1.0  # held by the function
    change: float = 5.0  # held by the modification
    data: int = 0  # seed of the values
    seed: int = 0


def cells(seed: int) -> AnnData:
    """Return 90 cells x 12 genes in three clusters."""
    rng = np.random.default_rng(seed)
    X = np.log1p(rng.poisson(2.0, (90, 12))).astype(np.float32)
    X[:30, 0] += 1
    obs = pd.DataFrame({"cell_type": np.repeat(["B", "NK", "T"], 30)}, index=[f"cell{k}" for k in range(90)])
    return AnnData(X, obs=obs, var=pd.DataFrame(index=[f"g{k}" for k in range(12)]))


def survey(setting: Setting, out: Path) -> adv.Survey:
    """Run or continue the survey of a setting."""
    adata = cells(setting.data)
    y = np.roll(adata.obs["cell_type"].astype(str).to_numpy(), 17 * setting.labels)
    models: dict[str, Any] = {
        "estimator": adv.classifiers.wrap(LogisticRegression().fit(adata.X, y), genes=list(adata.var_names)),
        "function": lambda X: np.where(X[:, 0] + X[:, 1] > setting.level, "B", "T"),
    }
    held = adv.Custom(lambda values: values * 0 + setting.change)
    attacks = [SingleGene(held), SingleGene("perc99"), SingleGene("random"), MaxChange("perc1", restarts=1)]
    return adv.survey(adata, models, attacks=attacks, groupby="cell_type", seed=setting.seed, out=out, progress=False)


def other(setting: Setting, rng: np.random.Generator) -> Setting:
    """Return a setting in which one thing is another."""
    name = str(rng.choice(Setting._fields))
    value = {"labels": 1, "level": 0.5, "change": 0.25, "data": 1, "seed": 1}[name]
    default = Setting._field_defaults[name]
    return setting._replace(**{name: default if getattr(setting, name) != default else value})


def damage(out: Path, rng: np.random.Generator) -> str:
    """Change a file of a folder: swap two results, cut one short, or remove one."""
    results = sorted(out.glob("results/*.npz"))
    if len(results) < 2:
        return "nothing"
    how = str(rng.choice(["swap", "cut", "remove"]))
    one, two = rng.choice(len(results), 2, replace=False)
    first, second = results[one], results[two]
    if how == "swap":
        aside = out / "results" / "aside"
        first.rename(aside)
        second.rename(first)
        aside.rename(second)
    elif how == "cut":
        first.write_bytes(first.read_bytes()[: int(rng.integers(0, 400))])
    else:
        first.unlink()
    return how


def forked(task: Callable[[], object], wait: float) -> int:
    """Run `task` in a fork of this process, kill it after `wait` seconds, and return how it ended."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            task()
            code = 0
        except StorageError:
            code = REFUSED
        finally:
            os._exit(code)
    ends = time.monotonic() + wait
    while time.monotonic() < ends and not os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT):
        time.sleep(min(0.002, wait))
    os.kill(pid, signal.SIGKILL)  # which does nothing to one that has ended
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def main() -> None:
    """Kill surveys, and compare every table that is finished."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=500)
    parser.add_argument("--seed", type=int, default=None, help="of the random moments; drawn anew when left out")
    asked = parser.parse_args()
    rng = np.random.default_rng(asked.seed)
    counts: Counter[str] = Counter()
    fresh: dict[Setting, bytes] = {}
    with tempfile.TemporaryDirectory() as name:
        root, setting, folder = Path(name), Setting(), 0

        def expected(setting: Setting) -> bytes:
            if setting not in fresh:
                survey(setting, root / "fresh")
                fresh[setting] = (root / "fresh" / "table.csv").read_bytes()
                shutil.rmtree(root / "fresh")
            return fresh[setting]

        survey(setting, root / "first")  # loads and compiles what all others need
        begun = time.perf_counter()
        forked(lambda: survey(setting, root / "timed"), LIMIT)
        takes = time.perf_counter() - begun
        in_a_row = 0
        while counts["killed"] < asked.kills:
            out = root / f"run-{folder}"
            if rng.random() < 1 / 3:
                if rng.random() < 2 / 3:
                    setting = other(setting, rng)
                    counts["changed"] += 1
                else:
                    counts[f"file: {damage(out, rng)}"] += 1
            # on a machine that has become slower every survey would be killed, so some may take their time
            wait = LIMIT if in_a_row >= rng.integers(1, 12) else rng.random() ** 2 * 1.5 * takes
            code = forked(lambda out=out: survey(setting, out), wait)  # noqa: B023
            in_a_row = in_a_row + 1 if code == -signal.SIGKILL else 0
            counts[{-signal.SIGKILL: "killed", REFUSED: "refused", 0: "finished"}[code]] += 1
            if code == REFUSED:  # another survey's folder
                folder += 1
            elif code == 0:
                table = (out / "table.csv").read_bytes()
                back = adv.Survey.load(out).to_frame().to_csv(index=False, lineterminator="\n").encode()
                if table != expected(setting) or back != expected(setting):
                    sys.exit(f"The table of {setting} in {out} is not that of a fresh run. {dict(counts)}")
                counts["tables compared"] += 1
                if rng.random() < 0.5:  # else the next survey finds a finished folder
                    shutil.rmtree(out)
    if not counts["tables compared"]:
        sys.exit(f"No survey came to its end, so nothing was compared. {dict(counts)}")
    print("Every table was that of a fresh run:", dict(counts))


if __name__ == "__main__":
    main()
