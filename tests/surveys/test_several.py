"""Surveys side by side: one set of processes, whose data are written once; the next may still be in the making."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
from anndata import AnnData

import adverscarial as adv
from adverscarial._progress import stand_still
from adverscarial.surveys.folder import RunFolder
from adverscarial.surveys.plan import Plan, make_plan
from adverscarial.surveys.processes import run_in_processes
from adverscarial.surveys.run import workers
from adverscarial.surveys.several import Asked, run_all
from surveys.small import ATTACK, above, cells, labels, run

PATIENCE = 100_000  # short naps after which a test gives up; no result depends on them
TWO = workers(2)


def plan(model: Any, adata: AnnData, layer: str | None = None) -> Plan:
    return make_plan(
        adata, {"model": model}, ATTACK, groupby="cell_type", targets=None, layer=layer, seed=0, budget=None
    )


@pytest.fixture
def layered() -> AnnData:
    """Cells whose layer holds other values than X."""
    adata = cells()
    adata.layers["half"] = adata.X / 2
    return adata


@pytest.mark.parametrize("how", [workers(1), workers(2, "threading"), pytest.param(TWO, marks=pytest.mark.slow)])
def test_each_is_the_survey_that_it_is_alone(layered: AnnData, how: Any, tmp_path: Path) -> None:
    wanted = [(labels, None), (above(0.5), "half"), (above(0.9), None)]
    asked = [
        Asked(plan(model, layered, layer), RunFolder(tmp_path / str(k))) for k, (model, layer) in enumerate(wanted)
    ]
    steps: list[float] = []
    found = run_all(asked, how, lambda n=1: steps.append(n))
    assert sum(steps) == sum(len(one.tasks) for one in found)
    for k, (model, layer) in enumerate(wanted):
        alone = run({"model": model}, adata=layered, layer=layer).to_frame()
        assert found[k].to_frame().equals(alone)
        assert [task.number for task in found[k].tasks] == list(range(len(alone)))
        assert adv.Survey.load(tmp_path / str(k)).to_frame().equals(alone)
    again = run_all(asked, how, stand_still)  # all is there
    assert [one.to_frame().to_csv() for one in again] == [one.to_frame().to_csv() for one in found]


def noting(folder: Path, level: float) -> Callable[[np.ndarray], np.ndarray]:
    """Return a classifier that notes in which process it is asked."""

    def label(X: np.ndarray) -> np.ndarray:
        import os

        (folder / str(os.getpid())).touch()
        return np.where(X[:, 0] > level, "B", "T")

    return label


@pytest.mark.slow
def test_they_share_two_processes_and_one_file_of_data(
    layered: AnnData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[Any] = []
    dump = joblib.dump
    monkeypatch.setattr(joblib, "dump", lambda value, path: [written.append(value), dump(value, path)][1])
    asked = [Asked(plan(noting(tmp_path, k), layered, layer)) for k, layer in enumerate([None, "half", None, "half"])]
    before = set(tmp_path.iterdir())
    run_all(asked, TWO, stand_still)
    assert 1 <= len(set(tmp_path.iterdir()) - before) <= 2
    assert len(written) == 1
    assert written[0] is layered


@pytest.mark.slow
@pytest.mark.parametrize("how", [TWO, workers(2, "threading")])
def test_attacks_run_while_the_next_survey_is_made(layered: AnnData, tmp_path: Path, how: Any) -> None:
    """It is made only once an attack of the first has asked its classifier, elsewhere."""
    before = set()

    def asked() -> Iterator[Asked]:
        first = plan(noting(tmp_path, 1), layered)
        before.update(tmp_path.iterdir())
        for file in before:
            file.unlink()  # this process asks, too
        yield Asked(first)
        naps = iter(range(PATIENCE))
        while not list(tmp_path.iterdir()):
            next(naps)
            time.sleep(0.01)
        yield Asked(plan(labels, layered))

    found = run_all(asked(), how, stand_still)
    assert found[1].to_frame().equals(run({"model": labels}, adata=layered).to_frame())


@pytest.mark.slow
def test_what_cannot_be_made_ends_all_of_it(layered: AnnData) -> None:
    def asked() -> Iterator[Asked]:
        yield Asked(plan(labels, layered))
        raise ArithmeticError("no second one")

    with pytest.raises(ArithmeticError, match="no second one"):
        run_all(asked(), TWO, stand_still)


def test_the_process_that_makes_groups_counts_as_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of two, one runs attacks until the last group is made; of one, none."""
    from adverscarial.surveys import processes

    free: list[int] = []

    def in_threads(run: object, groups: Iterator[object], threads: int, stop: object) -> Iterator[tuple[int, str]]:
        idle = [cell.cell_contents for cell in run.__closure__ if isinstance(cell.cell_contents, processes.LifoQueue)]
        assert threads == len(idle) + 1 or threads == 1
        free.extend(idle[0].qsize() for _ in groups)
        free.append(idle[0].qsize())
        yield from ()

    monkeypatch.setattr(processes, "run_in_threads", in_threads)
    for jobs, expected in ((2, [1, 1, 2]), (1, [0, 0, 1])):
        free.clear()
        list(run_in_processes([None, None], jobs))
        assert free == expected


@pytest.mark.slow
def test_names_that_results_have_in_common_are_held_once(layered: AnnData) -> None:
    found = run_all([Asked(plan(labels, layered)), Asked(plan(above(0.5), layered, "half"))], TWO, stand_still)
    results = [result for one in found for result in one.results if result is not None]
    assert len(results) == 6
    assert len({id(result.gene) for result in results}) == len({id(result.alone) for result in results}) == 1
    alone = [
        r for m, layer in ((labels, None), (above(0.5), "half")) for r in run(m, adata=layered, layer=layer).results
    ]
    for one, other in zip(results, alone, strict=True):
        assert one.to_frame().equals(other.to_frame())
