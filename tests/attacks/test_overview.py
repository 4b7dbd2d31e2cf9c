from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

import adverscarial as adv
import golden_classifiers as golden
from adverscarial.attacks import MaxChange, SingleGene, overview
from adverscarial.attacks.max_change import reference_union
from adverscarial.cells.cluster import Cluster
from adverscarial.errors import ParameterError

MODIFICATIONS = {"std": ("perc1", "perc99"), "fixed10,fixed0": ("fixed:10", "fixed:0")}


def tables(shared, kind):
    """Yield the R package's tables: title, data, classifier, modifications, sizes, rows, counts by column."""
    found = json.loads((shared / "golden" / "h_overviews.json").read_text())["tables"]
    for title, table in found.items():
        if not title.startswith(kind) or "constant" in title:
            continue
        words = title.split()
        adata, model = golden.setting(shared, "MClassifier" if "MClassifier" in words else f"{words[2]}_sim")
        if "MClassifier" in words:  # three of its clusters were given, and percentiles are over those alone
            adata = adata[adata.obs["cluster"].isin(table["rows"])].copy()
        modifications = next((how for key, how in MODIFICATIONS.items() if key in words), ("perc99",))
        given = {
            "bins": 12,
            "max_split_size": int(words[words.index("maxSplitSize") + 1]),
        }  # inferred: of 1 to 15, only 12 fits all
        if "firstDichot" in words:
            given["bins"] = int(words[words.index("firstDichot") + 1])
        yield title, adata, model, modifications, given, table["rows"], list(table["columns"].values())


@pytest.mark.slow
def test_single_gene_overview_counts_what_r_counts(shared):
    seen = []
    for title, adata, model, modifications, sizes, rows, columns in tables(shared, "single"):
        for attack, counts in zip(overview(modifications, **sizes)[::2], columns, strict=True):
            for target, count in zip(rows, counts, strict=True):
                halved = replace(attack, reference=True)  # each bin before its first test, as R does
                result = halved(adata, model, groupby="cluster", target=target)
                in_groups = sum(map(len, result.groups))
                assert len(result.groups) + len(result.genes) - in_groups == count, (title, target, attack)
                seen.append(count)
    assert len(seen) == 66
    assert len(set(seen)) > 5


def test_max_change_overview_counts_what_r_counts(shared):
    """With the R code's coin flips, which run on from cluster to cluster and from modification to modification."""
    flips = json.loads((shared / "golden" / "d_max_change.json").read_text())["flips"]["3"]
    seen = []
    for title, adata, model, modifications, sizes, rows, columns in tables(shared, "max"):
        if " std " in title:  # where R counts the parts of its answer, not the genes
            continue
        coin = map("1".__eq__, flips)
        for attack, counts in zip(overview(modifications, **sizes)[1::2], columns, strict=True):
            for target, count in zip(rows, counts, strict=True):
                assert kept_by_r(adata, model, target, attack, coin.__next__) == count, (title, target, attack)
                seen.append(count)
    assert len(seen) == 24
    assert 0 in seen


def kept_by_r(adata, model, target, attack, flip):
    cluster = Cluster(adata, "cluster", target)
    scorer, kept = model.scorer(cluster), []

    def holds(genes):
        answer = scorer.together(genes, attack.modification.values(cluster, genes))
        return answer.label == scorer.baseline.label

    def add(genes):
        if kept and not holds(np.concatenate([*kept, genes])):
            return False
        kept.append(genes)
        return True

    reference_union(np.arange(adata.n_vars), holds, add, flip, attack.max_split_size)
    return sum(map(len, kept))


def test_a_cluster_that_nothing_moves_costs_one_query_per_bin(pbmc_small):
    model = adv.classifiers.wrap(lambda X: np.repeat("same", len(X)))
    single, most = overview("perc1")
    assert (type(single), type(most)) == (SingleGene, MaxChange)
    where = {"groupby": "cell_type", "target": "Dendritic"}
    # with the unmodified cluster at the start, at the end and beside other cells, and a flip again if there was one
    assert single(pbmc_small, model, **where).queries == 20 + 3
    assert most(pbmc_small, model, **where).queries == 1 + 4


def test_impossible_sizes_are_refused():
    with pytest.raises(ParameterError, match="bins must be"):
        overview(bins=0)
    with pytest.raises(ParameterError, match="max_split_size must be"):
        overview(max_split_size=0)
