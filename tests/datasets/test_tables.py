"""Tables as people have them: genes on either side, any separator, comments on top, names that look like numbers."""

from __future__ import annotations

import bz2
import gzip
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from anndata import AnnData

from adverscarial.datasets import load
from adverscarial.datasets.orientation import rows_are_genes
from adverscarial.errors import DataError

GENES = ["CD3D", "MS4A1", "NKG7", "LYZ", "CD79A", "GNLY"]
IDS = [f"ENSG{i:011d}" for i in range(6)]
BARCODES = ["AAACCTGAGC-1", "AAACGGGTCA-1", "AAAGATGCAT-1", "AACACGTCTT-1"]
COUNTS = np.random.default_rng(1).poisson(1.5, (4, 6))


def dense(adata: AnnData) -> np.ndarray:
    return adata.X.toarray() if sp.issparse(adata.X) else np.asarray(adata.X)


def check(adata: AnnData, cells: list[str] = BARCODES, genes: list[str] = GENES) -> None:
    assert list(adata.obs_names) == list(cells)
    assert list(adata.var_names) == list(genes)
    np.testing.assert_array_equal(dense(adata), COUNTS)


def written(path: Path, text: str) -> AnnData:
    path.write_text(text)
    return load(path)


ENDINGS = {".csv": ",", ".tsv": "\t", ".txt": "\t", ".csv.gz": ",", ".tsv.gz": "\t", ".txt.gz": "\t", ".tab": "\t"}


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("transposed", [False, True])
def test_either_side_may_hold_the_genes(tmp_path: Path, ending: str, transposed: bool, caplog) -> None:
    frame = pd.DataFrame(COUNTS, index=BARCODES, columns=GENES)
    (frame.T if transposed else frame).to_csv(tmp_path / f"x{ending}", sep=ENDINGS[ending])
    check(load(tmp_path / f"x{ending}"))
    assert ("rows are taken for genes" in caplog.text) == transposed


@pytest.mark.parametrize("separator", [",", "\t", ";", " "])
@pytest.mark.parametrize("ending", [".csv", ".txt", ".tsv"])
@pytest.mark.parametrize("corner", ["", "GENE", None])
def test_any_separator_and_corner(tmp_path: Path, separator: str, ending: str, corner: str | None) -> None:
    """Drop-seq writes GENE into the corner; R leaves the header one name short."""
    if corner == "" and separator == " ":
        corner = '""'
    header = separator.join(([] if corner is None else [corner]) + BARCODES)
    rows = [separator.join([gene, *map(str, COUNTS[:, i])]) for i, gene in enumerate(GENES)]
    check(written(tmp_path / f"x{ending}", "\n".join([header, *rows]) + "\n"))


def test_aligned_with_spaces_and_quoted(tmp_path: Path) -> None:
    header = "cell     CD3D   LYZ"
    adata = written(tmp_path / "x.txt", f"{header}\nc1       1      2\nc2       10     3\n")
    np.testing.assert_array_equal(dense(adata), [[1, 2], [10, 3]])
    adata = written(tmp_path / "y.txt", '"CD3D" "LYZ"\n"cell 1" 1 2\n"cell 2" 10 3\n')
    assert list(adata.obs_names) == ["cell 1", "cell 2"]
    np.testing.assert_array_equal(dense(adata), [[1, 2], [10, 3]])


def test_decimal_comma(tmp_path: Path) -> None:
    adata = written(tmp_path / "x.csv", "cell;CD3D;LYZ\nc1;1,5;2\nc2;0,25;3\n")
    np.testing.assert_array_equal(dense(adata), [[1.5, 2], [0.25, 3]])


@pytest.mark.parametrize("rows", [BARCODES, ["P1_01", "P1_02", "P2_01", "P2_02"], ["w", "x", "y", "z"]])
@pytest.mark.parametrize(
    "genes", [GENES, IDS, [f"{name}.{i}" for i, name in enumerate(IDS)], [g.title() for g in GENES]]
)
def test_genes_of_many_kinds_are_known(tmp_path: Path, rows: list[str], genes: list[str]) -> None:
    frame = pd.DataFrame(COUNTS, index=rows, columns=genes)
    frame.to_csv(tmp_path / "cells.csv")
    check(load(tmp_path / "cells.csv"), rows, genes)
    frame.T.to_csv(tmp_path / "genes.csv")
    check(load(tmp_path / "genes.csv"), rows, genes)


