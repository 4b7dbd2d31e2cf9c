"""An attack on 100,000 cells x 20,000 genes under a limit of memory: does what fits by the estimate really fit?

Each row is a process of its own. The limit is on its address space (as ``ulimit -v`` sets it): what the process holds
when the data are there, plus the estimate of the attack. With a tenth less the attack must be refused before it begins.

    python benchmarks/memory_limit.py
"""

from __future__ import annotations

import json
import os
import re
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp
from anndata import AnnData

from common import QUICK, save

CELLS, GENES = (10_000, 2_000) if QUICK else (100_000, 20_000)
MODELS = ("function", "forest", "linear")


def data() -> AnnData:
    """Counts with 3% of the values above zero; a quarter of the cells is the attacked cluster."""
    rng = np.random.default_rng(0)
    X = sp.random(CELLS, GENES, 0.03, format="csr", dtype=np.float32, rng=rng)
    kinds = pd.Categorical(np.where(np.arange(CELLS) % 4 == 0, "attacked", "other"))
    names = pd.Index([f"cell{k}" for k in range(CELLS)]), pd.Index([f"gene{k}" for k in range(GENES)])
    return AnnData(X, obs=pd.DataFrame({"kind": kinds}, index=names[0]), var=pd.DataFrame(index=names[1]))


def model(name: str, adata: AnnData) -> Any:
    """Return a classifier that is good for nothing, trained in a moment."""
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.linear_model import LogisticRegression

    few = slice(0, 400)
    if name == "function":
        return lambda X: np.where(X[:, 0] > 0.5, "B", "T")
    estimator = RandomForestClassifier(20, random_state=0) if name == "forest" else LogisticRegression(max_iter=2)
    return estimator.fit(adata.X[few].toarray(), adata.obs["kind"].to_numpy()[few])


def attempt(name: str, share: float) -> dict[str, Any]:
    """Attack with `share` of the estimated memory, in this process."""
    from adverscarial import _memory
    from adverscarial.attacks import SingleGene
    from adverscarial.errors import MemoryLimitError

    small = AnnData(np.eye(6, 3, dtype=np.float32), obs=pd.DataFrame({"kind": ["attacked", "other"] * 3}))
    attack = SingleGene("perc99", genes=["gene1", "gene2", "gene3"])
    SingleGene("perc99")(small, lambda X: np.full(len(X), "B"), groupby="kind", target="attacked")  # compiles
    adata = data()
    classifier = model(name, adata)
    there, _memory.available = _memory.available, lambda: 0
    try:
        attack(adata, classifier, groupby="kind", target="attacked")
    except MemoryLimitError as error:
        estimate = float(re.search(r"about ([\d,.]+) GB", str(error))[1].replace(",", "")) * 1e9  # type: ignore[index]
    _memory.available = there
    used = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    resource.setrlimit(resource.RLIMIT_AS, (int(used + share * estimate), resource.RLIM_INFINITY))
    try:
        attack(adata, classifier, groupby="kind", target="attacked")
        outcome = "ran"
    except MemoryLimitError:
        outcome = "refused before it began"
    except MemoryError:
        outcome = "ran out of memory"
    return {"model": name, "GB estimated": estimate / 1e9, "of it allowed": share, "outcome": outcome}


def main() -> None:
    """Run each attempt in a process of its own, and save the table."""
    asked = [word for word in sys.argv[1:] if word != "--quick"]
    if asked:
        print(json.dumps(attempt(asked[0], float(asked[1]))))
        return
    rows = []
    for name in MODELS:
        for share in (1.05, 0.9):
            words = [sys.executable, __file__, name, str(share), *sys.argv[1:]]
            done = subprocess.run(words, capture_output=True, text=True)
            last = (done.stdout.splitlines() or ["{}"])[-1]
            rows.append(json.loads(last) if done.returncode == 0 else {"model": name, "outcome": done.stderr[-300:]})
            print(rows[-1], flush=True)
    save("memory_limit", rows)


if __name__ == "__main__":
    main()
