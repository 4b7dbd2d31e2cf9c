from __future__ import annotations

import gzip
import io
from base64 import b64decode

import numpy as np
import pandas as pd
import pytest

from adverscarial.report import tables
from adverscarial.report.tables import csv, downloads, signatures


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t"])
def test_texts_that_a_spreadsheet_would_run_are_guarded_and_numbers_are_not(start):
    table = pd.DataFrame({"gene": [f"{start}cmd|' /C calc'!A0", f"CD3{start}"], "change": [-1.5, np.nan]})
    read = pd.read_csv(io.StringIO(csv(table)))
    assert read["gene"].tolist() == [f"'{start}cmd|' /C calc'!A0", f"CD3{start}"]
    assert read["change"][0] == -1.5
    assert np.isnan(read["change"][1])


def test_a_carriage_return_starts_no_row_of_its_own():
    read = pd.read_csv(io.StringIO(csv(pd.DataFrame({"gene": ["CD3D\r=1+1", "a\nb"]}))))
    assert read["gene"].tolist() == ["CD3D =1+1", "a\nb"]


def test_a_table_without_such_texts_is_written_as_pandas_writes_it(everything):
    frame = everything.to_frame()
    assert csv(frame) == frame.to_csv(index=False, lineterminator="\n")


def test_signatures_are_those_of_the_results(everything):
    table = signatures(everything)
    for task, result in zip(everything.tasks, everything.results, strict=True):
        if type(task.attack).__name__ == "MaxChange":
            own = table[(table["classifier"] == task.classifier) & (table["cluster"] == task.target)]
            assert own["gene"].tolist() == list(result.signature)
    assert len(table)


def test_large_tables_are_compressed_and_larger_ones_left_out(everything, monkeypatch):
    frame = everything.flipping()
    plain, packed, none = [], [], []
    for limits, found in (((10**6, 10**6), plain), ((10, 10**6), packed), ((10, 10), none)):
        monkeypatch.setattr(tables, "_PLAIN", limits[0])
        monkeypatch.setattr(tables, "_LARGEST", limits[1])
        found += downloads(everything)
    assert [(table.name, table.rows) for table in plain][1] == ("flipping_genes.csv", len(frame))
    kind, content = packed[1].link.split(";base64,")
    assert (kind, packed[1].name) == ("data:application/gzip", "flipping_genes.csv.gz")
    assert gzip.decompress(b64decode(content)).decode() == csv(frame)
    assert [table.link for table in none] == ["", "", ""]