def test_neither_side_is_plain(tmp_path: Path) -> None:
    frame = pd.DataFrame(COUNTS, index=list("wxyz"), columns=list("abcdef"))
    frame.to_csv(tmp_path / "x.csv")
    with pytest.raises(
        DataError, match=r"4 rows \('w', .*6 columns \('a', .*transpose=False.*transpose=True.*--transpose"
    ):
        load(tmp_path / "x.csv")
    check(load(tmp_path / "x.csv", transpose=False), list("wxyz"), list("abcdef"))
    frame.T.to_csv(tmp_path / "y.csv")
    check(load(tmp_path / "y.csv", transpose=True), list("wxyz"), list("abcdef"))


def test_what_is_said_outweighs_the_names(tmp_path: Path) -> None:
    pd.DataFrame(COUNTS, index=BARCODES, columns=GENES).to_csv(tmp_path / "x.csv")
    assert load(tmp_path / "x.csv", transpose=True).shape == (6, 4)


def test_text_goes_with_the_rows(tmp_path: Path) -> None:
    frame = pd.DataFrame(COUNTS, index=BARCODES, columns=IDS).T
    frame.insert(0, "gene_name", GENES)
    frame.to_csv(tmp_path / "x.csv")
    adata = load(tmp_path / "x.csv")
    check(adata, BARCODES, IDS)
    assert list(adata.var["gene_name"]) == GENES


def test_feature_counts(tmp_path: Path) -> None:
    lines = [
        "# Program:featureCounts v2.0.1; Command:...",
        "\t".join(["Geneid", "Chr", "Start", "End", "Strand", "Length", *BARCODES]),
    ]
    lines += ["\t".join([gene, "1", "5", "9", "+", "4", *map(str, COUNTS[:, i])]) for i, gene in enumerate(IDS)]
    adata = written(tmp_path / "counts.txt", "\n".join(lines))
    assert adata.n_vars == 6
    check(adata, BARCODES, IDS)
    assert list(adata.var["Length"]) == [4] * 6


@pytest.mark.parametrize("top", ["# one\n", "#\n## two\n\n", '"# quoted"\n', "# a, b, c\n"])
def test_comments_on_top(tmp_path: Path, top: str) -> None:
    frame = pd.DataFrame(COUNTS, index=BARCODES, columns=GENES)
    check(written(tmp_path / "x.csv", top + frame.to_csv()))


def test_header_that_is_marked_as_a_comment(tmp_path: Path) -> None:
    frame = pd.DataFrame(COUNTS, index=pd.Index(BARCODES, name="#cell"), columns=GENES)
    check(written(tmp_path / "x.csv", "# made up\n" + frame.to_csv()))


@pytest.mark.parametrize(
    "names", [["001", "002"], ["001", "1e5"], ["NA", "nan"], ["1.0", "2.50"], ["TRUE", "null"], ["-1", "+1"]]
)
@pytest.mark.parametrize("transposed", [False, True])
def test_names_stay_as_they_are_written(tmp_path: Path, names: list[str], transposed: bool) -> None:
    frame = pd.DataFrame([[1, 2, 0], [3, 4, 1]], index=names, columns=["CD3D", "LYZ", "NA"])
    (frame.T if transposed else frame).rename_axis("id").to_csv(tmp_path / "x.csv")
    adata = load(tmp_path / "x.csv")
    assert list(adata.obs_names) == names
    assert list(adata.var_names) == ["CD3D", "LYZ", "NA"]


def test_gene_names_that_repeat_get_numbers(tmp_path: Path) -> None:
    adata = written(tmp_path / "x.csv", "gene,AAACCTGAGC,AAACGGGTCA\nCD3D,1,2\nCD3D,3,4\nLYZ,5,6\n")
    assert list(adata.var_names) == ["CD3D", "CD3D-1", "LYZ"]
    adata = written(tmp_path / "y.csv", "cell,CD3D,CD3D,LYZ\nc1,1,2,3\n")
    assert list(adata.var_names) == ["CD3D", "CD3D-1", "LYZ"]


