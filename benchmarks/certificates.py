"""How long does it take to write and to check the proof of a lower bound, and how large is its file?

    python benchmarks/certificates.py [--quick] [forest|mlp|logistic ...]

Each row is one cluster of PBMC3k under perc99: the search, the writing, and the check with cells and classifier.
"""

from __future__ import annotations

import itertools
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from sklearn.linear_model import LogisticRegression

import adverscarial as adv
from common import QUICK, clock, halves, machine, show

CLUSTERS = ["DC"] if QUICK else ["B", "DC", "NK"]


def logistic() -> adv.classifiers.Classifier:
    train, _ = halves()
    model = LogisticRegression(max_iter=300).fit(train.X, train.obs["cell_type"])
    return adv.classifiers.wrap(model, genes=list(train.var_names))


MODELS: dict[str, Callable[[], adv.classifiers.Classifier]] = {
    "forest": lambda: adv.classifiers.RandomForest(seed=0).fit(halves()[0], "cell_type"),
    "mlp": lambda: adv.classifiers.MLP(seed=0, device="cpu", progress=False).fit(halves()[0], "cell_type"),
    "logistic": logistic,
}


def row(name: str, model: adv.classifiers.Classifier, cluster: str, folder: Path) -> dict[str, object]:
    """Return the times and the size for one cluster."""
    _, cells = halves()
    attack = adv.attacks.MinChange("perc99", exact=False, seconds=60)
    times = [clock()]
    result = attack(cells, model, groupby="cell_type", target=cluster)
    times.append(clock())
    certificate = result.certificate(cells, model)
    file = certificate.save(folder / "proof.json")
    times.append(clock())
    check = adv.evaluation.verify_certificate(file, cells, model)
    times.append(clock())
    search, write, checked = (f"{after - before:.1f}" for before, after in itertools.pairwise(times))
    n = int((cells.obs["cell_type"] == cluster).sum())
    return {
        "model": name, "cluster": f"{cluster} ({n} cells)", "proven": result.lower, "written": certificate.lower,
        "holds": bool(check), "file (kB)": round(file.stat().st_size / 1000), "search (s)": search, "write (s)": write,
        "check (s)": checked,
    }  # fmt: skip


def main() -> None:
    """Print the table."""
    named = [name for name in sys.argv[1:] if name in MODELS] or list(MODELS)
    with tempfile.TemporaryDirectory() as folder:
        for name in named:
            model = MODELS[name]()
            for cluster in CLUSTERS:
                print(show([row(name, model, cluster, Path(folder))]), flush=True)
    print(machine())


if __name__ == "__main__":
    main()
