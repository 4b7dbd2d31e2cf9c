"""What a classifier says when it is asked about a result again, from scratch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import pandas as pd

_CLAIM = ("gene", "claimed", "found", "share", "confirmed")


@dataclass(frozen=True)
class Verification:
    """Outcome of a full re-prediction; true in an ``if`` when everything claimed was confirmed.

    Attributes
    ----------
    table
        One row per checked claim: ``gene`` (where the claim is about several genes at once: what it is about),
        ``claimed``, ``found`` (a label, or "rejected"), ``share``, ``confirmed``.
    """

    table: pd.DataFrame

    @classmethod
    def of(cls, claims: Sequence[tuple[str, str, str, float, bool]]) -> Self:
        """Return a verification of claims: gene, claimed, found, share and confirmed of each."""
        return cls(pd.DataFrame(list(claims), columns=list(_CLAIM)))

    def __bool__(self) -> bool:
        return bool(self.table["confirmed"].all())

    def __str__(self) -> str:
        confirmed = int(self.table["confirmed"].sum())
        return f"{confirmed:,} of {len(self.table):,} claims confirmed by full re-prediction"
