"""Work that cannot fit into memory is refused before it begins, with the estimate and what to change."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from anndata import AnnData

import adverscarial as adv
from adverscarial import _memory
from adverscarial.attacks import SingleGene
from adverscarial.errors import MemoryLimitError


def label(X: np.ndarray) -> np.ndarray:
    return np.where(X[:, 0] > 0.5, "B", "T")


@pytest.fixture(scope="module")
def wide() -> AnnData:
    """20,000 cells x 2,000 genes, nearly all zero: small as it is, 160 MB dense."""
    X = sp.random(20_000, 2_000, 0.001, format="csr", dtype=np.float32, random_state=0)
    obs = pd.DataFrame({"cell_type": np.repeat(["B", "T"], 10_000)}, index=[f"c{i}" for i in range(20_000)])
    return AnnData(X, obs=obs, var=pd.DataFrame(index=[f"g{i}" for i in range(2_000)]))


def attack(adata: AnnData, classifier: Any = label) -> Any:
    return SingleGene("perc99", genes=["g0"])(adata, classifier, groupby="cell_type", target="B")


@pytest.mark.slow
def test_an_attack_that_does_not_fit(wide: AnnData, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_memory, "available", lambda: 399_000_000)
    message = r"10,000 cells x 2,000 genes, needs about 0\.4 GB of memory; 0\.4 GB are available\. Attack a random part"
    with pytest.raises(MemoryLimitError, match=message):
        attack(wide)
    attack(wide[:, :1000].copy())
    attack(wide, adv.classifiers.wrap(label, genes=["g3", "g0"]))  # reads two genes only
    monkeypatch.setattr(_memory, "available", lambda: 401_000_000)
    attack(wide)
    with pytest.raises(MemoryLimitError, match=r"needs about 1\.2 GB"):  # a function of the whole data set
        attack(wide, lambda expression, clusters, target: ("B", 1.0))
    monkeypatch.setattr(_memory, "available", lambda: None)
    attack(wide)


@pytest.mark.slow
def test_a_model_that_computes_in_float64_counts_so(wide: AnnData, monkeypatch: pytest.MonkeyPatch) -> None:
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(max_iter=1).fit(wide.X[::1000], wide.obs["cell_type"][::1000])
    monkeypatch.setattr(_memory, "available", lambda: 639_000_000)  # 10,000 x 2,000 x (2 x 4 + 3 x 8 bytes)
    with pytest.raises(MemoryLimitError, match=r"needs about 0\.6 GB"):
        attack(wide, model)
    with pytest.raises(MemoryLimitError, match=r"needs about 0\.6 GB"):
        attack(wide, adv.classifiers.wrap(label, preprocess="log1p"))
    attack(wide)


@pytest.mark.slow
def test_a_survey_that_does_not_fit(wide: AnnData, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(_memory, "available", lambda: 600_000_000)
    options: dict[str, Any] = {"attacks": SingleGene("perc99", genes=["g0"]), "groupby": "cell_type", "out": tmp_path}
    with pytest.raises(MemoryLimitError, match=r"2 clusters at a time, needs about 0\.8 GB .* Use n_jobs=1; attack"):
        adv.survey(wide, label, n_jobs=2, **options)
    assert not list(tmp_path.iterdir())
    assert not adv.survey(wide, label, **options).errors


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="the limit is set in a forked process")
def test_a_real_limit(wide: AnnData) -> None:
    """With 200 MB of address space left the attack is refused; with 3 GB the same attack runs."""
    import resource

    attack(wide)  # so that everything is imported and compiled
    for room, refused in ((200 * 2**20, True), (3 * 2**30, False)):
        pid = os.fork()
        if pid == 0:
            code = 9
            try:
                used = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
                resource.setrlimit(resource.RLIMIT_AS, (used + room, resource.RLIM_INFINITY))
                attack(wide)
                code = 0
            except MemoryLimitError:
                code = 3
            finally:
                os._exit(code)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == (3 if refused else 0)


def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, groups: str, files: dict[str, str]) -> None:
    """A machine with 8 GB available and these control groups."""
    (tmp_path / "meminfo").write_text("MemTotal: 16000000 kB\nMemAvailable:    8000000 kB\n")
    (tmp_path / "groups").write_text(groups)
    for name, text in files.items():
        (tmp_path / "fs" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "fs" / name).write_text(text)
    monkeypatch.setattr(_memory, "_MEMINFO", tmp_path / "meminfo")
    monkeypatch.setattr(_memory, "_GROUPS", tmp_path / "groups")
    monkeypatch.setattr(_memory, "_GROUP", tmp_path / "fs")


@pytest.mark.parametrize(
    ("groups", "files", "expected"),
    [
        ("", {}, 8_000_000 * 1024),
        ("0::/\n", {"memory.max": "max\n", "memory.current": "5\n"}, 8_000_000 * 1024),
        ("0::/job/7\n", {"job/7/memory.max": "5000\n", "job/7/memory.current": "1000\n"}, 4000),
        ("0::/job/7\n", {"job/memory.max": "5000\n", "job/memory.current": "5100\n"}, 0),
        (
            "0::/\n",
            {"memory.max": "5000", "memory.current": "4000", "memory.stat": "anon 1\ninactive_file 500\n"},
            1500,
        ),
        (
            "5:devices:/\n4:memory:/job\n",
            {"memory/job/memory.limit_in_bytes": "700\n", "memory/job/memory.usage_in_bytes": "100\n"},
            600,
        ),
    ],
)
def test_limits_of_control_groups_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, groups: str, files: dict[str, str], expected: int
) -> None:
    tree(tmp_path, monkeypatch, groups, files)
    assert _memory.available() == expected


def test_a_system_that_does_not_tell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tree(tmp_path, monkeypatch, "", {})
    (tmp_path / "meminfo").unlink()
    assert _memory.available() is None
    _memory.check(2**80, "Anything")


@pytest.mark.skipif(sys.platform != "linux" or platform.libc_ver()[0] != "glibc", reason="others keep no freed memory")
def test_freed_memory_is_given_back() -> None:
    """Small pieces below one that is in use stay with the process unless they are given back."""
    code = """
from pathlib import Path
from adverscarial import _memory

def held():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096

pieces = [bytearray(b"x" * 60_000) for _ in range(2_000)]  # 120 MB
last = bytearray(b"x" * 60_000)
del pieces
before = held()
_memory.give_back()
print(before - held())
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(done.stdout) > 60_000_000
