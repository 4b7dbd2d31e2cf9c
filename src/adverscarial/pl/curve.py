"""How fast does a classifier give way as more genes change? The paper's Fig. 4C."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Unpack

from adverscarial.errors import ParameterError
from adverscarial.pl._figures import figure
from adverscarial.pl._lines import Curves, band_of, legend, look, named
from adverscarial.pl._options import Options
from adverscarial.pl._style import COLUMN, FONT, new_axes, plain, ticks_of_counts

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_Y = {
    "accuracy": "Cells with the cluster's label (share)",
    "auc": "Area under the ROC curve",
    "f1": "F1 at the best threshold before",
}
_X = {"n_genes": "Genes attacked", "strength": "Strength of the attack"}
_LONG = 20  # on longer axes the first steps would be lost
_MANY = 1_000  # longer numbers would not fit beside each other


@figure("How fast does a classifier give way as more genes change?")
def curve(
    curves: Curves,
    *,
    y: Literal["accuracy", "auc", "f1"] = "accuracy",
    ax: Axes | None = None,
    **options: Unpack[Options],
) -> Axes:
    """Draw accuracy, ROC area or F1 along an attack, with 95% bands over cells; one line per classifier.

    Parameters
    ----------
    %(curves)s
    y
        What to draw: a column of ``curve.to_frame()``.
    %(ax)s

    Returns
    -------
    The Axes; the legend says how the bands are made. Steps that the classifier refused are gaps, with a cross on the
    axis. Beyond 20 genes the axis is logarithmic from 1 on.

    Raises
    ------
    ParameterError
        If `y` is something else, a classifier has no scores to draw it from, or the curves have different axes.

    %(curve_example)s
    >>> curve(found).get_xlabel()
    'Genes attacked'
    """
    chosen = named(curves)
    if y not in _Y:
        raise ParameterError(f"y must be 'accuracy', 'auc' or 'f1', got '{y}'.")
    for name, one in chosen.items():
        if y not in one.table:
            raise ParameterError(f"{name} gives no scores for '{one.label}', so it has no '{y}'. Draw y='accuracy'.")
    axes = {one.axis for one in chosen.values()}
    if len(axes) > 1:
        raise ParameterError("Some curves run over numbers of genes, others over strengths: draw them apart.")
    axis = axes.pop()
    ax = new_axes(COLUMN, 0.72 * COLUMN) if ax is None else ax
    longest, refused = 0.0, False
    for number, (name, one) in enumerate(chosen.items()):
        table, (colour, marker, dash) = one.to_frame(), look(number, list(chosen))
        at = table[axis].to_numpy(dtype=float)
        ax.fill_between(at, table[f"{y}_low"], table[f"{y}_high"], color=colour, alpha=0.15, linewidth=0)
        ax.plot(at, table[y], color=colour, marker=marker, linestyle=dash, markersize=3, linewidth=1.1, label=name)
        no = table["rejected"].to_numpy(dtype=bool)
        ax.plot(at[no], [0.02] * no.sum(), "x", color=colour, markersize=4, transform=ax.get_xaxis_transform())
        longest, refused = max(longest, float(at.max())), refused or bool(no.any())
    ax.set(xlabel=_X[axis] + (" (×: input refused)" if refused else ""), ylabel=_Y[y], ylim=(-0.03, 1.03))
    if longest > _LONG:
        ax.set_xscale("symlog", linthresh=1, linscale=0.5)
        ax.set_xlim(-0.15, 1.15 * longest)
        ticks, texts = ticks_of_counts(longest, (1, 2, 5) if longest < _MANY else (1,))
        ax.set_xticks([0, *ticks], ["0", *texts])
        ax.minorticks_off()
    cluster = {one.target for one in chosen.values()}
    if len(cluster) == 1:
        ax.set_title(cluster.pop(), fontsize=FONT + 1, loc="left")
    legend(ax, band=band_of([(one, one.table) for one in chosen.values()], y), loc="best")
    return plain(ax)
