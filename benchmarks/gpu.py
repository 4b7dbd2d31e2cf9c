"""The same on a GPU and on the processor: scMLP trained and on many cells, and a scan of single genes through torch."""

from __future__ import annotations

import os

import numpy as np
import torch
from threadpoolctl import threadpool_limits

import adverscarial as adv
from adverscarial.classifiers.adapters.torch_module import TorchModule
from common import halves, median_seconds, save, show, wall
from toolbox import as_torch

TARGET, CELLS = "B", 100_000


def row(question: str, size: str, seconds: dict[str, float], differ: int, of: int) -> dict[str, object]:
    """Return a row of the table: both times, and how many answers are not the same."""
    return {
        "question": question,
        "size": size,
        "answers that differ": f"{differ:,} of {of:,}",
        "cpu, s": f"{seconds['cpu']:.3f}",
        "cuda, s": f"{seconds['cuda']:.3f}",
        "ratio": f"{seconds['cpu'] / seconds['cuda']:.1f}",
    }


def main() -> None:
    if not torch.cuda.is_available():
        print("no GPU: torch sees none on this machine, nothing is measured")
        return
    cores = os.cpu_count() or 1  # a whole GPU is compared with a whole processor, not with the one thread of the others
    threadpool_limits(cores)
    torch.set_num_threads(cores)
    train, test = halves()
    print(f"{torch.cuda.get_device_name()}, beside {cores} threads")
    rows = []

    trained, seconds = {}, {}
    for device in ("cpu", "cuda"):
        new = adv.classifiers.MLP(seed=0, device=device)
        seconds[device] = median_seconds(lambda new=new: new.fit(train, "cell_type"), 3, clock=wall)
        trained[device] = new.decide(np.asarray(test.X, dtype=np.float32)).labels
    differ = int((trained["cpu"] != trained["cuda"]).sum())
    rows.append(row("scMLP: training", f"{train.n_obs:,} x {train.n_vars:,}", seconds, differ, test.n_obs))

    model = adv.classifiers.MLP(seed=0, device="cpu").fit(train, "cell_type")
    X = np.asarray(test.X, dtype=np.float32)
    X = X[np.random.default_rng(0).integers(0, len(X), CELLS)]
    labels, seconds = {}, {}
    for device in ("cpu", "cuda"):
        model.device = device
        labels[device] = model.decide(X).labels
        seconds[device] = median_seconds(lambda: model.decide(X), clock=wall)
    differ = int((labels["cpu"] != labels["cuda"]).sum())
    rows.append(row("scMLP: label all cells", f"{CELLS:,} x {X.shape[1]:,}", seconds, differ, CELLS))

    attack, network = adv.attacks.SingleGene("perc99"), as_torch(model).network
    found, seconds = {}, {}
    for device in ("cpu", "cuda"):
        wrapped = TorchModule(network, classes=model.classes, genes=model.genes, device=device)

        def scan(wrapped: TorchModule = wrapped) -> adv.attacks.Result:
            return attack(test, wrapped, groupby="cell_type", target=TARGET)

        found[device] = scan().to_frame().sort_values("gene")["label"].to_numpy()
        seconds[device] = median_seconds(scan, clock=wall)
    cells = int((test.obs["cell_type"] == TARGET).sum())
    differ = int((found["cpu"] != found["cuda"]).sum())
    rows.append(row("TorchModule: SingleGene", f"{cells:,} x {test.n_vars:,}", seconds, differ, test.n_vars))
    print(show(rows))
    save("gpu", rows)


if __name__ == "__main__":
    main()
