"""Objects of R that are read without R: what each holds, what is left out, the line of R where it cannot be read."""

from __future__ import annotations

import logging
import struct
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from anndata import AnnData

import r_files as r
from adverscarial.cells.matrix import layers_of
from adverscarial.datasets import load
from adverscarial.errors import DataError, ParameterError

GENES = ["CD3D", "MS4A1", "LYZ", "NKG7", "GNLY", "CD14"]
CELLS = [f"cell{i}" for i in range(4)]
COUNTS = np.array([[0, 3, 1, 1], [1, 1, 1, 2], [1, 1, 2, 3], [2, 0, 1, 0], [0, 0, 1, 1], [2, 0, 4, 0]])


def read(tmp_path: Path, content: bytes, version: int = 3, **options: object) -> AnnData:
    r.write(tmp_path / "x.rds", content, version)
    return load(tmp_path / "x.rds", **options)


def dense(X: object) -> np.ndarray:
    return X.toarray() if sp.issparse(X) else np.asarray(X)


def check(adata: AnnData) -> None:
    np.testing.assert_array_equal(dense(adata.X), COUNTS.T)
    assert list(adata.var_names) == GENES
    assert list(adata.obs_names) == CELLS


SPARSE = r.sparse(COUNTS, GENES, CELLS)


@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize("cls", ["SingleCellExperiment", "SummarizedExperiment", "RangedSummarizedExperiment"])
@pytest.mark.parametrize("old", [False, True])
def test_experiments_of_both_versions_of_the_serialisation(tmp_path: Path, version: int, cls: str, old: bool) -> None:
    columns = {"type": r.character(*"BTBT")}
    adata = read(tmp_path, r.experiment({"counts": SPARSE}, GENES, CELLS, columns, cls=cls, old=old), version)
    check(adata)
    assert list(adata.obs["type"]) == list("BTBT")


@pytest.mark.slow
def test_missing_values_keep_the_type_of_their_column(tmp_path: Path) -> None:
    columns = {
        "outlier": r.logical(1, r.NA, 0, 1),
        "cluster": r.integer(1, 2, r.NA, 1),
        "whole": r.integer(1, 2, 3, 1),
        "label": r.factor([1, r.NA, 2, 1], ["B", "T"]),
        "donor": r.character("d1", None, "d3", "d4"),
        "size": r.double(1.5, float("nan"), 2, 3),
        "nested": r.listed(r.integer(1), r.integer(2), r.integer(3), r.integer(4)),
        "runs": r.s4("Rle", "S4Vectors", values=r.character("a", "b"), lengths=r.integer(3, 1)),
    }
    adata = read(tmp_path, r.experiment({"counts": SPARSE}, GENES, CELLS, columns))
    assert adata.obs["outlier"].isna().tolist() == [False, True, False, False]
    assert adata.obs["outlier"].dropna().tolist() == [True, False, True]
    assert [str(value) for value in adata.obs["cluster"].dropna()] == ["1", "2", "1"]
    assert adata.obs["whole"].tolist() == [1, 2, 3, 1]
    assert adata.obs["label"].dropna().tolist() == ["B", "T", "B"]
    assert adata.obs["donor"].dropna().tolist() == ["d1", "d3", "d4"]
    np.testing.assert_array_equal(adata.obs["size"], [1.5, np.nan, 2, 3])
    assert adata.obs["runs"].tolist() == ["a", "a", "a", "b"]
    assert "nested" not in adata.obs
    adata.write_h5ad(tmp_path / "x.h5ad")
    assert load(tmp_path / "x.h5ad").obs["outlier"].isna().sum() == 1


