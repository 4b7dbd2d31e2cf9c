import logging

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData

from adverscarial.datasets import gene_symbols, load, strip_versions
from adverscarial.errors import DataError
from made_up import check_renamed

IDS = ["ENSG1", "ENSG2", "ENSG3", "ENSG4"]


def make(**columns) -> AnnData:
    return AnnData(np.arange(8.0).reshape(2, 4), var=pd.DataFrame(columns, index=IDS))


@pytest.mark.parametrize(
    "column", ["gene_symbols", "gene_symbol", "symbol", "SYMBOL", "feature_name", "gene_name", "gene_short_name"]
)
def test_column_is_found(column):
    adata = make(**{"biotype": "x", column: ["A", "B", "C", "D"]})
    named = gene_symbols(adata)
    assert list(named.var_names) == ["A", "B", "C", "D"]
    assert list(named.var["gene_id"]) == IDS
    np.testing.assert_array_equal(named.X, adata.X)
    assert list(adata.var_names) == IDS
    assert "gene_id" not in adata.var


def test_named_column_and_preference():
    adata = make(feature_name=list("EFGH"), symbol=list("ABCD"), other=list("IJKL"))
    assert list(gene_symbols(adata).var_names) == list("ABCD")
    assert list(gene_symbols(adata, "other").var_names) == list("IJKL")


def test_categories_missing_and_repeated_symbols(caplog):
    adata = make(feature_name=pd.Categorical(["A", None, "A", " "]))
    with caplog.at_level(logging.INFO, "adverscarial"):
        named = gene_symbols(adata)
    assert list(named.var_names) == ["A", "ENSG2", "A-1", "ENSG4"]
    assert "1 symbols repeat ('A')" in caplog.text
    assert "2 genes have no symbol" in caplog.text


def test_no_such_column(monkeypatch):
    monkeypatch.setattr("adverscarial.datasets.symbols.is_installed", lambda package: False)
    with pytest.raises(DataError, match=r"var has the columns 'biotype'\. Expected one of 'gene_symbols'"):
        gene_symbols(make(biotype="x"))
    with pytest.raises(DataError, match="var has no columns"):
        gene_symbols(make())
    with pytest.raises(DataError, match=r"no column 'symbo'.* Did you mean 'symbol'"):
        gene_symbols(make(symbol=list("ABCD")), "symbo")
    with pytest.raises(DataError, match=r"var\['symbol'\] is empty in all 4 genes"):
        gene_symbols(make(symbol=[None, "", " ", np.nan]))


@pytest.mark.slow
def test_result_can_be_written(tmp_path):
    adata = make(symbol=list("ABCD"))
    adata.var.index.name = "gene_id"
    adata.write_h5ad(tmp_path / "x.h5ad")
    for source in (adata, load(tmp_path / "x.h5ad", backed=True)):
        gene_symbols(source).write_h5ad(tmp_path / "y.h5ad")
        named = load(tmp_path / "y.h5ad")
        assert list(named.var["gene_id"]) == IDS
        assert list(named.var_names) == list("ABCD")


def test_versions_are_taken_off(caplog):
    adata = AnnData(
        np.arange(10.0).reshape(2, 5),
        var=pd.DataFrame(index=["ENSG01.3", "ENSMUSG02.11", "ENSG03.1_PAR_Y", "AC000061.1", "ENSG01.4"]),
    )
    with caplog.at_level(logging.INFO, "adverscarial"):
        named = strip_versions(adata)
    assert list(named.var_names) == ["ENSG01", "ENSMUSG02", "ENSG03_PAR_Y", "AC000061.1", "ENSG01-1"]
    check_renamed(named, adata)
    assert "1 ids repeat ('ENSG01')" in caplog.text


def test_no_versions():
    with pytest.raises(DataError, match=r"None of the 4 gene names .* is an Ensembl id with a version"):
        strip_versions(make())
