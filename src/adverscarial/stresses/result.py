"""The outcome of a stress test: a table by strength, and the strengths at which labels are lost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from adverscarial import _store
from adverscarial.errors import StorageError
from adverscarial.stresses.base import CHANGES
from adverscarial.stresses.measures import critical_rows

KIND = "stress"
#: file of the whole result in the folder of a run
WHOLE = "stress.npz"

_TEXT = ("change", "classifier", "cluster", "unit", "baseline", "label")
_KEYS = ("change", "classifier", "cluster", "unit")
TABLE = (
    *_KEYS, "n_cells", "strength", "baseline", "label", "held", "kept", "kept_low", "kept_high", "accuracy",
    "accuracy_low", "accuracy_high",
)  # fmt: skip
DRAWS = (*_KEYS, "strength", "draw", "label", "kept", "accuracy")


@dataclass(frozen=True, repr=False)
class StressResult:
    """What classifiers say of each cluster while a change of its cells grows.

    Attributes
    ----------
    plan
        What was asked for, as JSON values: data, classifiers, clusters, changes and their strengths, draws, seed,
        versions.
    table
        As :meth:`to_frame` returns it.
    draws
        One row per change, classifier, cluster, strength and draw: ``label, kept, accuracy`` of that draw.
    errors
        Why a change could not be measured, by change, classifier and cluster.

    Examples
    --------
    >>> import adverscarial as adv
    >>> model = adv.classifiers.ScType(scaled=False)
    >>> found = adv.stress(adv.datasets.embedded(), model, groupby="cell_type", targets=["Dendritic"],
    ...                    changes="dropout", strengths=[0.5, 0.9], draws=2)
    >>> found.critical()[["label", "becomes"]].values.tolist()
    [[0.9, 'Progenitor']]
    """

    plan: Mapping[str, Any]
    table: pd.DataFrame
    draws: pd.DataFrame
    errors: Mapping[tuple[str, str, str], str]

    def to_frame(self) -> pd.DataFrame:
        """Return one row per change, classifier, cluster and strength; strength 0 are the unmodified cells.

        Returns
        -------
        DataFrame: ``change, classifier, cluster, unit, n_cells, strength``; ``baseline``, the cluster's label before;
        ``label``, the most frequent one over the draws, and ``held``, the share of draws with the baseline's label;
        ``kept``, the share of cells that keep their own label; ``accuracy``, the share of cells that are called as
        their cluster is; both with a 95% interval over cells and draws (``_low``, ``_high``).
        """
        return self.table.copy()

    def critical(self) -> pd.DataFrame:
        """Return the strength at which each cluster's label is lost, and half of its cells.

        Returns
        -------
        DataFrame, one row per change, classifier and cluster: ``change, classifier, cluster, baseline, unit``;
        ``tested``, the largest strength tried; ``label``, the first strength at which the cluster's label is another
        one, ``becomes``, which, and ``when``, what has happened there, in words; ``cells``, the strength at which half
        of the cells have another label than before, on the line between two strengths. Both are medians over draws,
        infinite where nothing was lost, with their 95% interval over draws (``_low``, ``_high``: the smallest and the
        largest of fewer than 40 draws), and the share of draws in which it was lost (``_lost``).
        """
        return self._critical.copy()

    @cached_property
    def _critical(self) -> pd.DataFrame:
        first = self.table.drop_duplicates(["change", "classifier", "cluster"])
        keys = zip(first["change"], first["classifier"], first["cluster"], strict=True)
        baselines = dict(zip(keys, first["baseline"], strict=True))
        columns = [
            "change", "classifier", "cluster", "baseline", "unit", "tested", "label", "label_low", "label_high",
            "label_lost", "becomes", "when", "cells", "cells_low", "cells_high", "cells_lost",
        ]  # fmt: skip
        frame = pd.DataFrame(
            critical_rows(self.draws, baselines), columns=[name for name in columns if name not in ("unit", "when")]
        )
        units = dict(zip(self.table["change"], self.table["unit"], strict=True))
        frame["unit"] = frame["change"].map(units)
        frame["when"] = [_what_happened(row.change, row.unit, row.label) for row in frame.itertuples()]
        return frame[columns]

    def save(self, path: str | PathLike[str]) -> None:
        """Store the result in one file of plain arrays (``.npz``), in one step.

        Raises
        ------
        StorageError
            If the file cannot be written.
        """
        errors = [[*key, text] for key, text in self.errors.items()]
        arrays = as_arrays("table", self.table) | as_arrays("draws", self.draws)
        _store.save(path, KIND, {"plan": dict(self.plan), "errors": errors}, arrays)

    @classmethod
    def load(cls, path: str | PathLike[str]) -> StressResult:
        """Read a stored result, or that of a finished run from its folder.

        Raises
        ------
        StorageError
            If there is none, it is damaged, or holds something else.
        """
        file = Path(path) / WHOLE if Path(path).is_dir() else Path(path)
        if not file.is_file() and Path(path).is_dir():
            raise StorageError(
                f"'{path}' holds no finished stress test: there is no {WHOLE}. Run it again with the same settings to "
                "continue, or name another folder."
            )
        meta, arrays = _store.load(file, KIND)
        try:
            errors = {(str(a), str(b), str(c)): str(text) for a, b, c, text in meta["errors"]}
            return cls(dict(meta["plan"]), as_frame("table", TABLE, arrays), as_frame("draws", DRAWS, arrays), errors)
        except (KeyError, TypeError, ValueError) as error:
            raise StorageError(f"'{file}' is damaged ({type(error).__name__}: {error}). Run the test again.") from error

    def __repr__(self) -> str:
        clusters, names = self.table["cluster"].nunique(), self.table["classifier"].nunique()
        failed = f", {len(self.errors)} not measured" if self.errors else ""
        changes = self.table["change"].nunique()
        return f"<StressResult of {changes} changes, {names} classifiers, {clusters} clusters{failed}>"

    def __str__(self) -> str:
        shown = self.critical()[["change", "classifier", "cluster", "baseline", "label", "becomes", "cells"]]
        return str(
            shown.to_string(index=False, float_format=lambda value: "held" if np.isinf(value) else f"{value:.3g}")
        )


def _what_happened(change: str, unit: str, strength: float) -> str:
    """Return what has happened at a strength, in words; an empty text where nothing was lost."""
    if np.isinf(strength):
        return ""
    kind = CHANGES.find(change.partition(":")[0])
    return f"{change} is {strength:g} ({unit})" if kind is None else kind.happened(strength)


def as_arrays(name: str, frame: pd.DataFrame) -> dict[str, np.ndarray]:
    """Return the columns of a table as plain arrays, to be stored."""
    return {
        f"{name}.{column}": frame[column].to_numpy(dtype=str if column in _TEXT else np.float64) for column in frame
    }


def as_frame(name: str, columns: tuple[str, ...], arrays: Mapping[str, np.ndarray]) -> pd.DataFrame:
    """Return a table from arrays of :func:`as_arrays`.

    Raises
    ------
    KeyError, ValueError, TypeError
        If a column is missing or of another kind or length.
    """
    found = {}
    for column in columns:
        values = arrays[f"{name}.{column}"]
        if values.ndim != 1 or values.dtype.kind != ("U" if column in _TEXT else "f"):
            raise TypeError(f"'{name}.{column}' has the type {values.dtype}")
        found[column] = values.astype(object) if column in _TEXT else values
    frame = pd.DataFrame(found)
    return frame.astype({column: np.int64 for column in ("n_cells", "draw") if column in columns})
