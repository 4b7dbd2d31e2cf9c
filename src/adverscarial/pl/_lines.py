"""What the figures of lines share: colours with a dash and a marker each, so that a grey print can be read too."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias, TypedDict, Unpack

import pandas as pd

from adverscarial._names import numbered
from adverscarial.errors import ParameterError
from adverscarial.evaluation.curves import Curve
from adverscarial.pl._options import colours
from adverscarial.pl._style import FONT, MUTED, PALETTE

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Curves = Curve | Sequence[Curve] | Mapping[str, Curve]

_COLOURS = tuple(colour for colour in PALETTE if colour != "#f0e442")  # yellow lines are lost on white paper
_FORMULAS = {"accuracy": "Wilson", "tpr": "Wilson", "auc": "Newcombe", "f1": "MOVER"}
_MARKERS = ("o", "s", "^", "D", "v", "P", "X")
#: a line style of matplotlib: by name, or an offset and the lengths of dashes and gaps
Dash: TypeAlias = str | tuple[float, tuple[float, ...]]
DASHES: tuple[Dash, ...] = ("-", (0, (5, 2)), (0, (1, 1.5)), (0, (5, 1.5, 1, 1.5)))


class Where(TypedDict, total=False):
    """Where a legend stands, as matplotlib calls it."""

    loc: Literal["best", "lower left", "upper center"]
    bbox_to_anchor: tuple[float, float]
    ncols: int


class Look(NamedTuple):
    """How one line is drawn."""

    colour: str
    marker: str
    dash: Dash


def look(number: int, names: Sequence[str] = ()) -> Look:
    """Return the look of line `number`; after 7 they repeat in other dashes.

    Parameters
    ----------
    number
        Of the line.
    names
        What the lines are about, in their order: a palette may name colours for some of them.
    """
    own = colours(_COLOURS, names)
    return Look(own[number % len(own)], _MARKERS[number % len(_MARKERS)], DASHES[number % len(DASHES)])


def named(curves: Curves) -> dict[str, Curve]:
    """Return curves by the name that the legend shows: the key given, else the classifier, numbered where it repeats.

    Raises
    ------
    ParameterError
        If there are none, or they are no curves.
    """
    if isinstance(curves, Mapping):
        found = {str(name): curve for name, curve in curves.items()}
    else:
        listed = [curves] if isinstance(curves, Curve) else list(curves)
        names = numbered(curve.classifier if isinstance(curve, Curve) else "" for curve in listed)
        found = dict(zip(names, listed, strict=True))
    if not found or not all(isinstance(curve, Curve) for curve in found.values()):
        kinds = ", ".join(sorted({type(curve).__name__ for curve in found.values()})) or "nothing"
        raise ParameterError(
            f"Expected what robustness_curve() or curve_along() returns, one or several, got {kinds}. "
            "A mapping names the lines: {'scRF': curve, ...}."
        )
    return found


def last_scored(curve: Curve, step: float | None) -> float:
    """Return the step to draw: the one named, else the last that the classifier did not refuse."""
    if step is not None:
        return step
    steps = curve.table.loc[~curve.table["rejected"].astype(bool), curve.axis]
    if not len(steps):
        raise ParameterError(
            f"{curve.classifier} refused every step, so there is no 'after' to draw. Change the genes less strongly."
        )
    return float(steps.iloc[-1])


def before_and_after(
    ax: Axes, pairs: Mapping[str, tuple[pd.DataFrame, pd.DataFrame]], x: str, y: str, names: Sequence[str]
) -> None:
    """Draw lines before (dashed) and after an attack, with the band of the latter.

    `pairs`: tables by legend entry; `names`: what each is about.
    """
    for number, (label, (before, after)) in enumerate(pairs.items()):
        colour, marker, _ = look(number, names)
        ax.plot(before[x], before[y], color=colour, linestyle=DASHES[1], linewidth=0.9)
        ax.fill_between(after[x], after[f"{y}_low"], after[f"{y}_high"], color=colour, alpha=0.15, linewidth=0)
        ax.plot(
            after[x], after[y], color=colour, linewidth=1.2, marker=marker, markersize=3.5,
            markevery=(0.03 * number, 0.2), label=label,
        )  # fmt: skip
    ax.plot([], [], color="#000000", linestyle=DASHES[1], linewidth=0.9, label="before")


def band_of(drawn: Iterable[tuple[Curve, pd.DataFrame]], y: str) -> str:
    """Return what the bands around column `y` of these tables are; nothing where none has a band."""
    banded = [one for one, table in drawn if table[f"{y}_low"].notna().any()]
    kinds = [_FORMULAS[y] if one.intervals == "formula" else "bootstrap" for one in banded]
    return f"95% ({', '.join(dict.fromkeys(kinds))})" if kinds else ""


def legend(ax: Axes, *, band: str = "", **where: Unpack[Where]) -> None:
    """Explain the lines, and the bands where they are named, small and without a frame."""
    from matplotlib.patches import Patch  # here and not above: importing the package stays quick

    lines, _ = ax.get_legend_handles_labels()
    bands = [Patch(facecolor=MUTED, label=band)] if band else []
    ax.legend(
        handles=[*lines, *bands], fontsize=FONT - 1, frameon=False, handlelength=2.6, borderaxespad=0.2,
        labelspacing=0.3, **where,
    )  # fmt: skip
