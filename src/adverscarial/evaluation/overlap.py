"""How much do sets of genes share, and is it more than chance? Jaccard, and hypergeometric tests under one FDR."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import combinations

import numpy as np
import pandas as pd

_COLUMNS = (
    "across", "attack", "modification", "one", "other", "size_one", "size_other", "shared", "jaccard", "universe",
    "p_value", "q_value",
)  # fmt: skip
#: data set, classifier, cluster
Place = tuple[str, str, str]
_Row = tuple[str, str, str, str, str, int, int, int, float, int]


def overlaps_of(
    table: pd.DataFrame, genes: Mapping[str, pd.Index], sharable: Mapping[tuple[str, str], int]
) -> pd.DataFrame:
    """Return one row per pair of sets that differ in one thing alone: see :func:`adverscarial.evaluation.discover`.

    Parameters
    ----------
    table
        One row per gene: ``dataset, classifier, cluster, attack, modification, gene``.
    genes
        Names of all genes of each data set.
    sharable
        By data set and classifier, how many of them were attacked and may be read by the classifier.
    """
    rows: list[_Row] = []
    for (attack, modification), part in table.groupby(["attack", "modification"], sort=False):
        sets: dict[Place, frozenset[str]] = {
            (str(dataset), str(classifier), str(cluster)): frozenset(group)
            for (dataset, classifier, cluster), group in part.groupby(["dataset", "classifier", "cluster"], sort=False)[
                "gene"
            ]
        }
        for across, one, other, universe, names in _pairs(sets, genes, sharable):
            rows.append((across, str(attack), str(modification), *names, *_shared(one, other), universe))
    found = pd.DataFrame(rows, columns=list(_COLUMNS[:-2]))
    return with_p_values(found)


def with_p_values(table: pd.DataFrame) -> pd.DataFrame:
    """Return the pairs with their p-values, and these adjusted by Benjamini and Hochberg over all pairs.

    Examples
    --------
    >>> pairs = pd.DataFrame({"size_one": [5], "size_other": [5], "shared": [5], "universe": [10]})
    >>> with_p_values(pairs)["p_value"].round(4).to_list()  # one of 252 ways to draw 5 of 10
    [0.004]
    """
    from scipy.stats import false_discovery_control, hypergeom

    sizes = [table[name].to_numpy(dtype=float) for name in ("universe", "size_one", "size_other")]
    p = hypergeom.sf(table["shared"].to_numpy(dtype=float) - 1, *sizes)
    values = np.clip(np.asarray(p, dtype=np.float64), 0, 1)
    return table.assign(p_value=values, q_value=false_discovery_control(values) if len(values) else values)


def _shared(one: frozenset[str], other: frozenset[str]) -> tuple[int, int, int, float]:
    shared = len(one & other)
    return len(one), len(other), shared, shared / max(len(one | other), 1)


def _pairs(
    sets: Mapping[Place, frozenset[str]], genes: Mapping[str, pd.Index], sharable: Mapping[tuple[str, str], int]
) -> Iterator[tuple[str, frozenset[str], frozenset[str], int, tuple[str, str]]]:
    """Yield what two sets differ in, the sets, the genes that they could share, and their names."""
    for (a, one), (b, other) in combinations(sets.items(), 2):
        if a[0] != b[0]:
            continue
        where = f"{a[0]}: " if a[0] else ""
        if a[1] == b[1]:
            universe = sharable[a[0], a[1]]
            names = f"{where}{a[1]}, {a[2]}", f"{where}{b[1]}, {b[2]}"
            yield "clusters", one, other, max(universe, len(one | other)), names
        elif a[2] == b[2]:
            names = f"{where}{a[1]}, {a[2]}", f"{where}{b[1]}, {b[2]}"
            yield "classifiers", one, other, len(genes[a[0]]), names
    unions: dict[tuple[str, str], frozenset[str]] = {}
    for (dataset, classifier, _), chosen in sets.items():
        unions[dataset, classifier] = unions.get((dataset, classifier), frozenset()) | capitals(chosen)
    for (c, one), (d, other) in combinations(unions.items(), 2):
        if c[0] != d[0] and c[1] == d[1]:
            both = capitals(genes[c[0]]) & capitals(genes[d[0]])
            if (one & both) and (other & both):
                yield "datasets", one & both, other & both, len(both), (f"{c[0]}: {c[1]}", f"{d[0]}: {d[1]}")


def capitals(names: frozenset[str] | pd.Index) -> frozenset[str]:
    """Return names in capitals: the same gene has others in mouse and human."""
    return frozenset(str(name).upper() for name in names)
