"""``adverscarial list``: what there is."""

from __future__ import annotations

from rich.table import Table

from adverscarial.cli import catalogue
from adverscarial.cli.options import AsJson
from adverscarial.cli.output import console, print_json


def list_(json: AsJson = False) -> None:
    """List attacks, modifications and classifiers, and what is not installed.

    Example:  adverscarial list
    """
    attacks, modifications, classifiers = catalogue.attacks(), catalogue.modifications(), catalogue.classifiers()
    missing = catalogue.not_installed()
    if json:
        told: dict[str, object] = {"attacks": attacks, "modifications": modifications, "classifiers": classifiers}
        print_json({**told, "not_installed": missing})
        return
    table = Table(title="Attacks", title_justify="left")
    for column in ("name", "question", "cost"):
        table.add_column(column)
    for name, row in attacks.items():
        table.add_row(name, row["question"], row["cost"])
    console.print(table)
    for title, entries in (("Modifications", modifications), ("Classifiers", classifiers)):
        table = Table(title=title, title_justify="left")
        table.add_column("name")
        table.add_column("what it is")
        for name, text in entries.items():
            table.add_row(name, f"{text} Not installed: {missing[name]}" if name in missing else text)
        console.print(table)
