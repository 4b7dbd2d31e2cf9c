"""``adverscarial survey``: every cluster, several modifications, a table and a report."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Annotated, Any

import pandas as pd
import typer
from rich import box
from rich.table import Table

from adverscarial.attacks import Attack, MaxChange, SingleGene
from adverscarial.attacks.registry import attack_named, build
from adverscarial.cli.app import (
    AsJson,
    Classes,
    ClassifierSpec,
    Confirm,
    DataFile,
    FailOver,
    Genes,
    Groupby,
    Layer,
    Prepare,
    Preprocess,
    Seed,
    Tissue,
    TrainFile,
    Trust,
    console,
    fail_over,
    notes,
    print_json,
    read,
)
from adverscarial.cli.hints import note_other_names
from adverscarial.cli.models import names_of, setting
from adverscarial.evaluation import Survey
from adverscarial.evaluation import survey as run_survey

MODIFICATIONS = ["perc1", "perc99", "decile+5", "positive_aberrant", "negative_aberrant"]


def survey(
    data: DataFile,
    groupby: Groupby,
    classifier: Annotated[list[str], ClassifierSpec.__metadata__[0]] = ["random-forest"],  # noqa: B006
    attack: Annotated[
        list[str], typer.Option(help="single-gene, max-change, cgd, ...; see: adverscarial list. Repeat for several.")
    ] = ["single-gene"],  # noqa: B006
    modification: Annotated[
        list[str], typer.Option(help="Repeat for several; see: adverscarial list.")
    ] = MODIFICATIONS,
    gene: Annotated[list[str] | None, typer.Option(help="Attack only this gene; repeat for several.")] = None,
    alpha: Annotated[float | None, typer.Option(help="Relative step, for cgd.")] = None,
    epsilon: Annotated[
        float | None, typer.Option(help="Absolute step, for cgd; largest change, for fgsm and pgd.")
    ] = None,
    confirm: Confirm = False,
    target: Annotated[
        list[str] | None, typer.Option(help="Cluster to attack; repeat for several, all when left out.")
    ] = None,
    train: TrainFile = None,
    tissue: Tissue = None,
    classes: Classes = None,
    genes: Genes = None,
    trust: Trust = False,
    preprocess: Prepare = Preprocess.none,
    layer: Layer = None,
    seed: Seed = 0,
    jobs: Annotated[int, typer.Option(help="Processes; -1 for all cores.")] = 1,
    budget: Annotated[int | None, typer.Option(help="Most questions per attack.")] = None,
    time_limit: Annotated[
        float | None,
        typer.Option(help="Seconds per question; an attack that a classifier hangs in fails, the others go on."),
    ] = None,
    out: Annotated[
        Path, typer.Option(help="Folder for the results, the table and the report; run again to continue.")
    ] = Path("adverscarial-survey"),
    json: AsJson = False,
    fail_over_: FailOver = None,
) -> None:
    """Attack every cluster, and write a table and a report.

    Example:  adverscarial survey pbmc3k.h5ad --preprocess counts --groupby cell_type --classifier sctype --out run/
    """
    attacks: list[Attack] = []
    for name in attack:  # a setting goes to the attacks that have it
        has = {field.name for field in fields(attack_named(name))}
        given: dict[str, Any] = {"genes": gene, "alpha": alpha, "epsilon": epsilon, "confirm": confirm or None}
        attacks += build(name, modification, **{key: value for key, value in given.items() if key in has})
    adata = read(data, preprocess)
    cells, models = setting(
        classifier,
        adata,
        train,
        preprocess,
        groupby=groupby,
        layer=layer,
        seed=seed,
        tissue=tissue,
        trust=trust,
        names=names_of(classes, genes, for_=classifier),
    )
    result = run_survey(
        cells, models, attacks=attacks, groupby=groupby, targets=target, layer=layer, seed=seed, n_jobs=jobs,
        budget=budget, time_limit=time_limit, out=out,
    )  # fmt: skip
    report = result.report(out / "report.html")
    if json:
        print_json({"report": str(report), "rows": rows(result)})
    else:
        show(result)
        notes.print(f"Table: {out / 'table.csv'}   Report: {report}")
    note_other_names(result, models)
    if result.errors:
        first = next(iter(result.errors.values()))
        notes.print(f"{len(result.errors):,} of {len(result.tasks):,} attacks failed. The first: {first}", markup=False)
        if len(result.errors) == len(result.tasks):
            raise typer.Exit(2)
    frame = result.to_frame()
    frame = frame[frame["attack"] == SingleGene.__name__]
    if "flipped" in frame and frame["flipped"].notna().any():
        worst = frame.loc[frame["flipped"].fillna(0).astype(int).idxmax()]
        fail_over(fail_over_, int(worst["flipped"]), f"cluster '{worst['cluster']}'")
    if fail_over_ is not None and result.errors:
        notes.print("[bold red]--fail-over cannot pass what was not tested.[/]")
        raise typer.Exit(2)


def rows(result: Survey) -> list[dict[str, Any]]:
    """Return the table as JSON values; what does not apply to an attack is left out."""
    return [
        {key: value for key, value in row.items() if pd.notna(value)}
        for row in result.to_frame().astype(object).to_dict(orient="records")
    ]


def show(result: Survey) -> None:
    """Print one table per classifier and kind of attack: clusters down, modifications across."""
    frame = result.to_frame()
    kinds = (
        (SingleGene.__name__, "flipped", "single genes that flip the label"),
        (MaxChange.__name__, "signature", "signature: genes that must not change"),
    )
    for classifier, part in frame.groupby("classifier", sort=False):
        for kind, column, title in kinds:
            chosen = part[part["attack"] == kind]
            if chosen.empty:
                continue
            table = Table(title=f"{classifier} · {title}", title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1))
            table.add_column("cluster")
            table.add_column("called")
            modifications = list(dict.fromkeys(chosen["modification"]))
            for name in modifications:
                table.add_column(name.replace("_", "\n"), justify="right")
            for cluster, cells in chosen.groupby("cluster", sort=False):
                of = cells.set_index("modification")
                numbers = [of[column].get(name) if column in of else None for name in modifications]
                shown = ["failed" if pd.isna(n) else f"{n:,}" for n in numbers]
                baseline = of["baseline"].dropna().tolist() if "baseline" in of else []
                table.add_row(str(cluster), baseline[0] if baseline else "-", *shown)
            console.print(table)
