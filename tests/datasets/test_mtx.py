"""Folders with a Matrix Market file, as each program writes them: its names, its orientation, its compression."""

from __future__ import annotations

import gzip
from pathlib import Path

import h5py
import numpy as np
import pytest
import scipy.io
import scipy.sparse as sp
from anndata import AnnData

from adverscarial.datasets import load
from adverscarial.errors import DataError, ParameterError

IDS = [f"ENSG{i:011d}" for i in range(6)]
SYMBOLS = ["CD3D", "CD4", "MS4A1", "NKG7", "LYZ", "GNLY"]
CELLS = [f"AAACCTG{c}-1" for c in "ACGT"]
COUNTS = np.random.default_rng(2).poisson(1.5, (4, 6))


def dense(adata: AnnData) -> np.ndarray:
    return adata.X.toarray() if sp.issparse(adata.X) else np.asarray(adata.X)


def put(path: Path, text: str | bytes, packed: bool = False) -> None:
    content = text.encode() if isinstance(text, str) else text
    path.parent.mkdir(parents=True, exist_ok=True)
    (path.with_name(f"{path.name}.gz") if packed else path).write_bytes(gzip.compress(content) if packed else content)


def put_matrix(path: Path, matrix: np.ndarray, packed: bool = False) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        scipy.io.mmwrite(file, sp.coo_matrix(matrix), field="integer" if matrix.dtype.kind == "i" else "real")
    if packed:
        put(path, path.read_bytes(), packed=True)
        path.unlink()


def lines(*columns: list[str], sep: str = "\t") -> str:
    return "".join(sep.join(row) + "\n" for row in zip(*columns, strict=True))


def check(adata: AnnData, names: list[str] = SYMBOLS, counts: np.ndarray = COUNTS) -> None:
    assert list(adata.obs_names) == CELLS
    assert list(adata.var_names) == names
    np.testing.assert_array_equal(dense(adata), counts)


TYPES = ["Gene Expression"] * 6


@pytest.mark.parametrize("packed", [(a, b, c) for a in (0, 1) for b in (0, 1) for c in (0, 1)])
@pytest.mark.parametrize(("features", "columns"), [("features.tsv", 3), ("genes.tsv", 2), ("features.tsv", 1)])
def test_each_file_may_be_compressed(tmp_path: Path, packed: tuple[int, ...], features: str, columns: int) -> None:
    put_matrix(tmp_path / "matrix.mtx", COUNTS.T, bool(packed[0]))
    put(tmp_path / features, lines(*[IDS, SYMBOLS, TYPES][:columns]), bool(packed[1]))
    put(tmp_path / "barcodes.tsv", lines(CELLS), bool(packed[2]))
    for path in (tmp_path, tmp_path / f"matrix.mtx{'.gz' if packed[0] else ''}"):
        adata = load(path)
        check(adata, IDS if columns == 1 else SYMBOLS)
        assert ("gene_ids" in adata.var) == (columns > 1)


def ten_x(folder: Path, prefix: str = "", matrix: str = "matrix.mtx", counts: np.ndarray = COUNTS) -> None:
    put_matrix(folder / f"{prefix}{matrix}", counts.T)
    put(folder / f"{prefix}features.tsv", lines(IDS, SYMBOLS, TYPES))
    put(folder / f"{prefix}barcodes.tsv", lines(CELLS))


@pytest.mark.parametrize("prefix", ["GSM1_", "GSM1_sample.", "GSM1-a_b_"])
def test_names_of_files_may_begin_with_the_name_of_a_sample(tmp_path: Path, prefix: str) -> None:
    ten_x(tmp_path, prefix)
    check(load(tmp_path))


def test_files_of_macos_are_passed_over(tmp_path: Path) -> None:
    ten_x(tmp_path)
    for name in ("matrix.mtx", "features.tsv", "barcodes.tsv", "other_matrix.mtx"):
        put(tmp_path / f"._{name}", b"\x00\x05\x16\x07\x00\x02")
    (tmp_path / ".DS_Store").write_bytes(b"\x00")
    check(load(tmp_path))
    with pytest.raises(DataError, match=r"macOS adds to archives.* Name 'matrix\.mtx' instead"):
        load(tmp_path / "._matrix.mtx")


