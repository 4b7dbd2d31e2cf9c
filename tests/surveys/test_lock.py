"""Two surveys on one folder at the same moment: one wins, the other gets an error; nothing is left when one dies."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from adverscarial.errors import StorageError
from adverscarial.surveys import lock
from adverscarial.surveys.lock import locked
from surveys.small import labels, run


def test_a_second_survey_is_refused_while_the_first_one_runs(tmp_path: Path) -> None:
    inside, refused = threading.Event(), threading.Event()

    def waits(X):
        inside.set()
        assert refused.wait(300)
        return labels(X)

    found = []
    first = threading.Thread(target=lambda: found.append(run({"model": waits}, targets=["B"], out=tmp_path)))
    first.start()
    assert inside.wait(300)
    before = (tmp_path / "run.json").read_bytes()
    try:
        for other in ({}, {"seed": 5}):
            with pytest.raises(StorageError, match="Another survey is writing to"):
                run(targets=["B"], out=tmp_path, **other)
    finally:
        refused.set()
        first.join()
    assert (tmp_path / "run.json").read_bytes() == before
    assert not found[0].errors


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="signals of Unix")
@pytest.mark.parametrize("kind", ["SIGKILL", "SIGTERM"])
def test_a_process_that_dies_leaves_no_lock(tmp_path: Path, kind: str) -> None:
    code = (
        "import sys, time\nfrom pathlib import Path\nfrom adverscarial.surveys.lock import locked\n"
        "with locked(Path(sys.argv[1])):\n    print('held', flush=True)\n    time.sleep(1000)\n"
    )
    with subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(StorageError, match="Another survey is writing to"), locked(tmp_path):
            pass
        holder.send_signal(getattr(signal, kind))
        holder.wait()
    with locked(tmp_path):
        pass


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_fork_does_not_keep_the_lock(tmp_path: Path) -> None:
    """A process that a classifier forks may outlive the survey, also where the survey is killed."""
    code = (
        "import os, sys, time\nfrom pathlib import Path\nfrom adverscarial.surveys.lock import locked\n"
        "with locked(Path(sys.argv[1])):\n    pid = os.fork()\n"
        "    if pid == 0:\n        print(os.getpid(), flush=True)\n    time.sleep(1000)\n"
    )
    with subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        fork = int(holder.stdout.readline())
        holder.kill()
        holder.wait()
        try:
            with locked(tmp_path):
                pass
        finally:
            os.kill(fork, signal.SIGKILL)


def test_a_lock_can_be_taken_again_and_an_error_frees_it(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), locked(tmp_path):
        _ = 1 / 0
    with locked(tmp_path):
        pass
    assert not lock._held


def test_files_that_cannot_be_locked_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    fcntl = pytest.importorskip("fcntl")

    def refuses(file: int, how: int) -> None:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(fcntl, "flock", refuses)
    with locked(tmp_path):
        pass
    assert "cannot be locked" in caplog.text


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="cannot be written to"), locked(tmp_path / "file" / "below"):
        pass


def test_a_folder_of_other_things_gets_no_lock(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(StorageError, match="holds other things than a survey"):
        run(out=tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == ["notes.txt"]


def test_a_lock_that_its_holder_removed_is_taken_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between opening the file and locking it, the survey that held the lock may end and remove the file."""
    taken, lock_file = [], lock._lock

    def late(file: int, folder: Path) -> None:
        if not taken:
            (folder / lock.NAME).unlink()
        taken.append(file)
        lock_file(file, folder)

    monkeypatch.setattr(lock, "_lock", late)
    with locked(tmp_path):
        assert len(taken) == 2
        with pytest.raises(StorageError, match="Another survey is writing to"), locked(tmp_path):
            pass
        assert (tmp_path / lock.NAME).exists()
    assert not (tmp_path / lock.NAME).exists()
