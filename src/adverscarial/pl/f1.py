"""Is there any threshold that still finds the cluster after the attack? The paper's Fig. 4E."""

from __future__ import annotations

from typing import TYPE_CHECKING, Unpack

import numpy as np

from adverscarial.pl._figures import figure
from adverscarial.pl._lines import Curves, band_of, before_and_after, last_scored, legend, named
from adverscarial.pl._options import Options
from adverscarial.pl._style import COLUMN, new_axes, plain

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@figure("Is there any threshold that still finds the cluster after the attack?")
def f1(curves: Curves, *, step: float | None = None, ax: Axes | None = None, **options: Unpack[Options]) -> Axes:
    """Draw F1 of the cluster by threshold on its score, before (dashed) and after an attack.

    Parameters
    ----------
    curves
        What :func:`adverscarial.robustness_curve` or :func:`adverscarial.curve_along` returned; several as a list, or
        by the name that the legend shall show. Scores of different classifiers are on different scales, so several
        are drawn from each one's lowest score (0) to its highest (1).
    %(step)s
    %(ax)s

    Returns
    -------
    The Axes; the legend gives the best F1 of any threshold, and says how the bands are made: 95% intervals over cells.

    %(curve_errors_and_example)s
    >>> f1(found).get_ylabel()
    'F1'
    """
    chosen, pairs = named(curves), {}
    for name, one in chosen.items():
        at = last_scored(one, step)
        both = np.concatenate([one.scores(), one.scores(at)])
        thresholds = np.unique(both[np.isfinite(both)])  # the same before and after
        low, spread = (thresholds[0], np.ptp(thresholds) or 1.0) if len(chosen) > 1 else (0.0, 1.0)
        x = (thresholds - low) / spread
        before, after = (one.f1(where, thresholds=thresholds).assign(x=x) for where in (None, at))
        pairs[f"{name}: best {before['f1'].max():.2f} → {after['f1'].max():.2f}"] = before, after
    own = ax is None
    ax = new_axes(COLUMN, 0.72 * COLUMN) if ax is None else ax
    before_and_after(ax, pairs, "x", "f1", list(chosen))
    scaled = ", from lowest to highest" if len(chosen) > 1 else ""
    ax.set(xlabel=f"Threshold on the cluster's score{scaled}", ylabel="F1", ylim=(-0.02, 1.02))
    band = band_of(zip(chosen.values(), (after for _, after in pairs.values()), strict=True), "f1")
    if own:
        legend(ax, band=band, loc="lower left", bbox_to_anchor=(0, 1.01), ncols=2)
    else:  # among other panels there is a title above, and less width
        legend(ax, band=band, loc="upper center", bbox_to_anchor=(0.5, -0.2))
    return plain(ax)
