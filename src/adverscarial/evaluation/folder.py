"""The folder of a survey: its plan, one file per finished attack, and the table at the end.

::

    out/
      run.json            what was asked for; a folder with another plan is refused
      results/00042.npz   one finished attack, written in one step
      table.csv           the whole table, when all is done
"""

from __future__ import annotations

import hashlib
import json
import logging
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from os import PathLike
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import scipy.sparse as sp
from anndata import AnnData

from adverscarial import _store
from adverscarial._matrix import layer_of
from adverscarial.attacks.base import Attack
from adverscarial.attacks.registry import describe, rebuild
from adverscarial.attacks.result import Result, versions
from adverscarial.classifiers.base import Classifier
from adverscarial.cluster import cluster_labels
from adverscarial.errors import AdverscarialError, StorageError

logger = logging.getLogger(__name__)

_FORMAT = 2
_LEFT_BEHIND = 600  # seconds after which a half-written file is nobody's


class Task(NamedTuple):
    """One cell of the table."""

    number: int
    classifier: str
    target: str
    attack: Attack


def plan_of(
    adata: AnnData,
    models: Mapping[str, Classifier],
    attacks: Sequence[Attack],
    clusters: Sequence[str],
    *,
    groupby: str,
    layer: str | None,
    seed: int,
    budget: int | None,
) -> dict[str, Any]:
    """Return what a survey is, as JSON values: two surveys with equal plans give the same table."""
    return {
        "format": _FORMAT,
        "data": {
            "cells": adata.n_obs,
            "genes": adata.n_vars,
            "layer": layer,
            "groupby": groupby,
            "fingerprint": fingerprint(adata, groupby, layer),
        },
        "classifiers": {name: classifier_fingerprint(model) for name, model in models.items()},
        "clusters": list(clusters),
        "attacks": [describe(attack) for attack in attacks],
        "seed": seed,
        "budget": budget,
        "versions": versions(),
    }


def fingerprint(adata: AnnData, groupby: str, layer: str | None) -> str:
    """Return a hash of values, names and clusters; of a backed file, its size and time instead of values."""
    digest = hashlib.blake2b(digest_size=16)
    for names in (adata.obs_names, adata.var_names, cluster_labels(adata, groupby)):
        digest.update("\0".join(map(str, names)).encode())
    X = layer_of(adata, layer)
    parts: tuple[np.ndarray, ...] = ()
    if sp.issparse(X):
        parts = (X.data, X.indices, X.indptr)
    elif isinstance(X, np.ndarray):
        parts = (X,)
    else:
        where = getattr(adata, "filename", None)
        status = Path(where).stat() if where else None
        digest.update(repr((where and Path(where).name, status and (status.st_size, status.st_mtime_ns))).encode())
    for part in parts:
        digest.update(str((part.dtype, part.shape)).encode())
        digest.update(np.ascontiguousarray(part).data)
    return digest.hexdigest()


def classifier_fingerprint(model: Classifier) -> str:
    """Return a hash of a classifier's content, so that one trained anew is told from the one before.

    Of a function that cannot be hashed whole, it is a hash of its code.
    """
    try:
        meta, arrays = model.state()
    except AdverscarialError:
        return _content(model)
    digest = hashlib.blake2b(json.dumps(meta, sort_keys=True, default=str).encode(), digest_size=16)
    for name in sorted(arrays):
        digest.update(name.encode())
        digest.update(np.ascontiguousarray(arrays[name]).data)
    return digest.hexdigest()


def _content(model: Classifier) -> str:
    from joblib import hash as joblib_hash

    function = getattr(model, "function", None)
    code = getattr(function, "__code__", None)
    if code is not None:  # functions made on the spot cannot be pickled, and equal ones are written alike
        constants = [constant for constant in code.co_consts if not hasattr(constant, "co_code")]
        text = repr((model.name, model.classes, code.co_code, constants, code.co_names))
        return f"by code: {hashlib.blake2b(text.encode(), digest_size=16).hexdigest()}"
    try:
        return f"by content: {joblib_hash(model)}"
    except Exception as error:  # noqa: BLE001  pickling raises whatever an object makes it
        logger.warning("%s is known by its name only (%s); a survey cannot tell it from another", model.name, error)
        return f"by name: {hashlib.blake2b(repr((model.name, model.classes)).encode(), digest_size=16).hexdigest()}"


