"""The life of R processes: time limits, sudden ends, threads, copies, and that none is left."""

from __future__ import annotations

import copy
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cloudpickle
import numpy as np
import pytest
from anndata import AnnData
from tests.classifiers.adapters.r.conftest import SCRIPT

import adverscarial as adv
from adverscarial.cells.cluster import Cluster
from adverscarial.classifiers import RClassifier
from adverscarial.classifiers.adapters.r import process
from adverscarial.errors import ClassifierError, ParameterError

pytestmark = pytest.mark.slow

GOOD = "ifelse(X[, 1] > 1, 'B', 'T')"
KINDS = ["pipes", "socket"]
NO_GENES = np.empty(0, dtype=np.int64), np.empty((1, 0))


def gone(pid: int) -> bool:
    """Return whether a process is no more, or only waits for its parent to notice."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
    except OSError:
        return True


def wait_until(true: Callable[[], bool]) -> None:
    while not true():
        time.sleep(0.05)


def through(model: RClassifier, kind: str) -> RClassifier:
    model.close()
    model._workers.program = replace(model._workers.program, kind=kind)
    return model


@pytest.mark.parametrize("kind", KINDS)
def test_an_endless_loop_is_interrupted_and_the_model_stays(
    kind: str, function: Callable[..., RClassifier], cells: AnnData, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "_GRACE", 600.0)  # however late R hears the interrupt
    endless = "while (TRUE) Sys.sleep(0.01)"
    model = through(function(f"function(X) {{ if (X[1, 1] == 99) {endless}; {GOOD} }}"), kind)
    scorer, worker = model.scorer(Cluster(cells, "cluster", "c0")), model.worker()
    program = worker._program
    worker._program = replace(program, timeout=0.5)
    with pytest.raises(ClassifierError, match=r"gave no answer within 0.5 s \(timeout=\), and was stopped"):
        scorer.together(np.array([0]), np.array([[99.0]]))
    worker._program = program
    again = scorer.together(*NO_GENES)
    assert model.worker() is worker
    assert again.labels.tolist() == scorer.baseline.labels.tolist()


def test_what_hears_no_interrupt_is_killed(
    function: Callable[..., RClassifier], cells: AnnData, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "_GRACE", 0.3)
    deaf = "repeat tryCatch(Sys.sleep(5), interrupt = function(e) NULL)"
    model = function(f"function(X) {{ if (X[1, 1] == 99) {deaf}; {GOOD} }}")
    bad = cells.copy()
    bad.X[0, 0] = 99
    before = model.predict(cells)
    worker = model.worker()
    worker._program = replace(worker._program, timeout=0.5)
    with pytest.raises(ClassifierError, match="gave no answer"):
        model.predict(bad)
    assert gone(worker.pid)
    assert model.predict(cells).equals(before)


@pytest.mark.parametrize("kind", KINDS)
def test_r_killed_from_outside(kind: str, function: Callable[..., RClassifier], cells: AnnData, tmp_path: Path) -> None:
    busy = tmp_path / "busy"
    waits = f"if (X[1, 1] == 99) {{ file.create('{busy}'); Sys.sleep(600) }}"
    model = through(function(f"function(X) {{ {waits}; {GOOD} }}"), kind)
    scorer = model.scorer(Cluster(cells, "cluster", "c0"))
    pid = model.worker().pid

    def kill() -> None:
        wait_until(busy.exists)  # R has begun, so Python waits for it
        os.kill(pid, signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    with pytest.raises(
        ClassifierError, match=r"R ended while .* the R process was ended by SIGKILL; it printed nothing"
    ):
        scorer.together(np.array([0]), np.array([[99.0]]))
    killer.join()
    assert scorer.together(np.array([1]), np.array([[9.0]])).label == scorer.baseline.label  # it is sent again
    assert model.worker().pid != pid
    worker = model.worker()
    os.kill(worker.pid, signal.SIGKILL)  # while nobody asks
    wait_until(lambda: not worker.alive)
    assert scorer.together(np.array([1]), np.array([[9.0]])).label == scorer.baseline.label


def test_changes_made_for_good_survive_the_end_of_r(write: Callable[[str], Path], cells: AnnData) -> None:
    with RClassifier(write(SCRIPT), "scores") as model:
        scorer = model.scorer(Cluster(cells, "cluster", "c0"))
        scorer.accept(np.array([0, 1]), np.array([[9.0, 2.0]]))
        scorer.accept(np.array([1]), np.array([[3.0]]))
        expected = scorer.baseline.scores
        model.close()
        again = scorer.together(*NO_GENES)
        np.testing.assert_array_equal(again.scores, expected)


def test_ctrl_c_ends_r_and_the_next_query_starts_another(
    function: Callable[..., RClassifier], cells: AnnData, tmp_path: Path
) -> None:
    busy = tmp_path / "busy"
    model = function(f"function(X) {{ if (X[1, 1] == 99) {{ file.create('{busy}'); Sys.sleep(600) }}; {GOOD} }}")
    bad = cells.copy()
    bad.X[0, 0] = 99
    pid = model.worker().pid

    ended = threading.Event()

    def press() -> None:
        wait_until(busy.exists)  # R has begun, so Python waits for it
        while not gone(pid):
            os.kill(os.getpid(), signal.SIGINT)
            ended.wait(60)  # an interrupt that falls into a finaliser is lost: then it is pressed again

    pressing = threading.Thread(target=press)
    pressing.start()
    with pytest.raises(KeyboardInterrupt):
        model.predict(bad)
    ended.set()
    pressing.join()
    assert gone(pid)
    assert len(model.predict(cells)) == 40


@pytest.mark.parametrize("how", ["sys.exit()", "os.kill(os.getpid(), 9)"])
def test_no_r_is_left_when_python_ends(how: str, write: Callable[[str], Path]) -> None:
    code = (
        "import os, sys, adverscarial as adv\n"
        "model = adv.classifiers.RClassifier(sys.argv[1], 'scores')\n"
        f"print(model.worker().pid, flush=True)\n{how}\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(write(SCRIPT))], capture_output=True, text=True, check=False)
    pid = int(done.stdout)
    wait_until(lambda: gone(pid))


def test_close_and_garbage_end_r(write: Callable[[str], Path], cells: AnnData) -> None:
    with RClassifier(write(SCRIPT), "labels") as model:
        pid = model.worker().pid
        assert model._workers.pids() == [pid]
    assert gone(pid)
    assert model._workers.pids() == []
    model.predict(cells)  # a closed one starts again
    pid = model.worker().pid
    del model
    assert gone(pid)


def test_a_copy_starts_its_own(write: Callable[[str], Path], cells: AnnData) -> None:
    script = write(SCRIPT)
    with RClassifier(script, "scores") as model:
        before = model.scores(cells)
        script.unlink()  # a copy has the text
        for again in (
            pickle.loads(pickle.dumps(model)),
            cloudpickle.loads(cloudpickle.dumps(model)),
            copy.deepcopy(model),
        ):
            assert again._workers.pids() == []
            assert again.classes == model.classes
            assert again.scores(cells).equals(before)
            assert again.worker().pid != model.worker().pid
            again.close()
        assert model.scores(cells).equals(before)


def test_each_thread_has_its_own_and_it_ends_with_it(write: Callable[[str], Path], cells: AnnData) -> None:
    with RClassifier(write(SCRIPT), "labels") as model:
        before, pids, same = model.predict(cells), [], []

        def ask() -> None:
            same.append(model.predict(cells).equals(before))
            pids.append(model.worker().pid)

        for _ in range(2):
            thread = threading.Thread(target=ask)
            thread.start()
            thread.join()
        assert same == [True, True]
        assert len({model.worker().pid, *pids}) == 3
        for pid in pids:
            wait_until(lambda pid=pid: gone(pid))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_a_fork_leaves_its_parents_r_alone(write: Callable[[str], Path], cells: AnnData) -> None:
    with RClassifier(write(SCRIPT), "labels") as model:
        before, pid = model.predict(cells), model.worker().pid
        code = 1
        child = os.fork()
        if child == 0:
            try:
                code = 0 if model.predict(cells).equals(before) and model.worker().pid != pid else 2
                model.close()
            finally:
                os._exit(code)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert model.worker().pid == pid
        assert model.predict(cells).equals(before)


@pytest.mark.parametrize(("jobs", "backend"), [(2, None), (2, "threading")])
def test_a_survey_in_other_processes_and_threads(
    jobs: int, backend: str | None, write: Callable[[str], Path], cells: AnnData
) -> None:
    settings = {"attacks": [adv.attacks.SingleGene("perc99")], "groupby": "cluster"}
    with RClassifier(write(SCRIPT), "labels") as model:
        alone = adv.survey(cells, model, **settings).to_frame()
        beside = adv.survey(cells, model, **settings, n_jobs=jobs, backend=backend).to_frame()
    assert alone.equals(beside)


def test_random_numbers_start_from_the_seed(
    function: Callable[..., RClassifier], cells: AnnData, caplog: pytest.LogCaptureFixture
) -> None:
    code = "function(X) sample(c('B', 'T'), nrow(X), replace = TRUE)"
    model, other = function(code), function(code, seed=1)
    said = model.predict(cells)
    assert model.predict(cells).equals(said)
    assert not other.predict(cells).equals(said)
    fixed = function(code, needs_all_cells=False)
    fixed.scorer(Cluster(cells, "cluster", "c0"))
    assert any("draws at random: with another seed, the labels of" in r.getMessage() for r in caplog.records)
    # one that seeds itself from the clock is found when it is asked again
    clock = function(
        "function(X) { set.seed(NULL); sample(c('B', 'T'), nrow(X), replace = TRUE) }",
        needs_all_cells=False,
    )
    with pytest.raises(ClassifierError, match="different answers to the same query"):
        adv.attacks.SingleGene("perc99", search="exact")(cells, clock, groupby="cluster", target="c0")


def test_r_holds_what_somebody_needs(write: Callable[[str], Path], cells: AnnData) -> None:
    """Matrices that nobody has any more are forgotten, and one that nobody shares is changed in place."""
    with RClassifier(write(SCRIPT), "labels") as model:
        scorer = model.scorer(Cluster(cells, "cluster", "c0"))
        for k in range(100):
            fork = scorer.fork()
            fork.accept(np.array([k % 6]), np.array([[float(k)]]))
            fork.accept(np.array([1]), np.array([[0.0]]))
            scorer.together(np.array([k % 6]), np.array([[float(k)]]))
            assert len(model.worker()._held) <= 3
        del fork
        scorer.together(*NO_GENES)
        assert len(model.worker()._held) == 1


def test_settings_and_names(write: Callable[[str], Path]) -> None:
    script = write(SCRIPT)
    with RClassifier(script, "labels", packages="stats", expression="data.frame") as model:
        assert model.name == "labels"
        assert repr(model) == "RClassifier('model.R', function='labels', expression='data.frame')"
        assert model.about.version.startswith("R version ")
        assert model.get_params()["function"] == "labels"
        with pytest.raises(ParameterError, match=r"no setting 'functoin'\. Did you mean 'function'"):
            model.set_params(functoin="scores")
        assert model.set_params(function="scores").name == "scores"
        with pytest.raises(ClassifierError, match="keep the R script"):
            model.save("model.npz")
        with pytest.raises(ClassifierError, match="needs gene names"):
            model.decide(np.zeros((2, 6)))


def test_a_survey_knows_it_by_its_content(write: Callable[[str], Path], tmp_path: Path) -> None:
    from adverscarial.surveys.identity import identity

    first = RClassifier(write(SCRIPT), "labels")
    moved = tmp_path / "elsewhere.R"
    moved.write_text(SCRIPT)
    assert identity(RClassifier(moved, "labels")) == identity(first) == identity(pickle.loads(pickle.dumps(first)))
    assert identity(RClassifier(moved, "labels", seed=1)) != identity(first)
    moved.write_text(SCRIPT + "\n# changed\n")
    assert identity(RClassifier(moved, "labels")) != identity(first)
