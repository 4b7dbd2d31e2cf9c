"""The paper's findings, each as a small function from numbers to a verdict with its sentence.

Tables are those of :meth:`adverscarial.Survey.to_frame`: one row per classifier, cluster, attack and modification, with
``flipped`` (single genes that flip the label) and ``signature`` (genes that must not change).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import wraps
from typing import Literal, ParamSpec

import pandas as pd

P = ParamSpec("P")

Verdict = Literal["holds", "does not hold", "cannot be judged here"]
HOLDS: Verdict = "holds"
FAILS: Verdict = "does not hold"
OPEN: Verdict = "cannot be judged here"

#: modifications to values that real cells have, and those far beyond them
MEDIUM = ("perc1", "perc99", "decile+5")
ABERRANT = ("positive_aberrant", "negative_aberrant")
#: all five, in the order of the paper's Fig. 2
FIVE = ("negative_aberrant", "decile+5", "positive_aberrant", "perc99", "perc1")
#: from least to most harm, by the published totals of scType (4, 8, 95, 246 and 1,208 single genes)
ORDER = ("decile+5", "perc1", "perc99", "negative_aberrant", "positive_aberrant")
#: two numbers of genes are alike if the larger is at most so many times the smaller
ALIKE = 2.0
#: status of a flipping gene that the published search did not find
MISSED = "missed by the published search"


@dataclass(frozen=True)
class Finding:
    """One statement of the paper, and what became of it here.

    Attributes
    ----------
    claim
        The statement.
    verdict
        ``"holds"``, ``"does not hold"`` or ``"cannot be judged here"``.
    because
        The numbers, in a sentence.
    where
        Section or figure of the paper; empty for what it does not state.
    judge
        Name of the function that judged.
    """

    claim: str
    verdict: Verdict
    because: str
    where: str = ""
    judge: str = ""

    def __str__(self) -> str:
        return f"{self.claim}: {self.verdict}. {self.because}"


#: where each judged statement stands in the paper, by the name of the function that judges it
STATED: dict[str, str] = {}


def stated(where: str) -> Callable[[Callable[P, Finding]], Callable[P, Finding]]:
    """Register a function that judges a statement of the paper, and name the place in its findings.

    Examples
    --------
    >>> @stated("section 9")
    ... def grass(colour: str) -> Finding:
    ...     return Finding("Grass is green", HOLDS if colour == "green" else FAILS, f"It is {colour}.")
    >>> grass("red").where, STATED.pop("grass")
    ('section 9', 'section 9')
    """

    def mark(judge: Callable[P, Finding]) -> Callable[P, Finding]:
        @wraps(judge)
        def judged(*args: P.args, **kwargs: P.kwargs) -> Finding:
            return replace(judge(*args, **kwargs), where=where, judge=judge.__name__)

        STATED[judge.__name__] = where
        return judged

    return mark


#: what is counted of single genes, and of signatures
Column = Literal["flipped", "signature"]
COLUMNS: tuple[Column, Column] = ("flipped", "signature")


def totals(frame: pd.DataFrame, column: Column, classifier: str) -> dict[str, int] | None:
    """Return the sum over clusters by modification; None unless every attack of that kind came to its end."""
    attack = "SingleGene" if column == "flipped" else "MaxChange"
    part = frame[(frame["classifier"] == classifier) & (frame["attack"] == attack)]
    if part.empty or column not in part or part[column].isna().any() or not part["complete"].all():
        return None
    return {str(name): int(n) for name, n in part.groupby("modification", sort=False)[column].sum().items()}


@stated("section 3.3.1")
def most_vulnerable(frame: pd.DataFrame) -> Finding:
    """Judge whether scType is the most vulnerable: by single genes at values that real cells have."""
    claim = "scType is the most vulnerable of the classifiers to single genes at values that real cells have"
    found = {name: totals(frame, "flipped", name) for name in frame["classifier"].unique()}
    sums = {
        name: sum(numbers[m] for m in MEDIUM)
        for name, numbers in found.items()
        if numbers is not None and set(MEDIUM) <= set(numbers)
    }
    if "scType" not in sums or len(sums) < 2:
        return Finding(claim, OPEN, _missing(["scType", "another classifier"]))
    most_elsewhere = max(n for name, n in sums.items() if name != "scType")
    listed = ", ".join(f"{name} {n:,}" for name, n in sorted(sums.items(), key=lambda item: -item[1]))
    return Finding(claim, HOLDS if sums["scType"] > most_elsewhere else FAILS, f"Genes that flip a cluster: {listed}.")


@stated("section 3.3.1")
def forest_immune(frame: pd.DataFrame) -> Finding:
    """Judge whether no single gene flips any cluster of scRF, whatever the modification."""
    claim = "scRF is immune to single-gene attacks"
    numbers = totals(frame, "flipped", "scRF")
    if numbers is None:
        return Finding(claim, OPEN, _missing(["scRF"]))
    part = frame[(frame["classifier"] == "scRF") & (frame["attack"] == "SingleGene")]
    tested = int(part["tested"].sum())
    flips = sum(numbers.values())
    return Finding(claim, HOLDS if not flips else FAILS, f"{flips:,} of {tested:,} single-gene attacks flip a cluster.")


@stated("section 3.3.1")
def mlp_threshold(frame: pd.DataFrame) -> Finding:
    """Judge whether scMLP withstands every single gene up to medium changes, and almost none beyond."""
    claim = "scMLP is immune to single genes at values that real cells have, and helpless against aberrant values"
    numbers = totals(frame, "flipped", "scMLP")
    if numbers is None or not set(MEDIUM + ABERRANT) <= set(numbers):
        return Finding(claim, OPEN, _missing(["scMLP"]))
    part = frame[(frame["classifier"] == "scMLP") & (frame["attack"] == "SingleGene")]
    tested = int(part[part["modification"].isin(ABERRANT)]["tested"].sum())
    medium, aberrant = (sum(numbers[m] for m in names) for names in (MEDIUM, ABERRANT))
    share = aberrant / max(tested, 1)
    verdict: Verdict = HOLDS if medium == 0 and share > 0.5 else FAILS
    return Finding(
        claim,
        verdict,
        f"Values of real cells: {medium:,} flips. Aberrant ones: {aberrant:,} in {tested:,} attacks ({share:.0%}).",
    )


@stated("section 3.2")
def order_of_impact(frame: pd.DataFrame, column: Literal["flipped", "signature"]) -> Finding:
    """Judge whether the modifications harm scType in the published order; equal numbers are in any order."""
    measured = "single genes that flip" if column == "flipped" else "genes of the signature"
    claim = f"Impact of the modifications on scType, by {measured}: {' < '.join(ORDER)}"
    numbers = totals(frame, column, "scType")
    if numbers is None or not set(ORDER) <= set(numbers):
        return Finding(claim, OPEN, _missing(["scType"]))
    in_order = [numbers[name] for name in ORDER]
    if not any(in_order):
        return Finding(claim, OPEN, "Nothing flips, so there is no order.")
    listed = ", ".join(f"{name} {numbers[name]:,}" for name in sorted(ORDER, key=lambda name: numbers[name]))
    return Finding(claim, HOLDS if in_order == sorted(in_order) else FAILS, f"Here: {listed}.")


@stated("section 3.3.1, Fig. 2C")
def plateau(frame: pd.DataFrame, classifier: str) -> Finding:
    """Judge whether values beyond those of real cells add nothing: aberrant ones act like the 1st and 99th percentile.

    A forest compares with thresholds and CHETAH with ranks, so beyond the last threshold or rank nothing changes.
    """
    claim = f"{classifier} reaches a plateau: aberrant values do about as much as the extreme percentiles"
    numbers_text, alike = [], True
    for column, measured in zip(COLUMNS, ("flips", "signature"), strict=True):
        numbers = totals(frame, column, classifier)
        for usual, beyond in (("perc99", "positive_aberrant"), ("perc1", "negative_aberrant")):
            if numbers is None or not {usual, beyond} <= set(numbers):
                return Finding(claim, OPEN, _missing([classifier]))
            low, high = sorted((numbers[usual], numbers[beyond]))
            alike &= high <= ALIKE * max(low, 1)
            numbers_text.append(f"{measured} {numbers[usual]:,} ({usual}) and {numbers[beyond]:,} ({beyond})")
    return Finding(claim, HOLDS if alike else FAILS, f"Over all clusters: {'; '.join(numbers_text)}.")


@stated("section 3.3.3, Fig. 4A")
def tested_per_modified(tested: dict[str, int], modified: dict[str, int], switched: dict[str, bool]) -> Finding:
    """Judge the paper's Fig. 4A: the marker-based classifiers test several genes for each they modify, the others few.

    Parameters
    ----------
    tested, modified, switched
        Genes of a cluster gradient descent by classifier, and whether it reached another label.
    """
    claim = "CGD tests the most genes per modified gene on scType, then scAnnotatR, then scRF, and the fewest on scMLP"
    order = ["scType", "scAnnotatR", "scRF", "scMLP"]
    ratios = {name: tested[name] / modified[name] for name in order if modified.get(name) and switched.get(name)}
    listed = ", ".join(f"{name} {tested[name]:,}/{modified[name]:,} = {ratio:.1f}" for name, ratio in ratios.items())
    if len(ratios) < len(order):
        absent = [name for name in order if name not in ratios]
        return Finding(claim, OPEN, f"No switch on {', '.join(absent)}. {f'Here: {listed}.' if listed else ''}".strip())
    values = list(ratios.values())
    return Finding(claim, HOLDS if values == sorted(values, reverse=True) else FAILS, f"Here: {listed}.")


@stated("section 3.3.3, Fig. 4B")
def alpha_alone(switched: dict[str, dict[float, bool]], breakable: dict[str, bool], steps: str) -> Finding:
    """Judge the paper's Fig. 4B: with epsilon = 0 no alpha makes CGD succeed on scMLP or scRF.

    Parameters
    ----------
    switched
        Classifier -> alpha -> whether the label switched, with epsilon = 0.
    breakable
        Classifier -> whether it switched with any setting: where it never does, alpha alone proves nothing.
    steps
        How the genes were moved, for the statement.
    """
    claim = f"alpha alone (epsilon = 0) does not break scMLP and scRF, {steps}"
    names = ["scMLP", "scRF"]
    if any(not switched.get(name) for name in names):
        return Finding(claim, OPEN, _missing(names))
    broken = {name: [alpha for alpha, done in sorted(switched[name].items()) if done] for name in names}
    said = [
        f"{name}: {f'switches from alpha = {broken[name][0]:g} on' if broken[name] else 'no switch'}, "
        f"{len(switched[name])} values up to {max(switched[name]):g}"
        for name in names
    ]
    solid = [name for name in names if not breakable.get(name) and not broken[name]]
    if any(broken.values()) or not solid:
        return Finding(claim, FAILS if any(broken.values()) else HOLDS, "; ".join(said) + ".")
    return Finding(claim, OPEN, f"No setting breaks {' and '.join(solid)}. {'; '.join(said)}.")


@stated("section 3.3.2, Fig. 3D-E")
def fewer_when_stronger(modified: dict[float, int | None], classifier: str) -> Finding:
    """Judge the paper's Fig. 3D: larger steps need fewer genes. None stands for a step that did not succeed."""
    claim = f"The larger alpha = epsilon, the fewer genes CGD modifies on {classifier}"
    done = {step: n for step, n in sorted(modified.items()) if n is not None}
    if len(done) < 2:
        return Finding(claim, OPEN, f"The label switches at {len(done)} of {len(modified)} steps.")
    steps = list(done)
    first, last = done[steps[0]], done[steps[-1]]
    said = f"{first:,} genes at {steps[0]:g}, {last:,} at {steps[-1]:g}."
    return Finding(claim, HOLDS if last < first else FAILS, said)


