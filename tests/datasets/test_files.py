"""Every format, written by the format's own tool; and what is said of files that are not what they seem."""

import gzip
import os
import shutil

import anndata
import h5py
import numpy as np
import pandas as pd
import pytest
import scipy.io
import scipy.sparse as sp
from anndata import AnnData

from adverscarial.cells.matrix import copy_of
from adverscarial.datasets import load
from adverscarial.errors import DataError, ParameterError
from adverscarial.modifications import modify

GENES = ["CD3D", "HLA-DRA", "MS4A1", "NKG7", "ACTB"]
CELLS = [f"cell{i}" for i in range(7)]


@pytest.fixture
def counts() -> np.ndarray:
    return np.random.default_rng(3).poisson(0.7, (7, 5)).astype(np.float32)


@pytest.fixture
def adata(counts) -> AnnData:
    obs = pd.DataFrame({"cell_type": pd.Categorical(list("BBTTTNN"))}, index=CELLS)
    return AnnData(sp.csr_matrix(counts), obs=obs, var=pd.DataFrame(index=GENES))


def dense(X) -> np.ndarray:
    return X.toarray() if sp.issparse(X) else np.asarray(X)


def check(found: AnnData, counts: np.ndarray) -> None:
    assert list(found.obs_names) == CELLS
    assert list(found.var_names) == GENES
    np.testing.assert_array_equal(dense(found.X), counts)


# formats ---------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_h5ad_is_read_with_its_columns(adata, counts, tmp_path):
    adata.write_h5ad(tmp_path / "x.h5ad")
    found = load(tmp_path / "x.h5ad")
    check(found, counts)
    assert list(found.obs["cell_type"]) == list("BBTTTNN")
    check(load(os.fspath(tmp_path / "x.h5ad")), counts)  # a plain text path will do


@pytest.mark.slow
def test_h5ad_is_recognised_by_content(adata, counts, tmp_path):
    adata.write_h5ad(tmp_path / "x.h5")
    check(load(tmp_path / "x.h5"), counts)


@pytest.mark.slow
def test_h5ad_backed(adata, counts, tmp_path):
    adata.write_h5ad(tmp_path / "x.h5ad")
    found = load(tmp_path / "x.h5ad", backed=True)
    assert found.isbacked
    check(found.to_memory(), counts)
    found.file.close()


@pytest.mark.fast(1)
@pytest.mark.parametrize("form", [sp.csr_matrix, sp.csc_matrix, np.array])
def test_a_zarr_folder_is_read_from_disk_as_it_is_in_memory(adata, counts, tmp_path, form):
    adata.X = form(adata.X.toarray() if sp.issparse(adata.X) else adata.X)
    adata.layers["twice"] = adata.X * 2
    adata.write_zarr(tmp_path / "x.zarr")
    found = load(tmp_path / "x.zarr", backed=True)
    for matrix in (found.X, found.layers["twice"]):
        assert not isinstance(matrix, np.ndarray)
        assert not sp.issparse(matrix)
    check(copy_of(found), counts)
    check(modify(found, [], "perc1", groupby="cell_type", target="B"), counts)
    check(modify(found, [], "perc1", groupby="cell_type", target="B", layer="twice"), counts)


def test_zarr_is_read_whatever_the_folder_is_called(adata, counts, tmp_path):
    adata.write_zarr(tmp_path / "x.zarr")
    check(load(tmp_path / "x.zarr"), counts)
    shutil.copytree(tmp_path / "x.zarr", tmp_path / "without_ending")
    check(load(tmp_path / "without_ending"), counts)


@pytest.mark.slow
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int32])
def test_loom_is_read_as_its_main_matrix(counts, tmp_path, dtype):
    loompy = pytest.importorskip("loompy")
    loompy.create(
        str(tmp_path / "x.loom"),
        {"": counts.T.astype(dtype), "spliced": counts.T.astype(dtype) + 1},
        {"Gene": np.array(GENES)},
        {"CellID": np.array(CELLS), "cell_type": np.array(list("BBTTTNN"))},
    )
    found = load(tmp_path / "x.loom")
    check(found, counts)  # the main matrix, not velocyto's layer of spliced reads
    assert found.X.dtype == dtype
    assert list(found.obs["cell_type"]) == list("BBTTTNN")
    np.testing.assert_array_equal(dense(found.layers["spliced"]), counts + 1)


@pytest.mark.slow
def test_loom_written_by_anndata(adata, counts, tmp_path):
    pytest.importorskip("loompy")
    try:
        adata.write_loom(tmp_path / "x.loom")
    except AttributeError:
        pytest.skip("anndata 0.13 hands X to loompy a second time, as a layer without a name")
    check(load(tmp_path / "x.loom"), counts)


