"""What an attack found: a value object that can be printed, applied, checked and stored."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from os import PathLike
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Self

import numpy as np
import pandas as pd
from anndata import AnnData

from adverscarial import _store
from adverscarial._docs import documented
from adverscarial._html import card
from adverscarial._registry import Registry, distribution_of
from adverscarial._types import Row
from adverscarial.attacks.annotating import cell_columns, check_key, gene_columns, parameters, spread, write
from adverscarial.attacks.columns import Column, Count
from adverscarial.attacks.coverage import Coverage
from adverscarial.attacks.declared import check_declared
from adverscarial.attacks.gate import Gate
from adverscarial.attacks.judge import Judge
from adverscarial.attacks.reading import check_result
from adverscarial.attacks.sameness import ByContent
from adverscarial.attacks.settings import budget_of
from adverscarial.attacks.storing import describe, rebuild
from adverscarial.attacks.verification import Verification
from adverscarial.attacks.versions import versions
from adverscarial.cells.choice import Cells, Chosen, attacked, held_of
from adverscarial.cells.cluster import Cluster
from adverscarial.cells.matrix import copy_of
from adverscarial.classifiers.answers import Answer, of_the_cells
from adverscarial.errors import ParameterError, StorageError
from adverscarial.modifications.base import with_values

if TYPE_CHECKING:
    from adverscarial.attacks.base import Attack

#: all types of results by the names of their classes; an attack of another package brings its own
RESULTS: Registry[type[Result]] = Registry("adverscarial.attacks")


class Flips(NamedTuple):
    """Genes that flip the label alone, the most complete flip first: arrays of one length."""

    genes: np.ndarray  # names
    labels: np.ndarray  # that each one gives
    shares: np.ndarray  # of the cells that carry it


class GeneSet(NamedTuple):
    """The genes that an attack singles out: arrays of one length."""

    kind: str  # what they are: "single gene", "signature", "descent", "smallest set"
    genes: np.ndarray  # names
    labels: np.ndarray  # label that each leads to; "" where it leads to none of its own


@dataclass(frozen=True, repr=False, eq=False, kw_only=True)
class Result(ByContent, ABC):
    """What every attack's result has.

    A subclass is a frozen dataclass with the fields that only it has. Tables, plots and the report use what is named
    here, and nothing else, so that they work with every attack.

    Attributes
    ----------
    columns
        The columns that it adds to the table of a survey; :meth:`row` fills them.
    count
        The number among them that grids of clusters x modifications show; None for attacks without a grid.
    covers
        Whether :meth:`coverage` says something, so that a verdict needs the attack to succeed.
    gate
        The number among them that makes a build fail (``--fail-over``); None for attacks without such a limit.
    attack
        The attack, with its settings.
    classifier
        Name of the classifier.
    groupby, target, layer, source, seed
        What was attacked; `source` is empty, or ``{"mod": "rna"}``, ``{"use_raw": True}``, or both.
    baseline, baseline_share
        The classifier's label for the unmodified cluster, and the share of its cells that carry it.
    label, share
        Its label after the attack.
    n_cells
        Cells of the cluster.
    queries
        Queries asked of the classifier.
    proven
        Genes answered without a query, because the classifier provably does not read them.
    cells_rescored
        Cells times queries.
    seconds
        Wall time.
    complete
        False when a budget ended the search early.
    versions
        Of this package and what it computes with.
    votes
        Labels of the unmodified cluster's cells, each with its number of cells, the most frequent first; empty where
        the classifier labels whole clusters only.
    rounded
        Whether new values were rounded to whole numbers, none below 0, because the data hold counts.
    right
        How many of these cells get the cluster's own name for a label; None where that cannot be told, because the
        classifier uses other names.
    """

    columns: ClassVar[tuple[Column, ...]] = ()
    count: ClassVar[Count | None] = None
    gate: ClassVar[Gate | None] = None
    covers: ClassVar[bool] = False

    attack: Attack[Result]
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
    votes: dict[str, int] = field(default_factory=dict)
    right: int | None = None
    rounded: bool = False
    source: Chosen = field(default_factory=dict)

    def __init_subclass__(cls, **other: object) -> None:
        super().__init_subclass__(**other)
        # as of here, not as dataclass would write them: arrays have no single truth value, and dicts no hash
        cls.__eq__, cls.__hash__ = ByContent.__eq__, ByContent.__hash__  # type: ignore[method-assign]
        check_declared(cls, Result)
        RESULTS.add(cls.__name__, cls)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self.attack!r} on {self.classifier}, cluster '{self.target}'>"

    def __str__(self) -> str:
        return f"{self._headline()}\n  found     {self.sentence}\n{self._footer()}"

    def _repr_html_(self) -> str:
        """Return it as a notebook shows it."""
        return card(self.sentence, str(self), self.to_frame())

    @property
    @abstractmethod
    def genes(self) -> list[str]:
        """The genes that the attack found, in gene order unless its class says otherwise."""

    @abstractmethod
    def to_frame(self) -> pd.DataFrame:
        """Return the result as a table."""

    @property
    def success(self) -> bool:
        """Whether the attack reached its goal: another label, unless its class says otherwise."""
        return self.label != self.baseline

    @property
    def changed_genes(self) -> list[str]:
        """The genes that :meth:`apply` changes."""
        return self.genes

    @property
    def genes_needed(self) -> int | None:
        """How many genes had to change for the new label; None where the attack says nothing about that."""
        return len(self.changed_genes) if self.success else None

    @property
    def n_rejected(self) -> int:
        """How many of the changes the classifier refused."""
        return 0

    @property
    def labels_given(self) -> set[str]:
        """Every label that the classifier gave the cluster during the attack."""
        return {self.baseline, self.label}

    @property
    def marks(self) -> str:
        """Marks behind the number of :attr:`count`, such as "†" where it is only a bound."""
        return ""

    @property
    def sentence(self) -> str:
        """What was found, in one sentence."""
        end = "" if self.complete else f" The search ended early: its {budget_of(self.attack)} was spent."
        now = f"{self.label} ({of_the_cells(self.share)})"
        if not self.success:
            aim = self.attack.aim_text
            held = f"does not become {aim}; it is called {self.label}" if aim else f"keeps the label {self.baseline}"
            return f"Cluster '{self.target}' {held}.{end}"
        genes = len(self.changed_genes)
        with_ = f" after {genes:,} gene{'s' if genes != 1 else ''} changed" if genes else ""
        return f"Cluster '{self.target}', called {self.baseline}, becomes {now}{with_}.{end}"

    @property
    def notes(self) -> list[str]:
        """What limits the numbers, each a part of a sentence that follows "N of M searches"."""
        early = f"ended early because the {budget_of(self.attack)} was spent"
        named = "count only flips to a real cell type; a change to “unknown” and the like counts as held"
        drawn = "draw their new values by chance, once (see the seed): another seed can give other genes"
        aimed = f"count only flips to {self.attack.aim_text}; a change to any other label counts as held"
        found = {
            early: not self.complete,
            aimed: bool(self.attack.aim),
            named: getattr(self.attack, "change_type", "any") == "named",
            "rounded new values to whole numbers, none below 0, since the data hold counts": self.rounded,
            drawn: any(getattr(change, "random", False) for change in self.attack.changes),
        }
        return [text for text, holds in found.items() if holds]

    def changed_values(self, cluster: Cluster, positions: np.ndarray) -> np.ndarray:
        """Return the new values of some of the changed genes.

        Parameters
        ----------
        cluster
            The attacked cluster, of the data set to change.
        positions
            Of the genes in the data set.

        Returns
        -------
        Shape (cells of the cluster, len(positions)), or (1, len(positions)) where every cell gets the same value.
        """
        return self.attack.changes[0].new_values(cluster, positions)

    def flips(self) -> Flips | None:
        """Return the genes that flip the label when each is changed alone; None where the attack asks no such thing."""
        return None

    def singled_out(self) -> GeneSet | None:
        """Return the few genes that the attack shows to decide the label; None where it shows no such genes."""
        return None

    def nearest(self, n: int = 20) -> pd.DataFrame | None:
        """Return the genes that come nearest to flipping the label alone; None where the attack asks no such thing."""
        return None

    def coverage(self, genes_of_data: int) -> Coverage | None:
        """Return what it proves of genes that did not flip the label; None where the attack asks no such thing."""
        return None

    def answer_to(self, gene: str) -> Answer | None:
        """Return what the classifier said with `gene` alone changed; None where it was only changed with others.

        Raises
        ------
        ParameterError
            If the attack does not change genes one at a time, or did not test this one.
        """
        raise self._changes_several()

    def _changes_several(self) -> ParameterError:
        return ParameterError(
            f"gene= chooses among genes that were changed one at a time; {self.attack!r} changes its genes together. "
            "Leave gene= out."
        )

    def trajectory(self) -> pd.DataFrame | None:
        """Return how the cluster stood before and after each gene, where the attack moves one gene after the other.

        Returns
        -------
        The first row is the cluster before the attack. Columns: ``gene``, ``n_cells_changed``, ``label``; and
        ``original_share, new_share, original_score, new_score, new_label``, as in
        :attr:`ClusterGradientDescentResult.steps`. None for all other attacks.
        """
        return None

    def apply(self, adata: Cells, gene: str | None = None) -> AnnData:
        """Return a copy of `adata` with the attack carried out; the original stays as it is.

        What was done is written to ``uns["adverscarial"]``.

        Parameters
        ----------
        adata
            The data that was attacked. Of a MuData or of ``raw``, the attacked modality or values are returned.
        gene
            Change this gene alone, of an attack that changes genes one at a time.

        Raises
        ------
        ParameterError
            If a gene is named, and the attack changes its genes together.
        """
        if gene is not None:
            raise self._changes_several()
        genes, adata = self.changed_genes, attacked(adata, self.source)
        cluster = Cluster(adata, self.groupby, self.target, layer=self.layer, seed=self.seed)
        at = cluster.positions(genes)
        changed = with_values(adata, cluster.rows, at, self.changed_values(cluster, at), layer=self.layer)
        changed.uns["adverscarial"] = {
            "attack": repr(self.attack), "classifier": self.classifier, "groupby": self.groupby, "target": self.target,
            "layer": self.layer or "X", "seed": self.seed, "genes": np.array(genes, dtype=str),
        }  # fmt: skip
        return changed

    def of_cells(self) -> pd.DataFrame | None:
        """Return what is known of single cells, by their names: one column for each fact; None where nothing is.

        Columns that all attacks name alike: ``before`` and ``after``, the cell's label; ``fragility_lower`` and
        ``fragility_upper``, the genes that it needs before its label changes.
        """
        return None

    def of_genes(self) -> pd.DataFrame:
        """Return what became of single genes, by their names: ``outcome``, and more where the attack knows more."""
        genes = self.changed_genes
        return pd.DataFrame({"outcome": ["changed"] * len(genes)}, index=pd.Index(genes, dtype=object))

    @documented
    def to_adata(
        self, adata: Cells, classifier: object = None, *, key_added: str = "adverscarial", copy: bool = False
    ) -> AnnData | None:
        """Write what was found where scanpy looks for it: ``obs``, ``var`` and ``uns``.

        Parameters
        ----------
        %(annotated)s
        classifier
            The attacked one, to ask it about each cell before and after; left out, there is only what the attack kept.
        %(key_added)s
        %(copy)s

        Returns
        -------
        None, or the copy. In ``obs``, NaN for cells of other clusters: ``_cluster_before`` and ``_cluster_after``, the
        label of the whole cluster; ``_before``, ``_after`` of each cell, and ``_margin``, its score before the attack
        minus that of the best other class (with `classifier`, and where the attack kept them); ``_fragility_lower`` and
        ``_fragility_upper`` (:class:`~adverscarial.attacks.MinChange`). In ``var``: ``_outcome`` of each gene; of a
        :class:`~adverscarial.attacks.SingleGene` also ``_label``, and ``_distance``, the share of the label's lead over
        the runner-up that is left, 0 where the label flips. In ``uns``: the settings, and what was found. Where
        `classifier` says something else of the cells as they are than it said when they were attacked, a warning says
        so; without it, values are not compared.

        Raises
        ------
        DataError
            If the data are not those that were attacked.
        ParameterError
            If `key_added` cannot start a name.

        Examples
        --------
        >>> import adverscarial as adv
        >>> cells, model = adv.datasets.embedded(), adv.classifiers.ScType(scaled=False)
        >>> result = adv.attacks.SingleGene("perc99")(cells, model, groupby="cell_type", target="Dendritic")
        >>> result.to_adata(cells)
        >>> cells.var["adverscarial_outcome"].value_counts()["flipped"]
        np.int64(1)
        """
        check_key(key_added)
        cells, out = attacked(adata, self.source), held_of(adata, self.source)
        cluster = Cluster(cells, self.groupby, self.target, layer=self.layer, seed=self.seed)
        found = cell_columns(self, cluster.cells, None if classifier is None else Judge(cells, classifier, self))
        obs = {name: spread(values, cluster.rows, cells.n_obs) for name, values in found.items()}
        out = copy_of(out) if copy else out
        genes = gene_columns(self.of_genes(), cluster.genes)
        write(out, key_added, obs, genes, parameters(self), raw="use_raw" in self.source)
        return out if copy else None

    def verify(self, adata: Cells, classifier: object) -> Verification:
        """Check what is claimed by classifying the changed cells from scratch, without any scorer."""
        judge = Judge(adata, classifier, self)
        answer = judge.ask(judge.cluster.positions(self.changed_genes))
        found = "rejected" if answer.rejected else answer.label
        return Verification.of([(type(self.attack).__name__, self.label, found, answer.share, found == self.label)])

    def stored_values(self) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
        """Return names of cells, names of genes, and new values of shape (cells, genes); None where none are kept."""
        return None

    def arrays(self) -> dict[str, np.ndarray]:
        """Return the fields that are arrays, by name: they are stored as arrays, the others as JSON values."""
        return {f.name: value for f in fields(self) if isinstance(value := getattr(self, f.name), np.ndarray)}

    def row(self) -> Row:
        """Return one row of a survey's table; nothing in it depends on when, where or how fast it was made."""
        return {
            "attack": type(self.attack).__name__,
            "modification": self.attack.changes_text,
            **({"towards": self.attack.aim_text} if self.attack.aim else {}),
            "n_cells": self.n_cells,
            "baseline": self.baseline,
            "baseline_share": self.baseline_share,
            "right": self.right,
            "label": self.label,
            "share": self.share,
            "queries": self.queries,
            "proven": self.proven,
            "complete": self.complete,
        }

    def number_in(self, column: str) -> int | None:
        """Return a whole number of :meth:`row`; None where it is empty, or has no such column."""
        return None if (value := self.row().get(column)) is None else int(value)

    @classmethod
    def from_fields(cls, values: dict[str, Any]) -> Self:
        """Make a result of its fields as they were stored."""
        return cls(**values)

    def save(self, path: str | PathLike[str], *, survey: Mapping[str, object] | None = None) -> None:
        """Store the result in one file of plain arrays and text; read it with :meth:`load`.

        Parameters
        ----------
        path
            File to write.
        survey
            JSON values that say which survey the result belongs to; only a survey reads them.
        """
        arrays = self.arrays()
        meta = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in arrays and f.name != "attack"}
        kind, package = type(self).__name__, distribution_of(type(self))
        told = {"type": kind, "attack": describe(self.attack), "fields": meta, "survey": survey}
        try:
            _store.save(path, "result", told if package == "adverscarial" else {**told, "package": package}, arrays)
        except TypeError as error:
            raise StorageError(
                f"A {kind} cannot be stored ({error}). A field may be text, a number, a list or dict of these, or an "
                "array."
            ) from error

    @classmethod
    def load(cls, path: str | PathLike[str]) -> Self:
        """Read a stored result.

        Raises
        ------
        StorageError
            If the file is absent, damaged, or not a stored result.
        """
        meta, arrays = _store.load(path, "result")
        kind = RESULTS.find(str(meta.get("type")))
        if kind is None and "package" in meta:
            raise StorageError(
                f"'{path}' holds a {meta['type']} of the package '{meta['package']}', which is not installed here. "
                f"Install it, then read the result again: pip install {meta['package']}"
            )
        if kind is None or not issubclass(kind, cls):
            raise StorageError(f"'{path}' holds a '{meta.get('type')}', expected a {cls.__name__}.")
        try:
            result = kind.from_fields({**meta["fields"], **arrays, "attack": rebuild(meta["attack"])})
            check_result(result)
        except StorageError:  # of an attack whose package is not installed
            raise
        except Exception as error:  # parts that somebody edited may raise anything
            raise StorageError(
                f"'{path}' is damaged: {type(error).__name__}: {error}. Run the attack again."
            ) from error
        return result

    def _headline(self) -> str:
        where = f"{self.classifier}, cluster '{self.target}' ({self.n_cells:,} cells)"
        right = "" if self.right is None else f"; {self.right:,} of {self.n_cells:,} right"
        said = f"{self.baseline} ({of_the_cells(self.baseline_share)}{right})"
        return f"{_brief(self.attack)} on {where}\n  baseline  {said}"

    def _footer(self) -> str:
        unread = f" ({self.proven:,} genes need none: the classifier does not read them)" if self.proven else ""
        early = "" if self.complete else "; stopped by the budget"
        whole = "  counts    new values were rounded to whole numbers, none below 0\n" if self.rounded else ""
        return f"{whole}  cost      {self.queries:,} queries{unread}, {self.seconds:.2f} s{early}"


def _brief(attack: Attack[Result]) -> str:
    """Return the attack's repr; a long list of genes, which would hide the rest, is only counted."""
    text = repr(attack)
    for name in ("genes", "exclude"):
        given = getattr(attack, name, None)
        if given is not None and len(given) > 5:
            text = text.replace(f"{name}={given!r}", f"{name}=[{len(given):,} genes]")
    return text
