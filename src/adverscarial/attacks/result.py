"""What an attack found: a value object that can be printed, applied, checked and stored."""

from __future__ import annotations

import platform
from abc import ABC, abstractmethod
from dataclasses import dataclass, field, fields
from functools import cache
from importlib.metadata import version
from os import PathLike
from typing import Any, Self

import numpy as np
import pandas as pd
from anndata import AnnData

from adverscarial import _store
from adverscarial._matrix import cells_of
from adverscarial.classifiers.base import Answer, Classifier
from adverscarial.classifiers.wrap import wrap
from adverscarial.cluster import Cluster
from adverscarial.errors import StorageError
from adverscarial.modifications import with_values

RESULTS: dict[str, type[Result]] = {}


@dataclass(frozen=True)
class Verification:
    """Outcome of a full re-prediction; true in an ``if`` when everything claimed was confirmed.

    Attributes
    ----------
    table
        One row per checked claim: ``gene`` (or the attack's name), ``claimed``, ``found``, ``share``, ``confirmed``.
    """

    table: pd.DataFrame

    def __bool__(self) -> bool:
        return bool(self.table["confirmed"].all())

    def __str__(self) -> str:
        confirmed = int(self.table["confirmed"].sum())
        return f"{confirmed:,} of {len(self.table):,} claims confirmed by full re-prediction"


@cache
def _versions() -> dict[str, str]:
    packages = ("adverscarial", "anndata", "numpy", "scipy", "scikit-learn", "numba")
    return {"python": platform.python_version(), **{name: version(name) for name in packages}}


def versions() -> dict[str, str]:
    """Return the versions that a result depends on."""
    return dict(_versions())


