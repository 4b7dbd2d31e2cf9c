"""Files of which a part is taken: modalities of MuData, attributes of loom, raw for an empty X; and float16."""

from __future__ import annotations

import warnings
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from anndata import AnnData

from adverscarial.attacks import SingleGene
from adverscarial.cells.cluster import cluster_labels, cluster_names
from adverscarial.datasets import formats, load, preprocess
from adverscarial.datasets.readers import registry
from adverscarial.errors import DataError, ParameterError

GENES = ["CD3D", "MS4A1", "NKG7", "LYZ"]
CELLS = [f"cell{i}" for i in range(6)]
COUNTS = np.random.default_rng(3).poisson(1.5, (6, 4)).astype(np.float32)


def example(times: float = 1, genes: list[str] = GENES) -> AnnData:
    obs = pd.DataFrame({"cell_type": pd.Categorical(list("BBTTBT"))}, index=CELLS)
    return AnnData(sp.csr_matrix(COUNTS * times), obs=obs, var=pd.DataFrame(index=genes))


def dense(X: object) -> np.ndarray:
    return X.toarray() if sp.issparse(X) else np.asarray(X)


# MuData -----------------------------------------------------------------------------------------------------------


def write_mudata(path: Path, **mods: AnnData) -> None:
    mudata = pytest.importorskip("mudata")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        data = mudata.MuData(mods)
        data.obs["donor"] = [f"d{i}" for i in range(data.n_obs)]
        data.write_h5mu(path)


@pytest.mark.fast(1)
@pytest.mark.parametrize("name", ["x.h5mu", "x.h5", "x.h5ad"])
def test_a_mudata_is_read_by_modality(tmp_path: Path, name: str, caplog: pytest.LogCaptureFixture) -> None:
    antibodies = AnnData(COUNTS[:, :2] * 7, obs=pd.DataFrame(index=CELLS), var=pd.DataFrame(index=["ab1", "ab2"]))
    write_mudata(tmp_path / "x.h5mu", prot=antibodies, rna=example())
    if name != "x.h5mu":
        (tmp_path / "x.h5mu").rename(tmp_path / name)
    adata = load(tmp_path / name)
    np.testing.assert_array_equal(dense(adata.X), COUNTS)
    assert list(adata.var_names) == GENES
    assert list(adata.obs["cell_type"]) == list("BBTTBT")
    assert list(adata.obs["donor"]) == [f"d{i}" for i in range(6)]  # what all modalities share
    assert "'rna' is read" in caplog.text
    np.testing.assert_array_equal(dense(load(tmp_path / name, mod="prot").X), COUNTS[:, :2] * 7)
    with pytest.raises(ParameterError, match=r"no modality 'atac'.*'prot', 'rna'"):
        load(tmp_path / name, mod="atac")


@pytest.mark.slow
def test_mudata_folder(tmp_path: Path) -> None:
    mudata = pytest.importorskip("mudata")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        data = mudata.MuData({"rna": example(), "prot": example(2, list("wxyz"))})
        data.obs["donor"] = "d"
        data.write_zarr(tmp_path / "x.zarr")
    adata = load(tmp_path / "x.zarr")
    np.testing.assert_array_equal(dense(adata.X), COUNTS)
    assert set(adata.obs["donor"]) == {"d"}
    np.testing.assert_array_equal(dense(load(tmp_path / "x.zarr", mod="prot").X), COUNTS * 2)


@pytest.mark.slow
def test_mudata_without_rna(tmp_path: Path) -> None:
    write_mudata(tmp_path / "one.h5mu", only=example())
    np.testing.assert_array_equal(dense(load(tmp_path / "one.h5mu").X), COUNTS)
    write_mudata(tmp_path / "two.h5mu", a=example(), b=example(2, list("wxyz")))
    with pytest.raises(DataError, match=r"'a', 'b', and none is called 'rna'.*mod='a'.*--mod a"):
        load(tmp_path / "two.h5mu")


def test_options_of_other_formats_are_refused(tmp_path: Path) -> None:
    example().write_h5ad(tmp_path / "x.h5ad")
    for option in ({"mod": "rna"}, {"transpose": True}, {"genome": "hg19"}, {"obs_names": "Cell"}):
        with pytest.raises(ParameterError, match=f"read as h5ad, which has no {next(iter(option))}="):
            load(tmp_path / "x.h5ad", **option)


# loom -------------------------------------------------------------------------------------------------------------


