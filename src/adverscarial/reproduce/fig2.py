"""Fig. 2: every cluster of every classifier, five modifications, single genes and all genes at once."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Unpack

import pandas as pd

from adverscarial._docs import documented
from adverscarial._progress import bar
from adverscarial.attacks import Attack, MaxChange, Result, SingleGene
from adverscarial.reproduce import decline, findings, genes, resistance
from adverscarial.reproduce.facts import beside
from adverscarial.reproduce.findings import ABERRANT, COLUMNS, FIVE, MEDIUM, totals
from adverscarial.reproduce.protocol import Executed, Execution, Setting, accuracy
from adverscarial.reproduce.writing import Outcome, figure_of
from adverscarial.surveys import Survey
from adverscarial.surveys.folder import RunFolder
from adverscarial.surveys.interruptions import terminable
from adverscarial.surveys.plan import Plan, Task, make_plan
from adverscarial.surveys.run import workers
from adverscarial.surveys.several import Asked, run_all
from adverscarial.surveys.transfer import mapped, temporary_folder

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


@documented
def fig2(
    setting: Setting, *, out: str | PathLike[str] | None = None, restarts: int = 1, n_jobs: int = 1,
    **execution: Unpack[Executed],
) -> Outcome:  # fmt: skip
    """Run the paper's survey of five classifiers (Fig. 2A-C) and judge what it says.

    Parameters
    ----------
    %(setting)s
        Classifiers that are not trained yet are, while others are attacked; then the cells to train on are let go.
    out
        Folder that keeps each attack's result, so that an interrupted run goes on; nothing is kept when left out.
    restarts
        Random orders of the max-change attack. One already gives a maximal set; more find shorter signatures.
    n_jobs
        Processes; -1 for all cores.
    %(execution)s

    Returns
    -------
    Tables, findings and figures: see :class:`~adverscarial.reproduce.Outcome`.
    """
    attacks: list[Attack[Result]] = [SingleGene(name, search="exact") for name in FIVE]
    attacks += [MaxChange(name, restarts=restarts) for name in FIVE]
    how = Execution(**execution)
    resumed = out is not None and (Path(out) / "runs").exists()
    begun = time.perf_counter()
    whole, right = _surveyed(setting, attacks, out, n_jobs, how)
    seconds = time.perf_counter() - begun
    frame = whole.to_frame()
    notes = [
        *setting.all_notes(),
        _timed(whole, None if resumed else seconds, sum(setting.seconds.values()), n_jobs),
        f"Single genes: every gene alone. Signatures: maximal sets, of {restarts} random order(s); the paper's search "
        "stops at groups of 20 genes and does not come back to what it dropped, so its signatures are longer.",
        *(
            f"Failed: {whole.tasks[number].classifier}, {whole.tasks[number].target}: {error}"
            for number, error in whole.errors.items()
        ),
    ]
    return Outcome(
        title=f"Fig. 2 on {setting.name}: single genes and signatures",
        tables={
            "totals": table_of_totals(frame),
            "attacks": frame.drop(columns=[c for c in ("queries", "proven", "error") if c in frame]),
            "flipping_genes": whole.flipping().query("modification in @MEDIUM", local_dict={"MEDIUM": MEDIUM}),
            "accuracy": right,
        },
        beside=beside(published_rows(frame)),
        findings=[*judge(frame), genes.examples_flip(whole.flipping(), setting.clusters)],
        figures=_figures(whole),
        notes=notes,
        shown=["totals"],
    )


def _surveyed(
    setting: Setting, attacks: list[Attack[Result]], out: str | PathLike[str] | None, n_jobs: int, how: Execution
) -> tuple[Survey, pd.DataFrame]:
    """Return the surveys of all classifiers as one, and how many cells they name right.

    Those that are not trained yet are, while others are attacked; then all are asked about the unmodified cells.
    """
    right: list[pd.DataFrame] = []
    order: list[str] = []
    first: dict[str | None, Plan] = {}  # of each layer
    late = bool(setting.untrained)

    def asked() -> Iterator[Asked]:
        for name in setting.trained(how.say, how.progress):
            how.say(f"Attacking {name}: {len(setting.clusters)} clusters, {len(attacks)} attacks each ...")
            layer = setting.layers[name]
            plan = make_plan(
                setting.test, {name: setting.models[name]}, attacks, groupby=setting.groupby, targets=None,
                layer=layer, seed=how.seed, budget=None,
            )  # fmt: skip
            plan = replace(plan, beside=first.get(layer))
            first.setdefault(layer, plan)
            order.append(name)
            yield Asked(plan, None if out is None else RunFolder(Path(out) / "runs" / name))
        if late:
            setting.forget_training()
        right.append(accuracy(setting, progress=how.progress))

    where = workers(n_jobs)
    wanted = len({*setting.models, *setting.untrained})
    with (
        terminable(),
        _in_a_file(setting, where.processes),
        bar("Survey", wanted * len(setting.clusters) * len(attacks), how.progress) as advance,
    ):
        found = dict(zip(order, run_all(asked(), where, advance), strict=False))
    return joined([found[name] for name in setting.models]), right[0]


@contextmanager
def _in_a_file(setting: Setting, processes: int) -> Iterator[None]:
    """Let the cells to attack lie in a file while several processes read them: each would hold them itself."""
    if processes == 1:
        yield
        return
    import joblib

    with temporary_folder() as folder:
        setting.test = mapped(setting.test, folder / "cells")
        try:
            yield
        finally:
            setting.test = joblib.load(folder / "cells")


def _timed(whole: Survey, seconds: float | None, training: float, n_jobs: int) -> str:
    """Return how long it took; the wall time of an interrupted run says nothing."""
    spent: dict[str, float] = {}
    for task, result in zip(whole.tasks, whole.results, strict=True):
        spent[task.classifier] = spent.get(task.classifier, 0) + (0 if result is None else result.seconds)
    each = ", ".join(f"{name} {own:,.0f} s" for name, own in spent.items())
    text = f"{len(whole.tasks)} attacks; their own times add up to {whole.seconds:,.0f} s ({each})."
    text += f" Training took {training:,.0f} s."
    return text if seconds is None else f"{text} Wall time with {n_jobs} process(es): {seconds:,.0f} s."


def joined(surveys: list[Survey]) -> Survey:
    """Return several surveys as one, for pictures and tables; the plan is the first one's."""
    tasks: list[Task] = []
    results: list[Result | None] = []
    errors: dict[int, str] = {}
    for one in surveys:
        errors |= {len(tasks) + number: message for number, message in one.errors.items()}
        tasks += [task._replace(number=len(tasks) + task.number) for task in one.tasks]
        results += one.results
    return Survey(surveys[0].plan, tuple(tasks), tuple(results), errors)


