"""The law of surveys: one table, however it is computed."""

from __future__ import annotations

from pathlib import Path

import pytest

import adverscarial as adv
from adverscarial.attacks import ClusterGradientDescent, Grid, MaxChange, RandomWalk, SingleGene
from laws.families import FAMILIES, GENES, TARGETS, cells, classifier

ATTACKS = [
    SingleGene("perc99", search="both", bins=3),
    SingleGene("random"),
    MaxChange("random", restarts=2),
    Grid(GENES[:3]),
    RandomWalk(GENES[:5], tries=10, steps=10),
    ClusterGradientDescent(order="random", max_genes=4),
]


def table(out: Path, **how: object) -> bytes:
    models = {family: classifier(family) for family in FAMILIES}
    adv.survey(cells(4), models, attacks=ATTACKS, groupby="cluster", targets=TARGETS, seed=6, out=out, **how)
    return (out / "table.csv").read_bytes()


@pytest.fixture(scope="module")
def serial(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    written = table(tmp_path_factory.mktemp("serial") / "run")
    assert written.count(b"\n") == 1 + len(FAMILIES) * len(TARGETS) * len(ATTACKS)
    return written


@pytest.mark.fast("resumed")
@pytest.mark.parametrize("way", ["loky", "threading", "resumed", "distributed"])
def test_a_survey_has_one_table(serial: bytes, tmp_path: Path, way: str) -> None:
    """Serial = parallel = resumed = distributed, byte by byte, for every family and every kind of random attack.

    Workers in processes of their own, and killed ones: ``tests/surveys/test_dask_workers.py``.
    """
    out = tmp_path / "run"
    if way == "resumed":
        table(out)
        (out / "table.csv").unlink()
        results = sorted((out / "results").iterdir())
        for file in results[::3]:
            file.unlink()
        assert len(results[::3]) > 10
        found = table(out, n_jobs=2, backend="threading")
    elif way == "distributed":
        distributed = pytest.importorskip("distributed")
        with distributed.Client(processes=False, n_workers=2, threads_per_worker=1, dashboard_address=None):
            found = table(out, backend="dask")
    else:
        found = table(out, n_jobs=2, backend=way)
    assert found == serial
