"""Attacks in processes of their own: what a process that ends costs, and what cannot be sent to one."""

from __future__ import annotations

import errno
import faulthandler
import io
import os
import tempfile
import threading
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pytest
from numba.core import event
from scipy.sparse import csr_matrix

import adverscarial as adv
from adverscarial.errors import StorageError
from adverscarial.surveys.timeouts import Clock
from adverscarial.surveys.transfer import file_of, mapped
from surveys.small import above, cells, labels, run, script


def marked() -> Any:
    """Cells whose last gene numbers them; cell 2 is the first of cluster T."""
    adata = cells(30)
    adata.X[:, -1] = np.arange(30)
    return adata


ATTACKS = [adv.attacks.SingleGene(change, genes=["g0", "g1"]) for change in ("perc1", "perc99", "fixed:9")]


@pytest.mark.slow
@pytest.mark.parametrize("limit", [None, 300])
def test_a_process_that_ends_costs_one_row(limit: float | None) -> None:
    parent = os.getpid()

    def model(X: np.ndarray) -> np.ndarray:
        if os.getpid() != parent and X[0, -1] == 2 and X[0, 0] == 9:
            os._exit(3)
        return np.where(X[:, 0] > 1, "B", "T")

    asked = {"adata": marked(), "attacks": ATTACKS, "n_jobs": 2, "time_limit": limit}
    table = run({"model": model, "other": above(1)}, **asked).to_frame()
    failed = table["error"].notna()
    assert len(table) == 18
    assert table.loc[failed, ["classifier", "cluster", "modification"]].values.tolist() == [["model", "T", "fixed:9"]]
    assert table.loc[failed, "error"].str.contains(r"process ended \(exit code 3\) while model was asked").all()
    alone = run(above(1), adata=marked(), attacks=ATTACKS).to_frame()
    assert table[table["classifier"] == "other"]["flipped"].tolist() == alone["flipped"].tolist()


@pytest.mark.slow
def test_a_process_that_ends_before_the_first_attack_costs_the_cluster() -> None:
    parent = os.getpid()

    def model(X: np.ndarray) -> np.ndarray:
        if os.getpid() != parent and X[0, -1] == 2:
            os._exit(3)
        return np.where(X[:, 0] > 1, "B", "T")

    table = run(model, adata=marked(), attacks=ATTACKS, n_jobs=2).to_frame()
    assert set(table.loc[table["error"].notna(), "cluster"]) == {"T"}
    assert table["error"].notna().sum() == 3


@pytest.mark.slow
def test_what_cannot_be_sent_fails_in_its_rows() -> None:
    lock = threading.Lock()

    def guarded(X: np.ndarray) -> np.ndarray:
        with lock:
            return labels(X)

    table = run({"guarded": guarded, "other": above(1)}, n_jobs=2).to_frame()
    failed = table["classifier"] == "guarded"
    assert (table["error"].notna() == failed).all()
    assert table.loc[failed, "error"].str.contains("cannot be sent to another process .*backend='threading'").all()
    assert "error" not in run({"guarded": guarded, "other": above(1)}, n_jobs=2, backend="threading").to_frame()


def test_a_missing_temporary_folder_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "missing"))
    with pytest.raises(StorageError, match=r"no temporary folder for the data of other processes .*TMPDIR"):
        run(n_jobs=2, out=tmp_path / "run")
    assert not run(out=tmp_path / "run").errors  # one process needs none


def test_a_full_temporary_folder_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(joblib, "dump", full)
    with pytest.raises(StorageError, match=r"cannot be written .*No space left on device.*TMPDIR"):
        run(n_jobs=2)


@pytest.mark.slow
def test_cells_that_lie_in_a_file_are_read_from_it_and_not_written_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    adata = cells(200)
    adata.layers["sparse"] = csr_matrix(adata.X)
    lying = mapped(adata, tmp_path / "cells")
    assert isinstance(lying.X, np.memmap)
    assert file_of(lying) == tmp_path / "cells"
    assert file_of(adata) is file_of(lying.copy()) is None
    expected = run(above(1), adata=adata).to_frame()
    monkeypatch.setattr(joblib, "dump", None)
    for layer in (None, "sparse"):
        table = run(above(1), adata=lying, n_jobs=2, layer=layer).to_frame()
        pd.testing.assert_frame_equal(table, expected)


