"""HDF5 files that make the HDF5 library crash or run in circles: another process meets them first."""

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
from adverscarial._matrix import CellMatrix
from adverscarial.datasets import hdf5, hdf5_walk
from adverscarial.errors import DataError

SLOW = "import signal; del signal.setitimer"  # a machine that cannot tell waiting from computing


@pytest.fixture
def file(tmp_path: Path) -> Path:
    obs = pd.DataFrame({"cell_type": ["B", "T"] * 10}, index=[f"cell{i}" for i in range(20)])
    X = sp.random(20, 6, 0.6, format="csr", dtype=np.float32, random_state=0)
    AnnData(X, obs=obs, var=pd.DataFrame(index=[f"g{i}" for i in range(6)])).write_h5ad(
        tmp_path / "cells.h5ad", compression="gzip"
    )
    return tmp_path / "cells.h5ad"


def make_circle(file: Path) -> None:
    """Let the free space of each heap of texts begin at its start, and be empty: HDF5 looks for its end for ever."""
    content = bytearray(file.read_bytes())
    heap = content.find(b"GCOL")
    while heap >= 0:
        content[heap + 16 : heap + 32] = bytes(16)
        heap = content.find(b"GCOL", heap + 1)
    file.write_bytes(content)


@pytest.mark.parametrize("backed", [False, True])
def test_circles(file: Path, monkeypatch: pytest.MonkeyPatch, backed: bool) -> None:
    monkeypatch.setattr(hdf5, "_SECONDS", 0.5)
    adv.datasets.load(file)
    make_circle(file)
    with pytest.raises(DataError, match=r"cells\.h5ad', .* makes the HDF5 library run in circles: it is damaged"):
        adv.datasets.load(file, backed=backed)


def test_circles_where_only_time_is_known(file: Path) -> None:
    arguments = [json.dumps(sys.path), str(file), "0.2"]
    script = f"{SLOW}; import runpy; runpy.run_path({hdf5_walk.__file__!r}, run_name='__main__')"
    command = [sys.executable, "-c", script, *arguments]
    assert subprocess.run(command, capture_output=True, timeout=60).returncode == 0
    make_circle(file)
    done = subprocess.run(command, capture_output=True, timeout=60)
    assert (done.returncode, done.stdout.split()[:1]) == (1, [b"ready"])
    assert hdf5._end(1) == "run in circles"


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


@pytest.mark.parametrize("part", ["indptr", "indices", "data"])
def test_parts_that_do_not_fit_each_other(file: Path, part: str) -> None:
    with h5py.File(file, "r+") as content:
        values = content["X"][part][:]
        del content["X"][part]
        content["X"][part] = values[:-1]
    with pytest.raises(DataError, match="damaged"):
        CellMatrix(adv.datasets.load(file, backed=True).X).columns(np.arange(6))
