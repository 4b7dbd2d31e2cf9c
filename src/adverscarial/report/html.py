"""Writes the report: gathers what the template shows, and renders it into one file."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from adverscarial import _store
from adverscarial.cells.choice import Cells, attacked
from adverscarial.classifiers.wrap import wrap
from adverscarial.errors import ParameterError, StorageError, did_you_mean, some
from adverscarial.evaluation.verdicts import Rules, verdicts
from adverscarial.report import sentences
from adverscarial.report.cells import DrawnFlip, draw_flips
from adverscarial.report.chance import chance_of
from adverscarial.report.clusters import cluster_parts
from adverscarial.report.expression import expression_of
from adverscarial.report.figures import Album
from adverscarial.report.grid_sections import GridSection, grid_sections
from adverscarial.report.outcome_tables import outcome_tables
from adverscarial.report.ranking import rankings
from adverscarial.report.stressed import stressed
from adverscarial.report.tables import downloads
from adverscarial.report.transferred import transferred
from adverscarial.report.verdicts import apart, counted, meanings, nearest_rows, verdict_tables
from adverscarial.stresses.result import StressResult
from adverscarial.surveys.grid import column_words, heat
from adverscarial.surveys.table import Survey

_LONG = 160  # letters of an attack that are shown at once


def write_report(  # noqa: PLR0913
    survey: Survey,
    path: str | os.PathLike[str],
    *,
    title: str | None = None,
    adata: Cells | None = None,
    classifiers: Mapping[str, object] | None = None,
    made: Mapping[str, str] | None = None,
    rules: Mapping[str, Any] | None = None,
    null: pd.DataFrame | None = None,
    stress: StressResult | str | os.PathLike[str] | None = None,
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
        The cells that were attacked. With them, the report shows the clearest flip of each classifier, before and
        after: an embedding, and a heatmap (needs the extra ``figures``); and whether the genes that flip a label differ
        between the types. Takes seconds per classifier.
    classifiers
        With `adata`: the classifiers by their names in the survey, to measure harm and visibility of the attacks on
        that flip's cluster, and to try the flips of each classifier on the others. Takes seconds per attack.
    made
        How the data and the classifiers came about, as pairs of words for the end of the page: file, command, who
        trained a model on what. The command line fills it in.
    rules
        Thresholds of the verdicts that are not the usual ones, such as ``{"min_cells": 20}``: see
        :func:`adverscarial.evaluation.verdicts`.
    null
        How many flips are chance, of :func:`adverscarial.evaluation.null_flips`; with `adata` flips are compared with
        random genes when it is left out.
    stress
        What :func:`adverscarial.stress` found on the same cells, or its folder: adds when labels are lost, and the
        verdicts take it into account.
    progress
        Progress bar while cells are drawn; left out, on a terminal only.

    Returns
    -------
    The path of the file.

    Raises
    ------
    ParameterError
        If `survey` is something else, `classifiers` are given without `adata` or are others, or `stress` is of other
        cells.
    DataError
        If `adata` are not the cells that were attacked.
    StorageError
        If the file cannot be written, or `stress` cannot be read.

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
    thresholds = _thresholds(rules or {})
    tried = stress if stress is None or isinstance(stress, StressResult) else StressResult.load(stress)
    adata = None if adata is None else attacked(adata, survey.source)
    cells = [] if adata is None else draw_flips(survey, adata, classifiers, progress)
    decided = verdicts(survey, **thresholds._asdict(), stress=tried)
    fit = _fit(survey, apart(decided))
    expression = None if adata is None else expression_of(fit, adata)
    carried = None if adata is None or not classifiers else transferred(fit, adata, classifiers)
    text = (
        _environment()
        .get_template("report.html.j2")
        .render(
            _content(survey, decided, title, cells, _labels(survey, classifiers), thresholds, tried is not None)
            | {
                "made": dict(made or {}),
                "expression": expression,
                "chance": chance_of(fit, adata, null),
                "transferred": carried,
                "stressed": None if tried is None else stressed(survey, tried),
            }
        )
    )
    try:
        return _store.write_text(path, text)
    except OSError as error:
        raise StorageError(f"The report cannot be written to '{path}' ({error}). Name another file.") from error


def _fit(survey: Survey, apart: Mapping[str, Collection[str]]) -> Survey:
    """Return what is fit for a headline: without the clusters that the verdicts set apart for a classifier."""
    pairs = zip(survey.tasks, survey.results, strict=True)
    kept = [(task, result) for task, result in pairs if task.target not in apart.get(task.classifier, ())]
    return Survey(survey.plan, tuple(task for task, _ in kept), tuple(result for _, result in kept), survey.errors)


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
        decimal=sentences.decimal,
        abridged=_abridged,
        percent=sentences.percent,
        count=sentences.count,
        breakable=_breakable,
        whole=_whole,
        paint=_paint,
    )
    return environment


def _breakable(name: str) -> Markup:
    """Let a long name break after an underscore or a slash."""
    return escape(name).replace("_", Markup("_<wbr>")).replace("/", Markup("/<wbr>"))


def _whole(command: str) -> Markup:
    """Keep the names of options in one piece, which browsers would break after their hyphens."""
    pieces = (Markup("<span>{}</span>").format(w) if w.startswith("-") else escape(w) for w in command.split(" "))
    return Markup(" ").join(pieces)


def _abridged(attack: str) -> Markup:
    """Fold what is too long to be read, such as an attack on hundreds of genes."""
    if len(attack) <= _LONG:
        return escape(attack)
    return Markup("<details><summary>{} ...</summary>{}</details>").format(attack[:_LONG], attack)


def _paint(value: int, largest: int) -> str:
    """Return the style of a coloured cell."""
    return "background:{};color:{}".format(*heat(value, largest))


def _labels(survey: Survey, classifiers: Mapping[str, object] | None) -> dict[str, set[str]]:
    """Return labels that each classifier is known to give: its own where it is at hand, and those that it gave."""
    found = {name: set(wrap(classifier).labels) for name, classifier in (classifiers or {}).items()}
    for task, result in zip(survey.tasks, survey.results, strict=True):
        if result is not None:
            found.setdefault(task.classifier, set()).update(result.labels_given)
    return found


def _thresholds(given: Mapping[str, Any]) -> Rules:
    if unknown := [name for name in given if name not in Rules._fields]:
        raise ParameterError(
            f"rules= has no threshold '{unknown[0]}'.{did_you_mean(unknown[0], Rules._fields)} There are: "
            f"{some(Rules._fields)}."
        )
    return Rules(**given)


def _content(
    survey: Survey,
    decided: pd.DataFrame,
    title: str | None,
    flips: list[DrawnFlip],
    labels: dict[str, set[str]],
    rules: Rules,
    stress: bool,
) -> dict[str, object]:
    """Return everything that the template names."""
    album = Album()  # what comes first is kept first
    uncertain = sorted(set(decided.loc[decided["apart"].astype(bool), "cluster"]))
    odd = sorted({cluster for found in apart(decided).values() for cluster in found})
    sections = grid_sections(survey, labels, apart(decided))
    sections = [replace(section, figures=album.take(section.figures)) for section in sections]
    drawn = [replace(flip, figures=album.take(flip.figures)) for flip in flips]
    tables = [replace(table, figures=album.take(table.figures)) for table in outcome_tables(survey)]
    parts = cluster_parts([table.grid for section in sections for table in section.tables])
    anchors = {(name, cluster): part.anchor for name, row in parts.items() for cluster, part in row.items()}
    clusters = list(dict.fromkeys(task.target for task in survey.tasks))
    all_parts = [part for row in parts.values() for part in row.values()]
    classifiers = list(dict.fromkeys(task.classifier for task in survey.tasks))
    return {
        "title": title or "How easily can the cell-type labels be flipped?",
        "plan": survey.plan,
        "verdicts": verdict_tables(decided, anchors),
        "in_order": [name for name in clusters if name not in uncertain] + [n for n in clusters if n in uncertain],
        "verdict_words": counted(decided),
        "rules": rules._asdict(),
        "verdict_meanings": meanings(stress),
        "classifiers": classifiers,
        "clusters": clusters,
        "summary": {name: _summary(name, sections) for name in classifiers},
        "sections": sections,
        "outcome_tables": tables,
        "parts": parts,
        "flips": sum(part.n_flips for part in all_parts),
        "rows": sum(part.n_rows for part in all_parts),
        "rankings": rankings(survey, odd),
        "uncompared": odd,
        "nearest": nearest_rows(decided),
        "column_words": column_words(survey),
        "downloads": downloads(survey),
        "drawn_flips": drawn,
        "undrawn": album.left,
        **_how_it_was_made(survey),
    }


def _how_it_was_made(survey: Survey) -> dict[str, object]:
    """Return the attacks and what they cost."""
    results = [result for result in survey.results if result is not None]
    costs = ("queries", "proven", "cells_rescored", "seconds")
    attacks = {repr(task.attack): task.attack for task in survey.tasks}
    return {
        "attacks": list(attacks),
        "modifications": {str(m): m.meaning for attack in attacks.values() for m in attack.changes},
        "briefly": {str(m): m.brief for attack in attacks.values() for m in attack.changes if m.brief != str(m)},
        "cost": {name: sum(getattr(r, name) for r in results) for name in costs},
        "asked": len(survey.tasks),
        "failed": len(survey.failed),
    }


def _summary(classifier: str, sections: list[GridSection]) -> tuple[list[str], list[str]]:
    """Return one classifier's sentences and caveats; a caveat that holds for several of its tables is said once."""
    own = [table for section in sections for table in section.tables if table.grid.classifier == classifier]
    sentences = [sentence for table in own for sentence in table.sentences]
    return sentences, list(dict.fromkeys(caveat for table in own for caveat in table.caveats))
