"""What changes that lose molecules by chance have in common."""

from __future__ import annotations

from adverscarial.modifications.base import Modification
from adverscarial.modifications.effect import Intent


class Loss(Modification):
    """Part of what was counted is lost by chance: values only fall, and stay values that cells can have."""

    possible = True
    random = True

    @property
    def intent(self) -> Intent | None:  # noqa: D102
        return "lower"
