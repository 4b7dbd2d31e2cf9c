"""Compiled loops where numba can keep nothing."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numba
import pytest

from adverscarial import _progress
from adverscarial._compiled import _say_compiling, compiled, compiled_within, inlined
from adverscarial.cli.app import _Notes


def test_a_loop_that_cannot_be_kept_is_compiled_all_the_same() -> None:
    names: dict[str, Any] = {}
    exec(compile("def twice(x):\n    return 2 * x\n", "/nowhere/at/all.py", "exec"), names)
    assert compiled(names["twice"])(4) == 8


def test_another_error_is_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(**options: Any) -> Any:
        raise RuntimeError("something else")

    monkeypatch.setattr(numba, "njit", fails)
    with pytest.raises(RuntimeError, match="something else"):
        compiled(lambda x: x)


SORTED = (
    "import numpy as np\nfrom adverscarial._compiled import compiled\n@compiled\ndef {0}(x):\n    return np.{0}(x)\n"
)


@pytest.mark.slow
def test_loops_of_several_processes_are_not_mixed_up(tmp_path: Path) -> None:
    """Without names of its own for each process, numba 0.68 takes the sort inside one file for that in another."""

    def printed(code: str) -> str:
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])}
        command = [sys.executable, "-c", f"import numpy as np, numba\nx = np.array([3.0, 1.0, 2.0])\n{code}"]
        return subprocess.run(command, capture_output=True, text=True, check=True, env=environment).stdout

    for name in ("sort", "argsort"):
        (tmp_path / f"kept_{name}.py").write_text(SORTED.format(name))
    printed("import kept_sort; kept_sort.sort(x)")
    other = "from adverscarial._compiled import compiled\ncompiled(lambda x: min(x, max(x, 2.0)))(1.0)\n"
    printed(f"{other}import kept_argsort; kept_argsort.argsort(x)")
    both = "import kept_sort, kept_argsort; print(kept_argsort.argsort(x), kept_sort.sort(x))"
    assert printed(both) == "[1 2 0] [1. 2. 3.]\n"


@pytest.mark.slow
def test_every_process_counts_its_functions_from_elsewhere() -> None:
    code = "import adverscarial._compiled, numba.core.bytecode as b; print(next(b.FunctionIdentity._unique_ids))"
    numbers = [int(subprocess.check_output([sys.executable, "-c", code])) for _ in range(2)]
    assert abs(numbers[0] - numbers[1]) > 10**6


@pytest.mark.parametrize("made", [compiled_within, inlined])
def test_what_only_compiled_functions_call_runs_as_python_elsewhere(made) -> None:
    @made
    def double(x: float) -> float:
        return 2 * x

    @compiled
    def outer(x: float) -> float:
        return double(x) + 1

    assert double(2.0) == 4.0
    assert outer(2.0) == 5.0
    assert double(3.0) == 6.0  # once compiled, too


def test_the_first_compilation_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    def told() -> list[str]:
        return [record.getMessage() for record in caplog.records if record.name == "adverscarial._compiled"]

    _say_compiling.cache_clear()
    with caplog.at_level(logging.INFO, logger="adverscarial._compiled"):
        numba.njit(lambda x: x + 1)(1)  # not ours
        assert told() == []
        for function in (lambda x: x + 2, lambda x: x + 3):
            function.__module__ = "adverscarial.somewhere"
            numba.njit(function)(1)
    assert told() == ["Compiling loops for this computer: some seconds, once per installation."]


@pytest.mark.parametrize("looking", [True, False])
def test_it_is_a_note_on_the_command_line_where_somebody_looks(monkeypatch, capsys, looking: bool) -> None:
    monkeypatch.setattr(_progress, "shown", lambda wanted: looking)
    _Notes().emit(logging.LogRecord("x", logging.INFO, "", 0, "Compiling %s.", ("loops",), None))
    assert capsys.readouterr().err.count("Compiling loops.") == looking
