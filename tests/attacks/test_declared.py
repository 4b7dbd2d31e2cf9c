"""What a class of results declares is checked when it is written."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd
import pytest

from adverscarial.attacks import Result
from adverscarial.attacks.columns import Column
from adverscarial.attacks.result import RESULTS
from adverscarial.errors import ParameterError


@pytest.mark.parametrize("hidden", ["verify", "success", "load"])
def test_a_field_that_hides_what_every_result_has_is_refused(hidden: str) -> None:
    with pytest.raises(ParameterError, match=rf"Odd: the field '{hidden}' hides Result\.{hidden}"):
        type("Odd", (Result,), {"__annotations__": {hidden: int}})
    assert "Odd" not in RESULTS.known()


@pytest.mark.parametrize("columns", [("pairs",), "pairs", "", None, (Column("pairs", "whole", "Pairs."), None)])
def test_columns_that_are_none_are_refused(columns: object) -> None:
    with pytest.raises(ParameterError, match=r"Odd\.columns must be Column objects"):
        type("Odd", (Result,), {"columns": columns})


def test_fields_and_columns_of_its_own_are_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(RESULTS, "_things", dict(RESULTS._things))

    @dataclass(frozen=True, repr=False, eq=False, kw_only=True)
    class Plain(Result):
        columns = (Column("pairs", "whole", "Pairs that were tested."),)
        pairs: int

        @property
        def genes(self) -> list[str]:
            return []

        def to_frame(self) -> pd.DataFrame:
            return pd.DataFrame()

    assert RESULTS.find("Plain") is Plain
