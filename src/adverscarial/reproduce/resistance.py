"""More of the paper's findings: which clusters and classifiers withstand an attack, and up to which strength.

As in :mod:`adverscarial.reproduce.findings`, each is a small function from numbers to a verdict with its sentence.
"""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from adverscarial.reproduce.findings import FAILS, HOLDS, MEDIUM, OPEN, Finding, stated

#: scType's cluster that the paper calls the most resistant
PLATELETS = "Platelets"
#: modification -> mean of the flipping genes over the eight clusters of section 3.2, smallest and largest
MEANS = {
    "perc1": (1.0, 0, 5),
    "perc99": (11.9, 0, 40),
    "positive_aberrant": (151.0, 144, 158),
    "negative_aberrant": (30.8, 26, 34),
}
#: a mean agrees with a published one if they differ by at most this share, or by half a gene
_SHARE, _GENES = 0.1, 0.5

#: classifier -> strength of a gradient descent -> whether the label switched
Switched = Mapping[str, Mapping[float, bool]]


@stated("section 3.2")
def most_resistant(counts: pd.DataFrame) -> Finding:
    """Judge whether platelets have the fewest flipping genes, at values that real cells have (section 3.2).

    Parameters
    ----------
    counts
        One row per cluster and modification, with ``single_genes``: see :func:`adverscarial.reproduce.sctype.count`.
    """
    claim = "Platelets are the most resistant cluster to single genes at values that real cells have"
    part = counts[counts["modification"].isin(MEDIUM)].dropna(subset=["single_genes"])
    sums = part.groupby("cluster")["single_genes"].sum().sort_values(kind="stable")
    if PLATELETS not in sums.index or len(sums) < 2:
        return Finding(claim, OPEN, f"It needs the cluster '{PLATELETS}' and another one.")
    listed = ", ".join(f"{name} {int(n):,}" for name, n in sums.items())
    fewest = int(sums.drop(PLATELETS).min())
    return Finding(claim, HOLDS if int(sums[PLATELETS]) < fewest else FAILS, f"Genes that flip a cluster: {listed}.")


@stated("section 3.2")
def means_as_published(counts: pd.DataFrame, same_data: bool) -> Finding:
    """Judge whether the mean number of flipping genes per cluster is the published one, by modification (section 3.2).

    Parameters
    ----------
    counts
        As for :func:`most_resistant`.
    same_data
        Whether these are the eight clusters of the paper.
    """
    claim = "Clusters have as many flipping genes on average as published, for each modification"
    if not same_data:
        return Finding(claim, OPEN, "The published means are of eight clusters of PBMC3k, and these are others.")
    parts, alike = [], True
    for modification, (mean, low, high) in MEANS.items():
        numbers = counts.loc[counts["modification"] == modification, "single_genes"].dropna().astype(int)
        if numbers.empty:
            return Finding(claim, OPEN, f"It needs complete results of {modification}.")
        alike &= abs(numbers.mean() - mean) <= max(_SHARE * mean, _GENES)
        here = f"{numbers.mean():.1f} ({numbers.min()} to {numbers.max()})"
        parts.append(f"{modification} {here}, published {mean:g} ({low} to {high})")
    return Finding(claim, HOLDS if alike else FAILS, f"Mean and range: {'; '.join(parts)}.")


@stated("section 3.3.2")
def empty_signature(frame: pd.DataFrame) -> Finding:
    """Judge by a survey's table whether each classifier has a cluster that no gene defends: a signature of length 0."""
    claim = "For every classifier there are a cluster and a modification whose signature is empty"
    part = frame[frame["attack"] == "MaxChange"]
    if part.empty or "signature" not in part or part["signature"].isna().any():
        return Finding(claim, OPEN, "It needs complete results of MaxChange for every classifier.")
    empty = part.assign(empty=part["signature"] == 0).groupby("classifier", sort=False)["empty"].sum()
    listed = ", ".join(f"{name} {int(n):,}" for name, n in empty.items())
    return Finding(claim, HOLDS if (empty > 0).all() else FAILS, f"Empty signatures of {len(part):,}: {listed}.")


@stated("section 3.3.3, Fig. 4B")
def epsilon_alone(switched: Switched) -> Finding:
    """Judge the paper's Fig. 4B: with alpha = 0 some epsilon makes CGD succeed on every classifier.

    Parameters
    ----------
    switched
        Classifier -> epsilon -> whether the label switched, with alpha = 0.
    """
    claim = "epsilon alone (alpha = 0) breaks every classifier"
    if not switched or not all(switched.values()):
        return Finding(claim, OPEN, "It needs a sweep of epsilon on each classifier.")
    broken = {name: [at for at, done in sorted(of.items()) if done] for name, of in switched.items()}
    parts = [f"{name} {f'from {found[0]:g} on' if found else 'not'}" for name, found in broken.items()]
    return Finding(claim, HOLDS if all(broken.values()) else FAILS, f"The label switches: {', '.join(parts)}.")


@stated("section 3.3.3, Fig. 4B")
def fails_past_a_threshold(switched: Switched) -> Finding:
    """Judge whether each classifier has a strength at which CGD succeeds, and from which on it always does.

    Parameters
    ----------
    switched
        Classifier -> alpha = epsilon -> whether the label switched.
    """
    claim = "Every classifier fails once alpha = epsilon is past a threshold"
    if not switched or not all(switched.values()):
        return Finding(claim, OPEN, "It needs a sweep of alpha = epsilon on each classifier.")
    thresholds, parts = [], []
    for name, of in switched.items():
        held = [at for at, done in sorted(of.items()) if not done]
        past = [at for at in sorted(of) if not held or at > held[-1]]
        thresholds.append(bool(past))
        parts.append(f"{name} {f'from {past[0]:g} on' if past else f'holds at {held[-1]:g}'}")
    return Finding(claim, HOLDS if all(thresholds) else FAILS, f"It always switches: {', '.join(parts)}.")
