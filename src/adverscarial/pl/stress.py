"""What do cells keep of their label while a change grows?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Unpack

from adverscarial.errors import ParameterError, did_you_mean, some
from adverscarial.pl._figures import figure
from adverscarial.pl._lines import Where, legend, look
from adverscarial.pl._options import Options
from adverscarial.pl._style import COLUMN, FONT, new_axes, plain

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

    from adverscarial.stresses.result import StressResult

_WORDS = {"kept": "Cells that keep their label", "accuracy": "Cells called as their cluster is"}
_FEW = 3  # lines whose legend finds room among them
_MANY = 14  # lines that can be told apart


@figure("How many cells keep their label while a technical or biological change grows?")
def stress(
    result: StressResult,
    change: str | None = None,
    *,
    classifier: str | None = None,
    cluster: str | None = None,
    y: Literal["kept", "accuracy"] = "kept",
    ax: Axes | None = None,
    **options: Unpack[Options],
) -> Axes:
    """Draw the share of cells that keep their label against the strength of one change, with its interval.

    Parameters
    ----------
    %(stress_result)s
    change
        Its name; may be left out where there is one only.
    classifier, cluster
        Draw these only. One line is drawn for each classifier and cluster that is left.
    y
        ``"kept"``: cells with the label that they had; ``"accuracy"``: cells called as their cluster is.
    %(ax)s

    Returns
    -------
    The Axes. The band is the 95% interval over cells and draws; a cross marks where the cluster's label is another one
    in at least half of the draws.

    Raises
    ------
    ParameterError
        If a name is unknown, or more than 14 lines would have to be told apart.

    %(stress_example)s
    >>> stress(found).get_xlabel()
    'Share of counts lost'
    """
    if y not in _WORDS:
        raise ParameterError(f"y must be 'kept' or 'accuracy', got {y!r}.")
    table = chosen(result.to_frame(), {"change": change, "classifier": classifier, "cluster": cluster})
    if table["change"].nunique() > 1:
        raise ParameterError(f"There are several changes; name the one to draw: {some(table['change'].unique(), 20)}.")
    several = [name for name in ("classifier", "cluster") if table[name].nunique() > 1]
    lines = list(table.groupby(["classifier", "cluster"], sort=False))
    if len(lines) > _MANY:
        raise ParameterError(
            f"{len(lines)} lines cannot be told apart; name a classifier= or a cluster= to draw, at most {_MANY} lines."
        )
    beside = len(lines) > _FEW
    if ax is None:
        ax = new_axes((1.55 if beside else 1) * COLUMN, 0.78 * COLUMN)
    labels = [", ".join(names[("classifier", "cluster").index(of)] for of in several) for names, _ in lines]
    for number, (label, (_, part)) in enumerate(zip(labels, lines, strict=True)):
        colour, marker, dash = look(number, labels)
        ax.fill_between(part["strength"], part[f"{y}_low"], part[f"{y}_high"], color=colour, alpha=0.12, linewidth=0)
        ax.plot(
            part["strength"], part[y], color=colour, marker=marker, markersize=3, linewidth=1, linestyle=dash,
            label=label or None,
        )  # fmt: skip
        lost = part[part["held"] <= 0.5]
        if len(lost):
            ax.plot(lost["strength"].iloc[:1], lost[y].iloc[:1], "x", color="#000000", markersize=6, zorder=4)
    if (table["held"] <= 0.5).any():
        ax.plot([], [], "x", color="#000000", markersize=5, label="the cluster's label is lost")
    ax.set(xlabel=str(table["unit"].iloc[0]).capitalize(), ylabel=_WORDS[y], ylim=(-0.03, 1.03))
    fixed = [str(table[name].iloc[0]) for name in ("change", "cluster", "classifier") if name not in several]
    ax.set_title(" · ".join(fixed), loc="left", fontsize=FONT + 1)
    if ax.get_legend_handles_labels()[0]:
        legend(ax, **(Where(loc="lower left", bbox_to_anchor=(1.01, 0.0)) if beside else Where(loc="best")))
    return plain(ax)


def chosen(table: pd.DataFrame, names: dict[str, str | None]) -> pd.DataFrame:
    """Return the rows with these names; None stands for all.

    Raises
    ------
    ParameterError
        If there is no such name, or nothing to draw.
    """
    if not len(table):
        raise ParameterError("Nothing was measured, so there is nothing to draw; result.errors says why.")
    for column, name in names.items():
        known = list(dict.fromkeys(table[column]))
        if name is not None and name not in known:
            raise ParameterError(
                f"There is no {column} '{name}' to draw.{did_you_mean(name, known)} There are: {some(known, 20)}."
            )
        table = table if name is None else table[table[column] == name]
    return table
