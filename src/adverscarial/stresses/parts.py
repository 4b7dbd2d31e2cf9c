"""One change of one cluster: simulated once for each strength and draw, and put to all classifiers."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp

from adverscarial._types import Ints, Row
from adverscarial.errors import AdverscarialError, DataError
from adverscarial.stresses.asking import Asker
from adverscarial.stresses.chance import generator
from adverscarial.stresses.measures import draws_of, rows_of
from adverscarial.stresses.plan import Part, Plan
from adverscarial.stresses.reading import Read
from adverscarial.stresses.result import DRAWS, TABLE, as_arrays, as_frame

logger = logging.getLogger(__name__)


@dataclass
class Found:
    """What a part found: rows of both tables, and why a classifier could not be measured, by its name."""

    table: pd.DataFrame
    draws: pd.DataFrame
    errors: dict[str, str] = field(default_factory=dict)

    def arrays(self) -> dict[str, np.ndarray]:
        """Return both tables as plain arrays."""
        return as_arrays("table", self.table) | as_arrays("draws", self.draws)

    @classmethod
    def of_arrays(cls, arrays: Mapping[str, np.ndarray]) -> Found:
        """Return what was stored."""
        return cls(as_frame("table", TABLE, arrays), as_frame("draws", DRAWS, arrays))


def run_part(plan: Plan, part: Part) -> Found:
    """Change one cluster, and ask all classifiers."""
    table: list[Row] = []
    draws: list[Row] = []
    errors: dict[str, str] = {}
    try:
        rows = _rows(plan, part)
        before, after = _labels(plan, part, rows, errors)
    except Exception as error:  # noqa: BLE001  a change of another package may raise anything
        return Found(_frame([], TABLE), _frame([], DRAWS), dict.fromkeys(plan.models, _failure(part, error)))
    for name, labels in after.items():
        key: dict[str, Any] = {
            "change": str(part.change), "classifier": name, "cluster": part.cluster, "unit": part.change.unit,
        }  # fmt: skip
        asked = before[name], labels, plan.strengths[part.change], part.cluster
        table += [{**key, **row} for row in rows_of(*asked)]
        draws += [{**key, **row} for row in draws_of(*asked)]
    return Found(_frame(table, TABLE), _frame(draws, DRAWS), errors)


def _rows(plan: Plan, part: Part) -> Ints:
    rows = np.flatnonzero(plan.cells.clusters == part.cluster)
    rows = part.change.concerned(plan.cells, rows)
    if not len(rows):
        raise DataError(f"Cluster '{part.cluster}' has no cells to which '{part.change}' can happen.")
    return rows


def _labels(
    plan: Plan, part: Part, rows: Ints, errors: dict[str, str]
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Return each classifier's labels before, shape (cells,), and after, shape (draws, strengths, cells)."""
    askers: dict[str, Asker] = {}
    before: dict[str, np.ndarray] = {}
    for name, model in plan.models.items():
        layer = plan.layers[name]
        try:
            asker = Asker(model, plan.adata, layer, plan.readings[layer], rows, part.cluster, plan.cells.clusters)
            before[name], askers[name] = asker.unchanged(), asker
        except Exception as error:  # noqa: BLE001  a classifier may raise anything
            errors[name] = _failure(part, error)
    said: dict[str, list[np.ndarray]] = {name: [] for name in askers}
    strengths = plan.strengths[part.change]
    for draw in range(plan.draws):
        changed = [
            part.change.apply(plan.cells, rows, strength, generator(plan.seed, part.change, part.cluster, draw))
            for strength in strengths
        ]
        together = sp.csr_array(sp.vstack(changed, format="csr"))
        read: dict[str | None, Read] = {}  # once for all classifiers that read the same layer
        for name in list(askers):
            layer = plan.layers[name]
            if layer not in read:
                read[layer] = plan.readings[layer].read(together, np.tile(rows, len(strengths)))
            try:
                said[name].append(askers[name].after(read[layer], len(strengths)))
            except Exception as error:  # noqa: BLE001
                errors[name] = _failure(part, error)
                del askers[name]
    return before, {name: np.array(said[name]) for name in askers}


def _frame(rows: list[Row], columns: tuple[str, ...]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=list(columns))


def _failure(part: Part, error: Exception) -> str:
    """Return why a row is missing; of an error that is none of ours, the log says where it was."""
    foreign = not isinstance(error, AdverscarialError)
    logger.warning("%s on cluster %s: %s", part.change, part.cluster, error, exc_info=foreign)
    return f"{type(error).__name__}: {error}"
