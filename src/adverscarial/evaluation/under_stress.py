"""What a stress test adds to the verdicts of a survey: when a label is lost, and whether by a small change."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd

from adverscarial.errors import ParameterError, some

if TYPE_CHECKING:
    from adverscarial.stresses.result import StressResult


class Loss(NamedTuple):
    """What a stress test shows of one cluster.

    Attributes
    ----------
    at
        The smallest strength at which its label is lost, of the changes that are measured in shares; else of the
        others. NaN where it is never lost.
    when
        What has happened there, in words, behind "when"; an empty text where it is never lost.
    becomes
        The label there.
    small
        Whether that is a share of at most the threshold.
    lost, tried
        Changes that take the label, and all that were tried.
    """

    at: float
    when: str
    becomes: str
    small: bool
    lost: int
    tried: int

    @property
    def sentence(self) -> str:
        """What is told beside a verdict.

        >>> Loss(0.4, "40% of the counts are ambient RNA", "NK", False, 2, 8).sentence
        'Its label is lost when 40% of the counts are ambient RNA (it becomes NK), and by 1 other of 8 changes.'
        """
        changes = "1 change" if self.tried == 1 else f"{self.tried:,} changes"
        if not self.lost:
            return f"The stress test tried {changes}, and none takes its label."
        more = f", and by {self.lost - 1:,} other{'s' if self.lost > 2 else ''} of {changes}" if self.lost > 1 else ""
        return f"Its label is lost when {self.when} (it becomes {self.becomes}){more}."


def losses(stress: StressResult | None, plan: Mapping[str, Any], small: float) -> dict[tuple[str, str], Loss]:
    """Return what a stress test shows, by classifier and cluster.

    Parameters
    ----------
    stress
        What :func:`adverscarial.stress` returned; None: nothing.
    plan
        Of the survey, to see that both are of the same cells and classifiers.
    small
        Shares up to this one are small changes.

    Raises
    ------
    ParameterError
        If it is a test of other cells, or of none of these classifiers.
    """
    if stress is None:
        return {}
    check_same(stress, plan)
    table = stress.critical()
    keys = table.groupby(["classifier", "cluster"], sort=False)
    return {(str(name), str(cluster)): _loss(part, small) for (name, cluster), part in keys}


def _loss(part: pd.DataFrame, small: float) -> Loss:
    lost = part[np.isfinite(part["label"])]
    if not len(lost):
        return Loss(float("nan"), "", "", False, 0, len(part))
    share = lost["unit"].str.startswith("share")
    first = lost[share] if share.any() else lost
    row = first.sort_values("label", kind="stable").iloc[0]
    is_small = bool(share.any()) and float(row["label"]) <= small
    return Loss(float(row["label"]), str(row["when"]), str(row["becomes"]), is_small, len(lost), len(part))


def check_same(stress: StressResult, plan: Mapping[str, Any]) -> None:
    """Raise a ParameterError unless a stress test is of the clusters and of some classifiers of a survey."""
    there, here = stress.plan["data"], plan["data"]
    if (there["groupby"], there["cells"], there["genes"]) != (here["groupby"], here["cells"], here["genes"]):
        raise ParameterError(
            f"The stress test is of {there['cells']:,} cells, {there['genes']:,} genes and '{there['groupby']}', the "
            f"survey of {here['cells']:,} cells, {here['genes']:,} genes and '{here['groupby']}'. Make both of the "
            "same cells."
        )
    if not set(stress.plan["classifiers"]) & set(plan["classifiers"]):
        raise ParameterError(
            f"The stress test asked {some(stress.plan['classifiers'])}, the survey {some(plan['classifiers'])}: none "
            "is in both. Name the classifiers alike."
        )
