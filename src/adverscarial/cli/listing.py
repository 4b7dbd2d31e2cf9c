"""``adverscarial list``: what there is."""

from __future__ import annotations

from rich.table import Table

from adverscarial.attacks.registry import ATTACKS
from adverscarial.classifiers.loading import FAMILIES
from adverscarial.cli.app import AsJson, console, print_json
from adverscarial.modifications import SHORT_STRINGS


def list_(json: AsJson = False) -> None:
    """List attacks, modifications and classifiers.

    Example:  adverscarial list
    """
    classifiers = {name.replace("_", "-"): _first_line(kind) for name, kind in sorted(FAMILIES.items())}
    if json:
        attacks = {name: {"question": kind.question, "cost": kind.cost} for name, kind in ATTACKS.items()}
        print_json({"attacks": attacks, "modifications": SHORT_STRINGS, "classifiers": classifiers})
        return
    table = Table(title="Attacks", title_justify="left")
    for column in ("name", "question", "cost"):
        table.add_column(column)
    for name, kind in ATTACKS.items():
        table.add_row(name, kind.question, kind.cost)
    console.print(table)
    for title, entries in (("Modifications", SHORT_STRINGS), ("Classifiers", classifiers)):
        table = Table(title=title, title_justify="left")
        table.add_column("name")
        table.add_column("what it is")
        for name, text in entries.items():
            table.add_row(name, text)
        console.print(table)


def _first_line(kind: type) -> str:
    return (kind.__doc__ or "").strip().splitlines()[0]
