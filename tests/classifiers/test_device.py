"""GPUs: what is refused, how many cells go there at a time, what a full memory does, and the same answers on each."""

from __future__ import annotations

import itertools
import logging

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData

import adverscarial as adv
from adverscarial.cells.cluster import Cluster
from adverscarial.classifiers import MLP, device
from adverscarial.classifiers.adapters.torch_module import TorchModule
from adverscarial.errors import ClassifierError, ParameterError

torch = pytest.importorskip("torch")
needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no GPU on this machine")

CLASSES = ["a", "b", "c"]
GENES = [f"g{i}" for i in range(6)]


def network(seed: int = 0) -> torch.nn.Sequential:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return torch.nn.Sequential(torch.nn.Linear(6, 8), torch.nn.ReLU(), torch.nn.Linear(8, 3))


def cells(n: int, dtype: str = "float32") -> np.ndarray:
    return np.random.default_rng(n).normal(size=(n, 6)).astype(dtype)


def clusters(n: int = 60) -> AnnData:
    X = cells(n)
    names = np.array(CLASSES)[X[:, :3].argmax(axis=1)]
    obs = pd.DataFrame({"type": names}, index=[f"x{i}" for i in range(n)])
    return AnnData(X, obs=obs, var=pd.DataFrame(index=GENES))


def dense() -> MLP:
    rng = np.random.default_rng(5)
    sizes = (6, 9, 7, 3)
    arrays = {}
    for i, (inputs, units) in enumerate(itertools.pairwise(sizes), 1):
        arrays[f"W{i}"], arrays[f"b{i}"] = rng.normal(size=(inputs, units)), rng.normal(size=units)
    return MLP.from_weights(arrays, CLASSES, GENES)


class Small(torch.nn.Module):
    """A network on a device with room for some cells; it notes how many it was asked about."""

    def __init__(self, room: int) -> None:
        super().__init__()
        self.inside, self.room = network(), room
        self.asked: list[int] = []

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        self.asked.append(len(values))
        if len(values) > self.room:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
        return self.inside(values)


@pytest.mark.parametrize(
    "make",
    [lambda device: MLP(device=device)._check_settings(), lambda device: module(device=device)],
    ids=["MLP", "TorchModule"],
)
@pytest.mark.parametrize(
    ("device", "gpus", "message"),
    [
        ("cuda", 0, r"cuda asked for, torch sees no GPU; use device='cpu'\."),
        ("cuda:3", 2, r"cuda:3 asked for, torch sees 2 GPU\(s\); expected 'cuda:0' to 'cuda:1'\."),
        ("gpu", 1, r"device='gpu' is no device of torch; expected 'auto', 'cpu', 'cuda'"),
        ("meta", 0, r"meta asked for, torch cannot compute there: .* Use device='cpu'\."),
    ],
)
def test_devices_that_are_not_there(monkeypatch, make, device, gpus, message):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpus > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
    with pytest.raises(ParameterError, match=message):
        make(device)


def module(**settings) -> TorchModule:
    return TorchModule(network(), classes=CLASSES, genes=GENES, **settings)


def test_a_device_set_later_is_checked_too(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    model = dense()
    model.device = "cuda"
    with pytest.raises(ParameterError, match="torch sees no GPU"):
        model.decide(cells(3))
    with pytest.raises(ParameterError, match="torch sees no GPU"):
        model.fit(clusters(), "type")


def test_a_model_of_a_machine_with_a_gpu_can_be_loaded_elsewhere(monkeypatch, caplog, tmp_path):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    model = dense()
    expected = model.decide(cells(9)).scores
    model.device = "cuda"
    model.save(tmp_path / "model.npz")
    with caplog.at_level(logging.WARNING, "adverscarial"):
        again = adv.classifiers.load(tmp_path / "model.npz")
    assert "torch sees no GPU" in caplog.text
    assert again.device == "auto"
    np.testing.assert_array_equal(again.decide(cells(9)).scores, expected)


def test_the_batch_follows_from_the_free_memory(monkeypatch):
    free = 8_000_000
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (free, 10**12))
    gpu = torch.device("cuda")
    assert device.cells_at_a_time(gpu, 1000) == 4000  # half of it
    free = 100
    assert device.cells_at_a_time(gpu, 1000) == 1
    free = 10**12
    assert device.cells_at_a_time(gpu, 1000) == 2**20
    assert device.cells_at_a_time(torch.device("cpu"), 1000) == 4096


def test_a_wrapped_network_asks_how_much_fits(monkeypatch):
    asked = []

    def answer(device: torch.device, bytes_per_cell: int) -> int:
        asked.append((device.type, bytes_per_cell))
        return 3000

    monkeypatch.setattr("adverscarial.classifiers.adapters.torch_module.cells_at_a_time", answer)
    inside = Small(10**6)
    model = TorchModule(inside, classes=CLASSES)
    model.decide(cells(5000))
    assert inside.asked == [3000, 2000]
    assert asked == [("cpu", 2 * 4 * (6 + 8 + 8 + 3 + 3))]  # twice the input and the layers' results, float32
    model.gradient(cells(5000), np.ones((5000, 3)))
    assert asked[1][1] == 2 * asked[0][1]
    model.decide(cells(100))
    assert len(asked) == 2  # a small query needs no look at the memory
    TorchModule(inside, classes=CLASSES, batch_size=4500).decide(cells(5000))
    assert inside.asked[-2:] == [4500, 500]
    assert len(asked) == 2


