"""The table of a survey, for people and for programs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd
from rich import box
from rich.table import Table
from rich.text import Text

from adverscarial.attacks import Attack, Result
from adverscarial.cli.output import console
from adverscarial.evaluation.verdicts import headline
from adverscarial.surveys import Survey
from adverscarial.surveys.grid import headings
from adverscarial.surveys.stored import already_there
from adverscarial.surveys.universal import most_universal


def rows(result: Survey) -> list[dict[str, object]]:
    """Return the table as JSON values; what does not apply to an attack is left out."""
    return [
        {key: value for key, value in row.items() if pd.notna(value)}
        for row in result.to_frame().astype(object).to_dict(orient="records")
    ]


def verdict_rows(result: Survey, rules: Mapping[str, Any] | None = None) -> list[dict[str, object]]:
    """Return the verdicts, by the usual rules or by others, as JSON values; what is not known is left out."""
    table = result.verdicts(**(rules or {})).astype(object)
    return [
        {key: value for key, value in row.items() if pd.notna(value) and value != ""}
        for row in table.to_dict(orient="records")
    ]


def universal_rows(result: Survey, most: int = 20) -> list[dict[str, object]]:
    """Return the genes that flip several clusters, of each classifier and modification at most `most`."""
    table = result.universal()
    table = table[table["clusters"] > 1].groupby(["classifier", "modification", "towards"], sort=False).head(most)
    return [{str(key): value for key, value in row.items()} for row in table.astype(object).to_dict(orient="records")]


def show_universal(result: Survey) -> None:
    """Print the gene that flips the most clusters of each classifier, where one flips several."""
    for line in most_universal(result.universal()):
        console.print(line, soft_wrap=True)


#: how the four verdicts look on a terminal that has colours
_STYLES = {"robust": "green", "fragile": "red", "not decided": "dim", "not recognised": "yellow"}


def show_verdicts(result: Survey, rules: Mapping[str, Any] | None = None) -> None:
    """Print one table per classifier: the verdict of each cluster, why, and what to do next."""
    for name, part in result.verdicts(**(rules or {})).groupby("classifier", sort=False):
        console.print(f"{name} · may its labels be trusted? {headline(part)}", style="italic", soft_wrap=True)
        table = Table(box=box.SIMPLE_HEAD, padding=(0, 1))
        table.add_column("cluster")
        table.add_column("verdict", no_wrap=True)
        table.add_column("why, and what to do")
        for row in part.itertuples():
            told = Text.assemble(str(row.reason), "\n", (f"→ {row.next}", "dim"))
            table.add_row(str(row.cluster), Text(str(row.verdict), style=_STYLES[str(row.verdict)]), told)
        console.print(table)


def show(result: Survey) -> None:
    """Print one table per classifier and kind of attack: clusters down, modifications across."""
    kinds = dict.fromkeys(type(task.attack) for task in result.tasks)
    for classifier in dict.fromkeys(task.classifier for task in result.tasks):
        for kind in sorted(kinds, key=lambda kind: kind.place):
            _print(result, classifier, kind)


def _print(result: Survey, classifier: str, kind: type[Attack[Result]]) -> None:
    """Print the table of one classifier and one kind of attack."""
    done, already = {}, set()
    for task, one in zip(result.tasks, result.results, strict=True):
        if task.classifier == classifier and type(task.attack) is kind:
            done[task.target, repr(task.attack)] = one
            if already_there(result.errors.get(task.number, "")):
                already.add((task.target, repr(task.attack)))
    names = headings([task.attack for task in result.tasks if type(task.attack) is kind])
    count = kind.result_type().count
    console.print(f"{classifier} · {kind.question if count is None else count.title}", style="italic", soft_wrap=True)
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1))
    table.add_column("cluster")
    table.add_column("called")
    for name in names.values():
        table.add_column(name.replace("_", "\n"), justify="right")
    for cluster in dict.fromkeys(target for target, _ in done):
        found = [done[cluster, key] for key in names]
        called = next((one.baseline for one in found if one is not None), "-")
        cells = ["already" if (cluster, key) in already else _cell(done[cluster, key]) for key in names]
        table.add_row(cluster, called, *cells)
    console.print(table)
    marks = {mark for found in done.values() if found is not None for mark in found.marks}
    for mark, meaning in ({} if count is None else count.marks).items():
        if mark in marks:
            console.print(f"  {mark} {meaning}", soft_wrap=True)


def _cell(result: Result | None) -> str:
    """Return what the table shows of one result: its count; else the genes that another label needed, or the label."""
    if result is None:
        return "failed"
    if result.count is not None:
        return f"{result.row()[result.count.column]:,}{result.marks}"
    if not result.success:
        return "held"
    return result.label if result.genes_needed is None else f"{result.label}, {result.genes_needed:,} genes"
