"""What is read from a survey's folder is checked field by field: files may come from somebody else."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypedDict, cast, get_type_hints

from adverscarial._stored_types import fits, shown
from adverscarial.cells.choice import Chosen
from adverscarial.errors import AlreadyThere


class _Chosen(TypedDict, total=False):
    """Of which values of the data it is: a modality, or raw; left out where neither was chosen."""

    source: Chosen


class StoredData(_Chosen):
    """The part of a plan that is about the data."""

    cells: int
    genes: int
    layer: str | None
    groupby: str
    fingerprint: str


class StoredPlan(TypedDict):
    """What ``run.json`` holds."""

    format: int
    data: StoredData
    classifiers: dict[str, str]
    clusters: list[str]
    attacks: list[dict[str, object]]
    attack_identities: list[str]
    seed: int
    budget: int | None
    versions: dict[str, str]


def already_there(error: str) -> bool:
    """Return whether the message of an attack says that there was nothing to do: the cluster had the label before."""
    return error.startswith(f"{AlreadyThere.__name__}: ")


def check_plan(value: Mapping[str, object]) -> StoredPlan:
    """Return a plan, checked.

    Raises
    ------
    ValueError
        If a field is missing or of another kind than it must be; it names the first one.
    """
    _check_fields(value, StoredPlan)
    plan = cast("StoredPlan", value)  # which was just seen to
    _check_fields(plan["data"], StoredData)
    for name in ("classifiers", "clusters", "attacks"):
        if not plan[name]:
            raise ValueError(f"'{name}' is empty")
    if len(set(plan["clusters"])) < len(plan["clusters"]):
        raise ValueError("'clusters' names a cluster twice")
    if len(plan["attack_identities"]) != len(plan["attacks"]):
        raise ValueError("'attack_identities' has not one entry for each attack")
    if "adverscarial" not in plan["versions"]:
        raise ValueError("'versions' does not name adverscarial")
    return plan


def _check_fields(value: Mapping[str, object], kind: type) -> None:
    for name, hint in get_type_hints(kind).items():
        if name not in value:
            if name in getattr(kind, "__optional_keys__", ()):
                continue
            raise ValueError(f"'{name}' is missing")
        if not fits(value[name], hint):
            raise ValueError(f"'{name}' is {shown(value[name])}, expected {getattr(hint, '__name__', hint)}")
