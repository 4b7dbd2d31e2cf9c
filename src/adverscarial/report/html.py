"""Writes the report: gathers what the template shows, and renders it into one file."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from anndata import AnnData
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from adverscarial import _store
from adverscarial.attacks import SingleGeneResult
from adverscarial.classifiers.wrap import wrap
from adverscarial.errors import ParameterError, StorageError
from adverscarial.evaluation.survey import Survey
from adverscarial.modifications import Modification
from adverscarial.report import words
from adverscarial.report.cells import Seen, seen
from adverscarial.report.figures import Album, counts
from adverscarial.report.grid import MEANING, Grid, Kind, grids, heat
from adverscarial.report.others import sections
from adverscarial.report.places import places
from adverscarial.report.ranking import rankings
from adverscarial.report.single import single_gene
from adverscarial.report.tables import downloads

_LONG = 160  # letters of an attack that are shown at once


def write_report(
    survey: Survey,
    path: str | os.PathLike[str],
    *,
    title: str | None = None,
    adata: AnnData | None = None,
    classifiers: Mapping[str, Any] | None = None,
    progress: bool | None = None,
) -> Path:
    """Write a survey as one HTML file that needs nothing else: no network, no fonts, no scripts of others.

    Parameters
    ----------
    survey
        What :func:`adverscarial.survey` returned or ``Survey.load(folder)`` read.
    path
        File to write, in one step; an older one is replaced.
    title
        Heading of the report.
    adata
        The cells that were attacked. With them, the report shows the most telling flip of each classifier, before and
        after: an embedding, and a heatmap (needs the extra ``figures``). Takes seconds per classifier.
    classifiers
        With `adata`: the classifiers by their names in the survey, to measure harm and visibility of the attacks on
        that flip's cluster. Takes seconds per attack.
    progress
        Progress bar while cells are drawn; left out, on a terminal only.

    Returns
    -------
    The path of the file.

    Raises
    ------
    ParameterError
        If `survey` is something else, or `classifiers` are given without `adata` or are others.
    DataError
        If `adata` are not the cells that were attacked.
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
    if classifiers and adata is None:
        raise ParameterError("classifiers= are asked about cells: give adata=, too.")
    cells = [] if adata is None else seen(survey, adata, classifiers, progress)
    text = (
        _environment()
        .get_template("report.html.j2")
        .render(_content(survey, title, cells, _labels(survey, classifiers)))
    )
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
        number=lambda n: f"{n:,}",
        decimal=words.decimal,
        abridged=_abridged,
        percent=words.percent,
        count=words.count,
        breakable=_breakable,
        paint=_paint,
    )
    return environment


def _breakable(name: str) -> Markup:
    """Let a long name break after an underscore or a slash."""
    return escape(name).replace("_", Markup("_<wbr>")).replace("/", Markup("/<wbr>"))


def _abridged(attack: str) -> Markup:
    """Fold what is too long to be read, such as an attack on hundreds of genes."""
    if len(attack) <= _LONG:
        return escape(attack)
    return Markup("<details><summary>{} ...</summary>{}</details>").format(attack[:_LONG], attack)


def _paint(value: int, largest: int) -> str:
    """Return the style of a coloured cell."""
    return "background:{};color:{}".format(*heat(value, largest))


def _labels(survey: Survey, classifiers: Mapping[str, Any] | None) -> dict[str, set[str]]:
    """Return labels that each classifier is known to give: its own where it is at hand, and those that it gave."""
    found = {name: set(wrap(classifier).labels) for name, classifier in (classifiers or {}).items()}
    for task, result in zip(survey.tasks, survey.results, strict=True):
        if result is not None:
            new = result.labels.tolist() if isinstance(result, SingleGeneResult) else []
            found.setdefault(task.classifier, set()).update([result.baseline, result.label, *new])
    return found


def _content(survey: Survey, title: str | None, cells: list[Seen], labels: dict[str, set[str]]) -> dict[str, Any]:
    """Return everything that the template names."""
    single, several = _tables(survey, "single", labels), _tables(survey, "max", labels)
    album = Album()  # what comes first is kept first
    figures = {"single": album.take(counts(survey, "single")), "several": album.take(counts(survey, "max"))}
    shown = [replace(of, figures=album.take(of.figures)) for of in cells]
    others = [replace(section, figures=album.take(section.figures)) for section in sections(survey)]
    found = places([table.grid for table in (*single, *several)])
    results = [result for result in survey.results if result is not None]
    classifiers = list(dict.fromkeys(task.classifier for task in survey.tasks))
    costs = ("queries", "proven", "cells_rescored", "seconds")
    attacks = {repr(task.attack): task.attack for task in survey.tasks}
    used = [m for a in attacks.values() for m in (getattr(a, "modification", None), *getattr(a, "modifications", ()))]
    return {
        "title": title or "How easily can the cell-type labels be flipped?",
        "plan": survey.plan,
        "classifiers": classifiers,
        "clusters": list(dict.fromkeys(task.target for task in survey.tasks)),
        "summary": {name: _summary(name, [*single, *several]) for name in classifiers},
        "single": single,
        "several": several,
        "others": others,
        "places": found,
        "flips": sum(place.n_flips for row in found.values() for place in row.values()),
        "rows": sum(place.n_rows for row in found.values() for place in row.values()),
        "rankings": rankings(survey),
        "downloads": downloads(survey),
        "figures": figures,
        "seen": shown,
        "undrawn": album.left,
        "attacks": list(attacks),
        "modifications": {str(m): words.meaning(m) for m in used if isinstance(m, Modification)},
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


def _tables(survey: Survey, kind: Kind, labels: dict[str, set[str]]) -> list[_Table]:
    """Return one table per classifier; all share one colour scale, so that they can be compared."""
    found = grids(survey, kind)
    describe = single_gene if kind == "single" else words.max_change
    largest = max((entry.value or 0 for grid in found for entry in grid.done), default=0)
    top = max(10, largest)
    legend = [10**k for k in range(len(str(top))) if 10**k < top] + [top]  # ends where the colours do
    tables = []
    for grid in found:
        used = "".join(entry.marks for entry in grid.done)
        marks = {mark: text for (of, mark), text in MEANING.items() if of == kind and mark in used}
        limits = words.caveats(grid, int(survey.plan["data"]["genes"]), labels.get(grid.classifier, ()))
        tables.append(_Table(grid, describe(grid), limits, largest, legend, marks))
    return tables


def _summary(classifier: str, tables: list[_Table]) -> tuple[list[str], list[str]]:
    """Return one classifier's sentences and caveats; a caveat that holds for both of its tables is said once."""
    own = [table for table in tables if table.grid.classifier == classifier]
    sentences = [sentence for table in own for sentence in table.sentences]
    return sentences, list(dict.fromkeys(caveat for table in own for caveat in table.caveats))
