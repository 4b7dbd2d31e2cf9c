"""Attacks that have no grid: a table with a row for each of them, one section per attack."""

from __future__ import annotations

from dataclasses import dataclass, field

from adverscarial.attacks.outcome import Outcome
from adverscarial.attacks.result import Result
from adverscarial.report.figures import Figure
from adverscarial.report.sections import AttackSection, Cell, Titled, outcome_text, section_of, value_cell
from adverscarial.report.sentences import percent
from adverscarial.surveys.grid import attack_name, attacks_by_name, count_of, settings
from adverscarial.surveys.plan import Task
from adverscarial.surveys.stored import already_there
from adverscarial.surveys.table import Survey


@dataclass(frozen=True)
class Row:
    """One attack on one cluster: its cells; of one that failed, the setting only, and an error."""

    classifier: str
    cluster: str
    cells: list[Cell]
    error: str = ""


@dataclass(frozen=True)
class OutcomeTable(Titled):
    """All attacks of one name; `setting` where they share it, and `undrawn` results have no figure."""

    setting: str
    sentences: dict[str, str]
    columns: list[tuple[str, str]]
    rows: list[Row]
    figures: list[Figure] = field(default_factory=list)
    undrawn: int = 0


def outcome_tables(survey: Survey) -> list[OutcomeTable]:
    """Return one table for each attack of a survey that has no grid."""
    pairs = list(zip(survey.tasks, survey.results, strict=True))
    tables = []
    for name, attack in attacks_by_name(task.attack for task in survey.tasks).items():
        if count_of(attack) is None:
            own = [(task, result) for task, result in pairs if attack_name(task.attack) == name]
            tables.append(_table(section_of(attack), own, survey.errors))
    return tables


def _table(
    section: AttackSection[Result], own: list[tuple[Task, Result | None]], errors: dict[int, str]
) -> OutcomeTable:
    attack = own[0][0].attack
    different = len({repr(task.attack) for task, _ in own}) > 1
    rows = []
    for task, result in own:
        prefix = [Cell(f"{type(task.attack).__name__}({settings(task.attack)})")] if different else []
        if result is None:
            rows.append(Row(task.classifier, task.target, prefix, errors[task.number]))
        else:
            cells = [*prefix, *_answer(result), *section.cells(result), value_cell(result.queries)]
            rows.append(Row(task.classifier, task.target, cells))
    shared = ["Classifier", "Cluster", *(["Attack"] if different else []), "Before", "After", "Label"]
    names = list(dict.fromkeys(task.classifier for task, _ in own))
    said = {name: outcome_text(section, _results(own, name, errors)) for name in names}
    figures, undrawn = section.figures([(task.classifier, r) for task, r in own if r is not None])
    columns = [*((name, "") for name in shared), *section.columns_of(attack), ("Queries", "")]
    setting = "" if different else settings(attack)
    anchor = f"a-{attack_name(attack).lower()}"
    return OutcomeTable(anchor, *section.opening(attack), setting, said, columns, rows, figures, undrawn)


def _results(own: list[tuple[Task, Result | None]], name: str, errors: dict[int, str]) -> list[Result | None]:
    """Return the results of one classifier, without those that had nothing to do."""
    return [r for task, r in own if task.classifier == name and not already_there(errors.get(task.number, ""))]


def _answer(result: Result) -> list[Cell]:
    """Return what the classifier said before and after, and whether that is a flip."""
    refused = result.n_rejected and not _answered(result)
    outcome = (Outcome.FLIPPED if result.success else Outcome.REJECTED if refused else Outcome.HELD).text
    return [
        Cell(f"{result.baseline} ({percent(result.baseline_share)})"),
        Cell(f"{result.label} ({percent(result.share)})"),
        Cell(outcome if result.complete else f"{outcome}; ended early"),
    ]


def _answered(result: Result) -> bool:
    """Return whether the classifier took any of the changes; it refused all of them where only refusals are counted."""
    tested = result.number_in("tested")
    return tested is not None and tested > result.n_rejected
