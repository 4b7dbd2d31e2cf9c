"""Counts behind log-normalisation: every gene of a cluster, beside the scan of normalised values and plain prediction.

The plain way classifies the cluster again for each gene, in batches; it is timed on some genes, and their time stands
for all. Answers are compared on these genes.
"""

from __future__ import annotations

from functools import partial

import numpy as np
from sklearn.linear_model import LogisticRegression

import adverscarial as adv
from adverscarial.cells.cluster import Cluster
from adverscarial.classifiers.base import Classifier
from adverscarial.classifiers.scorers.general import GeneralScorer
from common import QUICK, clock, data_folder, median_seconds, save, show

TARGET = "B"
PLAIN = 20 if QUICK else 100  # genes that the plain way is timed on
VALUE = 5  # counts that each gene is set to


def main() -> None:
    data_folder()
    cells = adv.datasets.pbmc3k()
    cells = cells[cells.obs["cell_type"] != "UNDETERMINED"].copy()
    train, test = adv.datasets.split(cells, "cell_type", seed=0)
    logs, test_logs = (adv.datasets.preprocess(part, scale=False) for part in (train, test))
    dense = np.asarray(logs.X.toarray())
    names = list(cells.var_names)
    models: dict[str, Classifier] = {
        "markers": adv.classifiers.Markers().fit(logs, "cell_type"),
        "logistic regression": adv.classifiers.wrap(
            LogisticRegression(max_iter=200).fit(dense, logs.obs["cell_type"]), genes=names
        ),
        "scRF": adv.classifiers.RandomForest(seed=0).fit(logs, "cell_type"),
        "scMLP": adv.classifiers.MLP(seed=0, progress=False, device="cpu").fit(logs, "cell_type"),
    }
    rows = []
    every = np.arange(cells.n_vars)
    some = np.random.default_rng(0).choice(every, PLAIN, replace=False)
    for name, model in models.items():
        whole = adv.classifiers.wrap(model, preprocess="log1p")
        cluster, log_cluster = Cluster(test, "cell_type", TARGET), Cluster(test_logs, "cell_type", TARGET)
        inside, quick = model.scorer(log_cluster), whole.scorer(cluster)
        plain = GeneralScorer(whole.bind(cluster.genes), cluster)
        counts, logged = np.full((1, len(every)), VALUE, np.float32), np.full((1, len(every)), 3.0, np.float32)
        start = clock()
        theirs = plain.each(some, counts[:, some])
        plain_seconds = (clock() - start) * len(every) / len(some)
        ours = quick.each(some, counts[:, some])
        assert (ours.label == theirs.label).all(), name
        assert np.array_equal(ours.share, theirs.share), name
        scan = median_seconds(partial(quick.each, every, counts), 1 if QUICK else 3)
        log_scan = median_seconds(partial(inside.each, every, logged), 1 if QUICK else 3)
        rows.append({
            "family": name, "cells": cluster.n_cells, "scan of counts, s": f"{scan:.2f}",
            "scan of logs, s": f"{log_scan:.3f}", "over the logs": f"{scan / log_scan:.0f}",
            "plain, s": f"{plain_seconds:.0f}", "plain over scan": f"{plain_seconds / scan:.0f}",
        })  # fmt: skip
    print(show(rows))
    save("count_scan", rows)


if __name__ == "__main__":
    main()