def judge(frame: pd.DataFrame) -> list[findings.Finding]:
    """Return what the survey's table says of the paper's findings."""
    return [
        findings.most_vulnerable(frame),
        findings.forest_immune(frame),
        findings.mlp_threshold(frame),
        findings.order_of_impact(frame, "flipped"),
        findings.order_of_impact(frame, "signature"),
        findings.plateau(frame, "CHETAH"),
        findings.plateau(frame, "scRF"),
        resistance.empty_signature(frame),
        decline.alike_in_sum(frame),
    ]


def table_of_totals(frame: pd.DataFrame) -> pd.DataFrame:
    """Return one row per classifier and kind of attack, the sum over clusters of each modification."""
    rows = []
    for name in frame["classifier"].unique():
        for column, what in zip(COLUMNS, ("single genes that flip", "genes of the signatures"), strict=True):
            numbers = totals(frame, column, name)
            rows.append({"classifier": name, "number of": what, **{m: (numbers or {}).get(m) for m in FIVE}})
    return pd.DataFrame(rows).astype({name: "Int64" for name in FIVE})


def published_rows(frame: pd.DataFrame) -> list[tuple[str, str, object]]:
    """Return our numbers beside which the paper gives one."""
    single = {name: totals(frame, "flipped", name) for name in frame["classifier"].unique()}

    def total(name: str, modifications: tuple[str, ...]) -> int | None:
        numbers = single.get(name)
        return None if numbers is None else sum(numbers[m] for m in modifications)

    rows: list[tuple[str, str, object]] = [
        ("scType, decile+5", "fig2.single.scType.decile", total("scType", ("decile+5",))),
        *(
            (f"{name}, perc1 and perc99", f"fig2.single.{name}.percentiles", total(name, ("perc1", "perc99")))
            for name in ("scType", "CHETAH", "scAnnotatR")
        ),
        *(
            (f"{name}, aberrant values", f"fig2.single.{name}.aberrant", total(name, ABERRANT))
            for name in ("scType", "CHETAH", "scAnnotatR", "scMLP")
        ),
        ("scRF, all five", "fig2.single.scRF.all", total("scRF", FIVE)),
    ]
    rows = [(f"single genes, all clusters: {what}", fact, here) for what, fact, here in rows]
    b = frame.query("classifier == 'scType' and cluster == 'B' and attack == 'MaxChange' and modification == 'perc99'")
    if len(b):
        rows.append(("signature of B: scType, perc99", "fig2.max.scType.B", int(b["signature"].iloc[0])))
    return rows


def _figures(whole: Survey) -> dict[str, tuple[Figure, str]]:
    from adverscarial import pl

    drawn: dict[str, tuple[Callable[..., Axes], str, str]] = {
        "single_genes": (pl.vulnerability, "single", "Genes that flip the label alone, by cluster (Fig. 2A)"),
        "signatures": (pl.vulnerability, "max", "Genes that must not change, by cluster (Fig. 2B)"),
        "impact_single": (pl.impact, "single", "Genes that flip the label alone, a point per cluster (Fig. 2C)"),
        "impact_max": (pl.impact, "max", "Genes that must not change, a point per cluster (Fig. 2C)"),
    }
    return {name: (figure_of(draw(whole, kind=kind)), caption) for name, (draw, kind, caption) in drawn.items()}
