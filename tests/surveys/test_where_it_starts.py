"""A survey gives the same table wherever it is started, and goes on after an interruption there."""

from __future__ import annotations

import multiprocessing
import os
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

import adverscarial as adv
from adverscarial.errors import ParameterError
from surveys.small import above, cells, run

TESTS = Path(__file__).parents[1]


def table(**options: Any) -> str:
    """The table of a small survey, as text."""
    return run(above(1), **options).to_frame().to_csv()


@pytest.fixture(scope="module")
def expected() -> str:
    return table()


@pytest.mark.slow
@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_a_worker_of_multiprocessing_may_start_no_processes(method: str, expected: str) -> None:
    if method not in multiprocessing.get_all_start_methods():
        pytest.skip(f"this system does not start processes by {method}")
    with multiprocessing.get_context(method).Pool(1) as pool:
        assert pool.apply(_run_elsewhere, ({},)) == expected
        assert pool.apply(_run_elsewhere, ({"n_jobs": 2, "backend": "threading"},)) == expected
        for options in ({"n_jobs": 2}, {"time_limit": 300}):
            with pytest.raises(ParameterError, match=r"worker of multiprocessing\.Pool.*backend='threading'"):
                pool.apply(_run_elsewhere, (options,))


def _run_elsewhere(options: dict[str, Any]) -> str:
    """What a worker runs; it may import this module afresh."""
    if str(TESTS) not in sys.path:
        sys.path.insert(0, str(TESTS))
    return table(**options)


def test_the_clock_may_be_set_back_between_two_runs(expected: str, tmp_path: Path) -> None:
    table(out=tmp_path / "run")
    removed = sorted((tmp_path / "run").rglob("*.npz"))[0]
    removed.unlink()
    for path in (tmp_path / "run").rglob("*"):
        os.utime(path, (4e9, 4e9))  # in the year 2096
    assert table(out=tmp_path / "run") == expected
    assert removed.exists()


@pytest.mark.slow
def test_two_thousand_clusters_of_three_cells(tmp_path: Path) -> None:
    adata = cells(6000, types=tuple(f"type {k}" for k in range(2000)))
    survey = run(above(1), adata=adata, out=tmp_path / "run")
    found = survey.to_frame()
    assert len(found) == 2000
    assert not survey.errors
    assert (found["n_cells"] == 3).all()
    again = adv.Survey.load(tmp_path / "run").to_frame()
    assert again["flipped"].tolist() == found["flipped"].tolist()


@pytest.mark.slow
def test_an_interrupted_cell_of_a_notebook_goes_on(tmp_path: Path) -> None:
    manager = pytest.importorskip("jupyter_client.manager", reason="pip install ipykernel jupyter_client")
    pytest.importorskip("ipykernel")
    waits, out = tmp_path / "waits", tmp_path / "run"
    waits.touch()
    kernel, client = manager.start_new_kernel(kernel_name="python3")

    def cell(code: str, interrupt_at: str = "") -> tuple[str, str]:
        """Run a cell; return what it printed and its error. It is interrupted once it prints a certain line."""
        asked = client.execute(textwrap.dedent(code))
        printed, error = "", ""
        while True:
            message = client.get_iopub_msg(timeout=600)
            if message["parent_header"].get("msg_id") != asked:
                continue
            kind, content = message["msg_type"], message["content"]
            if kind == "status" and content["execution_state"] == "idle":
                return printed, error
            printed += content["text"] if kind == "stream" and content["name"] == "stdout" else ""
            error = content["ename"] if kind == "error" else error
            if interrupt_at and interrupt_at in printed:
                interrupt_at = ""
                kernel.interrupt_kernel()

    try:
        cell(f"""
            import pathlib, sys, time
            sys.path.insert(0, {str(TESTS)!r})
            from surveys.small import *
            def model(X):
                if pathlib.Path({str(waits)!r}).exists() and any(pathlib.Path({str(out)!r}).glob("results/*.npz")):
                    print("asked", flush=True)
                    time.sleep(600)
                return labels(X)
            def survey():
                return run(model, out={str(out)!r}).to_frame()
        """)
        assert cell("survey()", interrupt_at="asked")[1] == "KeyboardInterrupt"
        assert list(out.glob("results/*.npz"))
        waits.unlink()
        printed, error = cell("print(len(survey()))")
        assert (printed.strip(), error) == ("3", "")
    finally:
        client.stop_channels()
        kernel.shutdown_kernel(now=True)
