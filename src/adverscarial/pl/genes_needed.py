"""How many genes must change before a cluster's label flips? Intervals, per cluster and classifier."""

from __future__ import annotations

from typing import TYPE_CHECKING, Unpack

from adverscarial.attacks import MinChangeResult
from adverscarial.errors import ParameterError, did_you_mean, some
from adverscarial.pl._figures import figure
from adverscarial.pl._lines import legend, look
from adverscarial.pl._options import Options
from adverscarial.pl._style import FONT, PAGE, new_axes, plain, ticks_of_counts

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from adverscarial.surveys.table import Survey

_ROW = 0.11  # inches for each interval
_SPREAD = 0.7  # of a row, for the intervals of one cluster
_WIDTH = 0.65 * PAGE
_LETTER, _MARK = 0.055, 0.45  # inches of a letter and of a mark in the legend

Intervals = dict[str, dict[str, MinChangeResult]]


@figure("How many genes must change before a cluster's label flips?")
def genes_needed(
    survey: Survey, *, classifier: str | None = None, ax: Axes | None = None, **options: Unpack[Options]
) -> Axes:
    """Draw one interval per cluster and classifier: from the proven lower bound to the set that was found.

    Parameters
    ----------
    survey
        What :func:`adverscarial.survey` returned, with :class:`~adverscarial.attacks.MinChange` among its attacks.
    classifier
        Draw this one only; all, when left out.
    ax
        Where to draw; a new figure that is as high as the clusters need, when left out.

    Returns
    -------
    The Axes. A filled marker is exact: both ends are the same. A hollow one is the set that was found, with a line down
    to the proven bound. An arrow: no set was found. A triangle at the right edge: it is proven that no set flips the
    label. The cluster that needs the fewest genes stands on top.

    Raises
    ------
    %(no_such_attack)s

    Examples
    --------
    >>> import adverscarial as adv
    >>> model, attack = adv.classifiers.ScType(scaled=False), adv.attacks.MinChange("perc1")
    >>> found = adv.survey(adv.datasets.embedded(), model, attacks=attack, groupby="cell_type", targets=["Dendritic"])
    >>> genes_needed(found).get_xlabel()
    'Genes that must change at once'
    """
    lines, failed = _intervals(survey, classifier)
    found = {name: [line[name] for line in lines.values() if name in line] for line in lines.values() for name in line}
    clusters = sorted(found, key=lambda name: min((r.impossible, r.lower) for r in found[name]))
    every = [result for line in lines.values() for result in line.values()]
    top = max([2, *(max(r.lower, r.upper or 0) for r in every if not r.impossible)])
    beside = _beside(list(lines), clusters)
    if ax is None:
        head = 0.9 + _ROW * (-(-len(lines) // beside) - 1)
        ax = new_axes(_WIDTH, head + max(0.2, _ROW * len(lines)) * len(clusters))
    for number, (name, line) in enumerate(lines.items()):
        colour, marker, _ = look(number, list(lines))
        shift = _SPREAD * ((number + 0.5) / len(lines) - 0.5)
        for cluster, result in line.items():
            _draw(ax, clusters.index(cluster) + shift, result, colour, marker, 1.5 * top)
        ax.plot([], [], marker, color=colour, markersize=4, label=name)
    ax.set_xscale("log")
    ticks, texts = ticks_of_counts(1.3 * top)
    ax.set_xticks(ticks, texts)
    ax.minorticks_off()
    ax.set_yticks(range(len(clusters)), clusters)
    ax.set(xlim=(0.85, 1.7 * top), ylim=(len(clusters) - 0.5, -0.5))
    ax.set_xlabel("Genes that must change at once")
    plain(ax)
    ax.grid(axis="x", linewidth=0.3, color="#dddddd")
    ax.set_axisbelow(True)
    if len(lines) > 1:
        legend(ax, loc="lower left", bbox_to_anchor=(0, 1), ncols=beside)
    else:
        ax.set_title(next(iter(lines)), fontsize=FONT, loc="left")
    if failed:
        ax.set_xlabel(f"{ax.get_xlabel()}\n{failed:,} failed attack{'s' if failed > 1 else ''} not drawn")
    return ax


def _intervals(survey: Survey, classifier: str | None) -> tuple[Intervals, int]:
    """Return the results by classifier (and attack, where there are several) and cluster, and how many failed."""
    from adverscarial.surveys.grid import headings

    tasks = [task for task in survey.tasks if task.attack.result_type() is MinChangeResult]
    results = {task.number: result for task, result in survey.of(MinChangeResult)}
    if not tasks:
        raise ParameterError("genes_needed draws MinChange attacks, and the survey has none. Add one.")
    known = list(dict.fromkeys(task.classifier for task in tasks))
    if classifier is not None and classifier not in known:
        raise ParameterError(
            f"There is no classifier '{classifier}' to draw.{did_you_mean(classifier, known)} There are: {some(known)}."
        )
    names = headings([task.attack for task in tasks])
    lines: Intervals = {}
    failed = 0
    for task in tasks:
        if classifier not in (None, task.classifier):
            continue
        if task.number not in results:
            failed += task.number in survey.failed
            continue
        line = task.classifier if len(names) == 1 else f"{task.classifier}, {names[repr(task.attack)]}"
        lines.setdefault(line, {})[task.target] = results[task.number]
    if not lines:
        raise ParameterError("No MinChange attack of the survey has a result; see survey.errors.")
    return lines, failed


def _beside(lines: list[str], clusters: list[str]) -> int:
    """Return how many entries of the legend fit beside each other above the lines, which begin behind the clusters."""
    room = _WIDTH - _LETTER * max(map(len, clusters))
    return min(3, max(1, int(room / (_MARK + _LETTER * max(map(len, lines))))))


def _draw(ax: Axes, y: float, result: MinChangeResult, colour: str, marker: str, edge: float) -> None:
    """Draw one interval; `edge` is where the axis ends."""
    if result.impossible:
        ax.plot(edge, y, ">", color=colour, markersize=3.5, clip_on=False)
    elif result.upper is None:
        ax.annotate("", (edge, y), (result.lower, y), arrowprops={"arrowstyle": "->", "color": colour, "linewidth": 1})
        ax.plot(result.lower, y, "|", color=colour, markersize=5)
    else:
        ax.plot([result.lower, result.upper], [y, y], color=colour, linewidth=1.0, solid_capstyle="butt")
        ax.plot(result.lower, y, "|", color=colour, markersize=5)
        face = colour if result.optimal else "white"
        ax.plot(result.upper, y, marker, color=colour, markerfacecolor=face, markersize=4)
