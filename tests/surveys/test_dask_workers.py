"""Surveys through dask: a real scheduler and real workers, each in a process of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pandas as pd
import pytest

import adverscarial as adv
from adverscarial.errors import ParameterError

distributed = pytest.importorskip("distributed")
PATIENCE = 1800  # seconds in which a process starts, however busy the machine is
TARGETS = ["CD19+ B", "Dendritic", "CD4+/CD25 T Reg", "CD56+ NK"]


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    folder = tmp_path_factory.mktemp("dask")
    file = str(folder / "scheduler.json")
    environment = os.environ | {"DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": "1"}
    scheduler = ["scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard", "--scheduler-file", file]
    worker = ["worker", "--host", "127.0.0.1", "--nworkers", "2", "--nthreads", "1", "--no-dashboard"]
    worker += ["--scheduler-file", file, "--local-directory", str(folder)]
    with open(folder / "log", "w") as log:
        processes = [
            subprocess.Popen([sys.executable, "-m", "dask", *command], stdout=log, stderr=log, env=environment)
            for command in (scheduler, worker)
        ]
        try:
            with distributed.Client(scheduler_file=file, timeout=PATIENCE, set_as_default=True) as client:
                client.wait_for_workers(2, timeout=PATIENCE)
                yield client
        finally:
            for process in reversed(processes):
                process.terminate()
                process.wait()


@pytest.fixture(scope="module")
def asked():
    cells = adv.datasets.embedded()
    forest = adv.classifiers.RandomForest(20, seed=0).fit(cells, "cell_type")
    attacks = [adv.attacks.SingleGene("perc99"), adv.attacks.MaxChange("random", restarts=2)]
    models = {"scType": adv.classifiers.ScType(scaled=False), "forest": forest}
    return cells, models, {"attacks": attacks, "groupby": "cell_type", "targets": TARGETS, "seed": 3}


@pytest.fixture(scope="module")
def serial(asked, tmp_path_factory):
    cells, models, settings = asked
    out = tmp_path_factory.mktemp("serial")
    adv.survey(cells, models, **settings, out=out)
    return (out / "table.csv").read_bytes()


@pytest.mark.slow
def test_the_same_table_as_in_one_process(client, asked, serial, tmp_path):
    cells, models, settings = asked
    found = adv.survey(cells, models, **settings, backend="dask", out=tmp_path / "run")
    assert (tmp_path / "run" / "table.csv").read_bytes() == serial
    assert adv.Survey.load(tmp_path / "run").to_frame().equals(found.to_frame())
    pids = set(client.run(os.getpid).values())
    assert len(pids) == 2
    assert os.getpid() not in pids


@pytest.mark.slow
def test_a_killed_worker_costs_nothing_but_time(client, asked, tmp_path):
    cells, models, settings = asked
    whole, out, hold = tmp_path / "whole", tmp_path / "run", tmp_path / "hold"
    killed = []

    def held(X: np.ndarray) -> np.ndarray:
        while hold.exists() and any(out.glob("results/*")):  # so the survey cannot end before a worker is killed
            time.sleep(0.01)
        return np.where(X[:, 0] > X[:, 1], "a", "b")

    def kill():
        try:
            while not list(out.glob("results/*")):
                time.sleep(0.01)
            killed.append(next(iter(client.run(os.getpid).values())))
            os.kill(killed[0], signal.SIGKILL)
            killed.append((out / "table.csv").exists())
        finally:
            hold.unlink()

    models = models | {"held": adv.classifiers.wrap(held, classes=["a", "b"])}
    settings = settings | {"attacks": settings["attacks"][:1]}
    adv.survey(cells, models, **settings, out=whole)
    hold.touch()
    thread = threading.Thread(target=kill, daemon=True)
    thread.start()
    adv.survey(cells, models, **settings, backend="dask", out=out)
    thread.join()
    assert killed[1] is False  # it was in the middle
    assert (out / "table.csv").read_bytes() == (whole / "table.csv").read_bytes()
    client.wait_for_workers(2, timeout=PATIENCE)
    assert killed[0] not in client.run(os.getpid).values()


@pytest.mark.slow
def test_a_classifier_that_kills_its_workers_costs_its_own_rows(client, asked):
    cells, models, settings = asked

    def deadly(X: np.ndarray) -> np.ndarray:
        import os
        import signal

        os.kill(os.getpid(), signal.SIGKILL)
        return X

    settings = settings | {"targets": TARGETS[:2], "attacks": settings["attacks"][:1]}
    both = {"deadly": adv.classifiers.wrap(deadly, classes=["a", "b"]), "scType": models["scType"]}
    table = adv.survey(cells, both, **settings, backend="dask").to_frame()
    died = table["classifier"] == "deadly"
    assert table.loc[died, "error"].str.contains("workers that were attacking .* died").all()
    alone = adv.survey(cells, {"scType": models["scType"]}, **settings).to_frame()
    pd.testing.assert_frame_equal(table.loc[~died, alone.columns].reset_index(drop=True), alone)


@pytest.fixture(scope="module")
def client_here():
    """A scheduler and a worker in threads of this process: they start at once."""
    with distributed.Client(processes=False, n_workers=1, threads_per_worker=1, dashboard_address=None) as client:
        yield client


def test_threads_of_this_process_give_the_same_table(client_here, asked):
    cells, models, settings = asked
    settings = settings | {"targets": TARGETS[:2], "attacks": settings["attacks"][:1]}
    found = adv.survey(cells, models, **settings, backend="dask")
    assert found.to_frame().equals(adv.survey(cells, models, **settings).to_frame())


def test_what_dask_cannot_do_is_said(asked, client_here):
    cells, models, settings = asked
    with pytest.raises(ParameterError, match="time_limit= watches processes of this machine"):
        adv.survey(cells, models, **settings, backend="dask", time_limit=1)


@pytest.mark.slow
def test_without_a_client(asked):
    code = (
        "import adverscarial as adv\n"
        "try:\n"
        "    adv.survey(adv.datasets.embedded(), adv.classifiers.ScType(scaled=False), backend='dask',\n"
        "               attacks=adv.attacks.SingleGene('perc99'), groupby='cell_type')\n"
        "except adv.errors.ParameterError as error:\n"
        "    assert 'Client(' in str(error), error\n"
        "    print('refused')\n"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout == "refused\n"
