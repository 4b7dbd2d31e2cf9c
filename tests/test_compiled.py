"""Compiled loops where numba can keep nothing."""

from __future__ import annotations

from typing import Any

import numba
import pytest

from adverscarial._compiled import compiled


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
