"""A survey ended at random moments, two hundred times: it always goes on, to the same table.

Moments are counted in events, not in time: in calls of functions where the survey runs in one process, in results on
the disk where it runs in several.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData

import adverscarial as adv
from adverscarial import _store
from adverscarial.attacks import MaxChange, Result, SingleGene
from adverscarial.classifiers import wrap
from faults import bad_classifiers as bad

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are forked, so that 200 start quickly")

ROUNDS = 200
ROUNDS_OF_TWO = 12  # in two processes, which take seconds to start: each signal to each kind of them, twice
NEVER = 100_000  # seconds per query: watched, and never too slow
KINDS = (signal.SIGINT, signal.SIGTERM, signal.SIGKILL)
ATTACKS = [
    *(SingleGene(change, bins=bins) for bins in (2, 5) for change in ("perc1", "perc99", "decile+5", "random")),
    *(MaxChange(change, restarts=1) for change in ("perc1", "perc99", "random")),
]


@pytest.fixture(scope="module")
def cells() -> AnnData:
    """90 cells x 12 genes in three clusters."""
    rng = np.random.default_rng(1)
    X = rng.random((90, 12))
    X[:30, 0] += 0.5
    obs = pd.DataFrame({"cell_type": np.repeat(["B", "NK", "T"], 30)}, index=[f"cell{i}" for i in range(90)])
    return AnnData(X, obs=obs, var=pd.DataFrame(index=[f"g{i}" for i in range(12)]))


@pytest.fixture(scope="module")
def run(cells: AnnData) -> Callable[..., Any]:
    def labels(X: np.ndarray) -> np.ndarray:
        return np.where(X[:, 0] + X[:, 1] > 1.1, "B", "T")

    both = {"scores": wrap(bad.good, classes=bad.CLASSES), "labels": wrap(labels)}
    return lambda out, models=both, **options: adv.survey(
        cells, models, attacks=ATTACKS, groupby="cell_type", out=out, progress=False, **options
    )


def child(task: Callable[[], object]) -> int:
    """Run `task` in a fork of this process, and return its id at the moment the task begins."""
    ready, begun = os.pipe()
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            signal.signal(signal.SIGINT, signal.default_int_handler)
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
            os.write(begun, b".")
            task()
            code = 0
        except KeyboardInterrupt:
            code = 130
        except SystemExit as stop:
            code = int(stop.code or 0)
        finally:
            os._exit(code)
    os.read(ready, 1)
    os.close(ready)
    os.close(begun)
    return pid


def after_calls(count: int, kind: int, task: Callable[[], object]) -> int:
    """Run `task`, whose thread sends its process the signal `kind` at call number `count`; return the calls it made."""
    calls = 0

    def counted(frame: Any, event: str, argument: Any) -> None:
        nonlocal calls
        calls += event in ("call", "c_call")
        if calls == count:
            sys.setprofile(None)
            os.kill(os.getpid(), kind)

    sys.setprofile(counted)
    try:
        task()
    finally:
        sys.setprofile(None)
    return calls


def exit_code(pid: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def half_written(out: Path) -> set[Path]:
    return set(out.rglob("*.part"))


def check_whole(out: Path) -> int:
    """Read every file that has its final name, and return how many results there are."""
    if (out / "run.json").exists():
        _store.read_json(out / "run.json")
    results = list((out / "results").glob("*.npz")) if (out / "results").exists() else []
    for file in results:
        Result.load(file)
    return len(results)


@pytest.mark.slow
def test_a_survey_goes_on_after_two_hundred_interruptions(run: Callable[..., Any], tmp_path: Path) -> None:
    whole, out = tmp_path / "whole", tmp_path / "run"
    run(whole)
    table = (whole / "table.csv").read_bytes()
    # in calls: the whole survey, and reading all its results again, which takes no fewer
    makes = sum(after_calls(0, 0, lambda: run(tmp_path / "counted")) for _ in range(2))
    rng = np.random.default_rng(0)
    codes: Counter[tuple[str, int]] = Counter()
    stages, finished = set(), 0
    for number in range(ROUNDS):
        kind = KINDS[number % 3]
        before = half_written(out)
        calls = 1 + int(rng.random() ** 2 * 1.1 * makes)  # many early ones
        code = exit_code(child(lambda kind=kind, calls=calls: after_calls(calls, kind, lambda: run(out))))
        codes[kind.name, code] += 1
        stages.add(check_whole(out))
        if code >= 0:  # only what dies of a signal leaves something behind
            assert half_written(out) <= before
        if (out / "table.csv").exists():
            finished += 1
            assert (out / "table.csv").read_bytes() == table
            shutil.rmtree(out)
    run(out)
    assert (out / "table.csv").read_bytes() == table
    assert adv.Survey.load(out).to_frame().equals(adv.Survey.load(whole).to_frame())
    # what ends before the survey's own handler is there dies of the signal itself; what was done already ends with 0
    allowed = {("SIGINT", 130), ("SIGTERM", 143), ("SIGTERM", -15), ("SIGKILL", -9)} | {
        (kind.name, 0) for kind in KINDS
    }
    assert set(codes) <= allowed, codes
    assert codes["SIGINT", 130] > 20, codes
    assert codes["SIGTERM", 143] > 20, codes
    assert codes["SIGKILL", -9] > 20, codes
    assert len(stages) > 20, stages
    assert finished, codes


@pytest.mark.slow
def test_a_survey_of_two_processes_goes_on_after_interruptions(run: Callable[..., Any], tmp_path: Path) -> None:
    """Some at their start, most among the results; the next one starts at once, beside what a killed one leaves.

    A process that is ended while it writes leaves a file half-written, under a name that nobody reads. However busy the
    machine is, no survey comes much further than to the result at which it is ended: there its classifiers wait.
    """
    whole, out, hold = tmp_path / "whole", tmp_path / "run", tmp_path / "hold"

    def waiting(function: Callable[[np.ndarray], np.ndarray]) -> Callable[[np.ndarray], np.ndarray]:
        def answer(X: np.ndarray) -> np.ndarray:
            while is_held(hold, out):
                time.sleep(0.01)
            return function(X)

        return answer

    def labels(X: np.ndarray) -> np.ndarray:
        return np.where(X[:, 0] + X[:, 1] > 1.1, "B", "T")

    models = {"scores": wrap(waiting(bad.good), classes=bad.CLASSES), "labels": wrap(waiting(labels))}

    def held_run(awaited: int, limit: float | None) -> None:
        hold.write_text(f"{awaited} {os.getpid()}")
        run(out, models=models, n_jobs=2, time_limit=limit)

    run(whole, models=models)
    table = (whole / "table.csv").read_bytes()
    rng = np.random.default_rng(1)
    codes: Counter[tuple[str, int]] = Counter()
    stages, workers = set(), set()
    for number in range(ROUNDS_OF_TWO):
        kind, limit = KINDS[number % 3], (None, NEVER)[number % 2]  # without a time limit the processes are loky's
        awaited = check_whole(out) + int(rng.integers(12))
        pid = child(lambda awaited=awaited, limit=limit: held_run(awaited, limit))
        while not ended(pid) and (results_in(out) < awaited or not descendants(pid)):
            time.sleep(0.002)
        workers.update(descendants(pid))
        os.kill(pid, kind)
        hold.unlink(missing_ok=True)
        code = exit_code(pid)
        codes[kind.name, code] += 1
        stages.add(check_whole(out))
        if kind != signal.SIGKILL:  # what it leaves behind may still be writing
            wait_for_the_end_of(workers)
            if (out / "table.csv").exists():
                assert (out / "table.csv").read_bytes() == table
                shutil.rmtree(out)
    wait_for_the_end_of(workers)
    check_whole(out)
    run(out, models=models)
    assert (out / "table.csv").read_bytes() == table
    assert adv.Survey.load(out).to_frame().equals(adv.Survey.load(whole).to_frame())
    assert {name for name, _ in codes} == {kind.name for kind in KINDS}
    assert all(code in (0, 128 + signal.Signals[name], -signal.Signals[name]) for name, code in codes), codes
    assert workers
    assert len(stages) >= ROUNDS_OF_TWO // 2, stages


# without a time limit the processes are loky's
@pytest.mark.slow
@pytest.mark.parametrize("limit", [None, NEVER])
@pytest.mark.parametrize("kind", KINDS)
def test_processes_of_an_ended_survey_end(run: Callable[..., Any], tmp_path: Path, kind: int, limit: Any) -> None:
    """With two processes: none is left behind, and the survey goes on to the same table."""
    out, hold = tmp_path / "run", tmp_path / "hold"

    def held(X: np.ndarray) -> np.ndarray:
        while hold.exists() and any(out.glob("results/*.npz")):  # so the survey cannot end before it is ended
            time.sleep(0.01)
        return np.where(X[:, 0] + X[:, 1] > 1.1, "B", "T")

    models = {"held": wrap(held)}
    run(tmp_path / "whole", models=models)
    hold.touch()
    pid = child(lambda: run(out, models=models, n_jobs=2, time_limit=limit))
    while not results_in(out) and not ended(pid):
        time.sleep(0.01)
    workers = descendants(pid)
    assert workers
    os.kill(pid, kind)
    hold.unlink()
    assert exit_code(pid) in (128 + kind, -kind)
    wait_for_the_end_of(workers)
    check_whole(out)
    run(out, models=models)
    assert (out / "table.csv").read_bytes() == (tmp_path / "whole" / "table.csv").read_bytes()


def results_in(out: Path) -> int:
    return len(list(out.glob("results/*.npz")))


def is_held(hold: Path, out: Path) -> bool:
    """Return whether a process must wait: the file names how many results are enough, and who need not wait."""
    try:
        enough, survey = map(int, hold.read_text().split())
    except (FileNotFoundError, ValueError):  # not there, or just being written
        return False
    return os.getpid() != survey and results_in(out) >= enough


class Process(NamedTuple):
    """A process: its number can be given to another one when it has ended, its number and its start cannot."""

    pid: int
    start: str


def descendants(pid: int) -> list[Process]:
    below: list[Process] = []
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        for name in told(children).split():
            below += [Process(int(name), status(int(name))[1]), *descendants(int(name))]
    return below


def told(file: Path) -> str:
    """Return what /proc says; nothing of a thread or process that ended meanwhile."""
    try:
        return file.read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""


def status(pid: int) -> tuple[str, str]:
    """Return the state of a process and when it started, in ticks since the machine did; empty where there is none."""
    fields = told(Path(f"/proc/{pid}/stat")).rpartition(")")[2].split()
    return (fields[0], fields[19]) if fields else ("", "")


def wait_for_the_end_of(processes: Iterable[Process]) -> None:
    """Wait until none of the processes is alive; one that stays for ever stops the test here."""
    while any(alive(process) for process in processes):
        time.sleep(0.01)


def ended(pid: int) -> bool:
    return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def alive(process: Process) -> bool:
    state, start = status(process.pid)
    return state not in ("", "Z") and start == process.start


HELD = """
import time
from pathlib import Path