@stated("section 3.2")
def correlated(rho: float) -> Finding:
    """Judge whether clusters and modifications with many flipping genes have long signatures (section 3.2)."""
    claim = "The length of the signature and the number of single flipping genes go together (published rho 0.66)"
    if pd.isna(rho):
        return Finding(claim, OPEN, "One of them does not vary.")
    return Finding(claim, HOLDS if rho > 0.5 else FAILS, f"Spearman's rho here: {rho:.2f}.")


def _missing(names: list[str]) -> str:
    return f"It needs complete results of {' and '.join(names)}."


@stated("section 3.2")
def every_published(attacked: pd.DataFrame) -> Finding:
    """Judge whether every published single-gene attack is found here, with the same new label.

    Parameters
    ----------
    attacked
        One row per gene, with its ``status``: see :func:`adverscarial.reproduce.sctype.single_genes`.
    """
    claim = "Every published single-gene attack is found, with the same new label"
    judged = attacked[attacked["status"] != ""]
    if judged.empty:
        return Finding(claim, OPEN, "Nothing was published of these clusters.")
    n = judged["status"].value_counts()
    same, missed = int(n.get("published", 0)), int(n.get(MISSED, 0))
    absent = int(n.get("not found here", 0))
    other = len(judged) - same - missed - absent
    return Finding(
        claim,
        HOLDS if same and not absent + other else FAILS,
        f"{same:,} of {same + other + absent:,} published attacks come out, {other:,} with another label, {absent:,} "
        f"not; {missed:,} more are found that the published search missed.",
    )


@stated("section 3.2")
def no_fewer(counts: pd.DataFrame) -> Finding:
    """Judge whether testing every gene finds at least as many in each cluster as were published."""
    claim = "No cluster and modification has fewer flipping genes than published"
    here, there = counts["single_genes"], counts["published_single_genes"]
    fewer, more = int((here < there).sum()), int((here > there).sum())
    said = f"{here.sum():,} here, {there.sum():,} published; more in {more}, fewer in {fewer} of {len(counts)} cases."
    return Finding(claim, FAILS if fewer else HOLDS, said)


@stated("section 3.2")
def no_longer(counts: pd.DataFrame) -> Finding:
    """Judge whether no signature is longer than published: ours are maximal, those were not."""
    claim = "No signature is longer than published"
    here, there = counts["signature"], counts["published_signature"]
    longer, shorter = int((here > there).sum()), int((here < there).sum())
    totals_text = f"{here.sum():,} genes here, {there.sum():,} published"
    said = f"{totals_text}; shorter in {shorter}, longer in {longer} of {len(counts)} cases."
    return Finding(claim, FAILS if longer else HOLDS, said)