def test_folders_of_starsolo_are_read(tmp_path: Path) -> None:
    ten_x(tmp_path / "Gene" / "filtered")
    check(load(tmp_path / "Gene" / "filtered"))
    check(load(tmp_path))  # the only matrix below
    put_matrix(tmp_path / "Gene" / "filtered" / "UniqueAndMult-EM.mtx", COUNTS.T * 2.5)
    check(load(tmp_path / "Gene" / "filtered"))
    check(load(tmp_path / "Gene" / "filtered" / "UniqueAndMult-EM.mtx"), counts=COUNTS * 2.5)
    ten_x(tmp_path / "Gene" / "raw")
    with pytest.raises(DataError, match=r"several folders with a matrix: 'Gene/filtered', 'Gene/raw'\. Name one"):
        load(tmp_path)


def test_velocyto_of_starsolo(tmp_path: Path) -> None:
    for name, times in (("spliced", 1), ("unspliced", 2)):
        ten_x(tmp_path, matrix=f"{name}.mtx", counts=COUNTS * times)
    check(load(tmp_path / "unspliced.mtx"), counts=COUNTS * 2)
    with pytest.raises(DataError, match=r"several matrices: 'spliced\.mtx', 'unspliced\.mtx'"):
        load(tmp_path)


@pytest.mark.parametrize("stem", ["cells_x_genes", "genes", "spliced"])
@pytest.mark.parametrize("symbols", [False, True])
def test_folders_of_kb_python_are_read(tmp_path: Path, stem: str, symbols: bool) -> None:
    put_matrix(tmp_path / f"{stem}.mtx", COUNTS)
    put(tmp_path / f"{stem}.barcodes.txt", lines(CELLS))
    put(tmp_path / f"{stem}.genes.txt", lines(IDS))
    if symbols:
        put(tmp_path / f"{stem}.genes.names.txt", lines(SYMBOLS))
    for path in (tmp_path, tmp_path / f"{stem}.mtx"):
        adata = load(path)
        check(adata, SYMBOLS if symbols else IDS)
        assert not symbols or list(adata.var["gene_ids"]) == IDS


def test_kb_python_with_parts_that_share_their_names(tmp_path: Path) -> None:
    for part, times in (("mature", 1), ("nascent", 2)):
        put_matrix(tmp_path / f"cells_x_genes.{part}.mtx", COUNTS * times)
    put(tmp_path / "cells_x_genes.barcodes.txt", lines(CELLS))
    put(tmp_path / "cells_x_genes.genes.txt", lines(IDS))
    check(load(tmp_path / "cells_x_genes.nascent.mtx"), IDS, COUNTS * 2)


@pytest.mark.parametrize("square", [False, True])
def test_folders_of_alevin_fry_are_read(tmp_path: Path, square: bool) -> None:
    genes = 4 if square else 6
    put_matrix(tmp_path / "alevin" / "quants_mat.mtx", COUNTS[:, :genes] * 1.5, packed=square)
    put(tmp_path / "alevin" / "quants_mat_rows.txt", lines(CELLS))
    put(tmp_path / "alevin" / "quants_mat_cols.txt", lines(IDS[:genes]))
    put(tmp_path / "quant.json", "{}")
    for path in (tmp_path, tmp_path / "alevin"):
        check(load(path), IDS[:genes], COUNTS[:, :genes] * 1.5)


def test_alevin_fry_that_counts_unspliced_reads_apart(tmp_path: Path) -> None:
    parts = [COUNTS, COUNTS * 2, COUNTS * 3]
    put_matrix(tmp_path / "quants_mat.mtx", np.hstack(parts))
    put(tmp_path / "quants_mat_rows.txt", lines(CELLS))
    put(tmp_path / "quants_mat_cols.txt", lines([*IDS, *(f"{g}-U" for g in IDS), *(f"{g}-A" for g in IDS)]))
    adata = load(tmp_path)
    check(adata, IDS, COUNTS * 4)
    np.testing.assert_array_equal(adata.layers["unspliced"].toarray(), COUNTS * 2)