@dataclass(frozen=True, repr=False, kw_only=True)
class Result(ABC):
    """What every attack's result has.

    Attributes
    ----------
    attack
        The attack, with its settings.
    classifier
        Name of the classifier.
    groupby, target, layer, seed
        What was attacked.
    baseline, baseline_share
        The classifier's label for the unmodified cluster, and the share of its cells that carry it.
    label, share
        Its label after the attack.
    n_cells
        Cells of the cluster.
    queries
        Questions asked of the classifier.
    proven
        Genes answered without a question, because the classifier provably does not read them.
    cells_rescored
        Cells times questions.
    seconds
        Wall time.
    complete
        False when a budget ended the search early.
    versions
        Of this package and what it computes with.
    """

    attack: Any
    classifier: str
    groupby: str
    target: str
    layer: str | None
    seed: int
    baseline: str
    baseline_share: float
    label: str
    share: float
    n_cells: int
    queries: int
    proven: int
    cells_rescored: int
    seconds: float
    complete: bool
    versions: dict[str, str] = field(default_factory=versions)

    def __init_subclass__(cls) -> None:
        RESULTS[cls.__name__] = cls

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self.attack!r} on {self.classifier}, cluster '{self.target}'>"

    @property
    @abstractmethod
    def genes(self) -> list[str]:
        """The genes that the attack found, in gene order."""

    @abstractmethod
    def to_frame(self) -> pd.DataFrame:
        """Return the result as a table."""

    def _applied_genes(self) -> list[str]:
        """Return the genes that :meth:`apply` changes."""
        return self.genes

    def apply(self, adata: AnnData) -> AnnData:
        """Return a copy of `adata` with the attack carried out; the original stays as it is.

        What was done is written to ``uns["adverscarial"]``.
        """
        genes = self._applied_genes()
        cluster = Cluster(adata, self.groupby, self.target, layer=self.layer, seed=self.seed)
        positions = cluster.positions(genes)
        values = self._values(cluster, positions)
        changed = with_values(adata, cluster.rows, positions, values, layer=self.layer)
        changed.uns["adverscarial"] = {
            "attack": repr(self.attack), "classifier": self.classifier, "groupby": self.groupby, "target": self.target,
            "layer": self.layer or "X", "seed": self.seed, "genes": np.array(genes, dtype=str),
        }  # fmt: skip
        return changed

    def _values(self, cluster: Cluster, positions: np.ndarray) -> np.ndarray:
        return self.attack.modification.values(cluster, positions)

    def verify(self, adata: AnnData, classifier: Any) -> Verification:
        """Check what is claimed by classifying the changed cells from scratch, without any scorer."""
        judge = Judge(adata, classifier, self)
        answer = judge.ask(judge.cluster.positions(self._applied_genes()))
        row = (type(self.attack).__name__, self.label, answer.label, answer.share, answer.label == self.label)
        return Verification(pd.DataFrame([row], columns=["claim", "claimed", "found", "share", "confirmed"]))

    def _arrays(self) -> dict[str, np.ndarray]:
        """Return the fields that are arrays, to be stored."""
        return {}

    def row(self) -> dict[str, Any]:
        """Return one row of a survey's table; nothing in it depends on when, where or how fast it was made."""
        return {
            "attack": type(self.attack).__name__,
            "modification": str(getattr(self.attack, "modification", "")),
            "n_cells": self.n_cells,
            "baseline": self.baseline,
            "baseline_share": self.baseline_share,
            "label": self.label,
            "share": self.share,
            "queries": self.queries,
            "proven": self.proven,
            "complete": self.complete,
        }

    def save(self, path: str | PathLike[str]) -> None:
        """Store the result in one file of plain arrays and text; read it with :meth:`load`."""
        from adverscarial.attacks.registry import describe

        arrays = self._arrays()
        meta = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in arrays and f.name != "attack"}
        _store.save(
            path, "result", {"type": type(self).__name__, "attack": describe(self.attack), "fields": meta}, arrays
        )

    @classmethod
    def load(cls, path: str | PathLike[str]) -> Self:
        """Read a stored result.

        Raises
        ------
        StorageError
            If the file is absent, damaged, or not a stored result.
        """
        from adverscarial.attacks.registry import rebuild

        meta, arrays = _store.load(path, "result")
        kind = RESULTS.get(str(meta.get("type")))
        if kind is None or not issubclass(kind, cls):
            raise StorageError(f"'{path}' holds a '{meta.get('type')}', expected a {cls.__name__}.")
        try:
            found: dict[str, Any] = {**meta["fields"], **arrays}
            return kind(attack=rebuild(meta["attack"]), **found)
        except (KeyError, TypeError, ValueError, IndexError) as error:
            raise StorageError(
                f"'{path}' is damaged: {type(error).__name__}: {error}. Run the attack again."
            ) from error

    def _headline(self) -> str:
        where = f"{self.classifier}, cluster '{self.target}' ({self.n_cells:,} cells)"
        return f"{_brief(self.attack)} on {where}\n  baseline  {self.baseline} ({self.baseline_share:.0%} of the cells)"

    def _footer(self) -> str:
        proven = f", {self.proven:,} genes proven without" if self.proven else ""
        early = "" if self.complete else "; stopped by the budget"
        return f"  cost      {self.queries:,} questions{proven}, {self.seconds:.2f} s{early}"


def _brief(attack: Any) -> str:
    """Return the attack's repr; a long list of genes, which would hide the rest, is only counted."""
    text = repr(attack)
    for name in ("genes", "exclude"):
        given = getattr(attack, name, None)
        if given is not None and len(given) > 5:
            text = text.replace(f"{name}={given!r}", f"{name}=[{len(given):,} genes]")
    return text


class Judge:
    """Classifies a changed cluster from scratch: the cells are copied, changed, and given to the classifier whole."""

    def __init__(self, adata: AnnData, classifier: Any, result: Result) -> None:
        self._classifier: Classifier = wrap(classifier)
        self._result = result
        self.cluster = Cluster(adata, result.groupby, result.target, layer=result.layer, seed=result.seed)
        self._adata, self._rows, self._labels = adata, self.cluster.rows, self.cluster.labels
        if not self._classifier.needs_all_cells:  # the other cells cannot matter, so they need not be copied
            self._adata = cells_of(adata, self._rows)
            self._rows, self._labels = np.arange(len(self._rows)), self._labels[self._rows]

    def ask(self, genes: np.ndarray) -> Answer:
        """Return the answer with `genes` (positions) changed as the attack changes them."""
        values = self._result._values(self.cluster, genes)
        changed = with_values(self._adata, self._rows, genes, values, layer=self._result.layer)
        return self._classifier.predict_cluster(
            changed, self._rows, self.cluster.target, self._labels, self._result.layer
        )
