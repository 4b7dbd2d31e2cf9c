"""Made-up cells, classifiers and packages that tests of several rooms need."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
from anndata import AnnData

import adverscarial as adv


def example() -> AnnData:
    """20 cells x 5 genes in two clusters; the largest value is below 1."""
    rng = np.random.default_rng(0)
    obs = pd.DataFrame({"cell_type": pd.Categorical(["B", "T"] * 10)}, index=[f"cell{i}" for i in range(20)])
    genes = ["CD79A", "MS4A1", "HLA-DRA", "CD3D", "CD3E"]
    return AnnData(rng.random((20, 5)), obs=obs, var=pd.DataFrame(index=genes))


def label(X: np.ndarray) -> np.ndarray:
    """A classifier: cells with much of the first gene are B."""
    return np.where(X[:, 0] > 0.5, "B", "T")


def cautious() -> adv.classifiers.Classifier:
    """A classifier with scores that refuses values above 50."""

    def scores(X: np.ndarray) -> np.ndarray:
        if X.max() > 50:
            raise ValueError("out of range")
        high = X[:, :20].sum(axis=1)
        return np.stack([high, 5 - high], axis=1)

    return adv.classifiers.wrap(scores, classes=["high", "low"])


def needing(n: int) -> Callable[[np.ndarray], np.ndarray]:
    """A classifier that calls every cell A, and fails on fewer cells than `n`."""

    def labels(X: np.ndarray) -> np.ndarray:
        if len(X) < n:
            raise RuntimeError("too few cells")
        return np.full(len(X), "A")

    return labels


def check_renamed(named: AnnData, before: AnnData) -> None:
    """Check that genes got other names, and nothing else: the old names are kept, and the values."""
    assert list(named.var["gene_id"]) == list(before.var_names)
    np.testing.assert_array_equal(named.X, before.X)


def install(folder: Path, package: str, module: str, code: str, entry_points: str) -> None:
    """Write a package of one module as pip would: the module, and what its metadata say."""
    (folder / f"{module}.py").write_text(code)
    about = folder / f"{package.replace('-', '_')}-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
    (about / "top_level.txt").write_text(f"{module}\n")
    (about / "RECORD").write_text(f"{module}.py,,\n")
    (about / "entry_points.txt").write_text(entry_points)