def test_other_assays_never_spoil_good_counts(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    assays = {
        "detected": r.sparse(COUNTS > 0, GENES, CELLS, "lgCMatrix"),
        "pattern": r.sparse(COUNTS > 0, GENES, CELLS, "ngCMatrix"),
        "counts": r.sparse(COUNTS, None, None, "dgTMatrix"),
        "rows": r.sparse(COUNTS, GENES, CELLS, "dgRMatrix"),
        "whole": r.dense(COUNTS, make=r.integer),
        "ondisk": r.s4("HDF5Matrix", "HDF5Array", seed=r.s4("HDF5ArraySeed", filepath=r.character("/nowhere.h5"))),
    }
    adata = read(tmp_path, r.experiment(assays, GENES, CELLS))
    check(adata)
    assert set(layers_of(adata)) == {"detected", "pattern", "rows", "whole"}
    for name in ("detected", "pattern"):
        np.testing.assert_array_equal(dense(adata.layers[name]), COUNTS.T > 0)
    for name in ("rows", "whole"):
        np.testing.assert_array_equal(dense(adata.layers[name]), COUNTS.T)
    assert "assay 'ondisk' is a HDF5Matrix" in caplog.text


def test_values_on_disk_name_the_line_of_r(tmp_path: Path) -> None:
    ops = r.s4("DelayedSubset", "DelayedArray", seed=r.s4("HDF5ArraySeed", "HDF5Array", filepath=r.character("/a.h5")))
    for held in (r.s4("HDF5Matrix", "HDF5Array", seed=NO_VALUES), r.s4("DelayedMatrix", "DelayedArray", seed=ops)):
        with pytest.raises(DataError, match=r"HDF5.*as\(assay\(x, 'counts'\), 'dgCMatrix'\)") as error:
            read(tmp_path, r.experiment({"counts": held}, GENES, CELLS))
        assert "damaged" not in str(error.value)


NO_VALUES = r.s4("HDF5ArraySeed", "HDF5Array", filepath=r.character("/nowhere.h5"))


def test_delayed_matrix_in_memory(tmp_path: Path) -> None:
    held = r.s4("DelayedMatrix", "DelayedArray", seed=SPARSE)
    check(read(tmp_path, r.experiment({"counts": held}, GENES, CELLS)))


def test_reduced_dimensions(tmp_path: Path) -> None:
    pca = np.arange(8.0).reshape(4, 2)
    adata = read(tmp_path, r.experiment({"counts": SPARSE}, GENES, CELLS, reduced={"PCA": r.dense(pca)}))
    np.testing.assert_array_equal(adata.obsm["PCA"], pca)


# Seurat -----------------------------------------------------------------------------------------------------------


def seurat(assays: dict[str, bytes], active: str = "RNA") -> bytes:
    meta = r.data_frame(CELLS, {"cell_type": r.factor([1, 2, 1, 2], ["B", "T"]), "nCount": r.double(4, 5, 6, 7)})
    embedding = r.dense(np.arange(8.0).reshape(4, 2), CELLS, ["PC_1", "PC_2"])
    command = struct.pack(">I", 6) + r._symbol("NormalizeData") + r.NULL  # a call: language
    return r.s4(
        "Seurat",
        "SeuratObject",
        **{
            "assays": r.named(**assays),
            "meta.data": meta,
            "active.assay": r.character(active),
            "active.ident": r.integer(1, 2, 1, 2, levels=r.character("0", "1"), names=r.character(*CELLS)),
            "reductions": r.named(pca=r.s4("DimReduc", "SeuratObject", **{"cell.embeddings": embedding})),
            "commands": r.named(NormalizeData=r.s4("SeuratCommand", call=command)),
            "tools": r.named(env=r.environment(x=r.integer(1))),
        },
    )


def assay_3(counts: bytes = SPARSE) -> bytes:
    return r.s4(
        "Assay",
        "SeuratObject",
        **{
            "counts": counts,
            "data": r.sparse(np.log1p(COUNTS), GENES, CELLS),
            "scale.data": r.dense(np.zeros((2, 4)), GENES[:2], CELLS),
            "meta.features": r.data_frame(GENES[::-1], {"variable": r.logical(*[1, 0] * 3)}),
        },
    )


def names_by_layer(names: list[str], layers: dict[str, list[str]]) -> bytes:
    there = [[name in held for held in layers.values()] for name in names]
    attributes = {
        "dim": r.integer(*np.shape(there)),
        "dimnames": r.listed(r.character(*names), r.character(*layers)),
        "class": r.character("LogMap"),
    }
    return r.logical(*np.ravel(there, order="F").astype(int).tolist(), **attributes)


def assay_5(layers: dict[str, tuple[list[str], list[str], bytes]]) -> bytes:
    return r.s4(
        "Assay5",
        "SeuratObject",
        layers=r.named(**{name: values for name, (_, _, values) in layers.items()}),
        features=names_by_layer(GENES, {name: genes for name, (genes, _, _) in layers.items()}),
        cells=names_by_layer(CELLS, {name: cells for name, (_, cells, _) in layers.items()}),
        **{"meta.data": r.data_frame(None, {"number": r.integer(*range(6))}, 6)},
    )


def test_seurat_of_version_3_and_4(tmp_path: Path) -> None:
    adata = read(tmp_path, seurat({"RNA": assay_3()}))
    check(adata)
    assert list(adata.obs["cell_type"]) == list("BTBT")
    assert list(adata.obs["ident"]) == list("0101")
    assert list(layers_of(adata)) == ["data"]
    assert list(adata.var["variable"]) == [False, True] * 3
    np.testing.assert_array_equal(adata.obsm["X_pca"], np.arange(8.0).reshape(4, 2))


def test_seurat_of_version_5_whose_layers_have_no_names(tmp_path: Path) -> None:
    counts = r.sparse(COUNTS, None, None)
    adata = read(tmp_path, seurat({"RNA": assay_5({"counts": (GENES, CELLS, counts)})}))
    check(adata)
    assert list(adata.var["number"]) == list(range(6))


def test_seurat_layers_of_several_samples_are_joined(tmp_path: Path) -> None:
    rows, cells = [1, 2, 3, 4, 5], [0, 2]
    first = r.sparse(COUNTS[:, [1, 3]], None, None)
    second = r.sparse(COUNTS[np.ix_(rows, cells)], None, None)
    layers = {
        "counts.a": (GENES, [CELLS[1], CELLS[3]], first),
        "counts.b": ([GENES[i] for i in rows], [CELLS[i] for i in cells], second),
    }
    adata = read(tmp_path, seurat({"RNA": assay_5(layers)}))
    expected = COUNTS.copy()
    expected[0, cells] = 0  # the second sample lacks the first gene
    np.testing.assert_array_equal(dense(adata[CELLS, GENES].X), expected.T)
    assert list(adata.obs["cell_type"]) == list("BTBT")


def test_seurat_assay_is_chosen(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    other = assay_3(r.sparse(COUNTS + 1, GENES, CELLS))
    content = seurat({"SCT": other, "RNA": assay_3()}, active="SCT")
    check(read(tmp_path, content))
    assert "'RNA' is read" in caplog.text
    np.testing.assert_array_equal(dense(read(tmp_path, content, mod="SCT").X), COUNTS.T + 1)
    with pytest.raises(ParameterError, match=r"no assay 'ADT'.*'SCT', 'RNA'"):
        read(tmp_path, content, mod="ADT")


def test_seurat_counts_on_disk_name_the_conversion(tmp_path: Path) -> None:
    held = r.s4("RenameDims", "BPCells", matrix=r.s4("MatrixDir", "BPCells", dir=r.character("/nowhere")))
    with pytest.raises(DataError, match=r"'counts' is a RenameDims.*as\.SingleCellExperiment"):
        read(tmp_path, seurat({"RNA": assay_5({"counts": (GENES, CELLS, held)})}))


def test_seurat_of_version_2_names_the_update(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"class 'seurat'.*UpdateSeuratObject"):
        read(tmp_path, r.s4("seurat", "Seurat"))


# matrices and tables ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["dgCMatrix", "dgRMatrix", "dgTMatrix"])
def test_sparse_matrix(tmp_path: Path, kind: str) -> None:
    check(read(tmp_path, r.sparse(COUNTS, GENES, CELLS, kind)))
    check(read(tmp_path, r.sparse(COUNTS.T, CELLS, GENES, kind)))  # cells x genes: told by the names


@pytest.mark.parametrize("make", [r.integer, r.double])
def test_dense_matrix(tmp_path: Path, make: object) -> None:
    check(read(tmp_path, r.dense(COUNTS, GENES, CELLS, make=make)))
    check(read(tmp_path, r.dense(COUNTS.T, CELLS, GENES, make=make), transpose=False))


def test_matrix_is_genes_by_cells_where_names_do_not_tell(tmp_path: Path) -> None:
    content = r.sparse(COUNTS, list("uvwxyz"), list("stop"))
    assert read(tmp_path, content).shape == (4, 6)
    assert read(tmp_path, content, transpose=False).shape == (6, 4)


def test_matrix_without_names(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="without names of its rows and columns"):
        read(tmp_path, r.sparse(COUNTS, None, CELLS))


def test_data_frames(tmp_path: Path) -> None:
    cells = {gene: r.double(*COUNTS[i]) for i, gene in enumerate(GENES)}
    cells["cell_type"] = r.character(*"BTBT")
    cells["cluster"] = r.factor([1, 2, 1, 2], ["0", "1"])
    adata = read(tmp_path, r.data_frame(CELLS, cells))
    check(adata)
    assert list(adata.obs["cell_type"]) == list("BTBT")
    genes = {cell: r.integer(*COUNTS[:, i].tolist()) for i, cell in enumerate(CELLS)}
    check(read(tmp_path, r.data_frame(GENES, genes)))
    adata = read(tmp_path, r.data_frame(None, {gene: r.integer(1, r.NA, 3) for gene in GENES}, 3))
    np.testing.assert_array_equal(dense(adata.X), np.tile([[1.0], [np.nan], [3.0]], 6))
    assert list(adata.obs_names) == ["1", "2", "3"]
    tibble = {"gene": r.character(*GENES), **genes}
    check(read(tmp_path, r.data_frame(None, tibble, 6, ("tbl_df", "tbl", "data.frame"))))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (r.double(1, 2), "class 'numeric', expected 'SingleCellExperiment'"),
        (r.named(counts=SPARSE, meta=r.integer(1)), r"class 'list' with the elements 'counts', 'meta'.*In R: saveRDS"),
        (r.s4("CellDataSet", "monocle"), r"class 'CellDataSet'.*as\(x, 'SingleCellExperiment'\)"),
        (r.s4("HDF5Matrix", "HDF5Array"), r"class 'HDF5Matrix'.*as\(x, 'dgCMatrix'\)"),
        (r.environment(a=r.integer(1)), "class 'environment'"),
        (r.NULL, "class 'NULL'"),
    ],
)
def test_other_objects_are_named_as_r_names_them(tmp_path: Path, content: bytes, message: str) -> None:
    with pytest.raises(DataError, match=message) as error:
        read(tmp_path, content)
    assert "damaged" not in str(error.value)


