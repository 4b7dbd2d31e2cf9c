"""Table 1: one cluster per classifier, each attack, and how long it takes."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from adverscarial._matrix import layer_of
from adverscarial._progress import track
from adverscarial.attacks import (
    Attack,
    ClusterGradientDescent,
    ClusterGradientDescentResult,
    MaxChange,
    MaxChangeResult,
    SingleGene,
)
from adverscarial.attacks.result import Result
from adverscarial.reproduce.descents import ranked
from adverscarial.reproduce.facts import beside, facts
from adverscarial.reproduce.findings import Finding
from adverscarial.reproduce.protocol import Say, Setting, silent
from adverscarial.reproduce.writing import Outcome
from adverscarial.statistics import GeneStatistics

#: the cluster of each classifier in the paper's Table 1, on PBMC3k
CLUSTERS = {"scType": "NK", "scRF": "Memory CD4 T", "CHETAH": "Memory CD4 T", "scAnnotatR": "CD8 T", "scMLP": "CD8 T"}


@dataclass(frozen=True)
class _Row:
    """One attack of the table: on whom, what, and the ids of the paper's numbers for it."""

    classifier: str
    attack: Attack
    fact: str = ""


def rows(names: list[str], genes: list[str], restarts: int) -> list[_Row]:
    """Return the attacks: those of the paper's table with its settings, then the other attacks on each classifier."""
    found = [
        _Row("scType", SingleGene("perc1", search="exact"), "table1.scType"),
        _Row("scRF", as_published("decile+5", 1000), "table1.scRF"),
        _Row("CHETAH", as_published("perc99", 50), "table1.CHETAH"),
        _Row("scAnnotatR", ClusterGradientDescent(0.5, 0.5, genes=genes), "table1.scAnnotatR.0.5"),
        _Row("scMLP", ClusterGradientDescent(0.5, 0.5, genes=genes), "table1.scMLP.0.5"),
        _Row("scMLP", ClusterGradientDescent(10, 10, genes=genes), "table1.scMLP.10"),
    ]
    for name in CLUSTERS:
        found += [_Row(name, SingleGene("perc99", search="exact")), _Row(name, MaxChange("perc99", restarts=restarts))]
        there = {(row.classifier, repr(row.attack)) for row in found}
        steps = [] if name == "CHETAH" else [0.5, 10]  # CHETAH gives labels only, and CGD follows scores
        descents = [ClusterGradientDescent(step, step, genes=genes) for step in steps]
        found += [_Row(name, attack) for attack in descents if (name, repr(attack)) not in there]
    return [row for row in found if row.classifier in names]


def as_published(modification: str, max_split_size: int) -> MaxChange:
    """Return the max-change attack as the published runs made it: not completed to a maximal set."""
    return MaxChange(modification, restarts=1, max_split_size=max_split_size, maximal=False, reference=True)


def table1(
    setting: Setting, *, restarts: int = 1, seed: int = 0, say: Say = silent, progress: bool | None = None
) -> Outcome:
    """Run each attack of the paper's Table 1 on its cluster, and time it.

    Parameters
    ----------
    setting
        Cells and classifiers, of :func:`~adverscarial.reproduce.setting`. Where the data have no cluster of the paper's
        name, the largest is attacked.
    restarts
        Random orders of the max-change attacks that are completed to maximal sets.
    seed
        Of the attacks.
    say
        Called with one line per attack.
    progress
        Progress bars; left out, on a terminal only.

    Returns
    -------
    A table with one row per attack, and the paper's numbers and times beside ours.
    """
    genes = ranked(setting, say, progress)
    sizes = setting.test.obs[setting.groupby].astype(str).value_counts()
    statistics = {layer: GeneStatistics(layer_of(setting.test, layer)) for layer in set(setting.layers.values())}
    lines: list[dict[str, object]] = []
    numbers: list[tuple[str, str, object]] = []
    known = facts()["value"]
    attacks = rows(list(setting.models), genes, restarts)
    for row in track(attacks, "Table 1", len(attacks), progress):
        cluster = CLUSTERS[row.classifier] if CLUSTERS[row.classifier] in sizes.index else str(sizes.index[0])
        layer = setting.layers[row.classifier]
        result = row.attack(
            setting.test, setting.models[row.classifier], groupby=setting.groupby, target=cluster, layer=layer,
            seed=seed, statistics=statistics[layer],
        )  # fmt: skip
        what, n = measured(result)
        name = described(row.attack)
        say(f"{row.classifier}, {cluster}, {name}: {n:,} {what} in {result.seconds:.2f} s")
        line = {
            "classifier": row.classifier, "cluster": cluster, "cells": result.n_cells, "attack": name,
            "genes": n, "number of": what, "label": result.baseline, "new_label": result.label,
            "questions": result.queries, "seconds": result.seconds,
        }  # fmt: skip
        if row.fact:
            line |= {"paper_genes": known[f"{row.fact}.found"], "paper_seconds": float(known[f"{row.fact}.seconds"])}
            numbers += [
                (f"{row.classifier}, {cluster}, {name}: {what}", f"{row.fact}.found", n),
                (f"{row.classifier}, {cluster}, {name}: seconds", f"{row.fact}.seconds", result.seconds),
            ]
        lines.append(line)
    table = pd.DataFrame(lines)
    return Outcome(
        title=f"Table 1 on {setting.name}: one cluster per classifier, and the seconds it takes",
        tables={"attacks": table},
        beside=beside(numbers),
        findings=[in_seconds(table)],
        figures={},
        notes=setting.said(),
        shown=["attacks"],
    )


def measured(result: Result) -> tuple[str, int]:
    """Return what is counted of an attack's result, and the count."""
    if isinstance(result, MaxChangeResult):
        return "genes of the signature", len(result.signature)
    if isinstance(result, ClusterGradientDescentResult):
        return "genes modified" if result.success else "genes modified, no switch", len(result.modified_genes)
    return "genes that flip", len(result.genes)


def described(attack: Attack) -> str:
    """Return an attack in a few words."""
    if isinstance(attack, ClusterGradientDescent):
        return f"CGD, alpha = epsilon = {attack.alpha:g}"
    if isinstance(attack, MaxChange):
        settings = "maximal" if attack.maximal else f"as published, groups from {attack.max_split_size:,} genes"
        return f"max-change {attack.modification}, {settings}"
    assert isinstance(attack, SingleGene)
    return f"single genes, {attack.modification}"


def in_seconds(table: pd.DataFrame) -> Finding:
    """Say how the times compare with the paper's: no statement of its own, but what this package claims."""
    pairs = table.dropna(subset=["paper_seconds"]) if "paper_seconds" in table else table.iloc[:0]
    claim = "Each attack of Table 1 takes seconds, where the paper's took minutes to hours"
    if pairs.empty:
        return Finding(claim, "cannot be judged here", "None of its classifiers is there.")
    ours, theirs = pairs["seconds"].sum(), pairs["paper_seconds"].sum()
    slowest = table.loc[table["seconds"].idxmax()]
    return Finding(
        claim,
        "holds" if table["seconds"].max() < 60 else "does not hold",
        f"The paper's {len(pairs)} attacks: {ours:.1f} s here, {theirs / 60:,.0f} minutes there (other computers). "
        f"The slowest: {slowest['classifier']}, {slowest['attack']}, {slowest['seconds']:.1f} s.",
    )
