"""What a guard stops and what it costs, on held-out halves of four data sets.

``python benchmarks/guard.py [DATA ...]`` writes a table for each data set to ``docs/results/guard``; the README there
is made of all that are there.
"""

from __future__ import annotations

import sys
from pathlib import Path

import anndata
import pandas as pd

import adverscarial as adv
from common import QUICK, clock, data_folder

OUT = Path(__file__).parents[1] / "docs" / "results" / "guard"
#: data set, and whether it holds counts (else log-normalised values); all are z-scored
DATA = {"pbmc3k": True, "pbmc_ifnb": True, "breast_tumour_immune_lognorm": False, "skin_joost": True}
#: technical changes, each strong enough to take some labels; of data without counts none is made
CHANGES = {"depth": 0.9, "dropout": 0.8, "ambient": 0.5, "doublets": 1.0, "missing-genes": 0.8, "swapping": 0.5}
CHANGES |= {"dissociation": 4.0}
GENES = 100  # that the gradient descent may move
_TEXT = """# What a guard stops

Written by `python benchmarks/guard.py`. Each data set is cut into halves; scMLP is trained on the first, z-scored, and
a guard learns from the same cells (margin 1). The second half is attacked, every cluster and every gene, without the
guard and with it.

- *flips*: genes that flip their cluster alone, over all clusters; of CGD (alpha = epsilon = 1, the first 100 ranked
  genes), clusters. *guarded*: the same with the guard; *refused*, *unknown*: changes that it refuses, or answers so.
- *detected*: share of the attacked cells told from real ones by how far they lie beyond what was learnt, at a threshold
  that calls 1% of the real held-out cells strange; *far*: the same by the local outlier factor (20 neighbours). They
  do not depend on the action.
- *accuracy*: balanced, on the cells as they are, without and with the guard; *impossible*: the share of these cells
  that the guard finds impossible.
- *time*: of asking about every gene of the largest cluster, as a multiple of the time without.
- *depth*, *dropout*, *ambient*, ...: technical changes of all cells of a cluster, with their strength, as
  `adv.stress` makes them; *flips* and *refused* are clusters then, and *detected* is of all changed cells. Of
  data without counts there are none.
- *knows the guard*: each gene is set to the largest, or smallest, value that the guard lets pass.

"""


def cells_of(name: str, counts: bool) -> anndata.AnnData:
    """Return labelled cells, z-scored."""
    adata = anndata.read_h5ad(data_folder() / f"{name}.h5ad")
    known = adata.obs["cell_type"].notna() & (adata.obs["cell_type"] != "UNDETERMINED")
    return adv.datasets.preprocess(adata[known.to_numpy()].copy(), **({} if counts else {"target_sum": None}))


def cost(model: adv.classifiers.Classifier, test: anndata.AnnData, target: str) -> float:
    """Return the processor time of asking about every gene of one cluster."""
    start = clock()
    adv.attacks.SingleGene("perc99")(test, model, groupby="cell_type", target=target, progress=False)
    return clock() - start


def table(name: str) -> pd.DataFrame:
    """Return the table of one data set."""
    train, test = adv.datasets.split(cells_of(name, DATA[name]), "cell_type", seed=0)
    genes = list(adv.rank_genes(train, "cell_type")[:GENES])
    if QUICK:
        train, test = train[:, genes].copy(), test[:, genes].copy()
    aberrant = {name: adv.attacks.SingleGene(name) for name in ("positive_aberrant", "negative_aberrant")}
    more = {
        "perc99": adv.attacks.SingleGene("perc99"),
        "CGD": adv.attacks.ClusterGradientDescent(1, 1, genes=genes),
    }
    epochs = {"epochs": 2} if QUICK else {}
    model = adv.classifiers.MLP(seed=0, progress=False, device="cpu", **epochs).fit(train, "cell_type")
    largest = str(test.obs["cell_type"].astype(str).mode()[0])
    parts = []
    for action, attacks in (("refuse", aberrant | more), ("clip", aberrant), ("unsure", aberrant)):
        guard = adv.classifiers.Guard(model, action).fit(train)
        refuses = action == "refuse"  # what an attacker who knows it reaches, and what is detected, is the same for all
        found = adv.evaluation.guarding(
            test, guard, groupby="cell_type", attacks=attacks, informed=refuses, train=train if refuses else None,
            changes=CHANGES if DATA[name] else None, progress=False,
        )  # fmt: skip
        found.insert(0, "action", action)
        kept = test[guard.possible(test).to_numpy()].copy()
        found["times"] = cost(guard, kept, largest) / cost(model, kept, largest)
        parts.append(found)
        print(found.drop(columns="accuracy").round(3).to_string(), flush=True)
    return pd.concat(parts, ignore_index=True)


def markdown(found: pd.DataFrame) -> str:
    """Return a table as Markdown."""
    head = ["action", "attack", "flips", "guarded", "refused", "unknown", "detected", "far", "accuracy", "impossible"]
    head += ["time"]
    lines = ["| " + " | ".join(head) + " |", "|" + " --- |" * len(head)]
    for row in found.itertuples(index=False):
        cells = [row.action, row.attack]
        cells += [f"{number:,}" for number in (row.flips, row.flips_guarded, row.rejected, row.unsure)]
        cells += ["" if pd.isna(share) else f"{share:.0%}" for share in (row.detected, row.far)]
        cells += [f"{row.accuracy:.3f} -> {row.accuracy_guarded:.3f}", f"{row.impossible:.1%}", f"{row.times:.2f}"]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> None:
    """Make the tables of the data sets that are named, or of all."""
    wanted = [name for name in sys.argv[1:] if not name.startswith("--")] or list(DATA)
    for name in wanted:
        found = table(name)
        if QUICK:
            continue
        OUT.mkdir(parents=True, exist_ok=True)
        found.to_csv(OUT / f"{name}.csv", index=False)
        there = [data for data in DATA if (OUT / f"{data}.csv").is_file()]
        parts = [f"## {data}\n\n{markdown(pd.read_csv(OUT / f'{data}.csv'))}\n" for data in there]
        (OUT / "README.md").write_text("\n".join([_TEXT, *parts]))


if __name__ == "__main__":
    main()