@pytest.mark.slow
def test_loom_without_names(counts, tmp_path):
    loompy = pytest.importorskip("loompy")
    loompy.create(str(tmp_path / "x.loom"), counts.T, {"Row": np.arange(5)}, {"CellID": np.array(CELLS)})
    with pytest.raises(DataError, match="row_attrs hold 'Row'; names are expected in one of 'Gene'"):
        load(tmp_path / "x.loom")


def write_10x(folder, counts, *, legacy: bool, prefix: str = "", genes=GENES) -> None:
    folder.mkdir(exist_ok=True)
    scipy.io.mmwrite(folder / f"{prefix}matrix.mtx", sp.coo_matrix(counts.T.astype(np.int64)))
    ids = [f"ENSG{i:011d}" for i in range(len(genes))]
    kinds = ["Gene Expression"] * len(genes)
    columns = [ids, genes] if legacy else [ids, genes, kinds]
    rows = ["\t".join(row) + "\n" for row in zip(*columns, strict=True)]
    (folder / f"{prefix}{'genes' if legacy else 'features'}.tsv").write_text("".join(rows))
    (folder / f"{prefix}barcodes.tsv").write_text("".join(f"{cell}\n" for cell in CELLS))
    if not legacy:
        for path in list(folder.iterdir()):
            with gzip.open(f"{path}.gz", "wb") as file:
                file.write(path.read_bytes())
            path.unlink()


@pytest.mark.parametrize("legacy", [True, False])
@pytest.mark.parametrize("prefix", ["", "GSM1_"])
def test_10x_folder(counts, tmp_path, legacy, prefix):
    write_10x(tmp_path / "run", counts, legacy=legacy, prefix=prefix)
    check(load(tmp_path / "run"), counts)
    check(load(tmp_path / "run" / f"{prefix}matrix.mtx{'' if legacy else '.gz'}"), counts)


def test_10x_folder_with_repeated_symbols(counts, tmp_path):
    write_10x(tmp_path / "run", counts, legacy=False, genes=["A", "A", "B", "C", "D"])
    found = load(tmp_path / "run")
    assert list(found.var_names) == ["A", "A-1", "B", "C", "D"]


def test_10x_folder_lacks_a_file(counts, tmp_path):
    write_10x(tmp_path / "run", counts, legacy=False)
    (tmp_path / "run" / "barcodes.tsv.gz").unlink()
    with pytest.raises(DataError, match=r"none of the cells \(for example 'barcodes\.tsv'"):
        load(tmp_path / "run")


def test_10x_folder_with_two_matrices(counts, tmp_path):
    write_10x(tmp_path / "run", counts, legacy=True, prefix="a_")
    write_10x(tmp_path / "run", counts + 1, legacy=True, prefix="b_")
    with pytest.raises(DataError, match=r"several matrices: 'a_matrix\.mtx', 'b_matrix\.mtx'\. Name one"):
        load(tmp_path / "run")
    check(load(tmp_path / "run" / "b_matrix.mtx"), counts + 1)


def test_10x_h5_version_3(counts, tmp_path):
    X = sp.csc_matrix(np.hstack([counts, counts[:, :1]]).T.astype(np.int32))  # features x cells
    with h5py.File(tmp_path / "filtered_feature_bc_matrix.h5", "w") as file:
        matrix = file.create_group("matrix")
        matrix["barcodes"] = np.array(CELLS, dtype="S")
        matrix["data"], matrix["indices"] = X.data, X.indices.astype(np.int64)
        matrix["indptr"], matrix["shape"] = X.indptr.astype(np.int64), np.array(X.shape, dtype=np.int32)
        features = matrix.create_group("features")
        features["_all_tag_keys"] = np.array(["genome"], dtype="S")
        features["feature_type"] = np.array(["Gene Expression"] * 5 + ["Antibody Capture"], dtype="S")
        features["genome"] = np.array(["GRCh38"] * 6, dtype="S")
        features["id"] = np.array([f"ENSG{i}" for i in range(5)] + ["CD3"], dtype="S")
        features["name"] = np.array([*GENES, "CD3_TotalC"], dtype="S")
    found = load(tmp_path / "filtered_feature_bc_matrix.h5")
    check(found, counts)
    assert list(found.var["gene_ids"]) == [f"ENSG{i}" for i in range(5)]


def test_10x_h5_version_2(counts, tmp_path, caplog):
    X = sp.csc_matrix(counts.T.astype(np.int32))
    with h5py.File(tmp_path / "x.h5", "w") as file:
        group = file.create_group("hg19")
        group["barcodes"] = np.array(CELLS, dtype="S")
        group["data"], group["indices"], group["indptr"] = X.data, X.indices, X.indptr
        group["shape"] = np.array(X.shape)
        group["genes"] = np.array([f"ENSG{i}" for i in range(5)], dtype="S")
        group["gene_names"] = np.array(["A", "B", "A", "C", "D"], dtype="S")
    with caplog.at_level("INFO", "adverscarial"):
        found = load(tmp_path / "x.h5")
    np.testing.assert_array_equal(dense(found.X), counts)
    assert list(found.var_names) == ["A", "B", "A-1", "C", "D"]
    assert "1 gene names repeat ('A')" in caplog.text


