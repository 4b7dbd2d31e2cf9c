"""The outcome of a survey: its results, and the table of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pandas as pd
from anndata import AnnData

from adverscarial._docs import documented
from adverscarial._html import card
from adverscarial._types import Row
from adverscarial.attacks.annotating import check_key
from adverscarial.attacks.base import Attack
from adverscarial.attacks.result import Result
from adverscarial.cells.choice import Cells, Chosen, attacked, held_of
from adverscarial.cells.matrix import copy_of
from adverscarial.errors import ParameterError, some
from adverscarial.surveys.annotating import annotate
from adverscarial.surveys.folder import RunFolder
from adverscarial.surveys.plan import Task
from adverscarial.surveys.stored import StoredPlan, already_there
from adverscarial.surveys.universal import universal_genes

R = TypeVar("R", bound=Result)

#: columns of the table that every attack fills, before and behind those that the types of results name
_FIRST = (
    "classifier", "cluster", "n_cells", "attack", "modification", "towards", "baseline", "baseline_share",
    "right", "label", "share",
)  # fmt: skip
_LAST = ("queries", "proven", "complete", "error")
_TYPES = {"whole": "Int64", "number": "float64", "yes-no": "boolean", "text": "object"}


def table_columns(attacks: Iterable[Attack[Result]]) -> dict[str, str]:
    """Return the columns of the table of some attacks, in order, with their pandas types."""
    kinds = sorted({type(attack) for attack in attacks}, key=lambda kind: (kind.place, kind.name))
    own = {column.name: _TYPES[column.kind] for kind in kinds for column in kind.result_type().columns}
    whole = dict.fromkeys(("n_cells", "right", "queries", "proven"), "Int64")
    return {name: (own | whole).get(name, "") for name in (*_FIRST, *own, *_LAST)}


@dataclass(frozen=True, repr=False)
class Survey:
    """The outcome of a survey.

    Attributes
    ----------
    plan
        What was asked for, as JSON values: data, classifiers, clusters, attacks, seed, versions.
    tasks
        One per row of the table.
    results
        One per task; None where the classifier failed.
    errors
        Message of each task without a result, by its number: those of :attr:`failed`, and those that had nothing to do.
    """

    plan: StoredPlan
    tasks: tuple[Task, ...]
    results: tuple[Result | None, ...]
    errors: dict[int, str]

    def to_frame(self) -> pd.DataFrame:
        """Return the table, one row per classifier, cluster and attack; without times, so that it can be compared."""
        rows = []
        for task, result in zip(self.tasks, self.results, strict=True):
            row: Row = {"classifier": task.classifier, "cluster": task.target}
            if result is None:
                attack = type(task.attack).__name__
                row |= {"attack": attack, "modification": task.attack.changes_text}
                row |= {"towards": task.attack.aim_text} if task.attack.aim else {}
                row |= {"complete": False, "error": self.errors[task.number]}
            else:
                row |= result.row()
            rows.append(row)
        frame = pd.DataFrame(rows)
        columns = {name: kind for name, kind in table_columns(t.attack for t in self.tasks).items() if name in frame}
        return frame[list(columns)].astype({name: kind for name, kind in columns.items() if kind})

    @property
    def failed(self) -> dict[int, str]:
        """Message of each failed task, by its number."""
        return {number: error for number, error in self.errors.items() if not already_there(error)}

    @property
    def already(self) -> tuple[Task, ...]:
        """The tasks that had nothing to do: the cluster is already called what ``towards=`` names."""
        return tuple(task for task in self.tasks if already_there(self.errors.get(task.number, "")))

    @property
    def source(self) -> Chosen:
        """What was chosen of the data: ``{"mod": "rna"}``, ``{"use_raw": True}``, both; empty for an AnnData's own."""
        return self.plan["data"].get("source", {})

    @property
    def seconds(self) -> float:
        """Time that the attacks took, added up over processes."""
        return sum(result.seconds for result in self.results if result is not None)

    def flipping(self) -> pd.DataFrame:
        """Return every single gene that flips a label: ``classifier, cluster, modification, gene, label, share``."""
        columns = ["classifier", "cluster", "modification", "gene", "label", "share"]
        parts: dict[str, list[np.ndarray]] = {name: [] for name in columns}
        for task, result in zip(self.tasks, self.results, strict=True):
            flips = None if result is None else result.flips()
            if flips is not None:
                gene, label, share = flips
                named = (task.classifier, task.target, task.attack.changes_text)
                found = [*(np.full(len(gene), text, dtype=object) for text in named), gene, label, share]
                for name, values in zip(columns, found, strict=True):
                    parts[name].append(values)
        return pd.DataFrame({name: np.concatenate(part) if part else [] for name, part in parts.items()})

    def universal(self) -> pd.DataFrame:
        """Return how many clusters each gene flips alone, the most first: *universal* genes threaten every label.

        Returns
        -------
        One row per classifier, modification and gene that flips any: ``classifier, modification, gene``; ``clusters``
        it flips, ``of`` those that were tested, the ``share``, and ``which`` they are; ``towards``, the labels that
        count, empty where all do; ``possible``, whether cells can have such values.

        Examples
        --------
        >>> import adverscarial as adv
        >>> model, attack = adv.classifiers.ScType(scaled=False), adv.attacks.SingleGene("perc99:expressing")
        >>> found = adv.survey(adv.datasets.embedded(), model, attacks=attack, groupby="cell_type")
        >>> int(found.universal()["clusters"].max()) <= 10
        True
        """
        return universal_genes(zip(self.tasks, self.results, strict=True))

    def of(self, kind: type[R]) -> list[tuple[Task, R]]:
        """Return the results of one type, each with its task, such as those of :class:`MaxChangeResult`."""
        pairs = zip(self.tasks, self.results, strict=True)
        return [(task, result) for task, result in pairs if isinstance(result, kind)]

    def verdicts(self, **rules: Any) -> pd.DataFrame:
        """Say of each cluster and classifier whether the label is robust, fragile, not decided, or not recognised.

        Parameters and columns as in :func:`adverscarial.evaluation.verdicts`.
        """
        from adverscarial.evaluation.verdicts import verdicts  # a door up, for convenience; see docs/architecture.md

        return verdicts(self, **rules)

    @documented
    def to_adata(
        self,
        adata: Cells,
        classifiers: Mapping[str, object] | None = None,
        *,
        key_added: str = "adverscarial",
        copy: bool = False,
    ) -> AnnData | None:
        """Write the survey where scanpy looks for it: ``obs``, ``var`` and ``uns``.

        Parameters
        ----------
        %(annotated)s
        classifiers
            The attacked ones, by their names in the survey, to ask them about each cell before and after; left out,
            there is only what the survey kept.
        %(key_added)s
        %(copy)s

        Returns
        -------
        None, or the copy. Each name goes on with that of the classifier. In ``obs``, for the cells of each cluster:
        ``_verdict`` (see :meth:`verdicts`), ``_flipping_genes``, ``_genes_needed``; ``_cluster_before`` and
        ``_cluster_after``, the cluster's label before and after the attack that flips it with the fewest genes;
        ``_before``, ``_after`` and ``_margin`` of each cell (with `classifiers`); ``_fragility_lower`` and
        ``_fragility_upper`` (:class:`~adverscarial.attacks.MinChange`; the smallest over its modifications). In
        ``var``, over all clusters and single-gene attacks: ``_outcome``, ``_clusters_flipped`` and the nearest
        ``_distance``, as in :meth:`~adverscarial.attacks.Result.to_adata`. In ``uns``: the plan and the table. Where
        values are others than those that were attacked, a warning says so.

        Raises
        ------
        DataError
            If the data are not those that were attacked.
        ParameterError
            If `key_added` cannot start a name, or the survey had no such classifier.

        %(survey_example)s
        >>> cells = adv.datasets.embedded()
        >>> found.to_adata(cells)
        >>> cells.obs["adverscarial_ScType_verdict"].value_counts()
        adverscarial_ScType_verdict
        fragile    240
        Name: count, dtype: int64
        """
        check_key(key_added)
        models = dict(classifiers or {})
        if unknown := [name for name in models if name not in self.plan["classifiers"]]:
            raise ParameterError(
                f"The survey had no classifier {some(unknown)}. It had: {some(list(self.plan['classifiers']))}."
            )
        held = held_of(adata, self.source)
        out = copy_of(held) if copy else held
        annotate(self, attacked(adata, self.source), out, self.verdicts(), models, key_added)
        return out if copy else None

    def __repr__(self) -> str:
        already = f", {len(self.already)} with nothing to do" if self.already else ""
        attacks = "1 attack" if len(self.tasks) == 1 else f"{len(self.tasks)} attacks"
        return f"<Survey of {attacks}, {len(self.failed)} failed{already}>"

    def _repr_html_(self) -> str:
        """Return its verdicts as a notebook shows them."""
        found = self.verdicts()[["classifier", "cluster", "verdict", "reason", "next"]]
        return card(repr(self).strip("<>"), str(self), found, rows=len(found))

    def __str__(self) -> str:
        """Return the table with what each kind of attack is asked for: its count, and what is proven of it."""
        frame = self.to_frame()
        attacks = ["attack"] if frame["attack"].nunique() > 1 else []
        kinds = dict.fromkeys(type(result) for result in self.results if result is not None)
        answers = dict.fromkeys(name for kind in kinds for name in _answers(kind))
        aims = ["towards"] if "towards" in frame and frame["towards"].fillna("").ne("").any() else []
        never = ["impossible"] if "impossible" in frame and frame["impossible"].fillna(False).astype(bool).any() else []
        shown = ["classifier", "cluster", *attacks, "modification", *aims, "baseline", *answers, *never, "error"]
        found = frame[[name for name in shown if name in frame]]
        return str(found.astype(object).where(found.notna(), "").to_string(index=False))

    def report(self, path: str | PathLike[str], **options: Any) -> Path:
        """Write the survey as one HTML file; options as in :func:`adverscarial.report.write_report`."""
        from adverscarial.report import write_report  # a door up, for convenience; see docs/architecture.md

        return write_report(self, path, **options)

    @classmethod
    def load(cls, out: str | PathLike[str]) -> Survey:
        """Read a finished survey from its folder.

        Raises
        ------
        StorageError
            If the folder holds none, it is not finished, or a file in it is damaged or belongs to another survey.
        """
        return cls(*RunFolder(out).read())


def _answers(kind: type[Result]) -> list[str]:
    """Return the columns of a kind of result that are shown first."""
    names = [column.name for column in kind.columns]
    if kind.count is None:
        return [name for name in names if name in ("success", "modified", "genes_modified")] or names[:3]
    return [name for name in names if name == kind.count.column or name.endswith("lower")]
