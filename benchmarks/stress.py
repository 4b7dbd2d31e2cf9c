"""Time of a stress test: five classifiers, nine clusters, eight changes, ten strengths, five draws on PBMC3k.

PBMC3k is one batch, so half of its cells, by chance, are called another: the shift that is measured is noise, and costs
what a real one costs. Wall time on two cores and the processor time in it, and the processor time of each step of one
draw in one process.
"""

from __future__ import annotations

import resource
import sys

import numpy as np
import scipy.sparse as sp
from joblib.externals.loky import get_reusable_executor

import adverscarial as adv
from adverscarial.stresses.asking import Asker
from adverscarial.stresses.base import kinds
from adverscarial.stresses.chance import generator
from adverscarial.stresses.plan import Asked, Part, Plan, make_plan
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
    rows: list[dict[str, object]] = []
    start = clock()
    plan = make_plan(test, models, "cell_type", Asked(changes, None, "batch", ask["targets"], LAYERS, None, 1, 0))
    rows.append(_row("checking data and plan", 1, clock() - start))
    spent = dict.fromkeys(["making the changed cells", "the values they are read as", *models], 0.0)
    for part in plan.parts:
        _measure(plan, part, spent)
    rows += [_row(f"{name}, 1 draw", 1, seconds) for name, seconds in spent.items()]
    print(show(rows), flush=True)
    started, before = wall(), _processor()
    found = adv.stress(test, models, layer=LAYERS, changes=changes, n_jobs=2, draws=1 if QUICK else 5, **ask)
    seconds = wall() - started
    get_reusable_executor().shutdown(wait=True)  # only then does the system tell what the processes took
    table = found.to_frame()
    assert not found.errors, found.errors
    assert len(table) == 8 * 5 * (2 if QUICK else 9) * 11
    what = "all: 5 classifiers x 9 clusters x 8 changes x 10 strengths x 5 draws"
    rows.append({**_row(what, 2, _processor() - before), "wall, s": f"{seconds:.0f}"})
    print(show(rows))
    save("stress", rows)


def _row(what: str, jobs: int, seconds: float) -> dict[str, object]:
    return {"what": what, "jobs": jobs, "seconds of processor": f"{seconds:.1f}", "wall, s": ""}


def _processor() -> float:
    """Return the processor time of this process and of those that it started and that have ended."""
    return clock() + sum(resource.getrusage(resource.RUSAGE_CHILDREN)[:2])


def _measure(plan: Plan, part: Part, spent: dict[str, float]) -> None:
    """Add the processor time of one draw of a part, step by step, as :func:`adverscarial.stress` takes them."""
    change, strengths = part.change, plan.strengths[part.change]
    rows = change.concerned(plan.cells, np.flatnonzero(plan.cells.clusters == part.cluster))
    start = clock()
    changed = [change.apply(plan.cells, rows, s, generator(0, change, part.cluster, 0)) for s in strengths]
    together = sp.csr_array(sp.vstack(changed, format="csr"))
    spent["making the changed cells"] += clock() - start
    start = clock()
    tiled = np.tile(rows, len(strengths))
    read = {layer: reading.read(together, tiled) for layer, reading in plan.readings.items()}
    spent["the values they are read as"] += clock() - start
    for name, model in plan.models.items():
        layer = plan.layers[name]
        start = clock()
        asker = Asker(model, plan.adata, layer, plan.readings[layer], rows, part.cluster, plan.cells.clusters)
        asker.after(read[layer], len(strengths))
        spent[name] += clock() - start


if __name__ == "__main__":
    sys.exit(main())