def test_compilation_does_not_count_against_the_time_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    happened: list[str] = []
    monkeypatch.setattr(faulthandler, "dump_traceback_later", lambda *_, **__: happened.append("starts"))
    monkeypatch.setattr(faulthandler, "cancel_dump_traceback_later", lambda: happened.append("stops"))
    clock = Clock(5, io.StringIO())
    with event.trigger_event("numba:compiler_lock"):  # nobody is asked
        pass
    assert "starts" not in happened
    happened.clear()
    with clock.running():
        with event.trigger_event("numba:compiler_lock"), event.trigger_event("numba:compiler_lock"):
            happened.append("compiles")
        happened.append("answers")
    assert happened == ["starts", "stops", "stops", "compiles", "starts", "answers", "stops"]


@pytest.mark.slow
def test_the_limit_holds_after_a_compilation() -> None:
    def hangs(X: np.ndarray) -> np.ndarray:
        import time

        from numba.core import event

        with event.trigger_event("numba:compiler_lock"):
            pass
        time.sleep(1000)
        return labels(X)

    found = run(hangs, targets=["B"], time_limit=0.5)
    assert "no answer within 0.5 s" in found.errors[0]


# the places from which surveys are started
@pytest.mark.slow
def test_from_another_thread(tmp_path: Path) -> None:
    expected, found = run().to_frame(), []
    for options in ({}, {"n_jobs": 2}, {"time_limit": 300}):
        thread = threading.Thread(target=lambda options=options: found.append(run(**options).to_frame()))
        thread.start()
        thread.join()
    assert [frame.equals(expected) for frame in found] == [True] * 3


def in_a_worker(n_jobs: int) -> Any:
    return run(n_jobs=n_jobs).to_frame()


@pytest.mark.slow
def test_inside_a_worker_of_joblib() -> None:
    body = (
        "import joblib\nfrom surveys.test_processes import in_a_worker\n"
        "if __name__ == '__main__':\n"
        "    found = joblib.Parallel(n_jobs=2)(joblib.delayed(in_a_worker)(k) for k in (1, 2))\n"
        "    print([frame.equals(run().to_frame()) for frame in found])"
    )
    done = script(body)
    assert done.stdout == "[True, True]\n", done.stderr


def put(pipe: Any, n_jobs: int) -> None:
    pipe.send(run(n_jobs=n_jobs).to_frame())


@pytest.mark.slow
@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_inside_another_process(method: str) -> None:
    if method == "fork" and not hasattr(os, "fork"):
        pytest.skip("needs fork")
    body = (
        "import multiprocessing\nfrom surveys.test_processes import put\n"
        f"context = multiprocessing.get_context({method!r})\n"
        "for n_jobs in (1, 2):\n"
        "    here, there = context.Pipe()\n"
        "    process = context.Process(target=put, args=(there, n_jobs))\n"
        "    process.start()\n"
        "    print(here.recv().equals(run().to_frame()))\n"
        "    process.join()"
    )
    done = script(body)
    assert done.stdout == "True\nTrue\n", done.stderr


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="folders of Unix")
def test_without_a_home_and_a_cache(tmp_path: Path) -> None:
    """A user without a home folder, whose caches cannot be written to: everything is computed, nothing kept."""
    (tmp_path / "file").write_text("")
    nowhere = str(tmp_path / "file" / "below")  # not even root can make a folder below a file
    body = "found = run(n_jobs=2); print('errors:', found.errors, len(found.tasks))"
    caches = {"HOME": nowhere, "XDG_CACHE_HOME": nowhere, "NUMBA_CACHE_DIR": nowhere, "MPLCONFIGDIR": nowhere}
    done = script(body, **caches)
    assert done.stdout == "errors: {} 3\n", done.stderr


@pytest.mark.slow
def test_a_trained_model_in_a_fresh_installation(tmp_path: Path) -> None:
    """The loops of its scorer are compiled under the clock, for every row."""
    body = (
        "from sklearn.linear_model import LogisticRegression\n"
        "adata = cells()\n"
        "model = LogisticRegression().fit(adata.X, adata.obs['cell_type'].astype(str))\n"
        "print('errors:', run(model, adata=adata, time_limit=3600).errors)"
    )
    done = script(body, NUMBA_CACHE_DIR=str(tmp_path))
    assert done.stdout == "errors: {}\n", done.stderr


def test_a_process_starts_without_what_only_training_needs() -> None:
    large = {"scipy.stats", "sklearn", "torch"}
    done = script(f"import sys, adverscarial.surveys.processes\nprint(*{large} & set(sys.modules))")
    assert (done.stdout, done.stderr) == ("\n", "")
