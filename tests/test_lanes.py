"""Which tests ``make test`` runs: all but the slow ones, and of some with many cases only those that are named."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import conftest


class Item:
    """A collected test, as far as the lanes know it."""

    def __init__(self, case: str, *fast: int | str) -> None:
        self.nodeid, self.fast = f"tests/test_x.py::test_x[{case}]", pytest.mark.fast(*fast).mark if fast else None
        self.added: list[str] = []

    def get_closest_marker(self, name: str) -> pytest.Mark | None:
        return self.fast if name == "fast" else None

    def add_marker(self, mark: pytest.MarkDecorator) -> None:
        self.added.append(mark.name)


@pytest.mark.parametrize(
    ("fast", "slow"), [((2,), ["c", "[d]"]), (("b", "[d]"), ["a", "c"]), ((9,), []), ((), [])], ids=str
)
def test_cases_that_are_not_named_are_slow(fast: tuple[int | str, ...], slow: list[str]) -> None:
    cases = ["a", "b", "c", "[d]"]
    items = [Item(case, *fast) for case in cases]
    conftest.pytest_collection_modifyitems(items)  # type: ignore[arg-type]
    assert [case for case, item in zip(cases, items, strict=True) if item.added == ["slow"]] == slow
    assert all(item.added in ([], ["slow"]) for item in items)


def test_no_test_reads_a_clock() -> None:
    """What takes long on a busy machine is no failure, so no test measures time."""
    clocks = {"perf_counter", "perf_counter_ns", "monotonic", "monotonic_ns", "process_time", "thread_time", "alarm"}
    found = {
        f"{path.name}: {name}"
        for path in Path(__file__).parent.rglob("*.py")
        if any(clock in (code := path.read_text(encoding="utf-8")) for clock in clocks)
        for node in ast.walk(ast.parse(code))
        if (name := getattr(node, "attr", getattr(node, "id", None))) in clocks
    }
    assert found == set()