@pytest.mark.parametrize("ending", [".csv", ".tsv", ".txt", ".csv.gz", ".tsv.gz"])
def test_text_tables_are_read(counts, tmp_path, ending):
    frame = pd.DataFrame(counts, index=CELLS, columns=GENES)
    frame.to_csv(tmp_path / f"x{ending}", sep="," if "csv" in ending else "\t")
    check(load(tmp_path / f"x{ending}"), counts)


def test_table_keeps_every_digit_and_puts_text_into_obs(tmp_path):
    values = np.random.default_rng(0).normal(size=(7, 5))
    frame = pd.DataFrame(values, index=CELLS, columns=GENES)
    frame.insert(2, "cell_type", list("BBTTTNN"))
    frame.to_csv(tmp_path / "x.csv")
    found = load(tmp_path / "x.csv")
    check(found, values)
    assert isinstance(found.X, np.ndarray)  # no zeros, nothing to gain from sparse
    assert list(found.obs["cell_type"]) == list("BBTTTNN")


def test_table_of_r_with_one_name_less_in_the_header(counts, tmp_path):
    lines = ["\t".join(GENES)]
    lines += ["\t".join([cell, *(f"{v:g}" for v in row)]) for cell, row in zip(CELLS, counts, strict=True)]
    (tmp_path / "x.tsv").write_text("\n".join(lines))
    check(load(tmp_path / "x.tsv"), counts)


def test_table_with_many_zeros_is_sparse_and_whole_numbers_stay_whole(tmp_path):
    X = np.zeros((7, 5), dtype=np.int64)
    X[3, 2] = 2**40 + 1
    pd.DataFrame(X, index=range(7), columns=GENES).to_csv(tmp_path / "x.csv")
    found = load(tmp_path / "x.csv")
    assert isinstance(found.X, sp.csr_matrix)
    assert found.X[3, 2] == 2**40 + 1
    assert list(found.obs_names) == list("0123456")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("cell,A,B\nc1,1,2\nc2,oops,3\n", r"column 'A' mixes numbers and text \('oops' in 1 rows\)"),
        ("cell\nc1\nc2\n", "one column only.*separated by commas, tabs"),
        ("cell,type\nc1,B\nc2,T\n", "no column of numbers: 'type'"),
        ("cell,A\n,1\nc2,2\n", "1 rows have no cell name"),
        ("", "is empty"),
        ("cell,A,B\nc1,1,2\nc2,3,4,5,6\n", "ParserError"),
        ("cell,A,B\n", "no column of numbers|0 cells"),
    ],
)
def test_tables_that_make_no_sense(tmp_path, text, message):
    (tmp_path / "x.csv").write_text(text)
    with pytest.raises(DataError, match=message):
        load(tmp_path / "x.csv")


# what is said of bad files ----------------------------------------------------------------------------------------


def test_missing_file_names_what_is_there(adata, tmp_path):
    adata.write_h5ad(tmp_path / "pbmc3k.h5ad")
    with pytest.raises(DataError, match=r"no file or folder .*pbmc3l\.h5ad.* Did you mean 'pbmc3k\.h5ad'\?"):
        load(tmp_path / "pbmc3l.h5ad")
    with pytest.raises(DataError, match=r"its folder .* does not exist either"):
        load(tmp_path / "nowhere" / "x.h5ad")


def test_an_unknown_ending_is_refused(tmp_path):
    (tmp_path / "x.xlsx").write_bytes(b"PK")
    with pytest.raises(
        DataError, match=r"ending that is not known \('\.xlsx'\)\. Files that can be read: \.h5ad \(an AnnData file\)"
    ):
        load(tmp_path / "x.xlsx")
    (tmp_path / "x.RData").write_bytes(b"RDX3")
    with pytest.raises(DataError, match=r"In R: load\(file\); saveRDS"):
        load(tmp_path / "x.RData")
    (tmp_path / "x.h5ad.gz").write_bytes(b"")
    with pytest.raises(DataError, match="gunzip"):
        load(tmp_path / "x.h5ad.gz")


def test_folders_of_something_else(tmp_path):
    with pytest.raises(DataError, match=r"neither a zarr folder nor one with an \.mtx file\. It is empty"):
        load(tmp_path)
    (tmp_path / "x.zarr").mkdir()
    (tmp_path / "x.zarr" / "zarr.json").write_text("{}")
    with pytest.raises(DataError, match=r"holds 'zarr\.json': no AnnData"):
        load(tmp_path / "x.zarr")