def test_where_memory_runs_out_the_batch_is_halved(caplog):
    expected = module().decide(cells(1000)).scores
    inside = Small(120)
    model = TorchModule(inside, classes=CLASSES, genes=GENES, batch_size=900)
    with caplog.at_level(logging.WARNING, "adverscarial"):
        scores = model.decide(cells(1000)).scores
    np.testing.assert_allclose(scores, expected, rtol=1e-6)
    assert inside.asked[:4] == [900, 450, 225, 112]
    assert set(inside.asked[4:]) == {112, 1000 % 112}
    assert "going on with 112 cells at a time" in caplog.text
    weights = np.random.default_rng(0).normal(size=(1000, 3))
    np.testing.assert_allclose(
        model.gradient(cells(1000), weights), module().gradient(cells(1000), weights), rtol=1e-5, atol=1e-6
    )


def test_no_room_for_one_cell_is_said():
    model = TorchModule(Small(0), classes=CLASSES, genes=GENES)
    with pytest.raises(ClassifierError, match="no memory left for a single cell: CUDA out of memory"):
        model.decide(cells(5))


@pytest.fixture
def in_torch(monkeypatch) -> MLP:
    """A network that takes the way of the GPU, on the processor."""
    monkeypatch.setattr(MLP, "_gpu", lambda self: torch.device("cpu"))
    return dense()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("n", [0, 1, 700])
def test_torch_computes_the_dense_layers_as_numpy_does(in_torch, monkeypatch, n, dtype):
    monkeypatch.setattr(
        "adverscarial.classifiers.scorers.dense_layers.cells_at_a_time", lambda device, bytes_per_cell: 300
    )
    X, weights = cells(n, dtype), np.random.default_rng(1).normal(size=(n, 3))
    there = (in_torch.logits(X), in_torch.decide(X).scores, in_torch.gradient(X, weights))
    labels = in_torch.decide(X).labels
    monkeypatch.undo()
    here = (in_torch.logits(X), in_torch.decide(X).scores, in_torch.gradient(X, weights))
    for one, other in zip(here, there, strict=True):
        assert one.shape == other.shape
        assert one.dtype == other.dtype == np.float64
        np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-13)
    assert list(labels) == list(in_torch.decide(X).labels)


def scan(model: adv.classifiers.Classifier) -> pd.DataFrame:
    adata = clusters()
    return adv.attacks.SingleGene("perc99")(adata, model, groupby="type", target="a").to_frame()


def test_an_attack_through_torch_is_the_same(in_torch, monkeypatch):
    there = scan(in_torch)
    monkeypatch.undo()
    pd.testing.assert_frame_equal(there, scan(in_torch))


@needs_gpu
def test_a_trained_network_answers_the_same_on_a_gpu():
    X, weights = cells(5000), np.random.default_rng(1).normal(size=(5000, 3))
    here, there = dense(), dense()
    there.device = "cuda"
    np.testing.assert_allclose(there.logits(X), here.logits(X), rtol=1e-10, atol=1e-10)
    np.testing.assert_allclose(there.gradient(X, weights), here.gradient(X, weights), rtol=1e-10, atol=1e-10)
    assert list(there.decide(X).labels) == list(here.decide(X).labels)
    pd.testing.assert_frame_equal(scan(there), scan(here))


@needs_gpu
def test_a_wrapped_network_answers_the_same_on_a_gpu():
    X = cells(5000)
    here, there = module(device="cpu"), module(device="cuda")
    np.testing.assert_allclose(there.decide(X).scores, here.decide(X).scores, rtol=1e-4, atol=1e-6)
    pd.testing.assert_frame_equal(scan(there), scan(here))
    query = np.arange(6), np.full((1, 6), 2.0)
    one, other = (model.scorer(Cluster(clusters(), "type", "a")).together(*query) for model in (here, there))
    assert (one.label, one.share) == (other.label, other.share)


@needs_gpu
def test_training_on_a_gpu_gives_nearly_the_same_network():
    settings = {"epochs": 3, "balance": None, "progress": False, "seed": 1}
    here, there = (MLP((8, 4), device=name, **settings).fit(clusters(), "type") for name in ("cpu", "cuda"))
    for one, other in zip(here.layers, there.layers, strict=True):
        np.testing.assert_allclose(one[0], other[0], rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(here.history["loss"], there.history["loss"], rtol=1e-4)


@needs_gpu
def test_a_full_gpu_does_not_stop_the_work():
    X = cells(200_000)
    model = module(device="cuda", batch_size=len(X))
    expected = model.decide(X).scores
    held = []
    torch.cuda.empty_cache()
    free, _ = torch.cuda.mem_get_info()
    held.append(torch.empty(free - 16 * 2**20, dtype=torch.uint8, device="cuda"))
    try:
        np.testing.assert_allclose(model.decide(X).scores, expected, rtol=1e-4, atol=1e-6)
    finally:
        held.clear()
        torch.cuda.empty_cache()
