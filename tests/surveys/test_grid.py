from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adverscarial.attacks import MaxChange, SingleGene
from adverscarial.modifications import Custom
from adverscarial.surveys.grid import headings, heat, luminance


@given(st.integers(1, 100_000), st.integers(1, 100_000))
def test_text_on_a_coloured_cell_is_readable(value, largest):
    dark, light = sorted(map(luminance, heat(value, largest)))
    assert (light + 0.05) / (dark + 0.05) >= 4.5


@pytest.mark.slow
@given(st.integers(1, 5_000))
def test_twice_as_many_is_darker(value):
    assert luminance(heat(2 * value, 10_000)[0]) < luminance(heat(value, 10_000)[0])


def test_luminance_of_known_colours():
    assert luminance("#000000") == 0
    assert luminance("#ffffff") == 1
    assert abs(luminance("#ff0000") - 0.2126) < 1e-9


def test_headings_are_short_and_unique():
    first, second = Custom(lambda values: values), Custom(lambda values: values * 2)
    attacks = [
        SingleGene("perc1"),
        SingleGene("perc99"),
        SingleGene("perc99", genes=[f"g{i}" for i in range(1200)]),
        SingleGene(first),
        SingleGene(second),
        MaxChange("fixed:2", restarts=3),
    ]
    found = headings([*attacks, *attacks])
    assert [found[repr(attack)] for attack in attacks] == [
        "perc1",
        "perc99",
        "perc99 (genes=1,200 given)",
        "custom:<lambda>",
        "custom:<lambda> #2",
        "fixed:2",
    ]
