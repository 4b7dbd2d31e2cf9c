"""Damaged files, thousands of them: an error of ours, or what was written; never a crash, a hang or a wrong result.

Each kind of file of our own, and text, is cut short and bit-flipped many times. Files of ours have checksums: what is
read must be what was written. Text may hold other data after a flip, as any other valid file would. Files that other
libraries read (HDF5, UBJSON, zip) are damaged by ``benchmarks/fuzz_files.py``, which keeps nothing of it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zlib
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import scipy.io

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[1]))

import adverscarial as adv
from adverscarial.attacks import MaxChange, MinChange, Result, SingleGene
from adverscarial.classifiers.families.marker_tables import read_markers
from faults.damage import OTHER, REFUSED, Kind, cells, examined, text_of

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not hasattr(os, "fork"), reason="damaged files are read in forked processes"),
]


def label(X: np.ndarray) -> np.ndarray:
    return np.where(X[:, 0] > 0.3, "B", "T")


def write_mtx(folder: Path) -> None:
    folder.mkdir()
    adata = cells()
    scipy.io.mmwrite(folder / "matrix.mtx", adata.X.T.tocoo())
    (folder / "genes.tsv").write_text("".join(f"ENSG{i}\t{name}\n" for i, name in enumerate(adata.var_names)))
    (folder / "barcodes.tsv").write_text("".join(f"{name}\n" for name in adata.obs_names))


MARKERS = pd.DataFrame({"cell_type": ["B", "T"], "positive": ["CD79A,MS4A1", "CD3D,CD3E"], "negative": ["CD3D", ""]})


def write_survey(folder: Path) -> None:
    adv.survey(cells(), label, attacks=[SingleGene("perc99", bins=2)], groupby="cell_type", out=folder)


def write_single(path: Path) -> None:
    SingleGene("perc99")(cells(), label, groupby="cell_type", target="B").save(path)


def write_most(path: Path) -> None:
    MaxChange("perc99", restarts=1)(cells(), label, groupby="cell_type", target="B").save(path)


def write_fewest(path: Path) -> None:
    model = adv.classifiers.Markers({"B": ["g0"], "T": ["g1"]})
    MinChange("perc99")(cells(), model, groupby="cell_type", target="B").save(path)


def write_certificate(path: Path) -> None:
    model = adv.classifiers.Markers({"B": ["g0"], "T": ["g1"]})
    result = MinChange("perc99")(cells(), model, groupby="cell_type", target="B")
    result.certificate(cells(), model).save(path)


def write_model_certificate(path: Path) -> None:
    result = MinChange("perc99")(cells(), forest(), groupby="cell_type", target="B")
    result.certificate(cells(), forest()).save(path)


def write_stress(folder: Path) -> None:
    counts = cells()
    counts.X = np.ceil(counts.X.toarray() * 20)
    adv.stress(
        counts, label, groupby="cell_type", changes=["depth"], strengths={"depth": [0, 0.5]}, draws=1, out=folder
    )


def write_guard(path: Path) -> None:
    model = adv.classifiers.Markers({"B": ["g0"], "T": ["g1"]})
    adv.classifiers.Guard(model, action="clip").fit(cells()).save(path)


@cache
def forest() -> adv.classifiers.Classifier:
    return adv.classifiers.RandomForest(3, seed=0).fit(cells(), "cell_type")


def write_forest(path: Path) -> None:
    forest().save(path)


def write_mlp(path: Path) -> None:
    adv.classifiers.MLP(epochs=2, seed=0).fit(cells(), "cell_type").save(path)


def write_markers(path: Path) -> None:
    adv.classifiers.Markers({"B": ["g0"], "T": ["g1"]}).save(path)


def write_table(path: Path) -> None:
    MARKERS.to_csv(path, sep="\t" if path.suffix == ".tsv" else ",", index=False)


def write_cells(path: Path) -> None:
    cells().to_df().to_csv(path)


def read_data(path: Path) -> str:
    return text_of(adv.datasets.load(path))


def read_table(path: Path) -> str:
    return repr(read_markers(path))


def read_model(path: Path) -> str:
    return repr(adv.classifiers.load(path).scores(cells()).to_numpy().tolist())


def read_result(path: Path) -> str:
    result = Result.load(path)
    return repr((str(result), result.row(), result.to_frame().to_numpy().tolist()))


def read_survey(folder: Path) -> str:
    survey = adv.Survey.load(folder)
    return repr((survey.to_frame().to_numpy().tolist(), survey.plan, [str(result) for result in survey.results]))


def read_certificate(path: Path) -> str:
    return repr(str(adv.evaluation.verify_certificate(path)))


def read_model_certificate(path: Path) -> str:
    return repr(str(adv.evaluation.verify_certificate(path, cells(), forest())))


def read_stress(folder: Path) -> str:
    return repr(adv.StressResult.load(folder).to_frame().to_numpy().tolist())


KINDS = {
    "result": Kind("r.npz", write_single, read_result, 500),
    "maxchange": Kind("m.npz", write_most, read_result, 200),
    "minchange": Kind("n.npz", write_fewest, read_result, 200),
    "certificate": Kind("c.json", write_certificate, read_certificate, 300, may_differ=True),
    "certificate of trees": Kind("t.json", write_model_certificate, read_model_certificate, 200, may_differ=True),
    "stress": Kind("stress", write_stress, read_stress, 200),
    "guard": Kind("g.npz", write_guard, read_model, 200),
    "forest": Kind("f.npz", write_forest, read_model, 300),
    "mlp": Kind("p.npz", write_mlp, read_model, 200),
    "markers.npz": Kind("s.npz", write_markers, read_model, 200),
    "survey": Kind("run", write_survey, read_survey, 400),
    "mtx": Kind("mtx", write_mtx, read_data, 200, may_differ=True),
    "csv": Kind("a.csv", write_cells, read_data, 200, may_differ=True),
    "csv.gz": Kind("a.csv.gz", write_cells, read_data, 100, may_differ=True),
    "markers.tsv": Kind("m.tsv", write_table, read_table, 150, may_differ=True),
    "markers.csv": Kind("m.csv", write_table, read_table, 100, may_differ=True),
}


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Read the kinds in a fresh process: threads that other tests left in this one would not survive a fork."""
    command = [sys.executable, "-W", "ignore", __file__, str(tmp_path_factory.mktemp("fuzz"))]
    said = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
    return json.loads(said.splitlines()[-1])


@pytest.mark.parametrize("kind", KINDS)
def test_a_damaged_file_is_refused_or_read_as_it_was(found: dict[str, Any], kind: str) -> None:
    outcomes, bad = {int(outcome): n for outcome, n in found[kind][0].items()}, found[kind][1]
    assert not bad, bad[:10]
    assert sum(outcomes.values()) == KINDS[kind].cases
    assert outcomes[REFUSED] > KINDS[kind].cases / 20, outcomes
    if not KINDS[kind].may_differ:
        assert OTHER not in outcomes, outcomes


def main(folder: Path) -> None:
    """Print what came of each kind, as JSON."""
    found = {
        name: examined(
            kind, folder / name, lambda number, name=name: np.random.default_rng([number, zlib.crc32(name.encode())])
        )
        for name, kind in KINDS.items()
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