def test_numbered_rows_of_pandas(tmp_path: Path) -> None:
    frame = pd.DataFrame(COUNTS.T, columns=BARCODES)
    frame.insert(0, "gene", GENES)
    frame.to_csv(tmp_path / "x.csv")
    check(load(tmp_path / "x.csv"))


def test_separator_at_the_end_of_lines(tmp_path: Path) -> None:
    adata = written(tmp_path / "x.tsv", "cell\tCD3D\tLYZ\t\nc1\t1\t2\t\nc2\t3\t4\t\n")
    assert list(adata.var_names) == ["CD3D", "LYZ"]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_marks_of_an_encoding(tmp_path: Path, encoding: str) -> None:
    text = pd.DataFrame(COUNTS, index=BARCODES, columns=GENES).rename_axis("cell").to_csv()
    (tmp_path / "x.csv").write_text(text, encoding=encoding)
    check(load(tmp_path / "x.csv"))


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress])
@pytest.mark.parametrize("name", ["x.csv", "x.csv.gz"])
def test_content_says_how_it_is_compressed(tmp_path: Path, pack, name: str) -> None:
    text = pd.DataFrame(COUNTS, index=BARCODES, columns=GENES).to_csv().encode()
    (tmp_path / name).write_bytes(pack(text))
    check(load(tmp_path / name))
    (tmp_path / name).write_bytes(text)
    check(load(tmp_path / name))


# long tables ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "columns", [["gene", "cell", "count"], ["cell", "gene", "count"], ["Gene", "Barcode", "UMIs"], ["a", "b", "c"]]
)
@pytest.mark.parametrize("name", ["counts.tsv.gz", "counts.csv"])
def test_long_table(tmp_path: Path, columns: list[str], name: str) -> None:
    cell_first = columns[0] == "cell"
    rows = [
        (BARCODES[i], GENES[j], COUNTS[i, j]) if cell_first else (GENES[j], BARCODES[i], COUNTS[i, j])
        for j in range(6)
        for i in range(4)
        if COUNTS[i, j]
    ]
    sep = "," if name.endswith("csv") else "\t"
    pd.DataFrame(rows, columns=columns).to_csv(tmp_path / name, sep=sep, index=False)
    adata = load(tmp_path / name)
    assert isinstance(adata.X, sp.csr_matrix)
    assert adata.shape == (4, 6)
    np.testing.assert_array_equal(dense(adata[BARCODES, GENES]), COUNTS)


def test_long_table_with_a_pair_twice(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"1 lines come twice .*'c1', gene 'CD3D'"):
        written(tmp_path / "x.tsv", "gene\tcell\tcount\nCD3D\tc1\t1\nLYZ\tc1\t1\nCD3D\tc1\t2\n")


def test_three_columns_of_another_kind_are_no_long_table(tmp_path: Path) -> None:
    adata = written(tmp_path / "x.csv", "cell,cell_type,CD3D\nc1,B,1\nc2,B,2\nc3,T,3\n")
    assert adata.shape == (3, 1)
    assert list(adata.obs["cell_type"]) == ["B", "B", "T"]


# names ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rows", "columns", "right"),
    [
        (GENES, ["1", "2", "3"], True),
        (["0", "1", "2"], GENES, False),
        (["Rpl7", "Gm1992", "4933401J01Rik"], ["s1", "s2"], True),
        (["FBgn0000003", "FBgn0000008"], ["x", "y"], True),
        (["GRCh38_CD3D", "mm10___Cd3d"], ["x", "y"], True),
        (["A1", "B12"], ["CD4", "TSPAN6", "ZNF12"], False),
        (["SRR1039508", "SRR1039509"], ["unknown1", "unknown_b"], False),
        (["01_02_03__s1", "01_02_04__s1"], ["odd", "names"], False),
        (["x", "y"], ["a", "b"], None),
    ],
)
def test_which_side_is_genes(rows: list[str], columns: list[str], right: bool | None) -> None:
    assert rows_are_genes(rows, columns) is right
    if right is not None:
        assert rows_are_genes(columns, rows) is not right


def test_header_words_tell() -> None:
    assert rows_are_genes(["a", "b"], ["x", "y"], ["Gene Symbol"]) is True
    assert rows_are_genes(["a", "b"], ["x", "y"], ["Cell_Index"]) is False
    assert rows_are_genes(["a", "b"], ["x", "y"], ["name"]) is None