def write_loom(path: Path, rows: dict[str, object], columns: dict[str, object], dtype: str = "f4") -> None:
    with h5py.File(path, "w") as file:
        file["matrix"] = COUNTS.T.astype(dtype)
        file["layers/spliced"] = COUNTS.T.astype(dtype) + 1
        for name, group in (("row_attrs", rows), ("col_attrs", columns)):
            file.create_group(name)
            for key, values in group.items():
                array = np.asarray(values)
                file[f"{name}/{key}"] = array.astype("S") if array.dtype.kind == "U" else array


@pytest.mark.fast(1)
@pytest.mark.parametrize(
    ("cells", "genes"),
    [
        ("CellID", "Gene"),
        ("Cell", "gene_symbol"),
        ("obs_names", "var_names"),
        ("barcode", "Accession"),
        ("odd", "strange"),
    ],
)
def test_loom_attributes(tmp_path: Path, cells: str, genes: str) -> None:
    write_loom(tmp_path / "x.loom", {genes: GENES, "chr": ["1"] * 4}, {cells: CELLS, "n": np.arange(6)})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        adata = load(tmp_path / "x.loom")
    assert list(adata.obs_names) == CELLS
    assert list(adata.var_names) == GENES
    np.testing.assert_array_equal(dense(adata.X), COUNTS)
    np.testing.assert_array_equal(dense(adata.layers["spliced"]), COUNTS + 1)
    assert list(adata.obs["n"]) == list(range(6))
    assert list(adata.var["chr"]) == ["1"] * 4


def test_loom_attributes_are_said(tmp_path: Path) -> None:
    other = [f"x{i}" for i in range(6)]
    write_loom(tmp_path / "x.loom", {"a": GENES, "b": list("wxyz")}, {"CellID": CELLS, "other": other})
    with pytest.raises(DataError, match=r"row_attrs hold 'a', 'b'.*var_names='NAME'.*--var-names NAME"):
        load(tmp_path / "x.loom")
    adata = load(tmp_path / "x.loom", obs_names="other", var_names="b")
    assert list(adata.obs_names) == other
    assert list(adata.var_names) == list("wxyz")
    with pytest.raises(ParameterError, match=r"no attribute 'othr' in col_attrs\. Did you mean 'other'"):
        load(tmp_path / "x.loom", obs_names="othr", var_names="b")


def test_loom_with_tables_in_attributes_and_text_that_is_not_ascii(tmp_path: Path) -> None:
    umap = np.arange(12.0).reshape(6, 2)
    columns = {"CellID": CELLS, "umap": umap, "who": ["M&#252;ller"] * 6}
    write_loom(tmp_path / "x.loom", {"Gene": ["A", "A", "B", "C"]}, columns, "f2")
    adata = load(tmp_path / "x.loom")
    np.testing.assert_array_equal(adata.obsm["umap"], umap)
    assert adata.obs["who"].iloc[0] == "Müller"
    assert list(adata.var_names) == ["A", "A-1", "B", "C"]
    assert adata.X.dtype == np.float32  # scipy knows no float16


def test_loom_with_a_missing_label(tmp_path: Path) -> None:
    """A cell without a label belongs to no cluster, and not to one called "nan"."""
    write_loom(
        tmp_path / "x.loom",
        {"Gene": GENES},
        {"CellID": CELLS, "t": ["B", "nan", "T", "T", "B", "T"], "n": [1, np.nan, 3, 4, 5, 6]},
    )
    found = load(tmp_path / "x.loom")
    assert found.obs["t"].isna().tolist() == [False, True] + [False] * 4
    assert found.obs["n"].isna().sum() == 1
    assert cluster_names(cluster_labels(found, "t")) == ["B", "T"]


# raw --------------------------------------------------------------------------------------------------------------


@pytest.mark.fast(1)
@pytest.mark.parametrize("empty", [None, sp.csr_matrix((6, 4), dtype=np.float32), np.zeros((6, 4))])
def test_raw_takes_the_place_of_an_empty_x(tmp_path: Path, empty: object, caplog: pytest.LogCaptureFixture) -> None:
    adata = example()
    adata.raw = adata
    adata.X = empty
    adata.write_h5ad(tmp_path / "x.h5ad")
    found = load(tmp_path / "x.h5ad")
    np.testing.assert_array_equal(dense(found.X), COUNTS)
    assert list(found.obs["cell_type"]) == list("BBTTBT")
    assert "X is empty; raw, with its 4 genes, takes its place" in caplog.text


