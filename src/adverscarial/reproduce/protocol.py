"""The paper's protocol: one data set, two halves, five classifiers, and which values of each are attacked.

All cells are normalised and z-scored together, then split type by type into halves; a classifier is trained on the one
and attacked on the other. scType, scAnnotatR, scRF and scMLP are attacked on z-scores, CHETAH on counts.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from os import PathLike
from typing import NamedTuple, TypeAlias, TypedDict, Unpack

import numpy as np
import pandas as pd
from anndata import AnnData

from adverscarial import _memory
from adverscarial._docs import documented
from adverscarial._progress import track
from adverscarial.cells.cluster import cluster_labels
from adverscarial.classifiers import MLP, Chetah, Classifier, RandomForest, ScAnnotatR, ScType
from adverscarial.classifiers.answers import vote
from adverscarial.datasets import split
from adverscarial.errors import AdverscarialError, DataError
from adverscarial.reproduce.cells import prepared

Say = Callable[[str], None]
#: a marker table: a file, a frame, or None for the package's small one
Markers: TypeAlias = str | PathLike[str] | pd.DataFrame | None


def silent(text: str) -> None:
    """Tell nobody."""


class Execution(NamedTuple):
    """How attacks are carried out: their seed, who is told of each step, and whether there are progress bars."""

    seed: int = 0
    say: Say = silent
    progress: bool | None = None


class Executed(TypedDict, total=False):
    """The same, as the arguments of a function."""

    seed: int
    say: Say
    progress: bool | None


#: the tissue of scType's own table that the paper uses for all its data sets
TISSUE = "Immune system"


@dataclass(eq=False)
class Setting:
    """Trained classifiers and the cells to attack.

    Attributes
    ----------
    name
        Of the data set.
    train, test
        The halves, cells x genes: z-scores in ``X``, the layers ``lognorm`` and, where the data have them, ``counts``.
        After :meth:`forget_training` the half to train on has no values.
    groupby
        Column of ``obs`` with the types.
    models
        Classifiers by their names in the paper.
    layers
        Layer that each is attacked on; None is ``X``.
    left_out
        Why a classifier is missing, by its name.
    notes
        What was done to the data that a reader should know.
    seconds
        Time to train each.
    untrained
        How classifiers are made that are not trained yet: see :meth:`trained`.
    """

    name: str
    train: AnnData
    test: AnnData
    groupby: str
    models: dict[str, Classifier]
    layers: dict[str, str | None]
    left_out: dict[str, str]
    notes: list[str]
    seconds: dict[str, float]
    untrained: dict[str, Recipe] = field(default_factory=dict)

    @property
    def clusters(self) -> list[str]:
        """Names of the clusters, in order."""
        return sorted(self.test.obs[self.groupby].astype(str).unique())

    def all_notes(self) -> list[str]:
        """Return the notes, and why classifiers are missing."""
        return [*self.notes, *(f"{name} is left out: {why}" for name, why in self.left_out.items())]

    def trained(self, say: Say = silent, progress: bool | None = None) -> Iterator[str]:
        """Yield the name of each classifier as soon as it can be used; those that are not yet are trained, one by one.

        Each can be attacked while the next one is trained, which may take as long. What is left at the end are short
        attacks, which several processes share evenly.

        Raises
        ------
        DataError
            If no classifier can be used.
        """
        yield from list(self.models)
        order = list(self.untrained)
        for called in track(sorted(order, key=_ORDER.index), "Training", len(order), progress):
            say(f"Training {called} on {self.train.n_obs:,} cells x {self.train.n_vars:,} genes ...")
            _train(self, called, self.untrained.pop(called), say)
            _memory.give_back()
            if called in self.models:
                yield called
        for called in order:  # as the paper has them
            if called in self.models:
                self.models[called] = self.models.pop(called)
        if order:
            self._check()

    def forget_training(self) -> None:
        """Keep only names and types of the cells to train on: room for attacks, which may take long."""
        self.train = AnnData(obs=self.train.obs, var=self.train.var)
        _memory.give_back()

    def _check(self) -> None:
        """Raise a DataError where no classifier can be used; note how many of scType's markers there are."""
        if not self.models:
            reasons = "; ".join(f"{called}: {why}" for called, why in self.left_out.items())
            raise DataError(f"None of the classifiers can be used on '{self.name}'. {reasons}")
        if isinstance(table := self.models.get("scType"), ScType):
            known = table.bind(pd.Index(self.test.var_names.astype(str))).weights.shape[0]
            tissue = f" of {table.tissue}" if table.tissue else ""
            self.notes.append(f"scType: {len(table.markers)} types{tissue}, {known} of their markers found.")


class Recipe(NamedTuple):
    """How a classifier is made."""

    make: Callable[[], Classifier]
    layer: str | None  # what is attacked


#: first one that is trained soon and attacked for as long as the next one is trained; in the end, short attacks
_ORDER = ("CHETAH", "scMLP", "scRF", "scAnnotatR", "scType")