# what R keeps in other forms --------------------------------------------------------------------------------------


def alternative(cls: str, state: bytes, attributes: bytes = r.NULL) -> bytes:
    head = struct.pack(">I", 2) + r._symbol(cls) + struct.pack(">I", 2) + r._symbol("base") + r.NULL
    return struct.pack(">I", 238) + head + state + attributes


def test_compact_vectors(tmp_path: Path) -> None:
    wrapped = alternative("wrap_real", r.listed(r.double(*COUNTS.ravel(order="F").tolist()), r.integer(0, 0)),
        r.pairs({"dim": r.integer(6, 4), "dimnames": r.listed(r.character(*GENES), r.character(*CELLS))}))  # fmt: skip
    columns = {
        "number": alternative("compact_intseq", r.double(4, 1, 1)),
        "text": alternative("deferred_string", struct.pack(">I", 2) + r.double(1, 2.5, 3, 1e6) + r.NULL),
    }
    adata = read(tmp_path, r.experiment({"counts": wrapped}, GENES, CELLS, columns))
    check(adata)
    assert adata.obs["number"].tolist() == [1, 2, 3, 4]
    assert adata.obs["text"].tolist()[:3] == ["1", "2.5", "3"]


def test_little_endian_and_text(tmp_path: Path) -> None:
    whole = b"B\n" + struct.pack("<iii", 2, 0, 0) + struct.pack("<Iii", 13, 1, 7)
    (tmp_path / "x.rds").write_bytes(whole)
    with pytest.raises(DataError, match="class 'integer'"):
        load(tmp_path / "x.rds")
    (tmp_path / "x.rds").write_bytes(b"A\n3\n")
    with pytest.raises(DataError, match=r"written as text \(ascii=TRUE\)"):
        load(tmp_path / "x.rds")