@pytest.mark.slow
def test_zarr_with_a_damaged_part(adata, tmp_path):
    adata.write_zarr(tmp_path / "x.zarr")
    for path in (tmp_path / "x.zarr" / "X").rglob("*"):
        if path.is_file():
            path.write_bytes(b"\x00\xff")
    with pytest.raises(DataError, match="damaged or cut short"):
        load(tmp_path / "x.zarr")


@pytest.mark.parametrize("content", [b"", b"<!DOCTYPE html><html>404</html>", b"version https://git-lfs"])
def test_h5ad_that_is_no_hdf5(tmp_path, content):
    (tmp_path / "x.h5ad").write_bytes(content)
    with pytest.raises(DataError, match=rf"is no HDF5 file: it .* \({len(content)} bytes\).*fetch it again"):
        load(tmp_path / "x.h5ad")


@pytest.mark.fast(1)
@pytest.mark.parametrize("share", [0.01, 0.3, 0.6, 0.9, 0.99])
@pytest.mark.parametrize("backed", [False, True])
def test_h5ad_cut_short(pbmc_small, tmp_path, share, backed):
    pbmc_small.write_h5ad(tmp_path / "whole.h5ad")
    content = (tmp_path / "whole.h5ad").read_bytes()
    (tmp_path / "x.h5ad").write_bytes(content[: int(share * len(content))])
    with pytest.raises(DataError, match=r"bytes cannot be read .*damaged or cut short"):
        load(tmp_path / "x.h5ad", backed=backed)


@pytest.mark.slow
def test_h5ad_clobbered_anywhere_is_read_or_refused_in_words(pbmc_small, tmp_path):
    pbmc_small[:50, :50].copy().write_h5ad(tmp_path / "whole.h5ad", compression="gzip")
    content = (tmp_path / "whole.h5ad").read_bytes()
    refused = 0
    for start in np.linspace(0, len(content) - 512, 40).astype(int):
        broken = bytearray(content)
        broken[start : start + 512] = np.random.default_rng(start).bytes(512)
        (tmp_path / "x.h5ad").write_bytes(broken)
        try:
            read = load(tmp_path / "x.h5ad").shape
        except DataError:
            refused += 1
        else:
            assert read == (50, 50)
    assert refused > 10


@pytest.mark.slow
def test_h5ad_with_indices_out_of_range(adata, tmp_path):
    """Compiled code that trusts them would read beyond the array."""
    adata.write_h5ad(tmp_path / "x.h5ad")
    with h5py.File(tmp_path / "x.h5ad", "r+") as file:
        file["X/indices"][0] = 10_000
    with pytest.raises(DataError, match="damaged"):
        load(tmp_path / "x.h5ad")


@pytest.mark.slow
def test_hdf5_of_something_else(tmp_path):
    with h5py.File(tmp_path / "x.h5ad", "w") as file:
        file["weights"] = np.zeros(3)
    with pytest.raises(DataError, match="HDF5 file with 'weights': neither an AnnData"):
        load(tmp_path / "x.h5ad")
    with h5py.File(tmp_path / "x.h5ad", "w") as file:
        file.create_group("mod/rna")
    with pytest.raises(DataError, match="MuData"):
        load(tmp_path / "x.h5ad")
    with h5py.File(tmp_path / "x.h5ad", "w") as file:
        pass
    with pytest.raises(DataError, match="nothing in it"):
        load(tmp_path / "x.h5ad")


@pytest.mark.slow
def test_data_without_cells_are_refused(tmp_path):
    AnnData(np.zeros((0, 3)), var=pd.DataFrame(index=list("abc"))).write_h5ad(tmp_path / "x.h5ad")
    with pytest.raises(DataError, match="holds 0 cells x 3 genes"):
        load(tmp_path / "x.h5ad")


def test_backed_is_for_h5ad_and_zarr_only(counts, tmp_path):
    pd.DataFrame(counts, index=CELLS, columns=GENES).to_csv(tmp_path / "x.csv")
    with pytest.raises(ParameterError, match=r"read as table; backed=True works for h5ad, zarr only"):
        load(tmp_path / "x.csv", backed=True)


@pytest.mark.slow
def test_every_reader_is_reachable_with_a_real_file(adata, counts, tmp_path):
    """What anndata writes with other chunking and compression is read the same."""
    adata.write_h5ad(tmp_path / "x.h5ad", compression="lzf")
    csc = adata.copy()
    csc.X = sp.csc_matrix(csc.X)
    csc.write_h5ad(tmp_path / "csc.h5ad")
    for name in ("x", "csc"):
        check(load(tmp_path / f"{name}.h5ad"), counts)
    assert anndata.read_h5ad(tmp_path / "csc.h5ad").X.format == "csc"
