"""The folder of a survey: its plan, one file per finished attack, and the table at the end.

::

    out/
      run.json            what was asked for last; a folder of other data or settings is refused
      results/00042.npz   one finished attack, written in one step, with what it belongs to
      kept/7c01...npz     one that was asked for before, and is not now
      errors.json         why attacks failed, when all is done
      table.csv           the whole table, when all is done
      .lock               held open by the survey that is writing
"""

from __future__ import annotations

import itertools
import json
import logging
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from os import PathLike
from pathlib import Path

import pandas as pd

from adverscarial import _store
from adverscarial.attacks.result import Result
from adverscarial.attacks.storing import describe, rebuild
from adverscarial.errors import StorageError, some
from adverscarial.surveys.agreement import compared, reason
from adverscarial.surveys.kept import set_aside, taken
from adverscarial.surveys.lock import NAME as LOCK
from adverscarial.surveys.lock import locked
from adverscarial.surveys.plan import FORMAT, UNKNOWN, Plan, Task, tasks_of
from adverscarial.surveys.spreadsheets import csv
from adverscarial.surveys.stored import StoredPlan, check_plan

logger = logging.getLogger(__name__)

_LEFT_BEHIND = 600  # seconds after which a half-written file is taken for left behind
_LONG = 120  # characters, from which on a value is not shown whole


