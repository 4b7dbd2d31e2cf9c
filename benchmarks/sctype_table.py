"""The published scType table of PBMC3k (8 clusters x 5 modifications), every gene tested, and the memory it takes."""

from __future__ import annotations

import resource
import sys

import pandas as pd

import adverscarial as adv
from common import data_folder, median_seconds, pbmc3k, save, show, wall

MODIFICATIONS = ("perc1", "perc99", "decile+5:reference", "positive_aberrant:reference", "negative_aberrant:reference")


def main() -> None:
    shared = data_folder().parent
    cells = pbmc3k(labelled=False).copy()
    clusters = pd.read_csv(shared / "golden" / "paper_sctype" / "pbmc3k_clusters.csv", index_col=0)
    cells.obs["cluster"] = clusters.loc[cells.obs_names, "sctype_label"].astype(str).to_numpy()
    model = adv.classifiers.ScType(shared / "data" / "sctype_db.tsv", tissue="Immune system")
    single = [adv.attacks.SingleGene(name) for name in MODIFICATIONS]
    several = [adv.attacks.MaxChange(name) for name in MODIFICATIONS]
    found = {}

    def run(attacks: list[adv.attacks.Attack], n_jobs: int) -> None:
        found["survey"] = adv.survey(cells, model, attacks=attacks, groupby="cluster", n_jobs=n_jobs, progress=False)

    rows = []
    for what, attacks, column in (
        ("single genes", single, "flipped"),
        ("signatures, 10 restarts", several, "signature"),
    ):
        for n_jobs in (1, 2):
            seconds = median_seconds(lambda attacks=attacks, n_jobs=n_jobs: run(attacks, n_jobs), clock=wall)
            frame = found["survey"].to_frame()
            totals = frame.groupby("modification", sort=False)[column].sum().tolist()
            rows.append({"what": what, "processes": n_jobs, "totals": totals, "seconds": f"{seconds:.2f}"})
    unit = 2**10 if sys.platform != "darwin" else 1
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**30
    rows.append({"what": "peak memory of all of this, GiB", "processes": 1, "totals": "", "seconds": f"{peak:.2f}"})
    print(show(rows))
    save("sctype_table", rows)


if __name__ == "__main__":
    main()
