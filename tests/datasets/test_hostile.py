"""Files that lie or never end: refused in words, before they fill the memory."""

from __future__ import annotations

import gzip
import os
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from anndata import AnnData

import adverscarial as adv
from adverscarial import _memory
from adverscarial.datasets import load, text
from adverscarial.datasets.readers import mtx
from adverscarial.errors import AdverscarialError, DataError, MemoryLimitError
from adverscarial.evaluation.certificates import verify_certificate

HEAD = "%%MatrixMarket matrix coordinate integer general\n"


def folder(path: Path, matrix: str, barcodes: str = "c1\nc2\n") -> Path:
    path.mkdir()
    (path / "matrix.mtx").write_text(matrix)
    (path / "barcodes.tsv").write_text(barcodes)
    (path / "features.tsv").write_text("".join(f"{g}\t{g}\tGene Expression\n" for g in ("CD4", "CD8A", "LYZ")))
    return path


READERS: list[Callable[[Path], object]] = [load, adv.Survey.load, verify_certificate, adv.classifiers.load]


@pytest.mark.fast(3)
@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
@pytest.mark.parametrize("read", READERS)
@pytest.mark.parametrize("name", ["x.csv", "x.h5ad", "x.json", "x.npz", "run.json"])
def test_a_pipe_is_not_waited_for(tmp_path: Path, read: Callable[[Path], object], name: str) -> None:
    os.mkfifo(tmp_path / name)
    with pytest.raises(AdverscarialError):
        read(tmp_path if name == "run.json" else tmp_path / name)


@pytest.mark.parametrize("place", ["header", "row", "far below"])
@pytest.mark.parametrize("packed", [False, True])
def test_a_line_without_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str, packed: bool) -> None:
    monkeypatch.setattr(text, "LONGEST", 5_000)
    lines = ["cell,CD4,CD8A", *(f"c{k},1,2" for k in range(100))]
    at = {"header": 0, "row": 1, "far below": 90}[place]
    lines[at] += "0" * 2_000_000
    content = "\n".join(lines).encode()
    path = tmp_path / ("x.csv.gz" if packed else "x.csv")
    path.write_bytes(gzip.compress(content) if packed else content)
    with pytest.raises(DataError, match=r"has a line of 5,000 letters or more, so it is no text"):
        load(path)


def test_lines_without_end_in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    matrix = HEAD + "3 2 2\n1 1 5\n2 2 3\n"
    assert load(folder(tmp_path / "sound", matrix)).shape == (2, 3)
    monkeypatch.setattr(text, "LONGEST", 5_000)
    with pytest.raises(DataError, match=r"barcodes\.tsv' has a line of 5,000 letters"):
        load(folder(tmp_path / "names", matrix, "c1\nc2" + "0" * 9_000))
    monkeypatch.setattr(mtx, "_LONGEST", 5_000)
    with pytest.raises(DataError, match=r"matrix\.mtx' has a line of 5,000 letters"):
        load(folder(tmp_path / "values", HEAD + "3 2 2\n1 1 5\n2 2 3" + "0" * 2**25))


def test_a_list_that_does_not_fit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text, "_ROWS", 1_000)
    monkeypatch.setattr(_memory, "available", lambda: 500_000)
    path = folder(tmp_path / "x", HEAD + "3 2 2\n1 1 5\n2 2 3\n", "c1\n" * 2_000)
    with pytest.raises(MemoryLimitError, match=r"The list '.*barcodes\.tsv' needs about 0\.001 GB of memory"):
        load(path)


def test_a_marker_table_as_wide_as_a_matrix(tmp_path: Path) -> None:
    (tmp_path / "x.tsv").write_text("x\t" * 100_000 + "\n")
    with pytest.raises(DataError, match="begins with a line of 65,536 letters or more: no marker table"):
        adv.classifiers.ScType(tmp_path / "x.tsv")


@pytest.mark.fast(2)
@pytest.mark.parametrize("part", ["data", "indices", "indptr"])
@pytest.mark.parametrize("backed", [False, True])
def test_places_that_are_no_whole_numbers(tmp_path: Path, part: str, backed: bool) -> None:
    """scipy rounds them without a word."""
    names = pd.DataFrame(index=["c1", "c2"]), pd.DataFrame(index=["CD4", "CD8A"])
    AnnData(sp.csr_matrix(np.eye(2)), obs=names[0], var=names[1]).write_h5ad(tmp_path / "x.h5ad")
    with h5py.File(tmp_path / "x.h5ad", "a") as file:
        values = file[f"X/{part}"][()] + 0.5
        del file[f"X/{part}"]
        file[f"X/{part}"] = values
    if part == "data":
        load(tmp_path / "x.h5ad", backed=backed)
    else:
        with pytest.raises(DataError, match=rf"'/X/{part}' of .* holds float64, expected whole numbers"):
            load(tmp_path / "x.h5ad", backed=backed)


@pytest.mark.parametrize("part", ["data", "indices", "indptr", "shape"])
def test_text_in_place_of_the_numbers_of_a_10x_file(tmp_path: Path, part: str) -> None:
    held = {"data": [1, 2], "indices": [0, 1], "indptr": [0, 1, 2], "shape": [3, 2]}
    with h5py.File(tmp_path / "x.h5", "w") as file:
        for name, values in held.items():
            file[f"matrix/{name}"] = np.array(values, dtype="S1") if name == part else np.array(values)
        file["matrix/barcodes"] = np.array([b"c1", b"c2"])
        for name in ("id", "name", "feature_type", "genome"):
            file[f"matrix/features/{name}"] = np.array([b"a", b"b", b"c"])
    with pytest.raises(DataError, match=rf"'/matrix/{part}' of .* holds \|S1, expected numbers"):
        load(tmp_path / "x.h5")
