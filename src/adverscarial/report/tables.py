"""The tables of a report as files to download, carried inside the page."""

from __future__ import annotations

import gzip
from base64 import b64encode
from dataclasses import dataclass

import pandas as pd

from adverscarial.attacks import MaxChangeResult
from adverscarial.surveys.spreadsheets import csv
from adverscarial.surveys.table import Survey

_PLAIN = 400_000  # bytes, above which a table is compressed
_LARGEST = 400_000  # bytes, above which it is left out, as the page is to open at once


@dataclass(frozen=True)
class Download:
    """One table. `link` is empty where it is too large to be carried."""

    title: str
    name: str
    rows: int
    link: str


def downloads(survey: Survey) -> list[Download]:
    """Return the tables of a survey that have any rows."""
    tables = {
        "survey": ("One row per classifier, cluster and attack", survey.to_frame()),
        "flipping_genes": ("Single genes that flip a label", survey.flipping()),
        "signatures": ("Genes of the signatures", signatures(survey)),
    }
    return [_download(title, name, table) for name, (title, table) in tables.items() if len(table)]


def signatures(survey: Survey) -> pd.DataFrame:
    """Return the genes that had to stay: ``classifier, cluster, modification, gene, maximal``."""
    rows = [
        (task.classifier, task.target, str(result.attack.modification), gene, result.maximal)
        for task, result in survey.of(MaxChangeResult)
        for gene in result.signature
    ]
    return pd.DataFrame(rows, columns=["classifier", "cluster", "modification", "gene", "maximal"])


def _download(title: str, name: str, table: pd.DataFrame) -> Download:
    content = csv(table).encode()
    kind, name = "text/csv;charset=utf-8", f"{name}.csv"
    if len(content) > _PLAIN:
        kind, name, content = "application/gzip", f"{name}.gz", gzip.compress(content, mtime=0)
    link = f"data:{kind};base64,{b64encode(content).decode()}" if len(content) <= _LARGEST else ""
    return Download(title, name, len(table), link)
