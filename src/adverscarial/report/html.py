"""Writes the report: gathers what the template shows, and renders it into one file."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from adverscarial import _store
from adverscarial.attacks import MaxChange, MaxChangeResult, Result, SingleGene, SingleGeneResult
from adverscarial.errors import ParameterError, StorageError
from adverscarial.evaluation.survey import Survey
from adverscarial.modifications import Modification
from adverscarial.report import words
from adverscarial.report.grid import MEANING, Entry, Grid, Kind, grids, heat

#: flips of one attack on one cluster that get a table row; the genes behind them are listed by name
_ROWS = 1000


def write_report(survey: Survey, path: str | os.PathLike[str], *, title: str | None = None) -> Path:
    """Write a survey as one HTML file that needs nothing else: no network, no fonts, no scripts of others.

    Parameters
    ----------
    survey
        What :func:`adverscarial.survey` returned or ``Survey.load(folder)`` read.
    path
        File to write, in one step; an older one is replaced.
    title
        Heading of the report.

    Returns
    -------
    The path of the file.

    Raises
    ------
    ParameterError
        If `survey` is something else.
    StorageError
        If the file cannot be written.

    Examples
    --------
    >>> import tempfile, adverscarial as adv
    >>> model, attack = adv.classifiers.ScType(scaled=False), adv.attacks.SingleGene("perc99")
    >>> found = adv.survey(adv.datasets.embedded(), model, attacks=attack, groupby="cell_type", targets=["Dendritic"])
    >>> write_report(found, Path(tempfile.mkdtemp()) / "report.html").name
    'report.html'
    """
    if not isinstance(survey, Survey):
        raise ParameterError(
            f"write_report needs a Survey, got {type(survey).__name__}. Make one with adverscarial.survey(...), "
            "or read a finished one with Survey.load(folder)."
        )
    text = _environment().get_template("report.html.j2").render(_content(survey, title))
    try:
        return _store.write_text(path, text)
    except OSError as error:
        raise StorageError(f"The report cannot be written to '{path}' ({error}). Name another file.") from error


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("adverscarial.report", "assets"),
        autoescape=True,  # names of genes, clusters and labels are data, never markup
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        number=lambda n: f"{n:,}", percent=words.percent, count=words.count, breakable=_breakable, paint=_paint
    )
    return environment


def _breakable(name: str) -> Markup:
    """Let a long name break after an underscore."""
    return escape(name).replace("_", Markup("_<wbr>"))


def _paint(value: int, largest: int) -> str:
    """Return the style of a coloured cell."""
    return "background:{};color:{}".format(*heat(value, largest))


def _content(survey: Survey, title: str | None) -> dict[str, Any]:
    """Return everything that the template names."""
    single, several = _tables(survey, "single"), _tables(survey, "max")
    results = [result for result in survey.results if result is not None]
    classifiers = list(dict.fromkeys(task.classifier for task in survey.tasks))
    costs = ("queries", "proven", "cells_rescored", "seconds")
    attacks = {repr(task.attack): task.attack for task in survey.tasks}
    modifications = [m for a in attacks.values() if isinstance(m := getattr(a, "modification", None), Modification)]
    return {
        "title": title or "How easily can the cell-type labels be flipped?",
        "plan": survey.plan,
        "classifiers": classifiers,
        "clusters": list(dict.fromkeys(task.target for task in survey.tasks)),
        "summary": {name: _summary(name, [*single, *several]) for name in classifiers},
        "single": single,
        "several": several,
        "others": _others(survey),
        "places": _places([table.grid for table in (*single, *several)]),
        "attacks": list(attacks),
        "modifications": {str(m): words.meaning(m) for m in modifications},
        "cost": {name: sum(getattr(r, name) for r in results) for name in costs},
        "asked": len(survey.tasks),
        "failed": len(survey.errors),
    }


@dataclass(frozen=True)
class _Table:
    """One grid, with what is said about it."""

    grid: Grid
    sentences: list[str]
    caveats: list[str]
    largest: int
    legend: list[int]
    marks: dict[str, str]


def _tables(survey: Survey, kind: Kind) -> list[_Table]:
    """Return one table per classifier; all share one colour scale, so that they can be compared."""
    found = grids(survey, kind)
    describe = words.single_gene if kind == "single" else words.max_change
    largest = max((entry.value or 0 for grid in found for entry in grid.done), default=0)
    legend = [10**k for k in range(6) if 10**k <= max(10, largest)]
    tables = []
    for grid in found:
        used = "".join(entry.marks for entry in grid.done)
        marks = {mark: text for (of, mark), text in MEANING.items() if of == kind and mark in used}
        limits = words.caveats(grid, int(survey.plan["data"]["genes"]))
        tables.append(_Table(grid, describe(grid), limits, largest, legend, marks))
    return tables


def _summary(classifier: str, tables: list[_Table]) -> tuple[list[str], list[str]]:
    """Return one classifier's sentences and caveats; a caveat that holds for both of its tables is said once."""
    own = [table for table in tables if table.grid.classifier == classifier]
    sentences = [sentence for table in own for sentence in table.sentences]
    return sentences, list(dict.fromkeys(caveat for table in own for caveat in table.caveats))


