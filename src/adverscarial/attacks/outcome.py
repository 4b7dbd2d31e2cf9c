"""What became of one change: the three outcomes that every attack tells apart."""

from __future__ import annotations

from enum import IntEnum

import numpy as np


class Outcome(IntEnum):
    """What the classifier made of one change.

    Attributes
    ----------
    FLIPPED
        The label is another one.
    HELD
        The label is the same.
    REJECTED
        The classifier itself refused the changed values.
    """

    FLIPPED = 0
    HELD = 1
    REJECTED = 2

    @property
    def text(self) -> str:
        """The outcome as tables show it.

        >>> Outcome.FLIPPED.text
        'flipped'
        """
        return self.name.lower()


#: the texts of the outcomes, so that ``OUTCOME_TEXTS[codes]`` turns an array of codes into texts
OUTCOME_TEXTS = np.array([outcome.text for outcome in Outcome])


class Counted:
    """What a result can say that has one outcome per change; it stands in front of `Result` among the base classes.

    A change is a gene that was changed alone, or a combination of changes.
    """

    baseline: str
    label: str
    outcome: np.ndarray
    labels: np.ndarray

    @property
    def success(self) -> bool:
        """Whether any change flips the label."""
        return bool((self.outcome == Outcome.FLIPPED).any())

    @property
    def labels_given(self) -> set[str]:
        """Every label that the classifier gave the cluster."""
        return {self.baseline, self.label, *self.labels.tolist()}

    @property
    def counts(self) -> dict[str, int]:
        """How many changes were flipped, held and rejected."""
        return {outcome.text: int((self.outcome == outcome).sum()) for outcome in Outcome}

    @property
    def n_rejected(self) -> int:
        """Changes that the classifier refused."""
        return self.counts["rejected"]
