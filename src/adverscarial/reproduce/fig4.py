"""Fig. 4: how strong a gradient descent must be, and what it does to accuracy, ROC and F1."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Unpack

import pandas as pd

from adverscarial._docs import documented
from adverscarial.evaluation.sweep import STRENGTHS
from adverscarial.reproduce import along, decline, findings, resistance
from adverscarial.reproduce.descents import GENES, chosen_cluster, ranked, swept
from adverscarial.reproduce.facts import beside
from adverscarial.reproduce.protocol import Executed, Execution, Setting
from adverscarial.reproduce.writing import Outcome, figure_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@documented
def fig4(setting: Setting, *, target: str | None = None, quick: bool = False, **execution: Unpack[Executed]) -> Outcome:
    """Sweep alpha and epsilon on one cluster (Fig. 4A-B), and follow descents beyond the switch (C-E).

    Parameters
    ----------
    %(setting_scored)s
    target
        The cluster; left out, the paper's "FCGR3A+ Mono" where the data have it, else the largest.
    quick
        Three strengths and 50 genes, and no curves that go further.
    %(execution)s

    Raises
    ------
    ParameterError
        If there is no such cluster.
    """
    cluster = chosen_cluster(setting, target)
    how = Execution(**execution)
    ranking = ranked(setting, how)
    genes = ranking[: 50 if quick else GENES]
    strengths = (0.5, 1.0, 2.0) if quick else STRENGTHS
    table = swept(setting, [cluster], genes, strengths, ["alpha", "epsilon", "both"], how)
    curves = along.curves_of(setting, cluster, genes[: along.ALONG], how)
    longer = {} if quick else along.longer_curves(setting, cluster, ranking, how)
    one = table[(table["kind"] == "both") & (table["strength"] == 1)].set_index("classifier")
    names = [name for name in ("scRF", "scMLP") if name in curves]
    as_in_r = swept(setting, [cluster], genes, strengths, ["alpha"], how, names=names, reference=True)
    return Outcome(
        title=f"Fig. 4 on {setting.name}: strength of a gradient descent, accuracy, ROC and F1",
        tables={
            "sweep": table,
            "sweep_as_in_r": as_in_r,
            "curves": along.table_of(curves, longer),
        },
        beside=beside(_published(one)),
        findings=[
            *_judge(table, one, as_in_r),
            decline.higher_is_worse(curves),
            decline.forest_outlasts(longer),
            decline.f1_falls_at_high_thresholds({name: by[along.ONE] for name, by in curves.items()}),
        ],
        figures=_figures(table) | along.panels(curves, longer, cluster),
        notes=_notes(setting, cluster, len(genes)),
    )


def _notes(setting: Setting, cluster: str, n_genes: int) -> list[str]:
    return [
        *setting.all_notes(),
        f"Cluster '{cluster}', the first {n_genes} genes of the ranking. Sweeps stop at the switch.",
        f"Curves: alpha = epsilon = {', '.join(f'{at:g}' for at in along.STRENGTHS)} through "
        f"{min(along.ALONG, n_genes)} genes, going on after the switch, the longer ones with 1; positive "
        "cells are those of the cluster, the score is that of the label it had. 95% intervals over cells: Wilson's "
        "for accuracy and rates, Newcombe's for areas, MOVER for F1.",
        "The published runs step as the R code does, which forgets the sign of a value: with alpha alone negative "
        "z-scores go the wrong way. Equation (4) of the paper has the sign, and so has this package.",
    ]


def _judge(table: pd.DataFrame, one: pd.DataFrame, as_in_r: pd.DataFrame) -> list[findings.Finding]:
    """Return what the sweeps say of the paper's findings; `one` holds the rows of alpha = epsilon = 1."""
    breakable = {str(name): bool(part["success"].any()) for name, part in table.groupby("classifier")}
    return [
        findings.tested_per_modified(
            one["tested"].to_dict(), one["modified"].to_dict(), one["success"].astype(bool).to_dict()
        ),
        findings.alpha_alone(_switched(as_in_r, "alpha"), breakable, "by the steps of the R code"),
        findings.alpha_alone(_switched(table, "alpha"), breakable, "by the steps of equation (4)"),
        resistance.epsilon_alone(_switched(table, "epsilon")),
        resistance.fails_past_a_threshold(_switched(table, "both")),
    ]


def _switched(table: pd.DataFrame, kind: Literal["alpha", "epsilon", "both"]) -> dict[str, dict[float, bool]]:
    """Return classifier -> strength above 0 -> whether the label switched, of one kind of sweep."""
    part = table[(table["kind"] == kind) & (table["strength"] > 0)]
    return {
        str(name): dict(zip(own["strength"], own["success"].astype(bool), strict=True))
        for name, own in part.groupby("classifier")
    }


def _published(one: pd.DataFrame) -> list[tuple[str, str, object]]:
    rows: list[tuple[str, str, object]] = []
    for name in one.index:
        for what in ("tested", "modified"):
            switched = "" if one.loc[name, "success"] else ", no switch"
            rows.append((f"{name}, genes {what}{switched}", f"fig4.{name}.{what}", int(one.loc[name, what])))
    return rows


def _figures(table: pd.DataFrame) -> dict[str, tuple[Figure, str]]:
    from adverscarial import pl

    pictures = {
        "a_ratio": (pl.ratio(table, kind="both"), "A: genes tested per gene modified, by alpha = epsilon"),
        "b_alpha": (pl.sweep(table, kind="alpha"), "B: genes tested until the switch, alpha alone"),
        "b_epsilon": (pl.sweep(table, kind="epsilon"), "B: genes tested until the switch, epsilon alone"),
        "b_both": (pl.sweep(table, kind="both"), "B: genes tested until the switch, alpha = epsilon"),
    }
    return {name: (figure_of(ax), caption) for name, (ax, caption) in pictures.items()}
