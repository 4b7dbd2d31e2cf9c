"""Attacks on data that do not fit into memory: time and memory of 10,000, 100,000 and 1,000,000 cells.

Each row is a process of its own, so that its peak of memory is its own.

    python benchmarks/scale.py            # makes the data first, about 16 GB in benchmarks/data
    python benchmarks/scale.py 10k 100k   # some sizes only
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

from common import HERE, QUICK, save

SIZES = {"10k": 10_000, "100k": 100_000, "1M": 1_000_000}
DATA = HERE / "data"
TREES = 100


def model_file(name: str) -> Path:
    """Return a stored classifier, trained on the smallest data set."""
    import adverscarial as adv

    path = DATA / f"{name}.model"
    if not path.is_file():
        cells = adv.datasets.load(DATA / "10k.h5ad")
        adv.classifiers.RandomForest(TREES, seed=0).fit(cells, "cell_type").save(path)
    return path


def measure(path: Path, what: str) -> dict[str, float]:
    """Attack one cluster, and return seconds and the peak of memory; alone in its process.

    Seconds are those of the processor: on a shared machine the clock says more about the others.
    """
    import adverscarial as adv
    from adverscarial.attacks.start import scorer_for
    from adverscarial.cells.cluster import Cluster
    from adverscarial.cells.source import cache_path, source_of
    from scale_data import ATTACKED

    marks, start = [time.process_time()], time.perf_counter()

    def lap() -> float:
        marks.append(time.process_time())
        return marks[-1] - marks[-2]

    def peak() -> float:
        # getrusage would count what the parent held when it started this process
        status = Path("/proc/self/status").read_text()
        return int(status.split("VmHWM:")[1].split()[0]) * 1024 / 1e9

    out = {"start GB": peak()}
    adata = adv.datasets.load(path, backed=True)
    model = adv.classifiers.load(DATA / "forest.model")
    lap()
    cluster = Cluster(adata, "cluster", ATTACKED)
    out["rows"] = lap()
    scorer = scorer_for(model, cluster)
    out["scorer"] = lap()
    cluster.statistics.quantile(cluster.positions(adata.var_names), 0.99)
    out["statistics"] = lap()
    out["flips"] = len(adv.attacks.SingleGene("perc99", search="exact").run(cluster, model, scorer).genes)
    out["single"] = lap()
    if what == "both attacks":
        adv.attacks.MaxChange("perc99", restarts=1, maximal=False).run(cluster, model, scorer)
        out["most"] = lap()
    source = source_of(adata.X)
    assert source is not None
    kept = cache_path(source, "sorted-genes.h5")
    return {
        **out, "peak GB": peak(), "values": cluster.statistics.matrix.stored, "cells": adata.n_obs,
        "attacked": cluster.n_cells, "read": int(scorer.reads(cluster.positions(adata.var_names)).sum()),
        "clock": time.perf_counter() - start,
        "kept MB": kept.stat().st_size / 1e6 if kept.is_file() else 0.0,
    }  # fmt: skip


def in_a_process(path: Path, what: str) -> dict[str, float]:
    done = subprocess.run(
        [sys.executable, __file__, "--measure", path, what], check=True, capture_output=True, text=True
    )
    return json.loads(done.stdout.splitlines()[-1])


def row(name: str, first: dict[str, float], again: dict[str, float]) -> dict[str, object]:
    """Return one row of the table: a first run, and one that finds what the first has kept."""
    assert first["flips"] == again["flips"]
    return {
        "cells, file": f"{first['cells']:,} {name.split('.')[1]}",
        "values": f"{first['values'] / 1e6:,.1f} M",
        "attacked": f"{first['attacked']:,}",
        "their rows, s": f"{again['rows']:.1f}",
        "statistics, s": f"{first['statistics']:.1f}",
        "per million values, s": f"{first['statistics'] / first['values'] * 1e6:.3f}",
        "kept, s": f"{again['statistics']:.1f}",
        "kept, MB": f"{first['kept MB']:,.0f}",
        "single genes, s": f"{first['single']:.1f}",
        "MaxChange, s": f"{first['most']:.1f}" if "most" in first else "",
        "peak, GB": f"{max(first['peak GB'], again['peak GB']):.2f}",
    }


def main(sizes: list[str]) -> None:
    for size in sizes:
        if not (DATA / f"{size}.zarr").exists():
            make = [sys.executable, HERE / "scale_data.py", str(SIZES[size]), DATA / f"{size}.h5ad"]
            subprocess.run(make, check=True)
    model_file("forest")
    rows: list[dict[str, object]] = []
    for name in [f"{size}.{ending}" for size in sizes for ending in ("h5ad", "zarr")]:
        (DATA / f"{name}.X.sorted-genes.h5").unlink(missing_ok=True)
        first = in_a_process(DATA / name, "both attacks" if name.endswith("h5ad") else "one attack")
        rows.append(row(name, first, in_a_process(DATA / name, "one attack")))
        print(rows[-1], flush=True)
    save("scale", rows)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--measure"]:
        print(json.dumps(measure(Path(sys.argv[2]), sys.argv[3])))
    else:
        named = [word for word in sys.argv[1:] if not word.startswith("-")]
        main(named or (["10k"] if QUICK else list(SIZES)))
