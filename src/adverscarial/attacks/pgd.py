"""PGD: do several small steps, kept within a distance, flip the cells' labels?"""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from typing import ClassVar

import numpy as np

from adverscarial.attacks.columns import Option
from adverscarial.attacks.gradient import Climb, GradientAttack, check_positive, try_steps
from adverscarial.attacks.run import BudgetSpent, Run
from adverscarial.attacks.settings import check_counts
from adverscarial.errors import ParameterError


@dataclass(frozen=True, repr=False)
class ProjectedGradientDescent(GradientAttack, name="pgd"):
    """Move every cell up its own loss in small steps, never further than `epsilon` (PGD; Madry et al. 2018).

    Each step is one of :class:`FastGradientSign`, of length `step`, followed by the way back to the nearest point of
    the ball of radius `epsilon` around the cell.

    Parameters
    ----------
    %(epsilon)s
    step
        Length of one step; ``2.5 * epsilon / steps`` when left out, which lets a cell reach the far side of the ball.
    steps
        Number of steps.
    random_start
        Start at a point drawn uniformly from the ball; seeded.
    restarts
        Random starts; each cell keeps the first one that succeeds.
    norm, genes, exclude, new_target, nonnegative, minimum, maximum, finite_step
        As for :class:`FastGradientSign`.

    Examples
    --------
    >>> import adverscarial as adv
    >>> cells = adv.datasets.preprocess(adv.datasets.embedded(), target_sum=None)
    >>> attack = ProjectedGradientDescent(2.0, norm="l2", steps=10)
    >>> result = attack(cells, adv.classifiers.ScType(), groupby="cell_type", target="CD19+ B")
    >>> bool((result.l2 <= 2.0001).all())
    True
    """

    _: KW_ONLY
    step: float | None = None
    steps: int = 40
    random_start: bool = False
    restarts: int = 1

    place: ClassVar[int] = 70
    question: ClassVar[str] = "How little change of all genes at once flips the label?"
    cost: ClassVar[str] = "one query per step and restart; two per gene and step for classifiers without a gradient"
    options: ClassVar[tuple[Option, ...]] = (
        *GradientAttack.options,
        Option("step", float, "Length of one step."),
        Option("steps", int, "Steps of each climb."),
        Option("restarts", int, "Climbs, the best of which is kept."),
        Option("random_start", bool, "Begin at a random point within epsilon."),
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        check_counts(steps=self.steps, restarts=self.restarts)
        if self.step is not None:
            check_positive(step=self.step)
        if self.restarts > 1 and not self.random_start:
            raise ParameterError(
                f"restarts={self.restarts} without random_start=True would run the same steps {self.restarts} times."
            )

    def length(self, run: Run) -> float:  # noqa: D102
        return float(self.steps * self.restarts)

    def _perturb(self, climb: Climb) -> tuple[np.ndarray, bool]:
        length = 2.5 * self.epsilon / self.steps if self.step is None else self.step
        best, done = climb.start, np.zeros(len(climb.start), dtype=bool)
        for restart in range(self.restarts):
            values = climb.start
            if self.random_start:
                values = climb.random(np.random.default_rng([climb.seed, restart]))
            values, complete = try_steps(climb, values, length, self.steps)
            if restart == 0:
                best = values.copy()
            if not complete or self.restarts == 1:
                return best, complete
            try:
                reached = climb.reached(values)
            except BudgetSpent:
                return best, False
            best[reached & ~done] = values[reached & ~done]
            done |= reached
            if done.all():
                break
        return best, True