class RunFolder:
    """Reads and writes the folder of a survey."""

    def __init__(self, path: str | PathLike[str]) -> None:
        self.path = Path(path)

    def _file(self, number: int) -> Path:
        return self.path / "results" / f"{number:05d}.npz"

    def open(self, plan: dict[str, Any], tasks: Sequence[Task]) -> dict[int, Result]:
        """Begin, or go on with, a survey; return the results that are there already.

        Raises
        ------
        StorageError
            If the folder holds another survey, or other files.
        """
        plan = json.loads(json.dumps(plan))
        if (self.path / "run.json").exists():
            self._check_same(self._plan(), plan)
        else:
            if self.path.exists() and (not self.path.is_dir() or self._holds_others()):
                raise StorageError(f"'{self.path}' holds other things than a survey; choose an empty or a new folder.")
            _store.write_json(self.path / "run.json", plan)
        self._tidy()
        done = {}
        for task in tasks:
            if self._file(task.number).exists():
                try:
                    done[task.number] = self._result(task)
                except StorageError as error:
                    logger.warning("%s It is computed again.", error)
        return done

    def _holds_others(self) -> bool:
        """Return whether files are there that are no half-written plan of a process that was killed."""
        return any(not (file.name.startswith(".run.json.") and file.suffix == ".part") for file in self.path.iterdir())

    def _tidy(self) -> None:
        """Remove files that a killed process left half-written; young ones may be of another that still runs."""
        for file in [*self.path.glob(".*.part"), *self.path.glob("results/.*.part")]:
            with suppress(OSError):  # another process may have been quicker
                if time.time() - file.stat().st_mtime > _LEFT_BEHIND:
                    file.unlink()

    def _result(self, task: Task) -> Result:
        """Return the stored result of a task; one of another task is damage, too."""
        path = self._file(task.number)
        result = Result.load(path)
        found, expected = (describe(result.attack), result.target), (describe(task.attack), task.target)
        if json.dumps(found) != json.dumps(expected):
            raise StorageError(f"'{path}' holds {result!r}, expected {task.attack!r} on cluster '{task.target}'.")
        return result

    def _plan(self) -> dict[str, Any]:
        try:
            plan = _store.read_json(self.path / "run.json")
        except StorageError as error:
            raise StorageError(f"'{self.path}' holds no readable survey (run.json: {error})") from error
        if plan.get("format") != _FORMAT:
            raise StorageError(
                f"'{self.path}' holds a survey of format {plan.get('format')}, this version reads format {_FORMAT}."
            )
        return plan

    def _check_same(self, found: dict[str, Any], wanted: dict[str, Any]) -> None:
        differs = [key for key in wanted if found.get(key) != wanted[key]]
        if differs:
            details = "; ".join(f"{key}: there {_short(found.get(key))}, here {_short(wanted[key])}" for key in differs)
            raise StorageError(
                f"The folder '{self.path}' belongs to another survey, which differs in {', '.join(differs)}. "
                f"Choose another folder, or remove this one to start over. ({details})"
            )

    def write(self, task: Task, result: Result) -> None:
        """Store one finished attack."""
        result.save(self._file(task.number))

    def finish(self, table: pd.DataFrame, errors: Mapping[int, str]) -> None:
        """Write the table, which marks the survey as finished."""
        _store.write_json(self.path / "errors.json", {str(number): errors[number] for number in sorted(errors)})
        _store.write_text(self.path / "table.csv", table.to_csv(index=False, lineterminator="\n"))

    def read(self) -> tuple[dict[str, Any], tuple[Task, ...], tuple[Result | None, ...], dict[int, str]]:
        """Return plan, tasks, results and errors of a finished survey."""
        plan = self._plan()
        if not (self.path / "table.csv").exists():
            raise StorageError(
                f"The survey in '{self.path}' is not finished; run it again with the same settings to continue."
            )
        try:
            attacks = [rebuild(description) for description in plan["attacks"]]
            grid = [(m, c, a) for m in plan["classifiers"] for c in plan["clusters"] for a in attacks]
            errors = {int(number): text for number, text in _store.read_json(self.path / "errors.json").items()}
        except (KeyError, TypeError, ValueError, AttributeError) as error:  # written by another version
            raise StorageError(f"'{self.path}' holds no readable survey ({type(error).__name__}: {error}).") from error
        tasks = tuple(Task(number, *cell) for number, cell in enumerate(grid))
        results = tuple(None if task.number in errors else self._result(task) for task in tasks)
        return plan, tasks, results, errors


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) < 120 else text[:117] + "..."
