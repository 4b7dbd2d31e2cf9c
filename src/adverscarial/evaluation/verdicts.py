"""May the label of a cluster be trusted? One verdict for each cluster and classifier, by written rules.

The rules, in this order; the first that holds decides:

1. fewer than `min_cells` cells: *not decided*
2. the cluster's name is known to the classifier, and less than `right` of its cells get it before any attack; or its
   label is none of a cell type: *not recognised*
3. no label is carried by more than `majority` of the cells: *not decided*
4. at most `few` genes, changed to values that cells can have, flip the label; or one gene takes the majority from it:
   *fragile*
5. with a stress test: the label is lost at a change of at most `small`: *fragile*
6. every single gene was tested alone under every modification that was asked for, none was left out, refused
   altogether, drawn by chance, or not changed at all; and no search stopped early: *robust*
7. else: *not decided*

Impossible values decide nothing: what they do is told beside the verdict. ``docs/verdict.md`` explains each rule.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd

from adverscarial.attacks.single_gene_result import cost_text
from adverscarial.classifiers.answers import in_percent, is_named, of_the_cells
from adverscarial.errors import ParameterError
from adverscarial.evaluation.evidence import Evidence, Flip, Row, gather
from adverscarial.evaluation.intervals import wilson
from adverscarial.evaluation.recognition import Recognised, recognised
from adverscarial.evaluation.under_stress import Loss, losses
from adverscarial.surveys.stored import already_there
from adverscarial.surveys.table import Survey

if TYPE_CHECKING:
    from adverscarial.stresses.result import StressResult

ROBUST, FRAGILE, OPEN, UNKNOWN = VERDICTS = ("robust", "fragile", "not decided", "not recognised")

_COLUMNS = (
    "classifier", "cluster", "verdict", "reason", "next", "cells", "called", "share", "share_low", "share_high",
    "right", "flipping", "fewest", "lower", "nearest", "nearest_change", "nearest_votes", "nearest_lead",
    "impossible", "apart", "lost_at", "lost_when",
)  # fmt: skip


class Rules(NamedTuple):
    """The thresholds; :func:`verdicts` explains them."""

    min_cells: int = 10
    right: float = 0.5
    majority: float = 0.5
    few: int = 3
    small: float = 0.2


class Verdict(NamedTuple):
    """A verdict, why, and what to do next; `apart`: the cluster belongs in no headline."""

    verdict: str
    reason: str
    todo: str
    apart: bool = False


def verdicts(
    survey: Survey,
    *,
    min_cells: int = 10,
    right: float = 0.5,
    majority: float = 0.5,
    few: int = 3,
    small: float = 0.2,
    stress: StressResult | None = None,
) -> pd.DataFrame:
    """Say of each cluster and classifier whether the label is robust, fragile, not decided, or not recognised.

    Parameters
    ----------
    survey
        With single-gene attacks; :class:`~adverscarial.attacks.MinChange` adds how many genes must change together.
    min_cells
        Clusters with fewer cells are not decided.
    right
        Share of a cluster's cells that the classifier must get right before any attack, where it uses the same names.
    majority
        Share of the cells that must be exceeded by those that carry the label, before and after the change of one gene.
    few
        A label that so many genes, or fewer, flip together is fragile.
    small
        With `stress`: a label that is lost at so large a share of counts, genes or cells, or a smaller one, is fragile.
    stress
        What :func:`adverscarial.stress` found on the same cells; left out, nothing is said of such changes.

    Returns
    -------
    DataFrame, one row per classifier and cluster: ``classifier``, ``cluster``; ``verdict``; ``reason``, one sentence;
    ``next``, what to do; ``cells``; ``called``, the label before any attack; ``share`` of the cells that carry it, with
    the ends of its 95% interval ``share_low`` and ``share_high``; ``right``, cells that get the cluster's name;
    ``flipping``, single genes that flip the label by values that cells can have; ``fewest``, size of the smallest set
    that was found to flip it; ``lower``, genes that must change at least, proven; ``nearest``, the gene that comes
    nearest without a flip, with the modification, ``nearest_change``, the share of cells it takes, ``nearest_votes``,
    and of the label's lead over the runner-up, ``nearest_lead``;
    ``impossible``, genes that flip it by impossible values; ``apart``: too few cells or no majority, so that the
    numbers belong in no headline; ``lost_at``, the smallest strength at which the stress test takes the label, of the
    changes that are measured in shares, and ``lost_when``, what has happened there; NaN and "" where it never does.

    Raises
    ------
    ParameterError
        If a threshold is out of its range.

    Examples
    --------
    >>> import adverscarial as adv
    >>> attack, model = adv.attacks.SingleGene("perc99"), adv.classifiers.ScType(scaled=False)
    >>> found = adv.survey(adv.datasets.embedded(), model, attacks=attack, groupby="cell_type", targets=["Dendritic"])
    >>> verdicts(found)["verdict"].to_list()
    ['fragile']
    """
    rules = Rules(min_cells, right, majority, few, small)
    _check(rules)
    lost = losses(stress, survey.plan, small)
    known, genes = recognised(survey), int(survey.plan["data"]["genes"])
    rows: dict[tuple[str, str], list[Row]] = {}
    for task, result in zip(survey.tasks, survey.results, strict=True):
        row = (task, result, survey.errors.get(task.number, ""))
        rows.setdefault((task.classifier, task.target), []).append(row)
    found = []
    for (classifier, cluster), own in rows.items():
        evidence, baseline = gather(own, genes), known.get((classifier, cluster))
        loss = lost.get((classifier, cluster))
        verdict = _failed(own) if baseline is None else _decide(baseline, evidence, rules, loss)
        numbers = _numbers(baseline, evidence, verdict)
        at = (float("nan"), "") if loss is None else (loss.at, loss.when)
        found.append((classifier, cluster, verdict.verdict, verdict.reason, verdict.todo, *numbers, *at))
    whole = dict.fromkeys(("cells", "right", "fewest", "lower"), "Int64")
    return pd.DataFrame(found, columns=list(_COLUMNS)).astype(whole)


def _check(rules: Rules) -> None:
    for name in ("right", "majority", "small"):
        if not 0 <= getattr(rules, name) <= 1:
            raise ParameterError(f"{name} must be a share from 0 to 1, got {getattr(rules, name)!r}.")
    for name in ("min_cells", "few"):
        value = getattr(rules, name)
        if not isinstance(value, int) or value < 1:
            raise ParameterError(f"{name} must be a whole number of at least 1, got {value!r}.")


def _failed(own: list[Row]) -> Verdict:
    if all(already_there(error) for _, _, error in own):
        return Verdict(OPEN, "It is already called what the attacks aim at", "Attack it without towards=.")
    return Verdict(OPEN, f"Every attack failed; the first: {own[0][2]}", "See the error, and run again.")


def _interval(baseline: Recognised) -> tuple[float, float]:
    """Return the interval of a share; NaN where the classifier gives a number that is no share beside its label."""
    if not 0 <= baseline.share <= 1:
        return float("nan"), float("nan")
    low, high = wilson(baseline.share, baseline.cells)
    return float(low), float(high)


def _decide(baseline: Recognised, evidence: Evidence, rules: Rules, loss: Loss | None) -> Verdict:
    """Apply the rules in their order."""
    low, high = _interval(baseline)
    carried = f"{baseline.share:.0%} of them are called {baseline.called} (95% interval {low:.0%} to {high:.0%})"
    if np.isnan(low):
        carried = (
            f"the classifier calls them {baseline.called} and gives the number {in_percent(baseline.share)} beside it"
        )
    if baseline.cells < rules.min_cells:
        cells = "1 cell" if baseline.cells == 1 else f"{baseline.cells:,} cells"
        return Verdict(
            OPEN, f"Only {cells}: {carried}.", "Pool it with a larger cluster, or collect more such cells.", True
        )
    if (unknown := _not_recognised(baseline, rules)) is not None:
        return unknown
    if baseline.share <= rules.majority:
        return Verdict(
            OPEN,
            f"No label has a majority: {carried}.",
            "Cluster these cells more finely, or call them “unsure”.",
            True,
        )
    found = _fragile(baseline, evidence, rules)
    if found is None and loss is not None and loss.small:
        return _lost(loss, evidence)
    found = found or _held(baseline, evidence)
    return found if loss is None else found._replace(reason=f"{found.reason} {loss.sentence}")


def _not_recognised(baseline: Recognised, rules: Rules) -> Verdict | None:
    if baseline.right is not None and baseline.right_share < rules.right:
        most = (
            ""
            if baseline.called == baseline.cluster
            else f"; most are called {baseline.called} ({in_percent(baseline.share)})"
        )
        return Verdict(
            UNKNOWN,
            f"{baseline.right:,} of {baseline.cells:,} cells get this label before any attack{most}.",
            "Do not read its flips. Check the values, the genes and the training data; until then call these cells "
            "“unsure”.",
        )
    if not is_named(baseline.called):
        return Verdict(
            UNKNOWN,
            f"The classifier gives no cell type to these cells: it calls them {baseline.called} "
            f"({in_percent(baseline.share)}).",
            "Leave them “unsure”, or use a classifier that knows this type.",
        )
    return None


def _fragile(baseline: Recognised, evidence: Evidence, rules: Rules) -> Verdict | None:
    """Return the verdict where few genes flip the label, or one takes its majority."""
    few = [flip for flip in evidence.flips if len(flip.genes) <= rules.few]
    near = evidence.near
    if few:
        reason, genes = _flip_text(few[0], len(evidence.flipping)), few[0].genes
    elif near is not None and baseline.share - near.votes <= rules.majority:
        left = baseline.share - near.votes
        reason = f"{near.gene} ({near.change}) takes the majority: only {left:.0%} of the cells keep the label."
        genes = (near.gene,)
    else:
        return None
    them = "them" if len(genes) > 1 else "it"
    todo = (
        f"Look at {', '.join(genes)} in these cells; where the label hangs on {them}, call the cell “unsure”. Compare "
        "a classifier that reads more genes."
    )
    return Verdict(FRAGILE, reason + _beside(evidence), todo)


def _lost(loss: Loss, evidence: Evidence) -> Verdict:
    """Return the verdict where no gene was found to flip the label, but a small technical change takes it."""
    reason = f"No gene was found that flips it alone, but it is lost by a small change. {loss.sentence}"
    todo = (
        "Find out how strong this change is in these data, and correct for it before classification, or train the "
        "classifier on cells that have it; until then call these cells “unsure”."
    )
    return Verdict(FRAGILE, reason + _beside(evidence), todo)


def _flip_text(flip: Flip, single: int) -> str:
    becomes = f"it to {flip.label} ({of_the_cells(flip.share)})"
    if len(flip.genes) == 1:
        others = single - 1
        more = "" if others < 1 else f", as {'does 1 other gene' if others == 1 else f'do {others:,} other genes'}"
        return f"{flip.genes[0]} alone ({flip.change}) flips {becomes}{more}."
    return f"{len(flip.genes):,} genes together ({', '.join(flip.genes)}; {flip.change}) flip {becomes}."


def _held(baseline: Recognised, evidence: Evidence) -> Verdict:
    """Return the verdict where nothing was found: robust if everything was tested, else not decided."""
    if evidence.gaps:
        gap = evidence.gaps[0]
        more = f" {len(evidence.gaps) - 1:,} more searches prove nothing either." if len(evidence.gaps) > 1 else ""
        return Verdict(OPEN, f"No flip was found, but {gap.why}.{more}", gap.todo)
    if not evidence.tested:
        return Verdict(
            OPEN,
            "No attack changed single genes to values that cells can have." + _beside(evidence),
            "Add single-gene attacks by perc1 and perc99.",
        )
    parts = [f"None of {evidence.genes:,} genes alone flips it ({', '.join(evidence.tested)})"]
    if evidence.never:
        parts.append("no set of them does (proven)")
    elif evidence.lower is not None:
        parts.append(f"at least {evidence.lower:,} genes must change together (proven)")
    if evidence.flips:
        parts.append(f"a set of {len(evidence.flips[0].genes):,} was found that does")
    if evidence.near is not None:
        near = evidence.near
        parts.append(f"the nearest, {near.gene} ({near.change}), {cost_text(near.votes, near.lead)}")
    return Verdict(ROBUST, "; ".join(parts) + "." + _beside(evidence), _robust_next(baseline, evidence))


def _beside(evidence: Evidence) -> str:
    """Return what is told beside a verdict and decides nothing."""
    n = len(evidence.impossible)
    return f" Impossible values of {n:,} gene{'' if n == 1 else 's'} flip it." if n else ""


def _robust_next(baseline: Recognised, evidence: Evidence) -> str:
    """Return what is left to do for a robust label."""
    named = baseline.right is not None  # else nothing is known of whether the label is right
    todo = [
        "The label may be used." if named else f"The label may be used, if {baseline.called} is what these cells are."
    ]
    if evidence.impossible:
        todo.append("Filter out impossible values before classification.")
    idle = [one for one in evidence.unmoved if 4 * one.genes > one.of]
    if idle:
        one = idle[0]
        todo.append(
            f"{one.change} did not raise {one.genes / one.of:.0%} of the {one.of:,} genes that the classifier reads: "
            "try perc99:expressing, too."
        )
    if evidence.refused:
        todo.append(f"{evidence.refused:,} changes were refused, so nothing is known of those.")
    if evidence.lower is None:
        todo.append("MinChange tells how many genes together flip it.")
    return " ".join(todo)


def _numbers(baseline: Recognised | None, evidence: Evidence, verdict: Verdict) -> tuple[object, ...]:
    """Return the columns that are numbers."""
    low, high = (float("nan"),) * 2 if baseline is None else _interval(baseline)
    before = (None, "", float("nan"), low, high, None) if baseline is None else (
        baseline.cells, baseline.called, baseline.share, low, high, baseline.right
    )  # fmt: skip
    near, flip = evidence.near, evidence.flips[0] if evidence.flips else None
    nearest = ("", "", float("nan"), float("nan")) if near is None else tuple(near)
    fewest = None if flip is None else len(flip.genes)
    return (*before, len(evidence.flipping), fewest, evidence.lower, *nearest, len(evidence.impossible), verdict.apart)


def headline(table: pd.DataFrame) -> str:
    """Return how many clusters of one classifier have each verdict, in one sentence.

    >>> headline(pd.DataFrame({"verdict": ["robust", "fragile", "robust"], "cluster": ["B", "T", "NK"]}))
    '2 of 3 clusters are robust, 1 fragile (T).'
    """
    n = len(table)
    by = {verdict: table.loc[table["verdict"] == verdict, "cluster"].to_list() for verdict in VERDICTS}
    verb = "is" if len(by[ROBUST]) == 1 else "are"
    text = f"{len(by[ROBUST]):,} of {n:,} cluster{'' if n == 1 else 's'} {verb} robust"
    for verdict in VERDICTS[1:]:
        if names := by[verdict]:
            text += f", {len(names):,} {verdict} ({', '.join(map(str, names))})"
    return text + "."
