"""A disk that fills up in the middle of a survey: an error that says so, and the survey goes on when there is space."""

from __future__ import annotations

import errno
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData

import adverscarial as adv
from adverscarial.attacks import MaxChange, SingleGene
from adverscarial.errors import StorageError

ATTACKS = [SingleGene("perc1", bins=2), SingleGene("perc99", bins=2), MaxChange("perc99", restarts=1)]


def label(X: np.ndarray) -> np.ndarray:
    return np.where(X[:, 0] > 0.5, "B", "T")


def run(out: Path, **options: Any) -> Any:
    rng = np.random.default_rng(0)
    obs = pd.DataFrame({"cell_type": ["B", "NK", "T"] * 10}, index=[f"cell{i}" for i in range(30)])
    cells = AnnData(rng.random((30, 6)), obs=obs, var=pd.DataFrame(index=[f"g{i}" for i in range(6)]))
    return adv.survey(cells, label, attacks=ATTACKS, groupby="cell_type", out=out, **options)


def check_goes_on(out: Path, whole: Path) -> None:
    assert not list(out.rglob("*.part"))
    assert not (out / "table.csv").exists()
    if out.exists() and not (out / "run.json").exists():
        assert not any(out.iterdir())
    run(out)
    assert (out / "table.csv").read_bytes() == (whole / "table.csv").read_bytes()
    assert adv.Survey.load(out).to_frame().equals(adv.Survey.load(whole).to_frame())


@pytest.mark.slow
@pytest.mark.parametrize("when", ["write", "flush"])
def test_every_file_of_a_survey_in_turn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, when: str) -> None:
    run(tmp_path / "whole")
    count = len([file for file in (tmp_path / "whole").rglob("*") if file.is_file()])
    assert count == 3 * len(ATTACKS) + 3
    full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    name, real = ("os.replace", os.replace) if when == "write" else ("os.fsync", os.fsync)
    for last in range(count):
        calls = iter(range(count + 1))

        def fill(*arguments: Any, calls: Iterator[int] = calls, last: int = last) -> Any:
            if next(calls) >= last:
                raise full
            return real(*arguments)

        out = tmp_path / f"run{last}"
        with monkeypatch.context() as patch:
            patch.setattr(name, fill)
            with pytest.raises(StorageError, match=r"No space left on device\)\. Name a file .* with space left"):
                run(out)
        check_goes_on(out, tmp_path / "whole")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 40 kB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounting = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=40k", "tmpfs", folder], capture_output=True, text=True
    )
    if mounting.returncode:
        pytest.skip(f"a small disk cannot be mounted here: {mounting.stderr.strip()}")
    yield folder
    subprocess.run(["umount", folder], check=True)


@pytest.mark.fast(1)
@pytest.mark.parametrize("jobs", [1, 2])
def test_a_real_full_disk(small_disk: Path, tmp_path: Path, jobs: int) -> None:
    run(tmp_path / "whole")
    with pytest.raises(StorageError, match=r"No space left on device\)"):
        run(small_disk / "run", n_jobs=jobs, backend="threading")
    done = list((small_disk / "run" / "results").glob("*.npz"))
    assert done
    subprocess.run(["mount", "-o", "remount,size=10m", small_disk], check=True)
    check_goes_on(small_disk / "run", tmp_path / "whole")


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="the limit is set in a forked process")
def test_a_quota_on_the_size_of_files(tmp_path: Path) -> None:
    """The kernel cuts a file off in the middle of a write."""
    import resource

    run(tmp_path / "whole")
    sizes = [file.stat().st_size for file in (tmp_path / "whole").rglob("*.npz")]
    pid = os.fork()
    if pid == 0:
        code = 9
        try:
            resource.setrlimit(resource.RLIMIT_FSIZE, (sorted(sizes)[len(sizes) // 2], resource.RLIM_INFINITY))
            run(tmp_path / "run")
        except StorageError as error:
            code = 3 if "File too large" in str(error) else 4
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 3
    check_goes_on(tmp_path / "run", tmp_path / "whole")
