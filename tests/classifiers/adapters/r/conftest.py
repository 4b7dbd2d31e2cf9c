"""R code for the tests, and what R itself says of it."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData

from adverscarial.classifiers import RClassifier

GENES = ["CD79A", "CD3D", "HLA-DRA", "7SK", "NKG7", "LYZ"]
CLASSES = ["B", "T", "NK"]
W = np.array([[2.0, -1, 0], [-1, 2, 0.5], [1, -0.5, -0.5], [0, 0, 0], [-0.5, 0.25, 2], [0.25, -0.25, -0.75]])

#: scores of cells, their labels, and the same in the paper's form; the numbers are those of W
SCRIPT = f"""
W <- matrix(c({", ".join(map(str, W.ravel(order="F")))}), {len(GENES)}, {len(CLASSES)})
dimnames(W) <- list(c({", ".join(f"'{gene}'" for gene in GENES)}), c({", ".join(f"'{name}'" for name in CLASSES)}))
scores <- function(X) as.matrix(X)[, rownames(W)] %*% W
best <- function(s) colnames(W)[max.col(s, ties.method = "first")]
labels <- function(X) best(scores(X))
of_columns <- function(X) labels(t(as.matrix(X)))
of_cluster <- function(expression, clusters, target) {{
  said <- labels(expression[clusters %in% target, ])
  votes <- sort(table(said), decreasing = TRUE)
  c(names(votes)[1], votes[[1]] / length(said))
}}
"""


@pytest.fixture
def cells() -> AnnData:
    """40 cells x 6 genes, three clusters."""
    X = np.random.default_rng(0).gamma(0.9, 1.5, size=(40, len(GENES))).astype(np.float32)
    obs = pd.DataFrame({"cluster": [f"c{i % 3}" for i in range(40)]}, index=[f"barcode{i}" for i in range(40)])
    return AnnData(X, obs=obs, var=pd.DataFrame(index=GENES))


def said_here(X: np.ndarray) -> np.ndarray:
    """Return the labels that SCRIPT gives, computed by numpy."""
    return np.array(CLASSES, dtype=object)[(np.asarray(X, dtype=np.float64) @ W).argmax(axis=1)]


@pytest.fixture
def write(rscript: str, tmp_path: Path) -> Callable[[str], Path]:
    """Write R code into a file, and return its path."""

    def write(code: str) -> Path:
        path = tmp_path / "model.R"
        path.write_text(code, encoding="utf-8")
        return path

    return write


@pytest.fixture
def function(write: Callable[[str], Path]):
    """Make a classifier of the text of an R function of cells."""
    made: list[RClassifier] = []

    def function(code: str, **settings: object) -> RClassifier:
        made.append(RClassifier(write(f"classify <- {code}\n"), **settings))
        return made[-1]

    yield function
    for model in made:
        model.close()


@pytest.fixture
def run_r(rscript: str, tmp_path: Path) -> Callable[[str], str]:
    """Run R code in a process of its own, in the test's folder, and return what it prints."""

    def run_r(code: str) -> str:
        path = tmp_path / "alone.R"
        path.write_text(code, encoding="utf-8")
        done = subprocess.run([rscript, str(path)], cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run_r


@pytest.fixture
def package(run_r: Callable[[str], str]) -> Callable[[str], None]:
    """Skip a test where R lacks a package; where nothing may be skipped, it fails."""

    def package(name: str) -> None:
        if run_r(f"cat(requireNamespace('{name}', quietly = TRUE))") == "TRUE":
            return
        reason = f"R has no package '{name}'"
        if os.environ.get("ADVERSCARIAL_REQUIRE_SHARED") == "1":
            pytest.fail(f"ADVERSCARIAL_REQUIRE_SHARED=1, but {reason}")
        pytest.skip(reason)

    return package
