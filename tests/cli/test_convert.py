from __future__ import annotations

import json

import anndata
import numpy as np
import pandas as pd
import pytest
from anndata import AnnData


@pytest.fixture
def table(tmp_path):
    """4 cells x 3 genes and a column of text, as .csv."""
    frame = pd.DataFrame(np.arange(12.0).reshape(4, 3), index=list("abcd"), columns=["ENSG1", "ENSG2", "ENSG3"])
    frame["cell_type"] = ["B", "B", "T", "T"]
    frame.to_csv(tmp_path / "cells.csv")
    return tmp_path / "cells.csv"


def read(path):
    return anndata.read_h5ad(path) if path.suffix == ".h5ad" else anndata.io.read_zarr(path)


@pytest.mark.parametrize("ending", [".h5ad", ".zarr"])
def test_written_by_ending_and_nothing_else_is_left(run, table, tmp_path, ending):
    out = tmp_path / "new" / f"cells{ending}"
    code, printed, _ = run("convert", table, out, "--json")
    assert code == 0
    assert json.loads(printed) == {"out": str(out), "cells": 4, "genes": 3, "obs": ["cell_type"]}
    adata = read(out)
    np.testing.assert_array_equal(np.asarray(adata.X), np.arange(12.0).reshape(4, 3))
    assert adata.obs["cell_type"].tolist() == ["B", "B", "T", "T"]
    assert [entry.name for entry in out.parent.iterdir()] == [out.name]
    assert out.stat().st_mode & 0o044  # others may read it, as far as the folder lets them


@pytest.mark.parametrize("ending", [".h5ad", ".zarr"])
def test_what_is_there_is_replaced_only_when_asked(run, table, tmp_path, ending):
    out = tmp_path / "new" / f"cells{ending}"
    assert run("convert", table, out)[0] == 0
    other = tmp_path / "other.csv"
    other.write_text("cell,g1\na,1\nb,2\n")
    code, _, err = run("convert", other, out)
    assert code == 2
    assert "replace it with --overwrite" in err
    assert read(out).shape == (4, 3)
    code, _, err = run("convert", other, out, "--overwrite")
    assert code == 0
    assert "2 cells x 1 genes" in err.replace("\n", " ")
    assert read(out).shape == (2, 1)
    assert [entry.name for entry in out.parent.iterdir()] == [out.name]


def test_a_file_onto_itself(run, cells_file, pbmc_small, tmp_path):
    path = tmp_path / "cells.h5ad"
    path.write_bytes(cells_file.read_bytes())
    assert run("convert", path, path, "--overwrite")[0] == 0
    assert read(path).shape == pbmc_small.shape


@pytest.mark.fast(1)
@pytest.mark.parametrize("ending", [".h5ad", ".zarr"])
@pytest.mark.parametrize("there", [False, True])
def test_nothing_half_written(run, table, tmp_path, monkeypatch, ending, there):
    out = tmp_path / "new" / f"cells{ending}"
    if there:
        assert run("convert", table, out)[0] == 0
    write = getattr(AnnData, f"write_{ending[1:]}")

    def fails(self, path, **more):
        write(self, path, **more)
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(AnnData, f"write_{ending[1:]}", fails)
    code, _, err = run("convert", table, out, "--overwrite")
    assert code == 2
    assert "No space left on device" in err
    assert [entry.name for entry in out.parent.iterdir()] == ([out.name] if there else [])
    if there:
        assert read(out).shape == (4, 3)


@pytest.mark.parametrize("column", ["auto", "symbol"])
def test_convert_names_genes_by_their_symbols(run, tmp_path, column):
    var = pd.DataFrame({"symbol": ["CD3D", "MS4A1"]}, index=["ENSG1", "ENSG2"])
    AnnData(np.ones((2, 2)), var=var).write_h5ad(tmp_path / "ids.h5ad")
    code, _, _ = run("convert", tmp_path / "ids.h5ad", tmp_path / "out.h5ad", "--symbols", column)
    assert code == 0
    adata = read(tmp_path / "out.h5ad")
    assert adata.var_names.tolist() == ["CD3D", "MS4A1"]
    assert adata.var["gene_id"].tolist() == ["ENSG1", "ENSG2"]


def test_what_a_file_cannot_hold_is_said(run, table, tmp_path, monkeypatch):
    from adverscarial import datasets

    adata = AnnData(np.ones((2, 2)), uns={"strange": object()})
    monkeypatch.setattr(datasets, "load", lambda path: adata)
    for name in ("out.h5ad", "out.zarr"):
        code, _, err = run("convert", table, tmp_path / name)
        assert code == 2
        assert "strange" in err
        assert "remove it" in err
    assert [entry.name for entry in tmp_path.iterdir()] == ["cells.csv"]


def test_which_side_is_genes_is_noted_or_said(run, tmp_path):
    frame = pd.DataFrame(
        np.arange(6).reshape(2, 3), index=["CD3D", "MS4A1"], columns=["AAACCTGA", "AAACGGGT", "AAAGATGC"]
    )
    frame.to_csv(tmp_path / "genes.csv")
    code, _, err = run("convert", tmp_path / "genes.csv", tmp_path / "a.h5ad")
    assert code == 0
    assert "rows are taken for genes" in err.replace("\n", " ")
    assert read(tmp_path / "a.h5ad").shape == (3, 2)
    assert run("convert", tmp_path / "genes.csv", tmp_path / "b.h5ad", "--no-transpose")[0] == 0
    assert read(tmp_path / "b.h5ad").shape == (2, 3)
    frame.set_axis(["u", "v"], axis=0).set_axis(["x", "y", "z"], axis=1).to_csv(tmp_path / "odd.csv")
    code, _, err = run("convert", tmp_path / "odd.csv", tmp_path / "c.h5ad")
    assert code == 2
    assert "--transpose" in err
    assert run("convert", tmp_path / "odd.csv", tmp_path / "c.h5ad", "--transpose")[0] == 0
    assert read(tmp_path / "c.h5ad").shape == (3, 2)


def test_options_reach_the_reader(run, tmp_path, monkeypatch):
    from adverscarial import datasets

    asked = {}

    def load(path, **options):
        asked.update(options)
        return AnnData(np.ones((2, 1)), var=pd.DataFrame(index=["ENSG01.2"]))

    (tmp_path / "x.h5").write_bytes(b"")
    monkeypatch.setattr(datasets, "load", load)
    options = ["--genome", "hg19", "--mod", "rna", "--obs-names", "Cell", "--var-names", "Gene", "--strip-versions"]
    code, _, _ = run("convert", tmp_path / "x.h5", tmp_path / "out.h5ad", *options)
    assert code == 0
    assert asked == {"genome": "hg19", "mod": "rna", "obs_names": "Cell", "var_names": "Gene"}
    assert read(tmp_path / "out.h5ad").var_names.tolist() == ["ENSG01"]
