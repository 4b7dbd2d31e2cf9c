"""Can the cluster still be told from the other cells after the attack? The paper's Fig. 4D."""

from __future__ import annotations

from typing import TYPE_CHECKING, Unpack

from adverscarial.pl._figures import figure
from adverscarial.pl._lines import Curves, band_of, before_and_after, last_scored, legend, named
from adverscarial.pl._options import Options
from adverscarial.pl._style import COLUMN, MUTED, new_axes, plain

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@figure("Can the cluster still be told from the other cells after the attack?")
def roc(curves: Curves, *, step: float | None = None, ax: Axes | None = None, **options: Unpack[Options]) -> Axes:
    """Draw the ROC curve of the cluster against all other cells, before (dashed) and after an attack.

    Parameters
    ----------
    %(curves)s
    %(step)s
    %(ax)s

    Returns
    -------
    The Axes; the legend gives the areas, and says how the bands are made: 95% intervals over the cluster's cells at
    each threshold.

    %(curve_errors_and_example)s
    >>> roc(found).get_xlabel()
    'Other cells called (false positive rate)'
    """
    chosen, pairs = named(curves), {}
    for name, one in chosen.items():
        before, after = one.roc(), one.roc(last_scored(one, step))
        pairs[f"{name}: area {before.attrs['auc']:.2f} → {after.attrs['auc']:.2f}"] = before, after
    ax = new_axes(COLUMN, 0.9 * COLUMN) if ax is None else ax
    ax.plot([0, 1], [0, 1], color=MUTED, linewidth=0.8, zorder=0)
    before_and_after(ax, pairs, "fpr", "tpr", list(chosen))
    ax.set(xlabel="Other cells called (false positive rate)", ylabel="Cluster's cells called (true positive rate)")
    ax.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
    band = band_of(zip(chosen.values(), (after for _, after in pairs.values()), strict=True), "tpr")
    legend(ax, band=band, loc="best")
    return plain(ax)