@dataclass(frozen=True)
class _Place:
    """One cluster as one classifier sees it."""

    anchor: str
    cluster: str
    result: Result | None
    entries: list[Entry]

    @property
    def flips(self) -> list[dict[str, Any]]:
        """One row per flipping gene and modification, the strongest flips of each modification first."""
        rows: list[dict[str, Any]] = []
        for entry in self.entries:
            if isinstance(entry.result, SingleGeneResult):
                hits = entry.result.to_frame().query("outcome == 'flipped'").head(_ROWS)
                rows += hits.assign(heading=entry.heading).to_dict("records")
        return rows

    @property
    def unlisted(self) -> list[tuple[Entry, list[str]]]:
        """Names of the flipping genes that have no row, for each attack."""
        cut = [(e, e.result) for e in self.entries if isinstance(e.result, SingleGeneResult) and (e.value or 0) > _ROWS]
        return [(e, r.to_frame().query("outcome == 'flipped'")["gene"].iloc[_ROWS:].tolist()) for e, r in cut]

    @property
    def n_flips(self) -> int:
        return sum(e.value or 0 for e in self.entries if isinstance(e.result, SingleGeneResult))

    def of(self, kind: Kind) -> list[Entry]:
        """Return the entries of one kind of attack, failed ones too."""
        return [e for e in self.entries if isinstance(e.attack, SingleGene if kind == "single" else MaxChange)]

    @property
    def signature_range(self) -> str:
        """Shortest and longest signature, as text; empty when there is none."""
        lengths = sorted(len(e.result.protected) for e in self.entries if isinstance(e.result, MaxChangeResult))
        if not lengths:
            return ""
        return f"{lengths[0]:,}" if lengths[0] == lengths[-1] else f"{lengths[0]:,} to {lengths[-1]:,}"


def _places(found: list[Grid]) -> dict[str, dict[str, _Place]]:
    """Return one place per classifier and cluster."""
    places: dict[str, dict[str, _Place]] = {}
    for classifier in dict.fromkeys(grid.classifier for grid in found):
        own = [entry for grid in found if grid.classifier == classifier for entry in grid.entries.values()]
        row = places.setdefault(classifier, {})
        for cluster in dict.fromkeys(entry.cluster for entry in own):
            entries = [entry for entry in own if entry.cluster == cluster]
            result = next((entry.result for entry in entries if entry.result is not None), None)
            row[cluster] = _Place(f"c{len(places)}-{len(row) + 1}", cluster, result, entries)
    return places


def _others(survey: Survey) -> list[tuple[str, str, str, Result | None, str]]:
    """Return one row per attack that has no table of its own: classifier, cluster, attack, result, error."""
    return [
        (task.classifier, task.target, repr(task.attack), result, survey.errors.get(task.number, ""))
        for task, result in zip(survey.tasks, survey.results, strict=True)
        if not isinstance(task.attack, SingleGene | MaxChange)
    ]