def test_a_filled_x_stays(tmp_path: Path) -> None:
    adata = example(2)
    adata.raw = example()
    adata.write_h5ad(tmp_path / "x.h5ad")
    np.testing.assert_array_equal(dense(load(tmp_path / "x.h5ad").X), COUNTS * 2)


def test_where_values_are_is_said() -> None:
    adata = example()

    def ask() -> None:
        SingleGene("perc99")(adata, lambda X: np.array(["B"] * len(X)), groupby="cell_type", target="B")

    adata.raw, adata.X = adata, None
    with pytest.raises(DataError, match=r"X is empty\. Take the values of raw: adata = adata\.raw\.to_adata\(\)\."):
        ask()
    adata.layers["counts"] = COUNTS
    with pytest.raises(DataError, match=r"X is empty\. Choose one of its layers with layer=: 'counts'; or take .*raw"):
        ask()
    del adata.layers["counts"], adata.raw
    with pytest.raises(DataError, match="no layers and no raw either"):
        ask()


@pytest.mark.slow
def test_a_part_that_is_written_as_nothing(tmp_path: Path) -> None:
    """anndata writes an absent raw as an empty data set where it writes an object into an open file."""
    import anndata

    adata = example()
    for name in ("x.h5mu", "x.h5ad"):
        with h5py.File(tmp_path / name, "w") as file:
            if name == "x.h5ad":
                anndata.io.write_elem(file, "/", adata)
            else:
                anndata.io.write_elem(file.create_group("mod"), "rna", adata)
                anndata.io.write_elem(file, "obs", adata.obs)
                anndata.io.write_elem(file, "var", adata.var)
        assert load(tmp_path / name).shape == adata.shape


# float16 ----------------------------------------------------------------------------------------------------------


def write_float16(path: Path, form: str) -> None:
    adata = example()
    adata.X = COUNTS if form == "dense" else sp.csr_matrix(COUNTS) if form == "csr" else sp.csc_matrix(COUNTS)
    adata.layers["twice"] = adata.X * 2
    adata.write_h5ad(path)
    with h5py.File(path, "r+") as file:
        for name in ("X", "layers/twice"):
            place = name if form == "dense" else f"{name}/data"
            values, attributes = file[place][()].astype(np.float16), dict(file[place].attrs)
            del file[place]
            file[place] = values
            file[place].attrs.update(attributes)


@pytest.mark.fast(1)
@pytest.mark.parametrize("form", ["dense", "csr", "csc"])
def test_float16_is_read_as_float32(tmp_path: Path, form: str) -> None:
    write_float16(tmp_path / "x.h5ad", form)
    adata = load(tmp_path / "x.h5ad")
    for matrix, times in ((adata.X, 1), (adata.layers["twice"], 2)):
        assert matrix.dtype == np.float32
        np.testing.assert_array_equal(dense(matrix), COUNTS * times)
    assert list(adata.obs["cell_type"]) == list("BBTTBT")


def test_sparse_float16_is_not_read_from_disk(tmp_path: Path) -> None:
    write_float16(tmp_path / "x.h5ad", "csr")
    with pytest.raises(DataError, match=r"sparse and of float16.*Leave backed out"):
        load(tmp_path / "x.h5ad", backed=True)


def test_float16_counts_are_preprocessed() -> None:
    adata = example()
    expected = preprocess(adata).X
    adata.X = COUNTS.astype(np.float16)
    np.testing.assert_array_equal(preprocess(adata).X, expected)


# formats ----------------------------------------------------------------------------------------------------------


def test_a_format_is_one_registration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_known", registry._known.__class__("example.formats"))

    @registry.register("made up", endings=(".made_up",), about="a format of a test", options=("genome",))
    def read(path: Path, *, genome: str | None = None) -> AnnData:
        adata = example()
        adata.obs["genome"] = genome
        return adata

    (tmp_path / "x.made_up").write_text("")
    assert list(load(tmp_path / "x.made_up", genome="hg19").obs["genome"]) == ["hg19"] * 6
    with pytest.raises(DataError, match=r"Files that can be read: \.made_up \(a format of a test\)"):
        load(tmp_path)
    assert formats()["format"].tolist() == ["made up"]


def test_formats_are_listed() -> None:
    table = formats().set_index("format")
    assert {"h5ad", "zarr", "loom", "10x mtx", "10x h5", "MuData", "table", "rds"} <= set(table.index)
    assert table.loc["loom", "options"] == "obs_names var_names"
    assert table["backed"].sum() == 2