class RunFolder:
    """Reads and writes the folder of a survey.

    Attributes
    ----------
    description
        The plan that the folder holds, once it was opened or read.
    """

    def __init__(self, path: str | PathLike[str]) -> None:
        self.path = Path(path)
        self.description: StoredPlan

    def _file(self, number: int) -> Path:
        return self.path / "results" / f"{number:05d}.npz"

    @contextmanager
    def opened(self, plan: Plan, *, trust: bool = False) -> Iterator[dict[int, Result]]:
        """Begin, go on with, or extend a survey; gives the results that are there already.

        While the block runs, no other survey can begin on the same folder.

        Parameters
        ----------
        plan
            What the survey is asked for.
        trust
            Take what cannot be identified for the same as before.

        Raises
        ------
        StorageError
            If the folder holds another survey, or other files; if another survey is writing to it; or if it cannot be
            told whether its survey is the same.
        """
        if self.path.exists() and (not self.path.is_dir() or self._holds_others()):
            raise StorageError(f"'{self.path}' holds other things than a survey; choose an empty or a new folder.")
        with locked(self.path):
            wanted = plan.description
            if (self.path / "run.json").exists():
                wanted = self._agreed(self._plan(), wanted, trust)
            else:
                _store.write_json(self.path / "run.json", wanted)
            self.description = wanted
            self._warn_of_unknown(wanted)
            self._tidy()
            yield self._done(plan)

    def _done(self, plan: Plan) -> dict[int, Result]:
        done = {}
        for task in plan.tasks:
            file = self._file(task.number)
            if file.exists() or taken(self.path, self._belongs(task), file):
                try:
                    done[task.number] = self._result(task)
                except StorageError as error:
                    logger.warning("%s It is computed again.", error)
        return done

    def _extend(self, plan: StoredPlan) -> None:
        """Make the folder that of another plan: nothing is lost, and the survey is not finished until it ran."""
        try:
            for name in ("table.csv", "errors.json"):
                (self.path / name).unlink(missing_ok=True)
            set_aside(self.path)
        except OSError as error:
            raise StorageError(
                f"'{self.path}' cannot be extended ({type(error).__name__}: {error.strerror or error}). Make it "
                "writable, with space left, or choose another folder."
            ) from error
        _store.write_json(self.path / "run.json", plan)

    def _holds_others(self) -> bool:
        """Return whether there are files, but no plan; the lock and half-written plans do not count."""
        if (self.path / "run.json").exists():
            return False
        half = (file.name.startswith(".run.json.") and file.suffix == ".part" for file in self.path.iterdir())
        return any(not (ours or file.name == LOCK) for ours, file in zip(half, self.path.iterdir(), strict=True))

    def _tidy(self) -> None:
        """Remove files that a killed process left half-written; young ones may be of another that still runs."""
        for file in [*self.path.glob(".*.part"), *self.path.glob("results/.*.part")]:
            with suppress(OSError):  # another process may have been quicker
                if time.time() - file.stat().st_mtime > _LEFT_BEHIND:
                    file.unlink()

    def _result(self, task: Task) -> Result:
        """Return the stored result of a task; one of another task or survey is damage, too."""
        path = self._file(task.number)
        result = Result.load(path)
        found, expected = (describe(result.attack), result.target), (describe(task.attack), task.target)
        if _plain(found) != _plain(expected):
            raise StorageError(f"'{path}' holds {result!r}, expected {task.attack!r} on cluster '{task.target}'.")
        belongs, expects = _store.read_meta(path, "result").get("survey"), self._belongs(task)
        belongs = belongs if isinstance(belongs, dict) else {}
        if differs := [name for name, value in expects.items() if belongs.get(name) != value]:
            raise StorageError(
                f"'{path}' belongs to another survey, or to another row of this one: its {some(differs)} differ. "
                "Run the survey again on this folder, which computes the row anew."
            )
        return result

    def _belongs(self, task: Task) -> dict[str, object]:
        """Return what is written into each result: all that its row depends on."""
        plan = self.description
        return {
            "classifier": plan["classifiers"][task.classifier],
            "data": plan["data"],
            "cluster": task.target,
            "attack": plan["attack_identities"][task.number % len(plan["attacks"])],
            "seed": plan["seed"],
            "budget": plan["budget"],
            "versions": plan["versions"],
        }

    def _plan(self) -> StoredPlan:
        """Return the plan that the folder holds, checked."""
        try:
            plan = _store.read_json(self.path / "run.json")
        except StorageError as error:
            raise StorageError(f"'{self.path}' holds no readable survey (run.json: {error})") from error
        if plan.get("format") != FORMAT:
            raise StorageError(
                f"'{self.path}' holds a survey of format {plan.get('format')}, this version reads format {FORMAT}. "
                "Read it with the version that wrote it, or start the survey again in a new folder."
            )
        try:
            return check_plan(plan)
        except ValueError as error:
            raise StorageError(f"'{self.path}' holds no readable survey (run.json: {error}).") from error

    def _agreed(self, found: StoredPlan, wanted: StoredPlan, trust: bool) -> StoredPlan:
        """Return the plan that both agree on; raise a StorageError where they do not."""
        same = compared(found, wanted)
        if same.differs:
            there, here = dict(found), dict(same.plan)
            keys = ["attack_identities" if key == "attacks" else key for key in same.differs]
            details = "; ".join("{}: there {}, here {}".format(key, *_short(there.get(key), here[key])) for key in keys)
            raise StorageError(
                f"The folder '{self.path}' belongs to another survey, which differs in {', '.join(same.differs)}. "
                f"Choose another folder, or remove this one to start over. ({details})"
            )
        if same.unknown and not trust:
            raise StorageError(
                f"It cannot be told whether {some(same.unknown)} is the same as in the survey of the folder "
                f"'{self.path}' ({reason(found, wanted)}). Choose another folder, or say resume='trust' if you know "
                "that it is."
            )
        if same.extended:
            self._extend(same.plan)
        return same.plan

    def _warn_of_unknown(self, plan: StoredPlan) -> None:
        attacks = [attack.get("type") for attack in plan["attacks"]]
        identities = [*plan["classifiers"].items(), *zip(attacks, plan["attack_identities"], strict=True)]
        for shown, mark in identities:
            if mark.startswith(UNKNOWN):
                logger.warning(
                    "%s cannot be identified: %s. A survey can go on in '%s' only with resume='trust'.",
                    shown, mark.partition(": ")[2], self.path,
                )  # fmt: skip

    def write(self, task: Task, result: Result) -> None:
        """Store one finished attack."""
        result.save(self._file(task.number), survey=self._belongs(task))

    def finish(self, table: pd.DataFrame, errors: Mapping[int, str]) -> None:
        """Write the table, which marks the survey as finished."""
        _store.write_json(self.path / "errors.json", {str(number): errors[number] for number in sorted(errors)})
        _store.write_text(self.path / "table.csv", csv(table))

    def read(self) -> tuple[StoredPlan, tuple[Task, ...], tuple[Result | None, ...], dict[int, str]]:
        """Return plan, tasks, results and errors of a finished survey."""
        plan = self.description = self._plan()
        if not (self.path / "table.csv").exists():
            raise StorageError(
                f"The survey in '{self.path}' is not finished; run it again with the same settings to continue."
            )
        try:
            attacks = [rebuild(description) for description in plan["attacks"]]
        except StorageError:  # an attack of a package that is not installed
            raise
        except Exception as error:  # settings that somebody edited may make an attack raise anything
            raise StorageError(
                f"'{self.path}' holds no readable survey (run.json, attacks: {type(error).__name__}: {error})."
            ) from error
        tasks = tasks_of(plan["classifiers"], plan["clusters"], attacks)
        errors = self._errors(len(tasks))
        results = tuple(None if task.number in errors else self._result(task) for task in tasks)
        return plan, tasks, results, errors

    def _errors(self, n_tasks: int) -> dict[int, str]:
        stored = _store.read_json(self.path / "errors.json")
        known = {str(number): number for number in range(n_tasks)}
        if strange := [key for key, text in stored.items() if key not in known or not isinstance(text, str)]:
            raise StorageError(f"'{self.path}' holds no readable survey (errors.json: the entry '{strange[0]}').")
        return {known[key]: text for key, text in stored.items()}


def _plain(value: object) -> str:
    return json.dumps(value, default=str)


def _short(*values: object) -> list[str]:
    """Return values as text, of long ones what follows the last few characters that all of them begin with."""
    texts = [json.dumps(value, ensure_ascii=False) for value in values]
    alike = sum(1 for _ in itertools.takewhile(lambda signs: len(set(signs)) == 1, zip(*texts, strict=False)))
    start = max(0, alike - 20) if max(map(len, texts)) >= _LONG else 0
    texts = ["..." * bool(start) + text[start:] for text in texts]
    return [text if len(text) < _LONG else text[: _LONG - 3] + "..." for text in texts]
