"""Can the cluster still be told from the other cells after the attack? The paper's Fig. 4D."""

from __future__ import annotations

from typing import TYPE_CHECKING

from adverscarial.pl._lines import Curves, band_of, before_and_after, last_scored, legend, named
from adverscarial.pl._style import COLUMN, MUTED, new_axes, plain

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def roc(curves: Curves, *, step: float | None = None, ax: Axes | None = None) -> Axes:
    """Draw the ROC curve of the cluster against all other cells, before (dashed) and after an attack.

    Parameters
    ----------
    curves
        What :func:`adverscarial.robustness_curve` or :func:`adverscarial.curve_along` returned; several as a list, or
        by the name that the legend shall show.
    step
        Where on the curves' axis "after" is: the last step that the classifier did not refuse, when left out.
    ax
        Where to draw; a new figure of one journal column (89 mm), when left out.

    Returns
    -------
    The Axes; the legend gives the areas, and says how the bands are made: 95% intervals over the cluster's cells at
    each threshold.

    Raises
    ------
    ClassifierError
        If a classifier gives labels only, or refused the step.
    ParameterError
        If there is no such step.

    Examples
    --------
    >>> import adverscarial as adv
    >>> model = adv.classifiers.Markers({"B": ["CD79A", "MS4A1"], "T": ["CD3D", "CD3E"]})
    >>> found = adv.robustness_curve(adv.datasets.embedded(), model, groupby="cell_type", target="CD19+ B",
    ...                              genes=["CD79A", "CD3D"], modification="perc1")
    >>> roc(found).get_xlabel()
    'Other cells called (false positive rate)'
    """
    chosen = named(curves)
    pairs = {}
    for name, one in chosen.items():
        before, after = one.roc(), one.roc(last_scored(one, step))
        pairs[f"{name}: area {before.attrs['auc']:.2f} → {after.attrs['auc']:.2f}"] = before, after
    ax = new_axes(COLUMN, 0.9 * COLUMN) if ax is None else ax
    ax.plot([0, 1], [0, 1], color=MUTED, linewidth=0.8, zorder=0)
    before_and_after(ax, pairs, "fpr", "tpr")
    ax.set(xlabel="Other cells called (false positive rate)", ylabel="Cluster's cells called (true positive rate)")
    ax.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
    band = band_of(zip(chosen.values(), (after for _, after in pairs.values()), strict=True), "tpr")
    legend(ax, band=band, loc="best")
    return plain(ax)
