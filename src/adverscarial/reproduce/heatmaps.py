"""Fig. 3A-E: genes x cells before and after two max-change attacks and four gradient descents."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from adverscarial.attacks import Attack, ClusterGradientDescent, MaxChange, Result
from adverscarial.errors import MissingDependencyError
from adverscarial.reproduce.protocol import Execution, Setting

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_GENES = 100  # of the ranking, as in the paper


class Panel(NamedTuple):
    """One panel: its name, whom it attacks, and how."""

    name: str
    classifier: str
    attack: Attack[Result]


def panels(genes: Sequence[str], restarts: int = 1) -> list[Panel]:
    """Return the attacks of the panels A to E; E has two."""
    return [
        Panel("a_max_change", "CHETAH", MaxChange("perc99", restarts=restarts)),
        Panel("b_max_change", "scRF", MaxChange("perc99", restarts=restarts)),
        Panel("c_descent", "scAnnotatR", ClusterGradientDescent(0.5, 0.5, genes=genes)),
        Panel("d_descent", "scAnnotatR", ClusterGradientDescent(10, 10, genes=genes)),
        Panel("e_descent_scType", "scType", ClusterGradientDescent(1, 1, genes=genes)),
        Panel("e_descent_scMLP", "scMLP", ClusterGradientDescent(1, 1, genes=genes)),
    ]


def heatmaps(
    setting: Setting, cluster: str, genes: Sequence[str], how: Execution, restarts: int = 1
) -> tuple[dict[str, tuple[Figure, str]], list[str]]:
    """Return the heatmaps of one cluster with what they show, and notes on panels that could not be drawn."""
    from matplotlib import pyplot as plt

    from adverscarial import pl

    found: dict[str, tuple[Figure, str]] = {}
    notes: list[str] = []
    for name, classifier, attack in panels(genes, restarts):
        if classifier not in setting.models:
            continue
        layer = setting.layers[classifier]
        how.say(f"Heatmap {name}: {classifier}, {cluster} ...")
        result = attack(
            setting.test, setting.models[classifier], groupby=setting.groupby, target=cluster, layer=layer,
            seed=how.seed,
        )  # fmt: skip
        if not result.changed_genes:
            notes.append(f"Panel {name}: the attack on {classifier} changes no gene, so there is nothing to draw.")
            continue
        figure = plt.figure()
        try:
            pl.heatmap(setting.test, result, genes=genes[:_GENES], figure=figure)
        except MissingDependencyError as error:
            plt.close(figure)
            return {}, [f"No heatmaps: {error}"]
        plt.close(figure)
        found[name] = figure, _caption(name, classifier, cluster, result)
    return found, notes


def _caption(name: str, classifier: str, cluster: str, result: Result) -> str:
    kept = result.number_in("signature")
    n = len(result.changed_genes)
    what = (
        f"{n:,} genes moved, now {result.label}"
        if kept is None
        else f"all but {kept:,} genes changed, still {result.label}"
    )
    return f"{name[0].upper()}: {classifier} on {cluster}, {what}"
