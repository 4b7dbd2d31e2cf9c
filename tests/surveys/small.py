"""A data set and classifiers so small that a survey of them takes milliseconds."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData

import adverscarial as adv

ATTACK = adv.attacks.SingleGene("perc99", search="exact")
LEVEL = 1.0
#: where these tests are found
TESTS = str(Path(__file__).resolve().parents[1])


def cells(n: int = 60, genes: int = 8, types: tuple[str, ...] = ("B", "NK", "T"), seed: int = 0) -> AnnData:
    """Return log counts; the first gene tells the cells apart."""
    rng = np.random.default_rng(seed)
    X = np.log1p(rng.poisson(1.0, (n, genes))).astype(np.float32)
    X[::2, 0] += 1
    obs = pd.DataFrame({"cell_type": [types[k % len(types)] for k in range(n)]}, index=[f"cell{k}" for k in range(n)])
    return AnnData(X, obs=obs, var=pd.DataFrame(index=[f"g{k}" for k in range(genes)]))


def labels(X: np.ndarray) -> np.ndarray:
    """Label cells by their first gene."""
    return np.where(X[:, 0] > LEVEL, "B", "T")


def above(level: float) -> Callable[[np.ndarray], np.ndarray]:
    """Return a function that holds a number."""

    def label(X: np.ndarray) -> np.ndarray:
        return np.where(X[:, 0] > level, "B", "T")

    return label


def run(model: Any = labels, *, adata: AnnData | None = None, **options: Any) -> adv.Survey:
    """Survey the small cells."""
    asked = {"attacks": ATTACK, "groupby": "cell_type", "progress": False, **options}
    return adv.survey(cells() if adata is None else adata, model, **asked)


def script(body: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a script in a fresh process that finds the small cells; processes that it starts find the tests, too."""
    path = os.pathsep.join([TESTS, os.environ.get("PYTHONPATH", "")])
    return subprocess.run(
        [sys.executable, "-c", f"from surveys.small import *\n{body}"],
        capture_output=True, text=True, env={**os.environ, "PYTHONPATH": path, **environment},
    )  # fmt: skip
