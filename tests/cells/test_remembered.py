"""What is worked out of an object once belongs to that very object, and goes with it."""

import gc
import weakref

import numpy as np
import pandas as pd
import pytest

from adverscarial.cells.remembered import Remembered, as_array, as_text


def test_it_is_worked_out_once_for_each_object() -> None:
    lengths: Remembered[int] = Remembered()
    asked = []
    names, same = pd.Index(["a", "b"]), pd.Index(["a", "b"])
    for index in (names, names, same):
        assert lengths.of(index, lambda index=index: asked.append(index) or len(index)) == 2
    assert [index is names for index in asked] == [True, False]


def test_it_goes_with_the_object() -> None:
    kept: Remembered[int] = Remembered()
    array = np.zeros(3)
    kept.keep(array, 1)
    kept.keep(array, 2)  # instead of the first
    assert kept.find(array) == 2
    assert kept.find(np.zeros(3)) is None
    del array
    gc.collect()
    assert not kept._known


@pytest.mark.parametrize(("given", "dtype"), [(["a", "b"], object), ([1, 2], None), (["a", "b"], "string")])
def test_names_do_not_keep_their_index_alive(given: list[object], dtype: object) -> None:
    names = pd.Index(given, dtype=dtype)
    gone = weakref.ref(names)
    text, array = as_text(names), as_array(as_text(names))
    assert [type(name) for name in text] == [str, str]
    assert array.dtype.kind == "U"
    assert as_text(names) is text
    del names
    gc.collect()
    assert gone() is None
