"""The folder of a stress test, as that of a survey: interrupted and started again, it goes on where it was.

::

    out/
      run.json             what was asked for; a folder with another plan is refused
      results/00042.npz    one change of one cluster, written in one step, with what it belongs to
      stress.npz           the whole result, when all is done
      table.csv            the table by strength
      critical.csv         the strengths at which labels are lost
      .lock                held open by the test that is writing
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from os import PathLike
from pathlib import Path
from typing import Any

from adverscarial import _store
from adverscarial.errors import StorageError
from adverscarial.stresses.parts import Found
from adverscarial.stresses.plan import Part, Plan
from adverscarial.stresses.result import WHOLE, StressResult
from adverscarial.surveys.lock import NAME as LOCK
from adverscarial.surveys.lock import locked
from adverscarial.surveys.plan import UNKNOWN
from adverscarial.surveys.spreadsheets import csv

logger = logging.getLogger(__name__)

_PART = "stress part"
_OURS = ("run.json", "results", LOCK, WHOLE, "table.csv", "critical.csv")


class StressFolder:
    """Reads and writes the folder of a stress test."""

    def __init__(self, path: str | PathLike[str]) -> None:
        self.path = Path(path)

    @contextmanager
    def opened(self, plan: Plan, *, trust: bool = False) -> Iterator[dict[int, Found]]:
        """Begin, or go on with, a test; gives the parts that are there already.

        Raises
        ------
        StorageError
            If the folder holds something else, or another test is writing to it.
        """
        run = self.path / "run.json"
        foreign = not self.path.is_dir() or (not run.exists() and any(f.name not in _OURS for f in self.path.iterdir()))
        if self.path.exists() and foreign:
            raise StorageError(f"'{self.path}' holds other things than a stress test; choose an empty or a new folder.")
        with locked(self.path):
            if run.exists():
                self._check_same(_store.read_json(run), plan.description, trust)
            else:
                _store.write_json(run, plan.description)
            yield self._done(plan)

    def write(self, plan: Plan, part: Part, found: Found) -> None:
        """Store one finished part."""
        _store.save(self._file(part), _PART, {"belongs": _belongs(plan, part)}, found.arrays())

    def finish(self, result: StressResult) -> None:
        """Write the whole result, which marks the test as finished, and its tables."""
        _store.write_text(self.path / "table.csv", csv(result.to_frame()))
        _store.write_text(self.path / "critical.csv", csv(result.critical()))
        result.save(self.path / WHOLE)

    def _file(self, part: Part) -> Path:
        return self.path / "results" / f"{part.number:05d}.npz"

    def _done(self, plan: Plan) -> dict[int, Found]:
        done = {}
        for part in plan.parts:
            file = self._file(part)
            if not file.exists():
                continue
            try:
                meta, arrays = _store.load(file, _PART)
                if _comparable(meta.get("belongs")) != _comparable(_belongs(plan, part)):
                    raise StorageError(f"'{file}' belongs to another stress test.")
                done[part.number] = Found.of_arrays(arrays)
            except (StorageError, KeyError, TypeError, ValueError) as error:
                logger.warning("%s It is computed again.", error)
        return done

    def _check_same(self, found: dict[str, Any], wanted: dict[str, Any], trust: bool) -> None:
        """Raise a StorageError unless the folder's plan is this one."""
        there, here = _comparable(found), _comparable(wanted)
        if differs := [key for key in here if there.get(key) != here[key]]:
            raise StorageError(
                f"The folder '{self.path}' belongs to another run, which differs in {', '.join(differs)}. Choose "
                "another folder, or remove this one to start over."
            )
        if not trust and UNKNOWN in f"{found}{wanted}":
            raise StorageError(
                f"It cannot be told whether all classifiers are the same as in the folder '{self.path}', since the "
                "content of one cannot be read. Choose another folder, or say resume='trust' if you know that they are."
            )


def _belongs(plan: Plan, part: Part) -> dict[str, Any]:
    """Return all that a part depends on."""
    whole = plan.description
    keys = ("data", "classifiers", "layers", "draws", "seed", "versions")
    change = list(plan.strengths).index(part.change)
    own = {"cluster": part.cluster, "change": str(part.change), "strengths": list(plan.strengths[part.change])}
    return {**{key: whole[key] for key in keys}, **own, "change_identity": whole["change_identities"][change]}


def _comparable(value: Any) -> Any:
    """Return JSON values with every identity that is none replaced by one word."""
    if isinstance(value, dict):
        return {key: _comparable(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_comparable(one) for one in value]
    return UNKNOWN if isinstance(value, str) and value.startswith(UNKNOWN) else value
