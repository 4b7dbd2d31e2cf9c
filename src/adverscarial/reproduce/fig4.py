"""Fig. 4: how strong a gradient descent must be, and what it does to accuracy, ROC and F1."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd

from adverscarial._progress import track
from adverscarial.attacks import ClusterGradientDescent
from adverscarial.evaluation import Curve, curve_along
from adverscarial.evaluation.sweep import STRENGTHS
from adverscarial.reproduce import findings
from adverscarial.reproduce.descents import GENES, chosen_cluster, ranked, scored, swept
from adverscarial.reproduce.facts import beside
from adverscarial.reproduce.protocol import Say, Setting, silent
from adverscarial.reproduce.writing import Outcome, figure_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_ALONG = 200  # genes of the curves C to E, as in the paper


def fig4(
    setting: Setting,
    *,
    target: str | None = None,
    seed: int = 0,
    quick: bool = False,
    say: Say = silent,
    progress: bool | None = None,
) -> Outcome:
    """Sweep alpha and epsilon on one cluster (Fig. 4A-B), and follow one descent beyond the switch (C-E).

    Parameters
    ----------
    setting
        Cells and classifiers, of :func:`~adverscarial.reproduce.setting`. CHETAH gives no scores and takes no part.
    target
        The cluster; left out, the paper's "FCGR3A+ Mono" where the data have it, else the largest.
    seed
        Of the attacks.
    quick
        Three strengths and 50 genes.
    say
        Called with one line per classifier.
    progress
        Progress bars; left out, on a terminal only.

    Raises
    ------
    ParameterError
        If there is no such cluster.
    """
    cluster = chosen_cluster(setting, target)
    genes = ranked(setting, say, progress)[: 50 if quick else GENES]
    strengths = (0.5, 1.0, 2.0) if quick else STRENGTHS
    told: dict[str, Any] = {"seed": seed, "say": say, "progress": progress}
    table = swept(setting, [cluster], genes, strengths, ["alpha", "epsilon", "both"], **told)
    followed = scored(setting)
    curves = {
        name: _along(setting, name, cluster, genes[:_ALONG], seed)
        for name in track(followed, "Curves", len(followed), progress)
    }
    lines = pd.concat([curve.to_frame().assign(classifier=name) for name, curve in curves.items()], ignore_index=True)
    one = table[(table["kind"] == "both") & (table["strength"] == 1)].set_index("classifier")
    names = [name for name in ("scRF", "scMLP") if name in curves]
    as_in_r = swept(setting, [cluster], genes, strengths, ["alpha"], names=names, reference=True, **told)
    breakable = {str(name): bool(part["success"].any()) for name, part in table.groupby("classifier")}
    return Outcome(
        title=f"Fig. 4 on {setting.name}: strength of a gradient descent, accuracy, ROC and F1",
        tables={
            "sweep": table,
            "sweep_as_in_r": as_in_r,
            "curves": lines[["classifier", *(c for c in lines if c != "classifier")]],
        },
        beside=beside(_published(one)),
        findings=[
            findings.tested_per_modified(
                one["tested"].to_dict(), one["modified"].to_dict(), one["success"].astype(bool).to_dict()
            ),
            findings.alpha_alone(_switched(as_in_r), breakable, "by the steps of the R code"),
            findings.alpha_alone(_switched(table), breakable, "by the steps of equation (4)"),
        ],
        figures=_figures(table, curves, cluster),
        notes=[
            *setting.said(),
            f"Cluster '{cluster}', the first {len(genes)} genes of the ranking. Sweeps stop at the switch.",
            f"Curves: alpha = epsilon = 1 through {min(_ALONG, len(genes))} genes, going on after the switch; positive "
            "cells are those of the cluster, the score is that of the label it had. 95% intervals over cells: Wilson's "
            "for accuracy and rates, Newcombe's for areas, MOVER for F1.",
            "The published runs step as the R code does, which forgets the sign of a value: with alpha alone negative "
            "z-scores go the wrong way. Equation (4) of the paper has the sign, and so has this package.",
        ],
    )


def _switched(table: pd.DataFrame) -> dict[str, dict[float, bool]]:
    """Return classifier -> alpha -> whether the label switched, with epsilon = 0."""
    alone = table[(table["kind"] == "alpha") & (table["strength"] > 0)]
    return {
        str(name): dict(zip(part["strength"], part["success"].astype(bool), strict=True))
        for name, part in alone.groupby("classifier")
    }


def _along(setting: Setting, name: str, cluster: str, genes: list[str], seed: int) -> Curve:
    """Return what a descent that does not stop at the switch does to one classifier."""
    model, layer = setting.models[name], setting.layers[name]
    attack = ClusterGradientDescent(1, 1, genes=genes, stop_at_switch=False)
    result = attack(setting.test, model, groupby=setting.groupby, target=cluster, layer=layer, seed=seed)
    return curve_along(setting.test, model, result)


def _published(one: pd.DataFrame) -> list[tuple[str, str, object]]:
    rows: list[tuple[str, str, object]] = []
    for name in one.index:
        for what in ("tested", "modified"):
            switched = "" if one.loc[name, "success"] else ", no switch"
            rows.append((f"{name}, genes {what}{switched}", f"fig4.{name}.{what}", int(one.loc[name, what])))
    return rows


def _figures(table: pd.DataFrame, curves: dict[str, Curve], cluster: str) -> dict[str, tuple[Figure, str]]:
    from adverscarial import pl

    scores = {name: curve for name, curve in curves.items() if curve.clean_scores is not None}
    pictures = {
        "a_ratio": (pl.ratio(table, kind="both"), "A: genes tested per gene modified, by alpha = epsilon"),
        "b_alpha": (pl.sweep(table, kind="alpha"), "B: genes tested until the switch, alpha alone"),
        "b_epsilon": (pl.sweep(table, kind="epsilon"), "B: genes tested until the switch, epsilon alone"),
        "b_both": (pl.sweep(table, kind="both"), "B: genes tested until the switch, alpha = epsilon"),
        "c_accuracy": (pl.curve(curves), f"C: accuracy on {cluster} by genes attacked"),
    }
    if scores:
        pictures |= {
            "d_roc": (pl.roc(scores), f"D: ROC of {cluster} against all other cells, before and after"),
            "e_f1": (pl.f1(scores), f"E: F1 of {cluster} by threshold, before and after"),
        }
    return {name: (figure_of(ax), words) for name, (ax, words) in pictures.items()}
