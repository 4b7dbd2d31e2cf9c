"""How strong may each change be before a label is lost? All of them, as one picture."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Unpack

import numpy as np

from adverscarial.errors import ParameterError
from adverscarial.pl._figures import figure
from adverscarial.pl._options import Options, colour_map
from adverscarial.pl._style import COLUMN, FONT, PAGE, new_axes
from adverscarial.pl.stress import chosen

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from adverscarial.stresses.result import StressResult

_ROW = 0.2  # inches
_TITLES = {
    "cells": "Strength at which half of the cells lose their label",
    "label": "Strength at which the label is lost",
}


@figure("How strong may each technical or biological change be before a label is lost?")
def critical(
    result: StressResult, *, kind: Literal["cells", "label"] = "cells", classifier: str | None = None,
    ax: Axes | None = None, **options: Unpack[Options],
) -> Axes:  # fmt: skip
    """Draw clusters x changes: the critical strength in each cell, coloured by its share of the largest that was tried.

    Parameters
    ----------
    %(stress_result)s
    kind
        ``"cells"``: half of the cells have another label than before. ``"label"``: the cluster's label is another one.
    classifier
        Draw this one only; all of them below each other, when left out.
    ax
        Where to draw; a new figure, when left out.

    Returns
    -------
    The Axes. Dark cells lose their label soon; a white one, "held", keeps it up to the largest strength. Numbers are
    medians over draws, in the unit of their change. A grey cell was not measured.

    Raises
    ------
    ParameterError
        If a name is unknown, or nothing was measured.

    %(stress_example)s
    >>> critical(found).get_title("right")
    'Strength at which half of the cells lose their label'
    """
    from matplotlib import colormaps

    if kind not in _TITLES:
        raise ParameterError(f"kind must be 'cells' or 'label', got {kind!r}.")
    table = chosen(result.critical(), {"classifier": classifier})
    changes = list(dict.fromkeys(table["change"]))
    models, clusters = list(dict.fromkeys(table["classifier"])), list(dict.fromkeys(table["cluster"]))
    found = table.set_index(["classifier", "cluster", "change"])
    n_rows = len(models) * (len(clusters) + 1)  # a heading above each classifier
    if ax is None:
        ax = new_axes(min(PAGE, max(COLUMN, 1.4 + 0.5 * len(changes))), _ROW * n_rows + 1.1 + 0.11 * len(changes))
    ticks: list[tuple[int, str]] = []
    chosen_map = colour_map("viridis")
    colours = colormaps[chosen_map] if isinstance(chosen_map, str) else chosen_map
    for block, model in enumerate(models):
        top = block * (len(clusters) + 1)
        ax.text(-0.5, top, model, ha="left", va="center", fontsize=FONT, fontweight="bold")
        for y, cluster in enumerate(clusters, top + 1):
            ticks.append((y, cluster))
            for x, change in enumerate(changes):
                known = (model, cluster, change) in found.index
                value = float(found.loc[(model, cluster, change), kind]) if known else np.nan
                tested = float(found.loc[(model, cluster, change), "tested"]) if known else 1.0
                share = value / tested
                colour = "#ffffff" if np.isinf(share) else colours(min(share, 1.0)) if known else "#d0d0d0"
                ax.fill([x - 0.5, x + 0.5, x + 0.5, x - 0.5], [y - 0.5, y - 0.5, y + 0.5, y + 0.5], color=colour)
                text = "" if not known else "held" if np.isinf(value) else f"{value:.2f}"
                ink = "#000000" if not known or np.isinf(share) or share > 0.55 else "#ffffff"
                ax.text(x, y, text, ha="center", va="center", fontsize=FONT - 1, color=ink)
    ax.set(xlim=(-0.5, len(changes) - 0.5), ylim=(n_rows - 0.5, -0.5))
    ax.set_yticks([y for y, _ in ticks], [name for _, name in ticks], fontsize=FONT)
    ax.set_xticks(range(len(changes)), changes, rotation=40, ha="right", rotation_mode="anchor", fontsize=FONT)
    units = dict(zip(table["change"], table["unit"], strict=True))
    ax.set_xlabel("\n".join(f"{change}: {units[change]}" for change in changes), fontsize=FONT - 1, loc="right")
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    ax.set_title(_TITLES[kind], loc="right", fontsize=FONT + 1)
    return ax
