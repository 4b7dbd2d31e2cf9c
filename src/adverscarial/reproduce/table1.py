"""Table 1: one cluster per classifier, each attack, and how long it takes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Unpack

import pandas as pd

from adverscarial._docs import documented
from adverscarial._progress import track
from adverscarial.attacks import (
    Attack,
    ClusterGradientDescent,
    MaxChange,
    SingleGene,
)
from adverscarial.attacks.result import Result
from adverscarial.cells.matrix import layer_of
from adverscarial.cells.statistics import GeneStatistics
from adverscarial.reproduce.descents import ranked
from adverscarial.reproduce.facts import beside, facts
from adverscarial.reproduce.findings import FAILS, HOLDS, OPEN, Finding, stated
from adverscarial.reproduce.protocol import Executed, Execution, Setting
from adverscarial.reproduce.writing import Outcome

#: the cluster of each classifier in the paper's Table 1, on PBMC3k
_MEMORY, _OF_172 = "Memory CD4 T", "B"
CLUSTERS = {"scType": "NK", "scRF": _MEMORY, "CHETAH": _MEMORY, "scAnnotatR": "CD8 T", "scMLP": "CD8 T"}


#: the column of an attack's row that the table counts, and what it holds
_COUNTED = {"signature": "genes of the signature", "modified": "genes modified", "flipped": "genes that flip"}


@dataclass(frozen=True)
class _Row:
    """One attack of the table: on whom, what, the ids of the paper's numbers for it, and on which cluster."""

    classifier: str
    attack: Attack[Result]
    fact: str = ""
    cluster: str = ""  # another one than that of the paper


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
    found += [replace(row, fact="", cluster=_OF_172) for row in found[1:3]]  # whose 172 cells are they?
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


@documented
def table1(settings: Setting | Sequence[Setting], *, restarts: int = 1, **execution: Unpack[Executed]) -> Outcome:
    """Run each attack of the paper's Table 1 on its cluster, and time it; several data sets stand in one table.

    Parameters
    ----------
    settings
        Cells and classifiers of one data set or several, of :func:`~adverscarial.reproduce.setting`. Where the data
        have no cluster of the paper's name, the largest is attacked.
    restarts
        Random orders of the max-change attacks that are completed to maximal sets.
    %(execution)s

    Returns
    -------
    A table with one row per data set and attack, and the paper's numbers and times beside ours.
    """
    chosen = [settings] if isinstance(settings, Setting) else list(settings)
    lines: list[dict[str, object]] = []
    numbers: list[tuple[str, str, object]] = []
    for setting in chosen:
        mine, beside_it = _attacked(setting, restarts, Execution(**execution))
        lines += mine
        if setting is chosen[0]:  # the paper's numbers stand once
            numbers = beside_it
    table = pd.DataFrame(lines)
    names = ", ".join(one.name for one in chosen)
    notes = [f"{one.name}: {note}" for one in chosen for note in one.all_notes()]
    return Outcome(
        title=f"Table 1 on {names}: one cluster per classifier, and the seconds it takes",
        tables={"attacks": table},
        beside=beside(numbers),
        findings=[in_seconds(table), whose_172(table)],
        figures={},
        notes=notes if len(chosen) > 1 else chosen[0].all_notes(),
        shown=["attacks"],
    )


def _attacked(
    setting: Setting, restarts: int, how: Execution
) -> tuple[list[dict[str, object]], list[tuple[str, str, object]]]:
    """Return the lines of one data set, and its numbers beside which the paper gives one."""
    genes = ranked(setting, how)
    sizes = setting.test.obs[setting.groupby].astype(str).value_counts()
    statistics = {layer: GeneStatistics(layer_of(setting.test, layer)) for layer in set(setting.layers.values())}
    lines: list[dict[str, object]] = []
    numbers: list[tuple[str, str, object]] = []
    attacks = [row for row in rows(list(setting.models), genes, restarts) if row.cluster in ("", *sizes.index)]
    for row in track(attacks, "Table 1", len(attacks), how.progress):
        wanted = row.cluster or CLUSTERS[row.classifier]
        cluster = wanted if wanted in sizes.index else str(sizes.index[0])
        layer = setting.layers[row.classifier]
        result = row.attack(
            setting.test, setting.models[row.classifier], groupby=setting.groupby, target=cluster, layer=layer,
            seed=how.seed, statistics=statistics[layer],
        )  # fmt: skip
        what, n = measured(result)
        name = described(row.attack)
        how.say(f"{row.classifier}, {cluster}, {name}: {n:,} {what} in {result.seconds:.2f} s")
        lines.append({"dataset": setting.name, **_line(row, result)})
        if row.fact:
            numbers += [
                (f"{row.classifier}, {cluster}, {name}: {what}", f"{row.fact}.found", n),
                (f"{row.classifier}, {cluster}, {name}: seconds", f"{row.fact}.seconds", result.seconds),
            ]
    return lines, numbers


def _line(row: _Row, result: Result) -> dict[str, object]:
    """Return one line of the table."""
    what, n = measured(result)
    line = {
        "classifier": row.classifier, "cluster": result.target, "cells": result.n_cells,
        "attack": described(row.attack), "genes": n, "number of": what, "label": result.baseline,
        "new_label": result.label, "queries": result.queries, "seconds": result.seconds,
    }  # fmt: skip
    if row.fact:
        known = facts()["value"]
        line |= {"paper_genes": known[f"{row.fact}.found"], "paper_seconds": float(known[f"{row.fact}.seconds"])}
    return line


def measured(result: Result) -> tuple[str, int]:
    """Return what is counted of an attack's result, and the count."""
    row = result.row()
    column = next(name for name in _COUNTED if name in row)
    no_switch = ", no switch" if column == "modified" and not result.success else ""
    return f"{_COUNTED[column]}{no_switch}", result.number_in(column) or 0


def described(attack: Attack[Result]) -> str:
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


@stated("section 3.4, Table 1")
def whose_172(table: pd.DataFrame) -> Finding:
    """Judge whether Table 1's Memory CD4 T has 172 cells, and signature 0 on scRF."""
    claim = "Table 1: Memory CD4 T has 172 cells, and an empty signature by decile+5 on scRF"
    both = table[table["classifier"].isin(["scRF", "CHETAH"]) & table["attack"].str.contains("as published")]
    found = {(row.classifier, row.cluster): row for row in both.itertuples()}
    pairs = [(name, cluster) for name in ("scRF", "CHETAH") for cluster in (_MEMORY, _OF_172)]
    if any(pair not in found for pair in pairs):
        return Finding(claim, OPEN, f"It needs the clusters {_MEMORY} and {_OF_172}, and both classifiers.")
    memory, other = (found["scRF", cluster] for cluster in (_MEMORY, _OF_172))
    said = ", ".join(f"{name} on {cluster} {found[name, cluster].genes:,}" for name, cluster in pairs)
    return Finding(
        claim,
        HOLDS if memory.cells == 172 and not memory.genes else FAILS,
        f"{_MEMORY} has {memory.cells:,} cells here and {_OF_172} {other.cells:,}. Signatures as published: {said} "
        "(published: 0 on scRF, 941 on CHETAH).",
    )
