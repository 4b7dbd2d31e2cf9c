"""Time of a stress test: five classifiers, nine clusters, eight changes, ten strengths, five draws on PBMC3k.

PBMC3k is one batch, so half of its cells, by chance, are called another: the shift that is measured is noise, and costs
what a real one costs. Wall time on two cores, and the processor time of each classifier alone on one change.
"""

from __future__ import annotations

import sys

import numpy as np

import adverscarial as adv
from adverscarial.stresses.base import kinds
from common import QUICK, clock, halves, save, show, wall
from five_classifiers import classifiers

#: what each classifier reads, where it is not X
LAYERS = {"CHETAH": "counts", "scAnnotatR": "lognorm"}


def main() -> None:
    train, test = halves()
    models = classifiers(train)
    test = test.copy()
    test.obs["batch"] = np.where(np.random.default_rng(0).random(test.n_obs) < 0.5, "a", "b")
    shift = adv.stresses.BatchShift("a", "b", within=False)  # some clusters are too small to measure it in
    changes = [shift if name == shift.name else name for name in kinds()]
    ask = {"groupby": "cell_type", "batch": "batch", "progress": False, "targets": ["DC", "NK"] if QUICK else None}
    rows = []
    for name, model in models.items():
        start = clock()
        adv.stress(test, {name: model}, layer=LAYERS.get(name), changes="ambient", draws=1, **ask)
        rows.append({"what": f"{name}, ambient, 1 draw", "jobs": 1, "seconds of processor": f"{clock() - start:.1f}"})
        rows[-1]["wall, s"] = ""
        print(show(rows[-1:]), flush=True)
    start = wall()
    found = adv.stress(test, models, layer=LAYERS, changes=changes, n_jobs=2, draws=1 if QUICK else 5, **ask)
    table = found.to_frame()
    assert not found.errors, found.errors
    assert len(table) == 8 * 5 * (2 if QUICK else 9) * 11
    rows.append({
        "what": "all: 5 classifiers x 9 clusters x 8 changes x 10 strengths x 5 draws", "jobs": 2,
        "seconds of processor": "", "wall, s": f"{wall() - start:.0f}",
    })  # fmt: skip
    print(show(rows))
    save("stress", rows)


if __name__ == "__main__":
    sys.exit(main())
