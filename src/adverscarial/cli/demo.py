"""``adverscarial demo``: the main job on cells that come with the package's dependencies."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from adverscarial import datasets
from adverscarial.attacks import Attack, MaxChange, SingleGene
from adverscarial.attacks.result import Result
from adverscarial.classifiers import Markers, RandomForest, ScType
from adverscarial.cli.options import AsJson, Seed
from adverscarial.cli.output import notes, print_json
from adverscarial.cli.tables import rows, show, show_verdicts, verdict_rows
from adverscarial.surveys import survey as run_survey


def demo(
    out: Annotated[Path, typer.Option(help="Folder for the results, the table and the report.")] = Path(
        "adverscarial-demo"
    ),
    jobs: Annotated[int, typer.Option(help="Processes; -1 for all cores.")] = 1,
    seed: Seed = 0,
    json: AsJson = False,
) -> None:
    """Attack three classifiers on 700 real blood cells, and write a report. Needs no files and no network.

    Example:  adverscarial demo --out demo/
    """
    start = time.perf_counter()
    cells = datasets.preprocess(datasets.embedded(), target_sum=None)
    train, test = datasets.split(cells, "cell_type", seed=seed)
    notes.print(
        f"Real cells: 68k PBMC, reduced (10x Genomics, shipped with scanpy): {cells.n_obs} cells x {cells.n_vars} "
        f"genes, {cells.obs['cell_type'].nunique()} clusters; {train.n_obs} to train on, {test.n_obs} to attack."
    )
    models = [ScType(), RandomForest(seed=seed).fit(train, "cell_type"), Markers().fit(train, "cell_type")]
    modifications = ("perc1", "perc99", "decile+5", "positive_aberrant", "negative_aberrant")
    attacks: list[Attack[Result]] = [SingleGene(name) for name in modifications]
    attacks += [MaxChange(name, restarts=3) for name in ("perc1", "perc99")]
    result = run_survey(test, models, attacks=attacks, groupby="cell_type", seed=seed, n_jobs=jobs, out=out)
    report = result.report(out / "report.html")
    if json:
        print_json({"report": str(report), "verdicts": verdict_rows(result), "rows": rows(result)})
        return
    show_verdicts(result)
    show(result)
    queries = int(result.to_frame()["queries"].sum())
    notes.print(
        f"{len(result.tasks)} attacks, {queries:,} queries answered in {time.perf_counter() - start:.1f} s.\n"
        f"Report: {report}   Table: {out / 'table.csv'}"
    )
