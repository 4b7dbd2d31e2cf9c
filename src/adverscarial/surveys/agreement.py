"""Whether a survey may go on in the folder of another one: the same data and settings, and no name that means another.

More, fewer or other classifiers, clusters and attacks are no obstacle: each stored result says what it belongs to. But
where a classifier keeps its name and has another content, or an attack its settings and another function, something has
changed that the names do not tell, and the survey is refused.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import NamedTuple

from adverscarial.surveys.plan import UNKNOWN
from adverscarial.surveys.stored import StoredPlan

#: what two surveys of one folder must have in common
_COMMON = ("format", "data", "seed", "budget", "versions")
#: what may be extended
_ASKED = ("classifiers", "clusters", "attacks", "attack_identities")


class Agreement(NamedTuple):
    """What the survey of a folder and the one that is asked for have in common.

    Attributes
    ----------
    plan
        The plan that is asked for, with the folder's identity of all that cannot be identified.
    differs
        Parts of the plan that forbid to go on; none where the survey may go on.
    unknown
        Names of what cannot be identified, so that nobody can tell whether it is the same.
    extended
        Whether other classifiers, clusters or attacks are asked for.
    """

    plan: StoredPlan
    differs: list[str]
    unknown: list[str]
    extended: bool


def compared(found: StoredPlan, wanted: StoredPlan) -> Agreement:
    """Compare the plan of a folder with the one that is asked for."""
    models, unknown_models = _classifiers(found, wanted)
    attacks, unknown_attacks = _attacks(found, wanted)
    plan: StoredPlan = {**wanted, "classifiers": models, "attack_identities": attacks}
    there, here = dict(found), dict(plan)
    differs = [key for key in _COMMON if there.get(key) != here[key]]
    if any(found["classifiers"].get(name, mark) != mark for name, mark in models.items()):
        differs.append("classifiers")
    if _replaced(found, plan):
        differs.append("attacks")
    # a dict says nothing of the order of classifiers, which is that of the table
    names = list(found["classifiers"]) != list(models)
    extended = names or any(there[key] != here[key] for key in _ASKED)
    return Agreement(plan, differs, unknown_models + unknown_attacks, extended)


def reason(found: StoredPlan, wanted: StoredPlan) -> str:
    """Return why something cannot be identified, of the first of those that cannot."""
    marks = [mark for plan in (wanted, found) for mark in (*plan["classifiers"].values(), *plan["attack_identities"])]
    return next(mark.partition(": ")[2] for mark in marks if mark.startswith(UNKNOWN))


def _classifiers(found: StoredPlan, wanted: StoredPlan) -> tuple[dict[str, str], list[str]]:
    """Return the wanted classifiers with the folder's identity of those that cannot be identified, and their names."""
    marks, unknown = dict(wanted["classifiers"]), []
    for name, mark in marks.items():
        there = found["classifiers"].get(name, "")
        if there.startswith(UNKNOWN) or (there and mark.startswith(UNKNOWN)):
            marks[name] = there
            unknown.append(name)
    return marks, unknown


def _attacks(found: StoredPlan, wanted: StoredPlan) -> tuple[list[str], list[str]]:
    """Return the same of the attacks, which are known by their settings and their place among those of the same."""
    marks, unknown = list(wanted["attack_identities"]), []
    there, here = _by_settings(found), _by_settings(wanted)
    for settings, numbers in here.items():
        known = there.get(settings, [])
        if len(known) != len(numbers):  # nobody can tell which of them is which
            continue
        for k, other in zip(numbers, known, strict=True):
            mark = found["attack_identities"][other]
            if mark.startswith(UNKNOWN) or marks[k].startswith(UNKNOWN):
                marks[k] = mark
                unknown.append(str(wanted["attacks"][k]["type"]))
    return marks, unknown


def _replaced(found: StoredPlan, wanted: StoredPlan) -> bool:
    """Return whether attacks of the same settings are others than before: neither some fewer nor some more."""
    there, here = _by_settings(found), _by_settings(wanted)
    for settings in there.keys() & here.keys():
        before = _known(found["attack_identities"], there[settings])
        now = _known(wanted["attack_identities"], here[settings])
        if not (before <= now or now <= before):
            return True
    return False


def _by_settings(plan: StoredPlan) -> dict[str, list[int]]:
    """Return the numbers of the attacks of each type and settings."""
    found: dict[str, list[int]] = {}
    for k, attack in enumerate(plan["attacks"]):
        found.setdefault(json.dumps(attack, sort_keys=True), []).append(k)
    return found


def _known(marks: Sequence[str], numbers: Sequence[int]) -> set[str]:
    return {marks[k] for k in numbers}
