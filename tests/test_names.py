"""Names that repeat."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from adverscarial._names import numbered


def test_a_repeated_name_is_numbered() -> None:
    assert numbered(["a", "b", "a", "a"]) == ["a", "b", "a #2", "a #3"]


@given(st.lists(st.sampled_from(["a", "b", "a #2", "a #3", ""])))
def test_no_name_is_lost(names: list[str]) -> None:
    found = numbered(names)
    assert len(set(found)) == len(names)
    assert all(new == name or new.startswith(f"{name} #") for new, name in zip(found, names, strict=True))
