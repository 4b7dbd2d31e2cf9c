"""Failures around the program, through the shell: exit code 2 and a message, and the rest of the work is done."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData

COMMON = ("--groupby", "cell_type", "--classifier", "markers", "--attack", "single-gene")
ENDING = """
import os

def halved(values):
    if len(values) == {size} and os.getpid() != int(os.environ["ADVERSCARIAL_TEST_STARTED"]):
        os._exit(9)
    return values / 2
"""


@pytest.fixture(scope="module")
def small(pbmc_small: AnnData, tmp_path_factory: pytest.TempPathFactory) -> AnnData:
    kinds = ["CD19+ B", "Dendritic", "CD56+ NK"]
    return pbmc_small[pbmc_small.obs["cell_type"].isin(kinds), :60].copy()


@pytest.mark.slow
def test_a_worker_that_dies_costs_its_rows(small: AnnData, tmp_path: Path) -> None:
    small.write_h5ad(tmp_path / "cells.h5ad")
    train = ("--train", str(tmp_path / "cells.h5ad"))  # so that all cells are attacked
    size = int((small.obs["cell_type"] == "Dendritic").sum())
    (tmp_path / "ending.py").write_text(ENDING.format(size=size))
    program = (
        "import os, sys; os.environ['ADVERSCARIAL_TEST_STARTED'] = str(os.getpid())\n"
        "from adverscarial.cli import main; main()"
    )
    changes = ("--modification", "custom:ending:halved", "--modification", "perc1")
    words = ["survey", str(tmp_path / "cells.h5ad"), *COMMON, *changes, *train, "--jobs", "2", "--out", "run"]
    done = subprocess.run(
        [sys.executable, "-c", program, *words], cwd=tmp_path, env=os.environ.copy(), capture_output=True, text=True
    )
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    table = pd.read_csv(tmp_path / "run" / "table.csv").set_index(["cluster", "modification"])
    failed = table["error"].notna()
    assert len(table) == 6
    assert failed[failed].index.get_level_values("cluster").tolist() == ["Dendritic"]
    assert "process" in table.loc[failed, "error"].iloc[0]


@pytest.mark.slow
def test_float16_is_read(run, small: AnnData, tmp_path: Path) -> None:
    import h5py

    dense = small.copy()
    dense.X = np.asarray(dense.X.toarray() if hasattr(dense.X, "toarray") else dense.X)
    path = tmp_path / "half.h5ad"
    dense.write_h5ad(path)
    with h5py.File(path, "r+") as file:
        values, attributes = file["X"][()].astype(np.float16), dict(file["X"].attrs)
        del file["X"]
        file["X"] = values
        file["X"].attrs.update(attributes)
    code, _, err = run("survey", path, *COMMON, "--modification", "perc1", "--out", tmp_path / "run")
    assert code == 0, err
    assert (tmp_path / "run" / "report.html").is_file()


@pytest.mark.slow
def test_a_missing_temporary_folder_is_named(
    run, small: AnnData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small.write_h5ad(tmp_path / "cells.h5ad")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "missing"))
    words = (*COMMON, "--modification", "perc1", "--jobs", "2", "--out", tmp_path / "run")
    code, _, err = run("survey", tmp_path / "cells.h5ad", *words)
    assert code == 2
    assert "TMPDIR" in err
    assert "Traceback" not in err
