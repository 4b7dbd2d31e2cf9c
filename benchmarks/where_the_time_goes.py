"""Where the time of one exact single-gene scan goes, stage by stage: what bounds the ratios of single_gene.py."""

from __future__ import annotations

import numpy as np

import adverscarial as adv
from adverscarial.cells.cluster import Cluster
from common import four_models, halves, median_seconds, save, show
from single_gene import MODIFICATION, TARGET


def main() -> None:
    train, test = halves()
    attack = adv.attacks.SingleGene(MODIFICATION)
    rows = []
    for name, model in four_models(train).items():
        cluster = Cluster(test, "cell_type", TARGET)
        scorer = model.scorer(cluster)
        genes = np.arange(test.n_vars)
        genes = genes[scorer.reads(genes)]
        values = MODIFICATION.values(cluster, genes).astype(cluster.X.dtype)
        stages = {
            "cluster's rows, checked": median_seconds(lambda: Cluster(test, "cell_type", TARGET)),
            "scorer": median_seconds(lambda model=model, cluster=cluster: model.scorer(cluster)),
            "new values": median_seconds(
                lambda genes=genes: MODIFICATION.values(Cluster(test, "cell_type", TARGET), genes)
            ),
            "all queries": median_seconds(lambda s=scorer, g=genes, v=values: s.each(g, v)),
            "whole attack": median_seconds(lambda model=model: attack(test, model, groupby="cell_type", target=TARGET)),
        }
        stages["new values"] -= stages["cluster's rows, checked"]
        filled = {"family": name, **{stage: f"{1000 * max(s, 0):.1f} ms" for stage, s in stages.items()}}
        rows.append(filled)
    print(show(rows))
    save("where_the_time_goes", rows)


if __name__ == "__main__":
    main()
