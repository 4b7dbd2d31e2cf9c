"""Fig. 1: all cells by the type that a classifier gives them, before and after each of the three attacks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Unpack

import pandas as pd

from adverscarial._docs import documented
from adverscarial.attacks import Attack, ClusterGradientDescent, MaxChange, Result, SingleGene
from adverscarial.errors import ParameterError, did_you_mean, some
from adverscarial.reproduce.descents import GENES, chosen_cluster, ranked
from adverscarial.reproduce.findings import FAILS, HOLDS, Finding, stated
from adverscarial.reproduce.protocol import Executed, Execution, Setting
from adverscarial.reproduce.writing import Outcome

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_MODIFICATION = "perc99"


@documented
def fig1(
    setting: Setting, *, classifier: str = "scType", target: str | None = None, restarts: int = 1, quick: bool = False,
    **execution: Unpack[Executed],
) -> Outcome:  # fmt: skip
    """Make a single-gene attack, a max-change attack and a gradient descent on one cluster, and draw the cells.

    Parameters
    ----------
    %(setting)s
    classifier
        Which of them is attacked; the first that gives scores where there is none of that name.
    target
        The cluster; left out, the paper's "FCGR3A+ Mono" where the data have it, else the largest.
    restarts
        Random orders of each max-change attack; the shortest signature counts.
    quick
        50 genes of the ranking for the descent.
    %(execution)s

    Raises
    ------
    ParameterError
        If there is no such cluster.
    """
    cluster, how = chosen_cluster(setting, target), Execution(**execution)
    name = classifier if classifier in setting.models else _first_with_scores(setting, classifier)
    attacks: dict[str, Attack[Result]] = {
        "single_gene": SingleGene(_MODIFICATION, search="exact"),
        "max_change": MaxChange(_MODIFICATION, restarts=restarts),
        "descent": ClusterGradientDescent(1, 1, genes=ranked(setting, how)[: 50 if quick else GENES]),
    }
    model, layer = setting.models[name], setting.layers[name]
    results: dict[str, Result] = {}
    for called, attack in attacks.items():
        how.say(f"{name}, {cluster}: {called.replace('_', ' ')} ...")
        results[called] = attack(
            setting.test, model, groupby=setting.groupby, target=cluster, layer=layer, seed=how.seed
        )
    table = pd.DataFrame([_line(called, result) for called, result in results.items()])
    return Outcome(
        title=f"Fig. 1 on {setting.name}: cells by predicted type, before and after three attacks",
        tables={"attacks": table},
        beside=pd.DataFrame(columns=["what", "here", "paper", "dataset", "where"]),
        findings=[three_attacks(results["single_gene"], results["max_change"], results["descent"])],
        figures={
            called: _figure(setting, called, result, name) for called, result in results.items() if _moves(result)
        },
        notes=[
            *setting.all_notes(),
            f"{name} on cluster '{cluster}', {setting.test.n_obs:,} cells of the attacked half. Ringed: the attacked "
            "cells. A max-change attack changes all genes but its signature, and the label stays.",
        ],
        shown=["attacks"],
    )


def _first_with_scores(setting: Setting, wanted: str) -> str:
    for name, model in setting.models.items():
        if model.gives_scores:
            return name
    names = list(setting.models)
    raise ParameterError(f"There is no classifier '{wanted}'.{did_you_mean(wanted, names)} There are: {some(names)}.")


def _moves(result: Result) -> bool:
    """Return whether there is something to draw: a single gene that flips nothing changes no cell."""
    return bool(result.changed_genes)


def _line(called: str, result: Result) -> dict[str, object]:
    return {
        "attack": called.replace("_", " "), "cluster": result.target, "cells": result.n_cells,
        "genes_changed": len(result.changed_genes), "before": result.baseline, "after": result.label,
        "share": result.share, "other_label": result.label != result.baseline,
    }  # fmt: skip


def _figure(setting: Setting, called: str, result: Result, name: str) -> tuple[Figure, str]:
    from matplotlib import pyplot as plt

    from adverscarial import pl
    from adverscarial.pl._style import PAGE

    figure = plt.figure(figsize=(1.25 * PAGE, 0.5 * PAGE), layout="constrained")
    before, after = figure.subplots(1, 2)
    pl.umap(setting.test, result, classifier=setting.models[name], basis="joint", axes=(before, after))
    plt.close(figure)
    genes = len(result.changed_genes)
    return figure, f"{called.replace('_', ' ').capitalize()}: {genes:,} gene{'s' if genes != 1 else ''} changed, {name}"


@stated("section 3.1, Fig. 1")
def three_attacks(single: Result, most: Result, descent: Result) -> Finding:
    """Judge whether each of the three attacks does what it is for."""
    claim = "One gene gives a cluster another label, almost all genes can change without one, and a descent reaches one"
    n = len(most.changed_genes)
    parts = [
        f"Single gene: {single.baseline} to {single.label}" if single.success else "No single gene flips the label",
        f"max-change: {n:,} genes changed, still {most.label}",
        f"descent: {len(descent.changed_genes):,} genes, {descent.baseline} to {descent.label}",
    ]
    holds = single.success and descent.success and n > 0
    return Finding(claim, HOLDS if holds else FAILS, f"{'; '.join(parts)}.")
