"""What a stress test is asked for, and what it is known by: by content, never by a name."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from numbers import Integral
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from anndata import AnnData

from adverscarial.attacks.start import check_run
from adverscarial.attacks.versions import versions
from adverscarial.cells.cluster import check_genes, cluster_labels, cluster_names, named_clusters
from adverscarial.classifiers.base import Classifier
from adverscarial.errors import DataError, ParameterError, did_you_mean, some
from adverscarial.stresses.base import Change, checked_strengths, kinds, parse
from adverscarial.stresses.cells import CountCells
from adverscarial.stresses.reading import Reading, counts_of, reading_of
from adverscarial.surveys.identity import Unidentified, identity
from adverscarial.surveys.plan import (
    UNKNOWN,
    check_classifiers,
    classifier_identity,
    data_identity,
    named_classifiers,
)

FORMAT = 1

#: one strength list for all changes, or one for each by its name
Strengths = Sequence[float] | Mapping[str, Sequence[float]]


class Part(NamedTuple):
    """One change of one cluster: what is computed, and stored, in one step."""

    number: int
    change: Change
    cluster: str


@dataclass(frozen=True)
class Plan:
    """Everything that decides what the table says; made by :func:`make_plan`, which checks it."""

    adata: AnnData
    cells: CountCells
    models: dict[str, Classifier]
    layers: dict[str, str | None]
    readings: dict[str | None, Reading]
    strengths: dict[Change, tuple[float, ...]]
    clusters: tuple[str, ...]
    groupby: str
    batch: str | None
    draws: int
    seed: int

    @cached_property
    def parts(self) -> tuple[Part, ...]:
        """All changes of all clusters, in the order of the table."""
        grid = [(change, cluster) for change in self.strengths for cluster in self.clusters]
        return tuple(Part(number, *pair) for number, pair in enumerate(grid))

    @cached_property
    def description(self) -> dict[str, Any]:
        """The plan as JSON values, with the identity of everything in it."""
        values = {layer: data_identity(self.adata, self.groupby, layer) for layer in self.readings}
        return {
            "format": FORMAT,
            "data": {
                "cells": self.adata.n_obs, "genes": self.adata.n_vars, "groupby": self.groupby, "batch": self.batch,
                "layers": {"X" if layer is None else layer: mark for layer, mark in values.items()},
                "counts": identity([self.cells.counts, self.cells.batches]),
            },
            "classifiers": {name: classifier_identity(model) for name, model in self.models.items()},
            "layers": {name: self.layers[name] for name in self.models},
            "clusters": list(self.clusters),
            "changes": {str(change): list(strengths) for change, strengths in self.strengths.items()},
            "change_identities": [_identity(change) for change in self.strengths],
            "draws": self.draws, "seed": self.seed, "versions": versions(),
        }  # fmt: skip


def _identity(change: Change) -> str:
    try:
        return identity(change)
    except Unidentified as reason:
        return f"{UNKNOWN}{uuid.uuid4().hex}: {reason}"


class Asked(NamedTuple):
    """What a user chooses; see :func:`adverscarial.stress`."""

    changes: Sequence[Change | str] | Change | str | None
    strengths: Strengths | None
    batch: str | None
    targets: Sequence[str] | str | None
    layer: str | Mapping[str, str | None] | None
    counts: str | None
    draws: int
    seed: int


def make_plan(adata: AnnData, classifiers: object, groupby: str, asked: Asked) -> Plan:
    """Return what is asked for, once it is known to make sense.

    Raises
    ------
    DataError, ParameterError
    GeneMismatchError
        If no classifier can read data with these genes.
    """
    check_run(None, asked.seed)
    if not isinstance(asked.draws, Integral) or asked.draws < 1:
        raise ParameterError(f"draws must be a whole number of at least 1, got {asked.draws!r}.")
    models = named_classifiers(classifiers)
    check_genes(adata)
    genes = pd.Index(adata.var_names.astype(str))
    check_classifiers(models, genes)
    adata = adata.to_memory() if adata.isbacked else adata
    layers, labels = _layers(asked.layer, models), cluster_labels(adata, groupby)
    strengths = _strengths(_chosen(asked.changes, asked.batch), asked.strengths)
    counts = counts_of(adata, next(iter(layers.values())), asked.counts)
    cells = CountCells(counts, genes, labels, _batches(adata, asked.batch))
    readings = {name: reading_of(adata, name, counts) for name in dict.fromkeys(layers.values())}
    return Plan(
        adata, cells, models, layers, readings, strengths, _clusters(labels, groupby, asked.targets), groupby,
        asked.batch, int(asked.draws), int(asked.seed),
    )  # fmt: skip


def _layers(layer: str | Mapping[str, str | None] | None, models: Mapping[str, Classifier]) -> dict[str, str | None]:
    """Return the layer that each classifier reads; None is X."""
    if layer is None or isinstance(layer, str):
        return dict.fromkeys(models, layer)
    if strange := [name for name in layer if name not in models]:
        raise ParameterError(
            f"layer= names '{strange[0]}', which is no classifier.{did_you_mean(strange[0], list(models))} There are: "
            f"{some(models)}."
        )
    return {name: layer.get(name) for name in models}


def _batches(adata: AnnData, batch: str | None) -> np.ndarray | None:
    """Return the batch of each cell as text; an empty text where it is missing."""
    if batch is None:
        return None
    names = cluster_labels(adata, batch)
    return np.array(["" if name is None else name for name in names], dtype=object)


def _chosen(changes: Sequence[Change | str] | Change | str | None, batch: str | None) -> list[Change]:
    """Return the changes that were asked for: left out, all that need nothing that is not there."""
    if changes is None:
        return [kind() for name, kind in kinds().items() if batch is not None or name != "batch-shift"]
    given = [changes] if isinstance(changes, Change | str) else list(changes)
    if not given:
        raise ParameterError("changes= is empty; leave it out for all, or name some, for example ['depth', 'ambient'].")
    return list(dict.fromkeys(parse(change) for change in given))


def _strengths(changes: Sequence[Change], strengths: Strengths | None) -> dict[Change, tuple[float, ...]]:
    if isinstance(strengths, Mapping):
        known = [name for change in changes for name in (str(change), change.name)]
        if strange := [name for name in strengths if name not in known]:
            raise ParameterError(
                f"strengths= names '{strange[0]}', which is none of the changes.{did_you_mean(strange[0], known)} "
                f"There are: {some(dict.fromkeys(known))}."
            )
        own = [strengths.get(str(c), strengths.get(c.name, c.strengths)) for c in changes]
    else:
        own = [change.strengths if strengths is None else strengths for change in changes]
    return {change: checked_strengths(change, given) for change, given in zip(changes, own, strict=True)}


def _clusters(labels: np.ndarray, groupby: str, targets: Sequence[str] | str | None) -> tuple[str, ...]:
    """Return the clusters to change: those that were named, or all."""
    clusters = named_clusters(cluster_names(labels), groupby, targets)
    if not clusters:
        raise DataError(f"There is no cluster in obs['{groupby}'] to change; name another column.")
    return tuple(clusters)
