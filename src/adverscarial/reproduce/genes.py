"""Findings about single genes that attacks find: the paper's section 4.

As in :mod:`adverscarial.reproduce.findings`, each is a small function from numbers to a verdict with its sentence.
"""

from __future__ import annotations

from typing import NamedTuple

import pandas as pd

from adverscarial.evaluation import Discovery
from adverscarial.reproduce.findings import FAILS, HOLDS, OPEN, Finding, stated


class Example(NamedTuple):
    """A gene that the paper names: whose label it flips, where, and whether the two types express it differently."""

    classifier: str
    cluster: str
    gene: str
    label: str
    against: str = ""  # the other type; "" where the paper gives no p-value
    significant: bool = True


EXAMPLES = (
    Example("scType", "B", "ICAM1", "Endothelial"),
    Example("scAnnotatR", "Naive CD4 T", "RPS27", "Memory CD4 T", "Memory CD4 T", True),
    Example("CHETAH", "Memory CD4 T", "ACTB", "Naive CD4 T", "Naive CD4 T", True),
    Example("scMLP", "CD8 T", "CAMKK2", "FCGR3A+ Mono", "FCGR3A+ Mono", False),
)
_ALPHA = 0.05


@stated("section 4")
def examples_flip(flips: pd.DataFrame, clusters: list[str]) -> Finding:
    """Judge whether the genes that the paper names flip the same labels here.

    Parameters
    ----------
    flips
        One row per flip: ``classifier, cluster, gene, label``.
    clusters
        Of the data.
    """
    claim = "Each gene that the paper names flips its cluster to the published label, by one modification or another"
    if any(one.cluster not in clusters for one in EXAMPLES):
        return Finding(claim, OPEN, f"The examples are of {', '.join(sorted({one.cluster for one in EXAMPLES}))}.")
    parts, come_out = [], []
    for one in EXAMPLES:
        mine = flips[(flips["classifier"] == one.classifier) & (flips["cluster"] == one.cluster)]
        labels = [str(label) for label in mine.loc[mine["gene"] == one.gene, "label"]]
        come_out.append(one.label in [label.replace("_", " ") for label in labels])
        found = "does" if come_out[-1] else f"leads to {', '.join(dict.fromkeys(labels))}" if labels else "does not"
        parts.append(f"{one.gene} of {one.cluster} on {one.classifier} {found}")
    return Finding(claim, HOLDS if all(come_out) else FAILS, f"{'; '.join(parts)}.")


@stated("section 4")
def examples_differ(p_values: dict[tuple[str, str, str], float]) -> Finding:
    """Judge whether the named genes differ between the two types, or not, as the paper says.

    Parameters
    ----------
    p_values
        Adjusted p-value by gene, cluster, and type compared with.
    """
    claim = "Of the named genes two differ between the two types and one does not"
    wanted = [one for one in EXAMPLES if one.against]
    if any((one.gene, one.cluster, one.against) not in p_values for one in wanted):
        return Finding(claim, OPEN, "It needs the paper's clusters and genes.")
    found = [(one, p_values[one.gene, one.cluster, one.against]) for one in wanted]
    same = all((p < _ALPHA) == one.significant for one, p in found)
    listed = ", ".join(f"{one.gene} ({one.cluster} and {one.against}) {p:.2g}" for one, p in found)
    return Finding(claim, HOLDS if same else FAILS, f"Adjusted p-values, Wilcoxon: {listed}.")


@stated("section 4")
def attacks_find_more(found: Discovery) -> Finding:
    """Judge whether attacks single out genes that do not differ between the types in question."""
    claim = "Attacks find genes that decide a label and that differential expression does not find"
    table = found.summary()
    if table.empty:
        return Finding(claim, OPEN, "No attack singled out a gene.")
    kinds = table.groupby("attack", sort=False)[["genes", "missed"]].sum()
    listed = ", ".join(f"{kind} {int(n.missed):,} of {int(n.genes):,}" for kind, n in kinds.iterrows())
    missed = int(table["missed"].sum())
    return Finding(claim, HOLDS if missed else FAILS, f"Missed by statistics (adjusted p at least 5%): {listed}.")