def held(values):
    Path("begun").touch()
    while Path("hold").exists():
        time.sleep(0.01)
    return values
"""


@pytest.fixture
def command(cells: AnnData, tmp_path: Path) -> list[str]:
    """A survey whose change of genes waits for as long as there is a file ``hold``."""
    cells.write_h5ad(tmp_path / "cells.h5ad")
    (tmp_path / "waiting.py").write_text(HELD)
    (tmp_path / "hold").touch()
    options = ["--groupby", "cell_type", "--classifier", "random-forest", "--modification", "custom:waiting:held"]
    return [sys.executable, "-m", "adverscarial", "survey", "cells.h5ad", *options, "--out", "run"]


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_the_command_line_says_how_to_go_on(command: list[str], tmp_path: Path, kind: int, code: int) -> None:
    # a shell starts what runs in its background with SIGINT ignored, and so would all below it be
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    process = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
    signal.signal(signal.SIGINT, before)
    while not (tmp_path / "begun").exists() and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(kind)
    _, said = process.communicate()
    assert process.returncode == code, said
    lines = [line for line in said.splitlines() if line.strip()]
    assert ["goes on where it was" in line for line in lines] == [False] * (len(lines) - 1) + [True], said
    assert "Traceback" not in said
    assert (tmp_path / "run" / "run.json").exists()
    assert not (tmp_path / "run" / "table.csv").exists()


def test_half_written_files_are_swept_up(run: Callable[..., Any], tmp_path: Path) -> None:
    out = tmp_path / "run"
    run(out)
    old, young = out / "results" / ".00001.npz.ab.part", out / ".table.csv.cd.part"
    for file in (old, young):
        file.write_bytes(b"half")
    os.utime(old, (time.time() - 3600,) * 2)
    run(out)
    assert not old.exists()
    assert young.exists()  # another process may be writing it


@pytest.mark.fast(1)
@pytest.mark.parametrize("name", ["run.json", "errors.json"])
def test_a_plan_changed_by_hand_is_told(run: Callable[..., Any], tmp_path: Path, name: str) -> None:
    run(tmp_path)
    value = json.loads((tmp_path / name).read_text())
    value["0"] = "changed"
    (tmp_path / name).write_text(json.dumps(value))
    with pytest.raises(adv.errors.StorageError, match="checksum does not fit"):
        adv.Survey.load(tmp_path)


@pytest.mark.slow
def test_a_result_in_the_wrong_place(run: Callable[..., Any], tmp_path: Path) -> None:
    run(tmp_path)
    table = (tmp_path / "table.csv").read_bytes()
    shutil.copy(tmp_path / "results" / "00000.npz", tmp_path / "results" / "00001.npz")
    with pytest.raises(adv.errors.StorageError, match=r"00001\.npz' holds .*SingleGene.*expected"):
        adv.Survey.load(tmp_path)
    run(tmp_path)
    adv.Survey.load(tmp_path)
    assert (tmp_path / "table.csv").read_bytes() == table
