import os
import subprocess
import sys
import urllib.error

import numpy as np
import pandas as pd
import pytest
import scanpy as sc
import scipy.sparse as sp
from anndata import AnnData

from adverscarial import datasets
from adverscarial.errors import DataError


def test_embedded_is_the_raw_of_scanpys_sample():
    adata = datasets.embedded()
    packaged = sc.datasets.pbmc68k_reduced()
    assert adata.shape == (700, 765)
    assert isinstance(adata.X, sp.csr_matrix)
    assert adata.X.dtype == np.float32
    assert (adata.X != packaged.raw.X).nnz == 0
    assert list(adata.var_names) == list(packaged.raw.var_names)
    assert list(adata.obs) == ["cell_type"]
    assert list(adata.obs["cell_type"]) == list(packaged.obs["bulk_labels"])
    assert adata.raw is None
    assert not adata.var.columns.size


def test_embedded_gives_a_fresh_copy_each_time():
    first = datasets.embedded()
    first.X.data[:] = 7
    first.obs["cell_type"] = "x"
    second = datasets.embedded()
    assert second.X.data.min() != 7
    assert second.obs["cell_type"].nunique() == 10


@pytest.mark.slow
def test_embedded_needs_no_network():
    code = (
        "import socket\n"
        "def refuse(*args, **kwargs): raise OSError('no network in this test')\n"
        "socket.socket.connect = socket.create_connection = refuse\n"
        "from adverscarial.datasets import embedded\n"
        "assert embedded().shape == (700, 765)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)})


def test_pbmc3k_from_the_shared_folder(shared):
    adata = datasets.pbmc3k()
    assert adata.shape == (2700, 13714)
    assert isinstance(adata.X, sp.csr_matrix)
    assert int(adata.X.sum()) == 6_386_518
    assert adata.X.nnz == 2_282_976
    counts = adata.obs["cell_type"].value_counts()
    assert counts["UNDETERMINED"] == 62
    assert counts["Naive CD4 T"] == 711


def test_pbmc3k_takes_the_file_in_the_folder(tmp_path, monkeypatch):
    X = sp.csc_matrix(np.array([[1, 0], [0, 3]]))
    adata = AnnData(X, obs=pd.DataFrame({"cell_type": ["B", "T"]}, index=["c1", "c2"]))
    adata.write_h5ad(tmp_path / "pbmc3k.h5ad")
    monkeypatch.setenv("ADVERSCARIAL_DATA", str(tmp_path))
    monkeypatch.setattr(sc.datasets, "pbmc3k", lambda: pytest.fail("must not fetch"))
    found = datasets.pbmc3k()
    assert isinstance(found.X, sp.csr_matrix)
    assert (found.X.toarray() == X.toarray()).all()


def test_pbmc3k_file_without_labels(tmp_path, monkeypatch):
    AnnData(sp.csr_matrix(np.eye(2)), obs=pd.DataFrame({"leiden": ["0", "1"]}, index=["c1", "c2"])).write_h5ad(
        tmp_path / "pbmc3k.h5ad"
    )
    monkeypatch.setenv("ADVERSCARIAL_DATA", str(tmp_path))
    with pytest.raises(DataError, match=r"no obs\['cell_type'\], only 'leiden'"):
        datasets.pbmc3k()


def _like_scanpys() -> tuple[AnnData, AnnData]:
    """Made-up stand-ins: four genes, seen in 4, 3, 2 and 0 cells; one cell is not in the processed set."""
    X = np.array([[1, 2, 0, 0], [3, 1, 5, 0], [1, 1, 1, 0], [2, 0, 0, 0]], dtype=np.float32)
    cells = ["AAA-1", "AAC-1", "AAG-1", "AAT-1"]
    raw = AnnData(sp.csr_matrix(X), obs=pd.DataFrame(index=cells), var=pd.DataFrame(index=["g1", "g2", "g3", "g4"]))
    louvain = pd.Categorical(["B cells", "CD4 T cells", "B cells"])
    obs = pd.DataFrame({"louvain": louvain}, index=["AAG-1", "AAA-1", "AAT-1"])  # another order
    return raw, AnnData(np.zeros((3, 1)), obs=obs)


def _stand_in(monkeypatch, raw, processed):
    monkeypatch.setattr(sc.datasets, "pbmc3k", lambda: raw)
    monkeypatch.setattr(sc.datasets, "pbmc3k_processed", lambda: processed)


@pytest.mark.parametrize("variable", ["unset", "no file"])
def test_pbmc3k_fetched(monkeypatch, tmp_path, variable):
    if variable == "unset":
        monkeypatch.delenv("ADVERSCARIAL_DATA", raising=False)
    else:
        monkeypatch.setenv("ADVERSCARIAL_DATA", str(tmp_path))
    _stand_in(monkeypatch, *_like_scanpys())
    adata = datasets.pbmc3k()
    assert list(adata.var_names) == ["g1", "g2"]
    assert isinstance(adata.X, sp.csr_matrix)
    assert adata.X.toarray().tolist() == [[1, 2], [3, 1], [1, 1], [2, 0]]
    assert list(adata.obs["cell_type"]) == ["CD4 T cells", "UNDETERMINED", "B cells", "B cells"]
    assert isinstance(adata.obs["cell_type"].dtype, pd.CategoricalDtype)


def test_pbmc3k_fetched_with_foreign_cell_names(monkeypatch):
    monkeypatch.delenv("ADVERSCARIAL_DATA", raising=False)
    raw, processed = _like_scanpys()
    processed.obs_names = ["x", "y", "z"]
    _stand_in(monkeypatch, raw, processed)
    with pytest.raises(DataError, match="do not match"):
        datasets.pbmc3k()


@pytest.mark.parametrize(
    "error", [urllib.error.URLError("no route"), ModuleNotFoundError("certifi"), OSError("truncated file")]
)
def test_pbmc3k_offline_says_what_was_tried(monkeypatch, tmp_path, error):
    def fail():
        raise error

    monkeypatch.setenv("ADVERSCARIAL_DATA", str(tmp_path))
    monkeypatch.setattr(sc.datasets, "pbmc3k", fail)
    with pytest.raises(DataError) as caught:
        datasets.pbmc3k()
    message = str(caught.value)
    assert str(tmp_path / "pbmc3k.h5ad") in message
    assert "scanpy.datasets.pbmc3k()" in message
    assert "datasets.embedded()" in message
    assert caught.value.__cause__ is error


def test_pbmc3k_labels_offline(monkeypatch):
    def fail():
        raise urllib.error.URLError("no route")

    monkeypatch.delenv("ADVERSCARIAL_DATA", raising=False)
    raw, processed = _like_scanpys()
    _stand_in(monkeypatch, raw, processed)
    monkeypatch.setattr(sc.datasets, "pbmc3k_processed", fail)
    with pytest.raises(DataError, match=r"ADVERSCARIAL_DATA is not set.*datasets\.embedded\(\)"):
        datasets.pbmc3k()
