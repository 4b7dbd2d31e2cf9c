"""How do time and memory of a survey of single genes grow with the number of attacked cells, and with clusters?

Simulated sparse counts, few genes, so that 100,000 cells fit everywhere. Each size is a process of its own, three
times: medians of processor seconds of the attack alone, and of the most memory that the data and the attack took. The
slope is that of a line through the logarithms, from the second size on: below, what is paid once outweighs what grows.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import scipy.sparse as sp
from anndata import AnnData

from common import QUICK, clock, save, show

GENES, TYPES, TRAINED = 500, 5, 400
SIZES = (300, 1_000, 3_000) if QUICK else (1_000, 10_000, 100_000)
FAMILIES = ("scType", "markers", "logistic regression", "scRF, 50 trees", "scMLP", "scAnnotatR", "CHETAH", "SingleR")
SLOW = {"SingleR": 10_000, "scAnnotatR": 10_000}  # the largest number of cells that is affordable
REPEATS = 1 if QUICK else 3
CLUSTERS, ATTACKS = (20, 2) if QUICK else (100, 5)
CHANGES = ("perc1", "perc99", "decile+5", "positive_aberrant", "negative_aberrant")


def simulated(cells: int, seed: int) -> AnnData:
    """Return sparse counts of five types, each with 20 genes of its own."""
    rng = np.random.default_rng(seed)
    kinds = np.arange(cells) % TYPES
    rate = np.full((TYPES, GENES), 0.1)
    for kind in range(TYPES):
        rate[kind, 20 * kind : 20 * kind + 20] = 2.0
    X = sp.vstack(
        [sp.csr_array(rng.poisson(rate[kinds[at : at + 5_000]]).astype(np.float32)) for at in range(0, cells, 5_000)]
    )
    names = pd.Index([f"cell{k}" for k in range(cells)]), pd.Index([f"gene{k}" for k in range(GENES)])
    obs = pd.DataFrame({"type": pd.Categorical([f"type{kind}" for kind in kinds])}, index=names[0])
    return AnnData(sp.csr_array(X), obs=obs, var=pd.DataFrame(index=names[1]))


def trained(family: str) -> object:
    """Return a classifier trained on a few simulated cells."""
    from sklearn.linear_model import LogisticRegression

    from adverscarial import classifiers

    cells = simulated(TRAINED, 0)
    own = {f"type{kind}": [f"gene{20 * kind + place}" for place in range(20)] for kind in range(TYPES)}
    made = {
        "scType": lambda: classifiers.ScType(own, scaled=False),
        "markers": lambda: classifiers.Markers(own),
        "logistic regression": lambda: classifiers.wrap(
            LogisticRegression(max_iter=200).fit(cells.X.toarray(), cells.obs["type"].astype(str)),
            genes=list(cells.var_names),
        ),
        "scRF, 50 trees": lambda: classifiers.RandomForest(50, seed=0).fit(cells, "type"),
        "scMLP": lambda: classifiers.MLP(seed=0).fit(cells, "type"),
        "scAnnotatR": lambda: classifiers.ScAnnotatR().fit(cells, "type"),
        "CHETAH": lambda: classifiers.Chetah(50).fit(cells, "type"),
        "SingleR": lambda: classifiers.SingleR().fit(cells, "type"),
    }
    return made[family]()


def memory(what: str) -> float:
    """Return what this process holds (``VmRSS``), or the most it has held since it was last told to forget, in MB."""
    status = Path("/proc/self/status").read_text()
    return int(status.split(what + ":")[1].split()[0]) / 1e3


def forget_the_peak() -> None:
    """Let ``VmHWM`` begin anew with what the process holds now; making the data took more."""
    Path("/proc/self/clear_refs").write_text("5")


def attempt(family: str, attacked: int) -> dict[str, float]:
    """Attack one cluster, in this process; the other cells of the data set are as many again, at most."""
    import adverscarial as adv

    model = trained(family)
    attack = adv.attacks.SingleGene("perc99")
    attack(simulated(100, 2), model, groupby="type", target="type1", progress=False)  # compiles
    before = memory("VmRSS")
    adata = simulated(2 * attacked, 1)
    adata.obs["half"] = pd.Categorical(np.where(np.arange(2 * attacked) < attacked, "attacked", "other"))
    forget_the_peak()
    start = clock()
    attack(adata, model, groupby="half", target="attacked", progress=False)
    return {"seconds": clock() - start, "MB": memory("VmHWM") - before}


def clusters() -> dict[str, object]:
    """Survey many small clusters of data in a file, and count how often its rows are read."""
    import adverscarial as adv
    from adverscarial.cells.matrix import CellMatrix

    adata = simulated(20 * CLUSTERS, 1)
    names = pd.Categorical([f"c{k % CLUSTERS:03d}" for k in range(adata.n_obs)])
    adata.obs["cluster"] = names
    read = {"pieces": 0, "cells": 0}
    pieces = CellMatrix.pieces

    def counted(self: CellMatrix):  # type: ignore[no-untyped-def]
        read["pieces"] += 1
        for cells, piece in pieces(self):
            read["cells"] += piece.shape[0]
            yield cells, piece

    CellMatrix.pieces = counted  # type: ignore[method-assign]
    model = trained("markers")
    attacks = [adv.attacks.SingleGene(change) for change in CHANGES[:ATTACKS]]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "cells.h5ad"
        adata.write_h5ad(path)
        import anndata

        backed = anndata.read_h5ad(path, backed="r")
        start = clock()
        survey = adv.survey(backed, [model], attacks=attacks, groupby="cluster", progress=False)
        seconds = clock() - start
        backed.file.close()
    rows = len(survey.to_frame())
    return {"rows": rows, "seconds": seconds, **read, "data set": adata.n_obs}


def slope(sizes: list[int], numbers: list[float]) -> float:
    """Return the slope in log-log from the second size on, or of two sizes."""
    x, y = np.log(sizes), np.log(np.maximum(numbers, 1e-3))
    return float(np.polyfit(x[-2:], y[-2:], 1)[0])


def main() -> None:
    """Run each attempt in a process of its own, and save the tables."""
    words = [word for word in sys.argv[1:] if word != "--quick"]
    if words:
        print(json.dumps(clusters() if words[0] == "clusters" else attempt(words[0], int(words[1]))))
        return

    def asked(*arguments: str) -> dict[str, float]:
        command = [sys.executable, __file__, *arguments, *sys.argv[1:]]
        return dict(json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout.splitlines()[-1]))

    rows = []
    for family in FAMILIES:
        sizes = [size for size in SIZES if size <= SLOW.get(family, size)]
        found = [[asked(family, str(size)) for _ in range(REPEATS)] for size in sizes]
        row: dict[str, object] = {"family": family}
        for unit in ("seconds", "MB"):
            numbers = [statistics.median(one[unit] for one in several) for several in found]
            row |= {f"{unit}, {size:,}": "" for size in SIZES}
            row |= {f"{unit}, {size:,}": f"{number:.3g}" for size, number in zip(sizes, numbers, strict=True)}
            row[f"slope of {unit}"] = f"{slope(sizes, numbers):.2f}"
        rows.append(row)
        print(row, flush=True)
    print(show(rows))
    save("growth", rows)
    one = asked("clusters")
    table: list[dict[str, object]] = [
        {
            "clusters x attacks": f"{CLUSTERS} x {ATTACKS}",
            "results": one["rows"],
            "processor, s": f"{one['seconds']:.1f}",
            "cells of the file": f"{one['data set']:,}",
            "cells read in passes over it": f"{one['cells']:,}",
            "passes": one["pieces"],
        }
    ]
    print(show(table))
    save("growth_clusters", table)


if __name__ == "__main__":
    main()
