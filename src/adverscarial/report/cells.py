"""What only the cells themselves can show: a flip before and after, and how visible the attacks are."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pandas as pd
from anndata import AnnData

from adverscarial._progress import track
from adverscarial.attacks.result import Result
from adverscarial.classifiers.answers import is_named
from adverscarial.classifiers.wrap import wrap
from adverscarial.errors import AdverscarialError, DataError, MissingDependencyError, ParameterError, some
from adverscarial.evaluation.harm import harm
from adverscarial.evaluation.verdicts import Rules
from adverscarial.report.figures import Figure, embed
from adverscarial.report.sections import section_of
from adverscarial.report.sentences import count, percent
from adverscarial.surveys.plan import data_identity
from adverscarial.surveys.table import Survey

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_MOST = 10  # attacks of one classifier in the plane of harm and visibility


@dataclass
class DrawnFlip:
    """One flip of a classifier's labels in the cells: its figures, and notes on those that could not be drawn."""

    classifier: str
    sentence: str
    figures: list[Figure] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def check_cells(survey: Survey, adata: AnnData) -> None:
    """Raise a DataError unless `adata` are the cells of the survey."""
    data = survey.plan["data"]
    if adata.shape != (data["cells"], data["genes"]):
        raise DataError(
            f"adata has {adata.n_obs:,} cells x {adata.n_vars:,} genes, the survey attacked {data['cells']:,} x "
            f"{data['genes']:,}. Give the cells that were attacked: after a split, the half that was not trained on."
        )
    if data_identity(adata, data["groupby"], data["layer"]) != data["fingerprint"]:
        raise DataError(
            "adata has the size of the data that were attacked, but not their values, names or clusters. Give the "
            "same cells, prepared in the same way."
        )


def draw_flips(
    survey: Survey, adata: AnnData, classifiers: Mapping[str, object] | None, progress: bool | None = None
) -> list[DrawnFlip]:
    """Return figures of the clearest flip of each classifier; with `classifiers`, also harm and visibility."""
    check_cells(survey, adata)
    names = list(dict.fromkeys(task.classifier for task in survey.tasks))
    if strange := [name for name in classifiers or {} if name not in names]:
        raise ParameterError(f"The survey has no classifier '{strange[0]}'. It has: {some(names)}.")
    found = []
    for name in track(names, "Drawing cells", len(names), progress):
        result = clearest_flip(survey, name)
        if result is None:
            none = f"No attack gave any cluster of {name} another label, so there is none to show."
            found.append(DrawnFlip(name, none))
            continue
        shown = DrawnFlip(name, flip_sentence(result))
        if not _headline(result):  # a picture of it would be a headline
            found.append(shown)
            continue
        model = (classifiers or {}).get(name)
        _flip_figures(shown, adata, result, model)
        if model is not None:
            _plane(shown, survey, adata, model, result.target)
        found.append(shown)
    return found


def clearest_flip(survey: Survey, classifier: str) -> Result | None:
    """Return the flip that shows most: of a cluster fit for a headline, by values that occur, to a real cell type."""
    hits = [result for result in _results_of(survey, classifier) if result.success and result.label != result.baseline]

    def clearness(result: Result) -> tuple[bool, bool, bool, float, int]:
        sure = round(result.share * result.baseline_share, 6)
        return _headline(result), not _impossible(result), is_named(result.label), sure, result.n_cells

    return max(hits, key=clearness, default=None)


def _headline(result: Result) -> bool:
    """Return whether the cluster is one that the verdicts do not set apart."""
    wrong = result.right is not None and 2 * result.right < result.n_cells
    return result.baseline_share > 0.5 and result.n_cells >= Rules().min_cells and not wrong


def _impossible(result: Result) -> bool:
    return result.attack.impossible


def _results_of(survey: Survey, classifier: str) -> list[Result]:
    pairs = zip(survey.tasks, survey.results, strict=True)
    return [result for task, result in pairs if result is not None and task.classifier == classifier]


def flip_sentence(result: Result) -> str:
    """Return a flip as a sentence."""
    attack = type(result.attack).__name__
    by = section_of(result.attack).cause(result)
    odd, shown = "", "Shown"
    if not _headline(result):
        shown = "Not drawn"
        odd = " The verdicts set this cluster apart, and there is no flip of another: it tells little."
    elif _impossible(result):
        odd = (
            " The value is impossible: no attack without such values flips a label, but for clusters that the verdicts "
            "set apart."
        )
    return (
        f"{shown}: {attack} on {result.target}. {result.baseline} ({percent(result.baseline_share)} of "
        f"{count(result.n_cells, 'cell')}) becomes {result.label} ({percent(result.share)}) by {by}.{odd}"
    )


def _flip_figures(shown: DrawnFlip, adata: AnnData, result: Result, model: object) -> None:
    """Add the cells before and after, in an embedding and as a heatmap."""
    from adverscarial import pl

    # a classifier that labels whole clusters says nothing of one cell
    labels = None if model is None or wrap(model).of_clusters else model
    colours = (
        f"{result.target} in orange" if labels is None
        else f"each in the colour of what the classifier calls it, those of {result.target} ringed"
    )  # fmt: skip
    pictures: list[tuple[Callable[[], Axes | tuple[Axes, ...]], str, str]] = [
        (
            lambda: pl.umap(adata, result, classifier=labels),
            "Two scatter plots of all cells in one embedding, before and after the attack",
            f"All cells before and after, {colours}. What the cluster is called stands above.",
        ),
        (
            lambda: pl.heatmap(adata, result),
            "Two heatmaps, genes down and cells across, before and after the attack, changed genes marked",
            "The genes that tell the clusters apart, and those that were changed (ticks), before and after.",
        ),
    ]
    for draw, what, caption in pictures:
        try:
            shown.figures.append(embed(draw, alt=f"{what}. {shown.sentence}", caption=caption, points=True))
        except MissingDependencyError as error:
            shown.notes.append(f"The heatmap is left out: {error}")
        except (DataError, ParameterError) as error:  # too few cells, or nothing changed
            shown.notes.append(f"A figure is left out: {error}")


def _plane(shown: DrawnFlip, survey: Survey, adata: AnnData, classifier: object, cluster: str) -> None:
    """Add harm against visibility of the attacks on one cluster."""
    from adverscarial import pl

    own = [r for r in _results_of(survey, shown.classifier) if r.target == cluster and r.changed_genes]
    try:
        table = harm(adata, classifier, own[:_MOST])
        alt = "Scatter plot of attacks, visibility (0 to 1) across and share of cells relabelled up. " + " ".join(
            f"{row.attack}: visibility {_or_unknown(row.visibility)}, harm {percent(row.harm)}."
            for row in table.itertuples()
        )
        caption = (
            f"Attacks on {cluster}: what they do, and how easily an observer tells attacked cells from real ones. Top "
            "left is dangerous. Filled: the label of the cluster flips."
        )
        shown.figures.append(embed(lambda: pl.harm(table), alt=alt, caption=caption))
    except AdverscarialError as error:
        shown.notes.append(f"Harm and visibility are left out: {error}")
    if len(own) > _MOST:
        shown.notes.append(
            f"Harm and visibility of {count(len(own) - _MOST, 'more attack')} on {cluster} are left out."
        )


def _or_unknown(visibility: float) -> str:
    return "unknown" if pd.isna(visibility) else f"{visibility:.2f}"
