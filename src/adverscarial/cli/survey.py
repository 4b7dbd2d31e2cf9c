"""``adverscarial survey``: every cluster, several attacks, a table and a report."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

from adverscarial.attacks import Attack
from adverscarial.attacks.result import Result
from adverscarial.cli import made
from adverscarial.cli.exits import NotDecided
from adverscarial.cli.gates import Outcome, judge, limits_of
from adverscarial.cli.hints import note_other_names
from adverscarial.cli.models import added_genes, setting
from adverscarial.cli.options import (
    AsJson,
    Budget,
    ClassifierSpecs,
    DataFile,
    Deciding,
    FailOver,
    Groupby,
    GuardOption,
    Jobs,
    MaskVar,
    Panel,
    Reading,
    Seed,
    TrainFile,
    rules_of,
)
from adverscarial.cli.output import notes, print_json
from adverscarial.cli.recipes import HELP, PAPER, Recipe, attacks_of_recipe
from adverscarial.cli.settings import attacks_of
from adverscarial.cli.tables import rows, show, show_universal, show_verdicts, universal_rows, verdict_rows
from adverscarial.errors import ParameterError
from adverscarial.surveys import Survey
from adverscarial.surveys import survey as run_survey


def survey(
    data: DataFile,
    groupby: Groupby,
    *,
    classifier: ClassifierSpecs = ["random-forest"],  # noqa: B006
    recipe: Annotated[Recipe | None, Panel.ATTACK.option(help=HELP)] = None,
    attack: Annotated[
        list[str] | None,
        Panel.ATTACK.option(
            help="single-gene (when left out), max-change, cgd, ...; see: adverscarial list. Repeat for several."
        ),
    ] = None,
    modification: Annotated[
        list[str] | None,
        Panel.ATTACK.option(help=f"Repeat for several; see: adverscarial list. {', '.join(PAPER)} when left out."),
    ] = None,
    target: Annotated[
        list[str] | None, Panel.DATA.option(help="Cluster to attack; repeat for several, all when left out.")
    ] = None,
    train: TrainFile = None,
    guard: GuardOption = None,
    reading: Reading,
    mask_var: MaskVar = None,
    deciding: Deciding,
    seed: Seed = 0,
    jobs: Jobs = 1,
    budget: Budget = None,
    time_limit: Annotated[
        float | None,
        Panel.RUNNING.option(help="Seconds per query; an attack that a classifier hangs in fails, the others go on."),
    ] = None,
    out: Annotated[
        Path,
        Panel.OUTPUT.option(
            help="Folder for the results, the table and the report; run again to continue, or with other attacks, "
            "targets or classifiers to compute only those."
        ),
    ] = Path("adverscarial-survey"),
    json: AsJson = False,
    fail_over: FailOver = None,
    **settings: object,
) -> None:
    """Attack every cluster, and write a table and a report.

    Example:  adverscarial survey pbmc3k.h5ad --preprocess counts --groupby cell_type --classifier sctype --out run/
    """
    rules = rules_of(deciding)
    attacks = chosen(recipe, attack, modification, settings)
    limits = limits_of(fail_over or [], attacks)
    start = time.perf_counter()
    cells, models = setting(classifier, data, train, reading, groupby=groupby, seed=seed, guard=guard, targets=target)
    result = run_survey(
        cells, models, attacks=attacks, groupby=groupby, targets=target, layer=reading.asked, mask_var=mask_var,
        seed=seed, n_jobs=jobs, budget=budget, time_limit=time_limit, out=out,
    )  # fmt: skip
    saved = made.save_models(models, classifier, out)
    told = made.provenance(
        data, classifier, train, reading, cells=cells.n_obs, seed=seed, seconds=time.perf_counter() - start,
    )  # fmt: skip
    made.write(out, told, rules, added_genes(cells, reading))
    report = result.report(out / "report.html", made=told, rules=rules)
    if json:
        print_json(
            {
                "report": str(report), "verdicts": verdict_rows(result, rules), "universal": universal_rows(result),
                "rows": rows(result),
            }
        )  # fmt: skip
    else:
        show_verdicts(result, rules)
        show(result)
        show_universal(result)
        notes.print(f"Table: {out / 'table.csv'}   Report: {report}")
        if saved:
            notes.print(f"Models: {', '.join(map(str, saved))}   Name one with --classifier to use it again.")
    note_other_names(result, models)
    if result.already:
        notes.print(
            f"{len(result.already):,} of {len(result.tasks):,} attacks had nothing to do: the cluster is already "
            "called what it was to become."
        )
    if result.failed:
        first = next(iter(result.failed.values()))
        notes.print(f"{len(result.failed):,} of {len(result.tasks):,} attacks failed. The first: {first}")
    judge(limits, outcomes(result))
    if result.failed:
        raise NotDecided


def chosen(
    recipe: Recipe | None, names: list[str] | None, modifications: list[str] | None, settings: dict[str, object]
) -> list[Attack[Result]]:
    """Return the attacks that are asked for.

    Raises
    ------
    ParameterError
        If a recipe is given, and something that a recipe fixes.
    """
    if recipe is None:
        return attacks_of(names or ["single-gene"], modifications or PAPER, settings)
    given = {"attack": names, "modification": modifications, **settings}
    if other := [name.replace("_", "-") for name, value in given.items() if value not in (None, [])]:
        raise ParameterError(
            f"--recipe {recipe} names its attacks and their settings itself; leave out --{other[0]}, or the recipe."
        )
    return attacks_of_recipe(recipe)


def outcomes(result: Survey) -> list[Outcome]:
    """Return what each attack of a survey found, as ``--fail-over`` judges it."""
    several = len({task.classifier for task in result.tasks}) > 1
    return [
        Outcome(
            task.attack,
            f"cluster '{task.target}'" + (f" of {task.classifier}" if several else ""),
            found,
            result.errors.get(task.number, ""),
        )
        for task, found in zip(result.tasks, result.results, strict=True)
    ]