@pytest.mark.parametrize("matrix", ["DGE.mtx", "count_matrix.mtx"])
def test_folders_of_parse_are_read(tmp_path: Path, matrix: str) -> None:
    put_matrix(tmp_path / matrix, COUNTS)
    put(tmp_path / "all_genes.csv", "gene_id,gene_name,genome\n" + lines(IDS, SYMBOLS, ["hg38"] * 6, sep=","))
    put(
        tmp_path / "cell_metadata.csv",
        "bc_wells,sample,tscp_count\n" + lines(CELLS, list("abab"), list("1234"), sep=","),
    )
    adata = load(tmp_path)
    check(adata)
    assert list(adata.var["gene_ids"]) == IDS
    assert list(adata.obs["sample"]) == list("abab")
    assert list(adata.obs["tscp_count"]) == [1, 2, 3, 4]


def test_lists_with_headers_and_numbered_rows_of_r(tmp_path: Path) -> None:
    put_matrix(tmp_path / "counts.mtx", COUNTS.T)
    put(tmp_path / "genes.csv", '"","x"\n' + "".join(f'"{i + 1}","{g}"\n' for i, g in enumerate(SYMBOLS)))
    put(tmp_path / "cells.csv", '"x"\n' + "".join(f'"{i + 1}","{c}"\n' for i, c in enumerate(CELLS)))
    check(load(tmp_path))


def test_as_many_cells_as_genes(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    put_matrix(tmp_path / "matrix.mtx", COUNTS[:, :4].T)
    put(tmp_path / "features.tsv", lines(IDS[:4], SYMBOLS[:4]))
    put(tmp_path / "barcodes.tsv", lines(CELLS))
    check(load(tmp_path), SYMBOLS[:4], COUNTS[:, :4])
    assert "as many genes as cells" in caplog.text
    check(load(tmp_path, transpose=False), SYMBOLS[:4], COUNTS[:, :4].T)


def test_names_of_another_sample_are_not_taken(tmp_path: Path) -> None:
    ten_x(tmp_path, "a_")
    put_matrix(tmp_path / "b_matrix.mtx", COUNTS.T)
    with pytest.raises(DataError, match=r"none of the genes .* and the cells"):
        load(tmp_path / "b_matrix.mtx")


def test_lists_that_do_not_fit(tmp_path: Path) -> None:
    ten_x(tmp_path)
    put(tmp_path / "barcodes.tsv", lines([*CELLS, "one_more"]))
    with pytest.raises(DataError, match=r"6 rows and 4 columns; .*'features\.tsv' 6, 'barcodes\.tsv' 5 names"):
        load(tmp_path)
    put(tmp_path / "barcodes.tsv", lines(CELLS))
    with pytest.raises(DataError, match="do not fit with transpose=False"):
        load(tmp_path, transpose=False)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("%%MatrixMarket matrix array real general\n6 4\n", "coordinate"),
        (
            "%%MatrixMarket matrix coordinate integer general\n6 4 99999999999\n1 1 1\n",
            "announces 99,999,999,999 values",
        ),
        ("%%MatrixMarket matrix coordinate integer general\n6 4\n", "three whole numbers"),
        ("%%MatrixMarket matrix coordinate integer general\n9999999999999 4 1\n1 1 1\n", "do not fit"),
        ("", "coordinate"),
    ],
)
def test_heads_that_announce_nonsense(tmp_path: Path, content: str, message: str) -> None:
    ten_x(tmp_path)
    put(tmp_path / "matrix.mtx", content)
    with pytest.raises(DataError, match=message):
        load(tmp_path)


def test_large_counts_stay_exact(tmp_path: Path) -> None:
    ten_x(tmp_path)
    put_matrix(tmp_path / "matrix.mtx", np.full((6, 4), 2**24 + 1))
    assert dense(load(tmp_path))[0, 0] == 2**24 + 1


# the same data as a folder and as a file of Cell Ranger ------------------------------------------------------------


def ten_x_h5(
    path: Path, ids: list[str], names: list[str], types: list[str], genomes: list[str], counts: np.ndarray
) -> None:
    X = sp.csc_matrix(counts.T.astype(np.int32))
    with h5py.File(path, "w") as file:
        for name in ("data", "indices", "indptr"):
            file[f"matrix/{name}"] = getattr(X, name)
        file["matrix/shape"] = np.array(X.shape, dtype=np.int32)
        file["matrix/barcodes"] = np.array(CELLS, dtype="S")
        for name, values in (("id", ids), ("name", names), ("feature_type", types), ("genome", genomes)):
            file[f"matrix/features/{name}"] = np.array(values, dtype="S")


