"""FGSM: does one step along the sign of the gradient flip the cells' labels?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from adverscarial.attacks.gradient import Climb, GradientAttack, try_steps
from adverscarial.attacks.run import Run


@dataclass(frozen=True, repr=False)
class FastGradientSign(GradientAttack, name="fgsm"):
    """Move every cell one step of size `epsilon` up its own loss (FGSM; Goodfellow et al. 2015, section 4).

    ``x' = x + epsilon * sign(gradient)`` for ``norm="linf"``, ``x + epsilon * gradient / |gradient|`` for ``"l2"``; the
    loss is the cross-entropy of the label that the classifier gives the unmodified cell.

    Parameters
    ----------
    %(epsilon)s
    norm
        ``"linf"`` or ``"l2"``.
    genes, exclude
        Only these genes may change, or all but these.
    new_target
        Move towards this label instead of away from the cell's own.
    nonnegative, minimum, maximum
        Bounds of the new values; the data must keep them already.
    finite_step
        For classifiers with scores but no gradient (`genes` must be named then): how far to look to either side of each
        value; `epsilon` when left out. A forest is flat over short steps.

    Notes
    -----
    Gradients are exact for :class:`~adverscarial.classifiers.MLP`, torch modules and linear models (also marker scores
    of z-scored data). Those of :class:`~adverscarial.classifiers.ScAnnotatR` hold each gene's mean and deviation over
    all cells. A cell whose label has no score ("unassigned") moves away from its best class.

    Examples
    --------
    >>> import adverscarial as adv
    >>> cells = adv.datasets.preprocess(adv.datasets.embedded(), target_sum=None)
    >>> result = FastGradientSign(1)(cells, adv.classifiers.ScType(), groupby="cell_type", target="Dendritic")
    >>> result.baseline, result.label, len(result.genes)
    ('Dendritic cell', 'CD14 monocyte', 38)
    """

    epsilon: float = 0.1

    place: ClassVar[int] = 60
    question: ClassVar[str] = "Does one small step of all genes at once flip the label?"
    cost: ClassVar[str] = "two queries; two per gene for classifiers without a gradient"

    def length(self, run: Run) -> float:  # noqa: D102
        return 1.0

    def _perturb(self, climb: Climb) -> tuple[np.ndarray, bool]:
        return try_steps(climb, climb.start, self.epsilon, 1)