@documented
def setting(  # noqa: PLR0913
    adata: AnnData,
    *,
    groupby: str,
    name: str,
    markers: Markers = None,
    tissue: str | None = None,
    exclude: Collection[str] = ("UNDETERMINED",),
    min_cells: int = 10,
    quick: bool = False,
    only: Collection[str] | None = None,
    train: bool = True,
    **execution: Unpack[Executed],
) -> Setting:
    """Prepare a data set and train the paper's five classifiers.

    Parameters
    ----------
    adata
        Cells x genes; ``X`` (or the layer ``counts``) holds counts, or else ``X`` log-normalised values.
    groupby, name
        Column of ``obs`` with the types; what the data set is called.
    markers, tissue
        For scType: see :class:`~adverscarial.classifiers.ScType`. The package's small blood table when left out. Of a
        table that covers "Immune system" that tissue is used unless another is named, as in the paper.
    exclude, min_cells
        Types to leave out: these, where they occur, and those with fewer cells.
    quick
        Fewer trees and epochs: to try things out.
    only
        Train these classifiers only.
    train
        Whether to train them now. If not, :func:`fig2` does, and attacks one while the next is trained.
    %(execution)s

    Raises
    ------
    DataError
        If the data hold neither counts nor log-normalised values, the column is not there, or nothing can be trained.

    Examples
    --------
    >>> import adverscarial as adv
    >>> found = setting(
    ...     adv.datasets.embedded(), groupby="cell_type", name="68k", quick=True, only=["scRF"], min_cells=40
    ... )
    >>> list(found.models), found.layers["scRF"] is None
    (['scRF'], True)
    """
    seed, say, progress = Execution(**execution)
    cells, notes = prepared(adata, groupby, exclude=exclude, min_cells=min_cells)
    half, test = split(cells, groupby, seed=seed)
    del cells  # room for the training
    if markers is not None and tissue is None:
        tissue = usual_tissue(markers)
    raw = "counts" if "counts" in half.layers else "lognorm"
    if raw == "lognorm":
        notes.append(
            "The data hold no counts: CHETAH is trained and attacked on log-normalised values instead. Ranks within "
            "a cell are the same, its profiles (means over cells) are not."
        )
    wanted = _recipes(half, groupby, markers, tissue, raw, seed, quick)
    chosen = {called: recipe for called, recipe in wanted.items() if only is None or called in only}
    found = Setting(name, half, test, groupby, {}, {}, {}, notes, {}, chosen)
    if train:
        for _ in found.trained(say, progress):
            pass
    return found


def _recipes(
    train: AnnData, groupby: str, markers: Markers, tissue: str | None, raw: str, seed: int, quick: bool
) -> dict[str, Recipe]:
    """Return how each of the paper's classifiers is made; `raw` is the layer with the least changed values."""
    return {
        "scType": Recipe(lambda: ScType(markers, tissue=tissue), None),
        "CHETAH": Recipe(lambda: Chetah(cap_genes=True).fit(train, groupby, layer=raw), raw),
        "scAnnotatR": Recipe(
            lambda: ScAnnotatR(seed=seed).fit(train, groupby, layer="lognorm", markers_layer="X"), None
        ),
        "scRF": Recipe(lambda: RandomForest(50 if quick else 500, seed=seed).fit(train, groupby), None),
        "scMLP": Recipe(lambda: MLP(epochs=5 if quick else 20, seed=seed).fit(train, groupby), None),
    }


def _train(found: Setting, called: str, recipe: Recipe, say: Say) -> None:
    """Train one classifier and add it to the setting, or why it is left out."""
    start = time.perf_counter()
    try:
        model = recipe.make()
        model.predict(found.test[:1], layer=recipe.layer)  # do its genes fit?
    except AdverscarialError as error:
        found.left_out[called] = str(error)
        say(f"{called} is left out: {error}")
        return
    found.models[called], found.layers[called] = model, recipe.layer
    found.seconds[called] = time.perf_counter() - start


def usual_tissue(markers: str | PathLike[str] | pd.DataFrame) -> str | None:
    """Return the paper's tissue if a marker table knows it."""
    try:
        ScType(markers, tissue=TISSUE)
    except AdverscarialError:
        return None
    return TISSUE


def accuracy(found: Setting, *, progress: bool | None = None) -> pd.DataFrame:
    """Return one row per classifier and cluster: cells, the share named right, and the cluster's label.

    scType has names of its own, so the share that its clusters' own label gets is all that can be said of it.
    """
    truth = cluster_labels(found.test, found.groupby)
    rows = []
    for name, model in track(found.models.items(), "Accuracy", len(found.models), progress):
        labels = model.predict(found.test, layer=found.layers[name]).astype(str).to_numpy()
        for cluster in found.clusters:
            inside = labels[truth == cluster]
            label, share, _ = vote(inside)
            # scAnnotatR writes blanks for underscores
            right = float(np.mean([one in (cluster, cluster.replace("_", " ")) for one in inside]))
            rows.append((name, cluster, len(inside), np.nan if name == "scType" else right, label, share))
    return pd.DataFrame(rows, columns=["classifier", "cluster", "cells", "accuracy", "label", "label_share"])