def both(tmp_path: Path, ids: list[str], names: list[str], types: list[str], genomes: list[str], counts: np.ndarray):
    put_matrix(tmp_path / "run" / "matrix.mtx", counts.T)
    put(tmp_path / "run" / "features.tsv", lines(ids, names, types))
    put(tmp_path / "run" / "barcodes.tsv", lines(CELLS))
    ten_x_h5(tmp_path / "run.h5", ids, names, types, genomes, counts)
    return tmp_path / "run", tmp_path / "run.h5"


def test_an_antibody_does_not_rename_its_gene(tmp_path: Path) -> None:
    counts = np.hstack([COUNTS + 1, COUNTS[:, :2]])
    ids, names = ["CD4_ab", *IDS, "CD3_ab"], ["CD4", *SYMBOLS, "CD3D"]
    types = ["Antibody Capture", *TYPES, "Antibody Capture"]
    for path in both(tmp_path, ids, names, types, ["GRCh38"] * 8, counts):
        adata = load(path)
        check(adata, SYMBOLS, counts[:, 1:7])
        assert list(adata.var["gene_ids"]) == IDS


def test_symbols_that_repeat_are_numbered_alike(tmp_path: Path) -> None:
    names = ["CD3D", "CD4", "CD4", "NKG7", "CD4", "GNLY"]
    for path in both(tmp_path, IDS, names, TYPES, ["GRCh38"] * 6, COUNTS):
        check(load(path), ["CD3D", "CD4", "CD4-1", "NKG7", "CD4-2", "GNLY"])


def test_antibodies_alone_are_kept(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for path in both(tmp_path, IDS, SYMBOLS, ["Antibody Capture"] * 6, [""] * 6, COUNTS):
        caplog.clear()
        check(load(path))
        assert "no features of the type 'Gene Expression'" in caplog.text
        assert "'Antibody Capture'" in caplog.text


@pytest.mark.slow
def test_two_genomes_of_cell_ranger_3(tmp_path: Path) -> None:
    genomes = ["GRCh38"] * 3 + ["mm10"] * 3
    ids, names = ([f"{g}_{n}" for g, n in zip(genomes, each, strict=True)] for each in (IDS, SYMBOLS))
    for path in both(tmp_path, ids, names, TYPES, genomes, COUNTS):
        assert load(path).shape == (4, 6)
        check(load(path, genome="mm10"), names[3:], COUNTS[:, 3:])
        with pytest.raises(ParameterError, match=r"no genome 'hg19'.*'GRCh38', 'mm10'"):
            load(path, genome="hg19")


def test_two_genomes_of_cell_ranger_2(tmp_path: Path) -> None:
    for genome, times in (("hg19", 1), ("mm10", 2)):
        ten_x(tmp_path / "run" / genome, counts=COUNTS * times)
    X = {genome: sp.csc_matrix(COUNTS.T.astype(np.int32) * times) for genome, times in (("hg19", 1), ("mm10", 2))}
    with h5py.File(tmp_path / "run.h5", "w") as file:
        for genome, matrix in X.items():
            for name in ("data", "indices", "indptr"):
                file[f"{genome}/{name}"] = getattr(matrix, name)
            file[f"{genome}/shape"] = np.array(matrix.shape)
            file[f"{genome}/barcodes"] = np.array(CELLS, dtype="S")
            file[f"{genome}/genes"] = np.array(IDS, dtype="S")
            file[f"{genome}/gene_names"] = np.array(SYMBOLS, dtype="S")
    for path in (tmp_path / "run", tmp_path / "run.h5"):
        check(load(path, genome="mm10"), counts=COUNTS * 2)
        with pytest.raises(DataError, match="'hg19', 'mm10'") as error:
            load(path)
        assert "damaged" not in str(error.value)
    with pytest.raises(ParameterError, match=r"no genome 'hg18'.* Did you mean 'hg19'"):
        load(tmp_path / "run.h5", genome="hg18")
