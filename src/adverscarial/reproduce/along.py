"""Fig. 4C-E: what descents that go on after the switch do to accuracy, ROC and F1, as panels of one picture."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import pandas as pd

from adverscarial._progress import track
from adverscarial.attacks import ClusterGradientDescent
from adverscarial.evaluation import Curve, curve_along
from adverscarial.reproduce.decline import LONGER
from adverscarial.reproduce.descents import scored
from adverscarial.reproduce.protocol import Execution, Setting
from adverscarial.reproduce.writing import figure_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: genes of the curves, and the alpha = epsilon of them, as published
ALONG = 200
STRENGTHS = (0.5, 1.0, 10.0)
#: the one that findings about a single curve read
ONE = 1.0

#: classifier -> alpha = epsilon -> its curve
Curves = Mapping[str, Mapping[float, Curve]]


def curves_of(setting: Setting, cluster: str, genes: Sequence[str], how: Execution) -> Curves:
    """Return the curves of every classifier with scores, at each published strength."""
    names = scored(setting)
    pairs = [(name, at) for name in names for at in STRENGTHS]
    found: dict[str, dict[float, Curve]] = {name: {} for name in names}
    for name, at in track(pairs, "Curves", len(pairs), how.progress):
        found[name][at] = _along(setting, name, cluster, genes, at, how.seed)
    return found


def longer_curves(setting: Setting, cluster: str, ranking: Sequence[str], how: Execution) -> dict[str, Curve]:
    """Return the curves of the classifiers that the paper follows further, through as many genes as it does."""
    names = [name for name in scored(setting) if name in LONGER]
    return {
        name: _along(setting, name, cluster, ranking[: LONGER[name]], ONE, how.seed)
        for name in track(names, "Longer curves", len(names), how.progress)
    }


def _along(setting: Setting, name: str, cluster: str, genes: Sequence[str], at: float, seed: int) -> Curve:
    """Return what a descent that does not stop at the switch does to one classifier."""
    model, layer = setting.models[name], setting.layers[name]
    attack = ClusterGradientDescent(at, at, genes=genes, stop_at_switch=False)
    result = attack(setting.test, model, groupby=setting.groupby, target=cluster, layer=layer, seed=seed)
    return curve_along(setting.test, model, result)


def table_of(curves: Curves, longer: Mapping[str, Curve]) -> pd.DataFrame:
    """Return all curves as one table, one row per classifier, strength and number of genes."""
    parts = [
        one.to_frame().assign(classifier=name, strength=at) for name, by in curves.items() for at, one in by.items()
    ]
    reached = {name: max(one.table["n_genes"].max() for one in by.values()) for name, by in curves.items()}
    for name, one in longer.items():
        table = one.to_frame().assign(classifier=name, strength=ONE)
        parts.append(table[table["n_genes"] > reached[name]])
    table = pd.concat(parts, ignore_index=True)
    first = ["classifier", "strength"]
    table = table[[*first, *(column for column in table if column not in first)]]
    return table.sort_values([*first, "n_genes"], kind="stable", ignore_index=True)


def panels(curves: Curves, longer: Mapping[str, Curve], cluster: str) -> dict[str, tuple[Figure, str]]:
    """Return the pictures C to E, a panel for each strength, and the longer curves of C."""
    from adverscarial import pl

    scores = {name: by for name, by in curves.items() if all(one.clean_scores is not None for one in by.values())}
    found = {"c_accuracy": (_row(pl.curve, curves), f"C: accuracy on {cluster} by genes attacked")}
    if longer:
        caption = f"C, followed further: accuracy on {cluster}, alpha = epsilon = {ONE:g}"
        found["c_further"] = (figure_of(pl.curve(longer)), caption)
    if scores:
        found |= {
            "d_roc": (_row(pl.roc, scores), f"D: ROC of {cluster} against all other cells, before and after"),
            "e_f1": (_row(pl.f1, scores), f"E: F1 of {cluster} by threshold, before and after"),
        }
    return found


def _row(draw: Callable[..., Axes], curves: Curves) -> Figure:
    """Return one picture with a panel for each strength, side by side."""
    from matplotlib import pyplot as plt

    from adverscarial.pl._style import FONT, PAGE

    figure = plt.figure(figsize=(1.25 * PAGE, 0.42 * PAGE), layout="constrained")
    for ax, at in zip(figure.subplots(1, len(STRENGTHS)), STRENGTHS, strict=True):
        draw({name: by[at] for name, by in curves.items()}, ax=ax)
        ax.set_title(f"alpha = epsilon = {at:g}", fontsize=FONT + 1, loc="left")
    plt.close(figure)
    return figure
