"""The paper's five classifiers on PBMC3k: accuracy on held-out cells, and the exact survey of all single genes."""

from __future__ import annotations

import anndata
import pandas as pd

import adverscarial as adv
from common import clock, data_folder, halves, save, show
from single_gene import counted

MODIFICATIONS = ("perc1", "perc99", "decile+5", "positive_aberrant", "negative_aberrant")

#: scType's names of the immune tissue for the nine types of PBMC3k
SCTYPE_NAMES = {
    "Naive CD4 T": ("Naive CD4+ T cells",),
    "Memory CD4 T": ("Memory CD4+ T cells", "Effector CD4+ T cells", "CD4+ NKT-like cells"),
    "CD8 T": ("Naive CD8+ T cells", "Memory CD8+ T cells", "Effector CD8+ T cells", "CD8+ NKT-like cells"),
    "B": ("Naive B cells", "Memory B cells", "Pre-B cells", "Pro-B cells", "Plasma B cells"),
    "NK": ("Natural killer  cells",),
    "CD14+ Mono": ("Classical Monocytes", "Intermediate monocytes"),
    "FCGR3A+ Mono": ("Non-classical monocytes",),
    "DC": ("Myeloid Dendritic cells", "Plasmacytoid Dendritic cells"),
    "Platelet": ("Platelets", "Megakaryocyte"),
}


def classifiers(train: anndata.AnnData) -> dict[str, adv.classifiers.Classifier]:
    """Return the five, trained as in the paper; CHETAH on counts."""
    return {
        "scType": adv.classifiers.ScType(data_folder() / "sctype_db.tsv", tissue="Immune system"),
        "CHETAH": adv.classifiers.Chetah().fit(counted(train), "cell_type"),
        "scAnnotatR": adv.classifiers.ScAnnotatR().fit(train, "cell_type", layer="lognorm", markers_layer="X"),
        "scRF": adv.classifiers.RandomForest(seed=0).fit(train, "cell_type"),
        "scMLP": adv.classifiers.MLP(seed=0).fit(train, "cell_type"),
    }


def accuracy(name: str, model: adv.classifiers.Classifier, test: anndata.AnnData) -> dict[str, object]:
    """Return balanced accuracy, the worst types, and what they are taken for."""
    truth = test.obs["cell_type"].astype(str)
    said = model.predict(test, layer="lognorm" if name == "scAnnotatR" else None).astype(str)
    if name == "scType":
        known = {theirs: ours for ours, names in SCTYPE_NAMES.items() for theirs in names}
        said = said.map(lambda label: known.get(label, label))
    right = (said == truth).groupby(truth.to_numpy()).mean().sort_values()
    confused = []
    for cell_type in right.index[:3]:
        wrong = said[(truth == cell_type) & (said != truth)]
        taken = f", mostly for {wrong.value_counts().index[0]}" if len(wrong) else ""
        confused.append(f"{cell_type} {right[cell_type]:.2f}{taken}")
    voted = said.groupby(truth.to_numpy()).agg(lambda labels: labels.value_counts().index[0])
    clusters = int((voted == voted.index).sum())
    return {
        "classifier": name,
        "balanced accuracy": f"{right.mean():.3f}",
        "clusters named right": f"{clusters} of {len(voted)}",
        "hardest types": "; ".join(confused),
    }


def main() -> None:
    train, test = halves()
    models = classifiers(train)
    counts = counted(test)
    cells = {name: counts if name == "CHETAH" else test for name in models}
    rows = [accuracy(name, model, cells[name]) for name, model in models.items()]
    print(show(rows))
    save("accuracy", rows)

    attacks = [adv.attacks.SingleGene(name) for name in MODIFICATIONS]
    rows, total = [], 0.0
    for name, model in models.items():
        start = clock()
        survey = adv.survey(cells[name], {name: model}, attacks=attacks, groupby="cell_type", n_jobs=1, progress=False)
        seconds = clock() - start
        total += seconds
        frame = survey.to_frame()
        assert frame["complete"].all()
        assert (frame["tested"] == 13_714).all()
        flips = frame.groupby("modification", sort=False)["flipped"].sum()
        rows.append({"classifier": name, **{m: f"{flips[m]:,}" for m in MODIFICATIONS}, "seconds": f"{seconds:.1f}"})
    rows.append({"classifier": "all five", **dict.fromkeys(MODIFICATIONS, ""), "seconds": f"{total:.1f}"})
    print(show(rows))
    save("five_classifiers", rows)


if __name__ == "__main__":
    pd.set_option("display.width", 200)
    main()
