"""When are labels lost under technical and biological change? The outcome of a stress test, beside the attacks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from adverscarial.evaluation.under_stress import check_same
from adverscarial.report.figures import Figure, embed
from adverscarial.report.sections import Cell
from adverscarial.report.sentences import count
from adverscarial.stresses.result import StressResult
from adverscarial.surveys.table import Survey

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_LINES = 14  # clusters that one figure of curves can tell apart


@dataclass(frozen=True)
class StressRow:
    """One change of one cluster as one classifier sees it."""

    classifier: str
    cluster: str
    change: str
    unit: str
    lost: Cell
    becomes: str
    half: Cell


@dataclass(frozen=True)
class Stressed:
    """What the section shows."""

    sentences: dict[str, str]
    rows: list[StressRow]
    figures: list[Figure]
    failed: int


def stressed(survey: Survey, stress: StressResult) -> Stressed:
    """Return the section.

    Raises
    ------
    ParameterError
        If the stress test is of other cells, or of none of the survey's classifiers.
    """
    check_same(stress, survey.plan)
    critical = stress.critical()
    names = list(dict.fromkeys(critical["classifier"]))
    sentences = {name: sentence_of(critical[critical["classifier"] == name]) for name in names}
    figures = [] if critical.empty else [_heat_map(stress), *(_curves(stress, critical, name) for name in names)]
    rows = [_row(row) for row in critical.itertuples()]
    return Stressed(sentences, rows, [figure for figure in figures if figure is not None], len(stress.errors))


def sentence_of(critical: pd.DataFrame) -> str:
    """Return how many labels one classifier loses at all, and which cells soonest.

    >>> table = pd.DataFrame({"cluster": ["B", "T"], "change": ["ambient", "ambient"], "cells": [0.4, np.inf],
    ...                       "unit": ["share of counts"] * 2, "label": [0.5, np.inf]})
    >>> sentence_of(table)
    '1 of 2 clusters loses its label. Soonest: half of the cells of B at 0.4, ambient (share of counts).'
    """
    clusters = critical.groupby("cluster", sort=False)["label"].min()
    lost = int(np.isfinite(clusters).sum())
    verb = "loses its" if lost == 1 else "lose their"
    text = f"{lost:,} of {count(len(clusters), 'cluster')} {verb} label." if lost else "No cluster loses its label."
    share = critical[np.isfinite(critical["cells"]) & critical["unit"].str.startswith("share")]
    if share.empty:
        return text
    row = share.sort_values("cells", kind="stable").iloc[0]
    return (
        f"{text} Soonest: half of the cells of {row['cluster']} at {row['cells']:.2g}, {row['change']} ({row['unit']})."
    )


def _row(row: object) -> StressRow:
    lost, half = (_strength(row, name) for name in ("label", "cells"))
    classifier, cluster, change, unit, becomes = (
        str(getattr(row, name)) for name in ("classifier", "cluster", "change", "unit", "becomes")
    )
    return StressRow(classifier, cluster, change, unit, lost, becomes, half)


def _strength(row: object, name: str) -> Cell:
    """Return a critical strength with its interval; a held label is sorted behind all others."""
    value, low, high = (float(getattr(row, f"{name}{end}")) for end in ("", "_low", "_high"))
    if np.isinf(value):
        return Cell("held", 1e9)
    ends = "" if low == high else f" ({low:.2f} to {'never' if np.isinf(high) else f'{high:.2f}'})"
    return Cell(f"{value:.2f}{ends}", value)


def _heat_map(stress: StressResult) -> Figure:
    def draw() -> Axes:
        from adverscarial import pl

        return pl.critical(stress)

    return embed(
        draw,
        alt="Coloured table of critical strengths, clusters down and changes across, one block per classifier; the "
        "numbers are those of the table.",
        caption="Strength at which half of the cells have lost their label: dark is soon, white is never.",
    )


def _curves(stress: StressResult, critical: pd.DataFrame, classifier: str) -> Figure | None:
    """Return the curves of the change that takes most cells of a classifier soonest; None where nothing is lost."""
    own = critical[critical["classifier"] == classifier]
    by_change = own.groupby("change", sort=False)["cells"]
    halves = by_change.apply(lambda cells: float(np.isfinite(cells).mean()))
    if not halves.max() or own["cluster"].nunique() > _LINES:
        return None
    change = str(halves.idxmax())

    def draw() -> Axes:
        from adverscarial import pl

        return pl.stress(stress, change, classifier=classifier)

    return embed(
        draw,
        alt=f"{classifier}: share of cells that keep their label while {change} grows, one line per cluster.",
        caption=f"{classifier}: the change that takes half of the cells of the most clusters, {change}. Bands are 95% "
        "intervals over cells and draws; a cross marks where the cluster's label is lost.",
    )
