"""What the benchmarks share: data, timing, and the table they fill.

The clock is the processor time of this process, on one BLAS thread: on a machine that other jobs use, wall time
measures them as well.
"""

from __future__ import annotations

import json
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

import adverscarial as adv

HERE = Path(__file__).parent
QUICK = "--quick" in sys.argv[1:]  # smaller: to see that a script runs, its tables are not saved
REPEATS = 2 if QUICK else 5
clock = time.process_time
wall = time.perf_counter

threadpool_limits(1)  # of the libraries that are loaded; the variables tell those that come later
os.environ |= {f"{name}_NUM_THREADS": "1" for name in ("OMP", "OPENBLAS", "MKL")}


def data_folder() -> Path:
    """Return the folder with pbmc3k.h5ad and the marker table."""
    folder = Path(os.environ.get("ADVERSCARIAL_DATA", HERE.parents[1] / "shared" / "data"))
    if not (folder / "pbmc3k.h5ad").is_file():
        raise SystemExit(f"No pbmc3k.h5ad in '{folder}': name the folder that holds it in ADVERSCARIAL_DATA.")
    os.environ["ADVERSCARIAL_DATA"] = str(folder)
    return folder


@cache
def pbmc3k(labelled: bool = True) -> anndata.AnnData:
    """Return PBMC3k, z-scored; without the undetermined cells if `labelled`."""
    data_folder()
    cells = adv.datasets.pbmc3k()
    return adv.datasets.preprocess(cells[cells.obs["cell_type"] != "UNDETERMINED"].copy() if labelled else cells)


@cache
def halves() -> tuple[anndata.AnnData, anndata.AnnData]:
    """Return cells to train on and cells to attack."""
    return adv.datasets.split(pbmc3k(), "cell_type", seed=0)


def four_models(train: anndata.AnnData) -> dict[str, adv.classifiers.Classifier]:
    """Return one classifier of each kind that has a scorer of its own."""
    from sklearn.linear_model import LogisticRegression

    estimator = LogisticRegression(C=0.01, max_iter=100).fit(train.X, train.obs["cell_type"].astype(str))
    return {
        "scType, 34 types": adv.classifiers.ScType(data_folder() / "sctype_db.tsv", tissue="Immune system"),
        "logistic regression": adv.classifiers.wrap(estimator, genes=list(train.var_names)),
        "scRF, 500 trees": adv.classifiers.RandomForest(seed=0).fit(train, "cell_type"),
        "scMLP, 128-64": adv.classifiers.MLP(seed=0).fit(train, "cell_type"),
    }


def median_seconds(function: Callable[[], object], repeats: int = REPEATS, clock: Callable[[], float] = clock) -> float:
    """Return the median time of several calls, after one that is not counted."""
    function()
    times = []
    for _ in range(repeats):
        start = clock()
        function()
        times.append(clock() - start)
    return statistics.median(times)


def machine() -> str:
    """Return one line about where this ran."""
    return f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}, numpy {np.__version__}"


def show(rows: list[dict[str, object]]) -> str:
    """Return rows as a Markdown table."""
    frame = pd.DataFrame(rows)
    lines = ["| " + " | ".join(frame.columns) + " |", "|" + " --- |" * len(frame.columns)]
    lines += ["| " + " | ".join(map(str, row)) + " |" for row in frame.itertuples(index=False)]
    return "\n".join(lines)


def save(name: str, rows: list[dict[str, object]]) -> None:
    """Write rows to results/NAME.json, and put their table into the README between its markers."""
    if QUICK:
        return
    (HERE / "results").mkdir(exist_ok=True)
    (HERE / "results" / f"{name}.json").write_text(json.dumps({"machine": machine(), "rows": rows}, indent=1) + "\n")
    readme = HERE / "README.md"
    text = readme.read_text()
    start, end = f"<!-- {name} -->", f"<!-- /{name} -->"
    before, rest = text.split(start)
    after = rest.split(end)[1]
    readme.write_text(f"{before}{start}\n{show(rows)}\n\n{machine()}\n{end}{after}")
