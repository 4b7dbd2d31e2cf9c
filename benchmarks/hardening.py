"""What hardening brings and costs on PBMC3k: attacks on the held-out half, before and after, for several splits."""

from __future__ import annotations

import sys

import adverscarial as adv
from common import pbmc3k, show

SEEDS = (0, 1, 2)

#: classifier, attack, settings of harden(); PGD is given the same 20 steps before and after
CASES = {
    "scAnnotatR, one gene switched on": (
        adv.classifiers.ScAnnotatR(), adv.attacks.SingleGene("perc99"), {},
    ),
    "scAnnotatR, one gene switched off": (
        adv.classifiers.ScAnnotatR(), adv.attacks.SingleGene("perc1"), {},
    ),
    "scAnnotatR, one gene at an impossible value": (
        adv.classifiers.ScAnnotatR(), adv.attacks.SingleGene("positive_aberrant"), {},
    ),
    "scMLP, PGD 0.05": (
        adv.classifiers.MLP(seed=0), adv.attacks.ProjectedGradientDescent(0.05, steps=20),
        {"method": "pgd", "epsilon": 0.1, "rounds": 1},
    ),
}  # fmt: skip


def row(case: str, seed: int) -> dict[str, object]:
    """Return one hardening: first row of its table against the last."""
    classifier, attack, settings = CASES[case]
    train, test = adv.datasets.split(pbmc3k(), "cell_type", seed=seed)
    done = adv.harden(classifier, train, attack, groupby="cell_type", test=test, progress=False, **settings)
    first, last = done.table.iloc[0], done.table.iloc[-1]
    assert done.before is not done.classifier

    def change(column: str, form: str) -> str:
        return "" if first.isna()[column] else f"{first[column]:{form}} -> {last[column]:{form}}"

    return {
        "case": case,
        "split": seed,
        "rounds": int(last["round"]),
        "clusters flipped": change("flipped", ".0f") + f" of {int(last['clusters'])}",
        "flipping genes": change("flipping_genes", ",.0f"),
        "accuracy, attacked": change("attacked_accuracy", ".3f"),
        "accuracy, clean": change("clean_accuracy", ".3f"),
    }


def main() -> None:
    """Print a table as it grows; name cases by a part of their text to run only those."""
    wanted = sys.argv[1:] or [""]
    for case in CASES:
        if any(part in case for part in wanted):
            print(show([row(case, seed) for seed in SEEDS]), flush=True)


if __name__ == "__main__":
    main()
