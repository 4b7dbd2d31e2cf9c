"""What the five classifiers of the paper are heard to say of changed cells is what they predict of them in full."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
from anndata import AnnData

import adverscarial as adv
from adverscarial.stresses.asking import Asker
from adverscarial.stresses.reading import reading_of
from stresses.made import CHANGES, as_cells, count_data, rows_of

MARKERS = {"B": ["g0", "g1"], "NK": ["g2", "g3", "g9"], "T": ["g4", "g8"]}
LAYERS = {"CHETAH": "counts", "scAnnotatR": "lognorm"}


@pytest.fixture(scope="module")
def cells() -> AnnData:
    return adv.datasets.preprocess(count_data())


@pytest.fixture(scope="module")
def models(cells: AnnData) -> dict[str, adv.classifiers.Classifier]:
    return {
        "scType": adv.classifiers.ScType({name: {"positive": genes} for name, genes in MARKERS.items()}),
        "CHETAH": adv.classifiers.Chetah(10, cap_genes=True).fit(cells, "cell_type", layer="counts"),
        "scAnnotatR": adv.classifiers.ScAnnotatR(5).fit(cells, "cell_type", layer="lognorm", markers_layer="X"),
        "scRF": adv.classifiers.RandomForest(30, seed=0).fit(cells, "cell_type"),
        "scMLP": adv.classifiers.MLP(seed=0, epochs=2, device="cpu", progress=False).fit(cells, "cell_type"),
    }


@pytest.mark.fast(10)
@pytest.mark.parametrize("name", ["scType", "CHETAH", "scAnnotatR", "scRF", "scMLP"])
@pytest.mark.parametrize("change", CHANGES, ids=[change.name for change in CHANGES])
def test_answers_are_those_of_a_full_prediction(cells, models, name: str, change: adv.stresses.Change) -> None:
    layer, known = LAYERS.get(name), as_cells(count_data())
    rows = rows_of(known, change)
    reading = reading_of(cells, layer, known.counts)
    changed = [change.apply(known, rows, strength, np.random.default_rng(3)) for strength in (0.3, 0.9)]
    asker = Asker(models[name], cells, layer, reading, rows, "B", known.clusters)
    together = sp.csr_array(sp.vstack(changed))
    heard = asker.after(reading.read(together, np.tile(rows, 2)), 2)
    for counts, labels in zip(changed, heard, strict=True):
        full = cells.copy()
        values = full.X if layer is None else full.layers[layer].toarray()
        values[rows] = reading.values(counts, rows)
        full.X = values
        np.testing.assert_array_equal(labels, models[name].predict(full).to_numpy()[rows].astype(str))


def test_some_genes_are_read_as_all_are(cells) -> None:
    counts, rows, columns = as_cells(count_data()).counts, np.arange(90), np.array([7, 2, 29])
    for layer in (None, "counts", "lognorm"):
        reading = reading_of(cells, layer, counts)
        np.testing.assert_array_equal(reading.values(counts, rows, columns), reading.values(counts, rows)[:, columns])