# damage -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", [1, 4, 99])
def test_other_versions(tmp_path: Path, version: int) -> None:
    with pytest.raises(DataError, match=f"version {version}. Expected version 2 or 3"):
        read(tmp_path, r.integer(1), version)


@pytest.mark.parametrize(
    "content",
    [
        struct.pack(">Ii", 14, 2**31 - 1),
        struct.pack(">Iiii", 13, -1, 2**30, 0),
        struct.pack(">Ii", 16, 2**30),
        struct.pack(">Ii", 19, 2**30),
        struct.pack(">Ii", 19, -5),
        struct.pack(">I", 255 | 7 << 8),
        struct.pack(">Iii", 16, 1, 9) + struct.pack(">i", 2**30),
    ],
)
def test_announced_sizes_are_checked_before_anything_is_made(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(DataError, match="damaged"):
        read(tmp_path, content)


def test_deep_nesting_is_refused(tmp_path: Path) -> None:
    content = r.integer(1)
    for _ in range(200):
        content = r.listed(content)
    with pytest.raises(DataError, match="more than 150 deep"):
        read(tmp_path, content)


def test_long_sequences_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="a sequence of"):
        read(tmp_path, alternative("compact_intseq", r.double(2.0**40, 1, 1)))


@pytest.mark.slow
def test_any_damage_is_read_or_refused_in_words(tmp_path: Path) -> None:
    r.write(tmp_path / "x.rds", seurat({"RNA": assay_3()}))
    import gzip

    whole = gzip.decompress((tmp_path / "x.rds").read_bytes())
    rng = np.random.default_rng(0)
    refused = 0
    for _ in range(150):
        broken = bytearray(whole)
        for place in rng.integers(0, len(whole), 3):
            broken[place] = rng.integers(256)
        (tmp_path / "x.rds").write_bytes(broken)
        try:
            load(tmp_path / "x.rds")
        except DataError:
            refused += 1
    assert refused > 10
    for end in range(0, len(whole), 97):
        (tmp_path / "x.rds").write_bytes(whole[:end])
        with pytest.raises(DataError):
            load(tmp_path / "x.rds")


def test_nothing_of_a_file_is_run(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    call = struct.pack(">I", 6) + r._symbol("stop") + struct.pack(">I", 2) + r.character("run") + r.NULL
    promise = struct.pack(">I", 5) + call + r.NULL
    with caplog.at_level(logging.INFO), pytest.raises(DataError, match="class 'promise'"):
        read(tmp_path, promise)


def test_index_is_plain_text(tmp_path: Path) -> None:
    adata = read(tmp_path, SPARSE)
    assert isinstance(adata.var_names, pd.Index)
    assert all(isinstance(name, str) for name in adata.var_names)
