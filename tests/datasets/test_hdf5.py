"""HDF5 files are first looked over by another process, which may crash or never end; here stand-ins do so.

What was seen with damaged files (HDF5 2.0.0 in h5py 3.16.0): the library went round without end over a heap of texts
whose sizes were damaged, and crashed over damaged types. No such file is kept here: a look that spins and a look that
ends itself test what we do about them.
"""

from __future__ import annotations

import json
import logging
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from anndata import AnnData

import adverscarial as adv
from adverscarial.cells.matrix import CellMatrix
from adverscarial.datasets import hdf5, hdf5_walk
from adverscarial.errors import DataError

#: A look over the file that begins as ours does, and then computes without end.
SPINS = f"""
import runpy, sys
walk = runpy.run_path({hdf5_walk.__file__!r}, run_name="walk")
def spin(self, item):
    while True:
        pass
walk["Walk"].below = spin
walk["main"](*sys.argv[1:])
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    obs = pd.DataFrame({"cell_type": ["B", "T"] * 10}, index=[f"cell{i}" for i in range(20)])
    X = sp.random(20, 6, 0.6, format="csr", dtype=np.float32, random_state=0)
    AnnData(X, obs=obs, var=pd.DataFrame(index=[f"g{i}" for i in range(6)])).write_h5ad(
        tmp_path / "cells.h5ad", compression="gzip"
    )
    return tmp_path / "cells.h5ad"


@pytest.mark.fast(1)
@pytest.mark.parametrize("backed", [False, True])
def test_a_look_without_end_is_ended_and_named(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, backed: bool
) -> None:
    walk = tmp_path / "walk.py"
    walk.write_text(SPINS)
    monkeypatch.setattr(hdf5, "_WALK", walk)
    monkeypatch.setattr(hdf5, "_SECONDS", 0.2)
    with pytest.raises(DataError, match=r"cells\.h5ad', .* makes the HDF5 library run in circles: it is damaged"):
        adv.datasets.load(file, backed=backed)


@pytest.mark.fast(1)
@pytest.mark.parametrize(
    ("script", "seconds", "code"),
    [
        (f"import runpy; runpy.run_path({hdf5_walk.__file__!r}, run_name='__main__')", "60", 0),
        (SPINS, "0.02", 1),
    ],
)
def test_a_look_ends_where_computing_cannot_be_told_from_waiting(
    file: Path, script: str, seconds: str, code: int
) -> None:
    without = "import signal; del signal.setitimer\n"
    command = [sys.executable, "-c", without + script, json.dumps(sys.path), str(file), seconds]
    done = subprocess.run(command, capture_output=True)
    assert (done.returncode, done.stdout.split()[:1]) == (code, [b"ready"])
    if code:
        assert hdf5._end(code) == "run in circles"


def test_a_crash_is_named(file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    walk = tmp_path / "walk.py"
    walk.write_text("import os\nprint('ready\\nobs/x', flush=True)\nos.kill(os.getpid(), 11)\n")
    monkeypatch.setattr(hdf5, "_WALK", walk)
    with pytest.raises(DataError, match=r"makes the HDF5 library crash \(SIGSEGV\) over 'obs/x'"):
        adv.datasets.load(file)
    assert hdf5._end(0xC0000005) == "crash (exit code 0xc0000005)"


def no_process(*arguments: Any, **options: Any) -> Any:
    raise OSError("no processes here")


@pytest.mark.parametrize(
    ("name", "value"),
    [("subprocess.run", no_process), ("sys.executable", ""), ("sys.executable", "/usr/bin/R"), ("sys.frozen", True)],
)
def test_without_another_process_files_are_read(
    file: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, name: str, value: Any
) -> None:
    monkeypatch.setattr(name, value, raising=name != "sys.frozen")
    with caplog.at_level(logging.INFO, "adverscarial"):
        assert adv.datasets.load(file).shape == (20, 6)
    assert "No other process could look" in caplog.text


def test_another_process_without_h5py(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [])
    assert hdf5._walked(file)[0] == []
    hdf5.look_over(file)


def test_a_file_is_looked_over_once(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[Path] = []

    def walked(path: Path) -> tuple[list[str], int]:
        looked.append(path)
        return ["ready"], 0

    monkeypatch.setattr(hdf5, "_walked", walked)
    for expected in (1, 1):
        adv.datasets.load(file)
        assert len(looked) == expected
    adv.datasets.load(file).write_h5ad(file)
    adv.datasets.load(file)
    assert len(looked) == 2


def test_what_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []
    whole = h5py.Dataset.__getitem__

    def taken(array: Any, *arguments: Any) -> Any:
        read.append(array.name)
        return whole(array, *arguments)

    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["numbers"], file["none"] = np.arange(10), h5py.Empty("f")
        file["texts"] = np.array(["a"] * (hdf5_walk._PIECE + 1), dtype=object)
        file.create_dataset("large", shape=(2**22,), dtype=float, chunks=(2**16,))
        file.create_dataset("announced", shape=(2**60,), dtype=h5py.string_dtype(), chunks=(1000,))
        file["again"] = h5py.SoftLink("/")  # a circle
        file["nowhere"] = h5py.SoftLink("/absent")
    monkeypatch.setattr(h5py.Dataset, "__getitem__", taken)
    monkeypatch.setattr(signal, "setitimer", lambda *arguments: None)
    with h5py.File(tmp_path / "a.h5") as file:
        hdf5_walk.Walk(file, 5)
    assert sorted(set(read)) == ["/announced", "/numbers", "/texts"]
    assert read.count("/texts") == 2
    assert read.count("/announced") < 100


def test_files_left_open_are_closed(file: Path) -> None:
    """HDF5 knows an open file by its place on the disk: one copied over it would be read as what it was before."""
    held = h5py.File(file)
    left: list[h5py.File] = []
    with pytest.raises(KeyError), hdf5.closed_after_failure(file):  # noqa: PT012
        left += [h5py.File(file), h5py.File(file)]
        raise KeyError
    assert held
    assert not any(left)
    held.close()


def test_damaged_values_of_a_file_on_disk(file: Path) -> None:
    with h5py.File(file) as content:
        place = content["X/data"].id.get_chunk_info(0).byte_offset
    content = bytearray(file.read_bytes())
    content[place : place + 20] = b"damaged in this part"
    file.write_bytes(content)
    adata = adv.datasets.load(file, backed=True)
    with pytest.raises(DataError, match="The matrix in the file is damaged"):
        CellMatrix(adata.X).columns(np.arange(6))
    adata.file.close()


@pytest.mark.fast(1)
@pytest.mark.parametrize("part", ["indptr", "indices", "data"])
def test_parts_that_do_not_fit_each_other(file: Path, part: str) -> None:
    with h5py.File(file, "r+") as content:
        values = content["X"][part][:]
        del content["X"][part]
        content["X"][part] = values[:-1]
    with pytest.raises(DataError, match="damaged"):
        CellMatrix(adv.datasets.load(file, backed=True).X).columns(np.arange(6))
