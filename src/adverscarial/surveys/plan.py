"""What a survey is asked for, and what it is known by: two surveys with the same plan give the same table."""

from __future__ import annotations

import hashlib
import json
import logging
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
import pandas as pd
import scipy.sparse as sp
from anndata import AnnData

from adverscarial._names import numbered
from adverscarial._types import Matrix
from adverscarial.attacks.base import Attack
from adverscarial.attacks.result import Result
from adverscarial.attacks.storing import describe
from adverscarial.attacks.versions import versions
from adverscarial.cells.choice import chosen_of
from adverscarial.cells.cluster import Cluster, check_genes, cluster_labels, cluster_names, named_clusters
from adverscarial.cells.matrix import CellMatrix, layer_of
from adverscarial.classifiers.base import Classifier
from adverscarial.classifiers.wrap import wrap
from adverscarial.errors import (
    AdverscarialError,
    ClassifierError,
    DataError,
    GeneMismatchError,
    ParameterError,
)
from adverscarial.surveys.identity import Unidentified, identity
from adverscarial.surveys.stored import StoredPlan

logger = logging.getLogger(__name__)

FORMAT = 4
#: beginning of the identity of what cannot be identified; what follows is drawn anew each time, so none is the same
UNKNOWN = "unidentified "

_SINGLE_CELLS = 20  # clusters of one cell; from here on the column is taken for measurements or names of cells


class Task(NamedTuple):
    """One attack on one cluster of one classifier: a row of the table.

    Attributes
    ----------
    number
        Row, from 0.
    classifier
        The classifier's name in the survey.
    target
        The cluster.
    attack
        The attack, with its settings.
    """

    number: int
    classifier: str
    target: str
    attack: Attack[Result]


@dataclass(frozen=True)
class Plan:
    """Everything that decides what the table of a survey says; made by :func:`make_plan`, which checks it.

    With `beside`, a plan about the same data that have not been changed since, its identity of the data is taken.
    """

    adata: AnnData
    models: dict[str, Classifier]
    attacks: tuple[Attack[Result], ...]
    clusters: tuple[str, ...]
    groupby: str
    layer: str | None
    seed: int
    budget: int | None
    beside: Plan | None = None

    @cached_property
    def tasks(self) -> tuple[Task, ...]:
        """All attacks, in the order of the table."""
        return tasks_of(self.models, self.clusters, self.attacks)

    @cached_property
    def description(self) -> StoredPlan:
        """The plan as JSON values, with the identity of everything in it."""
        value: StoredPlan = {
            "format": FORMAT,
            "data": {
                "cells": self.adata.n_obs,
                "genes": self.adata.n_vars,
                "layer": self.layer,
                "groupby": self.groupby,
                "fingerprint": self._fingerprint,
            },
            "classifiers": {name: classifier_identity(model) for name, model in self.models.items()},
            "clusters": list(self.clusters),
            "attacks": [describe(attack) for attack in self.attacks],
            "attack_identities": [self._attack_identity(attack) for attack in self.attacks],
            "seed": self.seed,
            "budget": self.budget,
            "versions": versions(),
        }
        if source := chosen_of(self.adata):
            value["data"]["source"] = source
        plain: StoredPlan = json.loads(json.dumps(value, default=_as_json))
        return plain

    @property
    def _fingerprint(self) -> str:
        if self.beside is not None:
            return self.beside.description["data"]["fingerprint"]
        return data_identity(self.adata, self.groupby, self.layer)

    def _attack_identity(self, attack: Attack[Result]) -> str:
        """Return what an attack is known by: its settings, and what it reads beside the attacked layer."""
        more = attack.also_reads(self.adata, self.layer)
        return _identity_or_new([attack, *more] if more else attack, repr(attack))


def _as_json(value: object) -> object:
    """Return a setting that numpy made as plain numbers."""
    return value.tolist() if isinstance(value, np.ndarray | np.generic) else str(value)


def tasks_of(
    classifiers: Iterable[str], clusters: Iterable[str], attacks: Sequence[Attack[Result]]
) -> tuple[Task, ...]:
    """Return one task for each classifier, cluster and attack, in the order of the table."""
    grid = [(model, target, attack) for model in classifiers for target in clusters for attack in attacks]
    return tuple(Task(number, *cell) for number, cell in enumerate(grid))


def make_plan(
    adata: AnnData,
    classifiers: object,
    attacks: Sequence[Attack[Result]] | Attack[Result],
    *,
    groupby: str,
    targets: Sequence[str] | str | None,
    layer: str | None,
    seed: int,
    budget: int | None,
) -> Plan:
    """Return what a survey is asked for, once it is known to make sense.

    Raises
    ------
    DataError, ParameterError
    GeneMismatchError
        If no classifier can read data with these genes.
    ClassifierError
        If it cannot be told how any classifier is to read the first cluster.
    """
    models = named_classifiers(classifiers)
    chosen = (attacks,) if isinstance(attacks, Attack) else tuple(attacks)
    if not chosen or not all(isinstance(attack, Attack) for attack in chosen):
        raise ParameterError("attacks= must name at least one attack, for example [adv.attacks.SingleGene('perc99')].")
    check_genes(adata)
    clusters = clusters_of(adata, groupby, targets)
    check_classifiers(models, pd.Index(adata.var_names.astype(str)))
    CellMatrix(layer_of(adata, layer)).check_finite(adata)
    _check_first(models, Cluster(adata, groupby, clusters[0], layer=layer, seed=int(seed)))
    return Plan(adata, models, chosen, clusters, groupby, layer, int(seed), None if budget is None else int(budget))


def clusters_of(adata: AnnData, groupby: str, targets: Sequence[str] | str | None) -> tuple[str, ...]:
    """Return the clusters to attack: those that were named, or all.

    Raises
    ------
    DataError
        If a cluster is not there, or the column is none of clusters.
    ParameterError
        If `targets` is empty.
    """
    labels = cluster_labels(adata, groupby)
    names = cluster_names(labels)
    clusters = named_clusters(names, groupby, targets)
    if not clusters:
        raise ParameterError(f"targets= is empty; leave it out to attack all {len(names)} clusters.")
    if len(names) < 2:
        raise DataError(f"obs['{groupby}'] has {len(names)} cluster(s); a survey needs at least two.")
    if targets is None:
        _check_clusters(pd.Series(labels).value_counts(), groupby)
    return tuple(clusters)


def _check_clusters(sizes: pd.Series, groupby: str) -> None:
    """Raise a DataError when most clusters are single cells: the column holds measurements, or names of cells."""
    single = int((sizes == 1).sum())
    if single >= _SINGLE_CELLS and 2 * single > len(sizes):
        raise DataError(
            f"obs['{groupby}'] has {len(sizes):,} clusters, {single:,} of which are a single cell, such as "
            f"'{sizes.index[sizes == 1][0]}'. It seems to hold a measurement or a name of each cell, not its cluster: "
            "choose another column with groupby=, or name the clusters to attack with targets=."
        )


def named_classifiers(classifiers: object) -> dict[str, Classifier]:
    """Return classifiers by name: the names of a dict as they are; names that repeat are numbered."""
    if isinstance(classifiers, Mapping):
        given = [(str(name), wrap(obj)) for name, obj in classifiers.items()]
    else:
        several = classifiers if isinstance(classifiers, list | tuple) else [classifiers]
        given = [(model.name, model) for model in map(wrap, several)]
    if not given:
        raise ParameterError("A survey needs at least one classifier.")
    return dict(zip(numbered(name for name, _ in given), (model for _, model in given), strict=True))


def check_classifiers(models: Mapping[str, Classifier], genes: pd.Index) -> None:
    """Raise a GeneMismatchError when no classifier can read data with these genes."""
    reasons = {name: reason for name, model in models.items() if (reason := _mismatch(model, genes))}
    if len(reasons) == len(models):
        several = len(reasons) > 1
        raise GeneMismatchError(
            " ".join(f"{name}: {reason}" if several else reason for name, reason in reasons.items())
        )


def _check_first(models: Mapping[str, Classifier], cluster: Cluster) -> None:
    """Raise a ClassifierError when every row would fail because nothing says how the matrix is to be read."""
    reasons = {}
    for name, model in models.items():
        try:
            model.bind(cluster.genes).check_cluster(cluster)
        except AdverscarialError as error:
            reasons[name] = str(error)
        except Exception:  # its rows will say so
            logger.debug("%s could not look at the first cluster.", name, exc_info=True)
        if name not in reasons:
            return
    raise ClassifierError(
        " ".join(f"{name}: {reason}" if len(reasons) > 1 else reason for name, reason in reasons.items())
    )


def _mismatch(model: Classifier, genes: pd.Index) -> str:
    """Return what a classifier says against the genes of the data; empty if nothing, or if it fails otherwise."""
    try:
        model.bind(genes).align(genes)
    except DataError as error:
        return str(error)
    except Exception:  # a classifier may raise anything, and its rows will say so
        logger.debug("Could not compare the genes of %s with the data's.", model.name, exc_info=True)
    return ""


def classifier_identity(model: Classifier) -> str:
    """Return what a classifier is known by: its content, so that one trained anew is another one."""
    return _identity_or_new(model, model.name)


def _identity_or_new(content: object, name: str) -> str:
    """Return the identity of a classifier or an attack; a new one each time where it has none."""
    try:
        return identity(content)
    except Unidentified as reason:
        logger.debug("%s cannot be identified: %s", name, reason)
        return f"{UNKNOWN}{uuid.uuid4().hex}: {reason}"


def data_identity(adata: AnnData, groupby: str, layer: str | None) -> str:
    """Return what data are known by: values, names of cells and genes, and clusters.

    The values count as attacks read them, in whatever container they lie: dense, sparse, dask, or a file.
    """
    digest = hashlib.blake2b(digest_size=16)
    labels = cluster_labels(adata, groupby)
    missing = np.array([label is None for label in labels], dtype=bool)
    digest.update(missing.tobytes())
    for names in (adata.obs_names, adata.var_names, labels):
        texts = list(map(str, names))
        digest.update(np.array([len(text) for text in texts], dtype=np.int64).tobytes())
        digest.update("".join(texts).encode("utf-8", "surrogatepass"))
    matrix = CellMatrix(layer_of(adata, layer))
    digest.update(f"{matrix.shape} {matrix.dtype.str} {'by gene' if matrix.gene_by_gene else 'by cell'}".encode())
    for part in _values_of(matrix):
        digest.update(part)
    return digest.hexdigest()


def _values_of(matrix: CellMatrix) -> list[bytes]:
    """Return hashes of the values other than 0 and of their places, read once, some cells at a time.

    A file that holds gene after gene is read gene by gene.
    """
    counts, columns, values = (hashlib.blake2b(digest_size=16) for _ in range(3))
    pieces = [matrix.X] if sp.issparse(matrix.X) else (piece for _, piece in matrix.pieces())
    for piece in pieces:
        sizes, places, found = (_of_sparse if sp.issparse(piece) else _of_dense)(piece, matrix)
        counts.update(np.ascontiguousarray(sizes, dtype=np.int64).data)
        columns.update(np.ascontiguousarray(places, dtype=np.int32).data)
        values.update(np.ascontiguousarray(found).data)
    return [digest.digest() for digest in (counts, columns, values)]


def _of_sparse(piece: Matrix, matrix: CellMatrix) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return how many values other than 0 each cell has (each gene, of a file gene by gene), their places, and them."""
    part = (sp.csc_array if matrix.gene_by_gene else sp.csr_array)(piece, dtype=matrix.dtype)
    if not part.has_canonical_format or not part.data.all():
        part = part.copy()  # it may share its arrays with the caller's matrix
        part.sum_duplicates()
        part.eliminate_zeros()
    return np.diff(part.indptr), part.indices, part.data


def _of_dense(piece: Matrix, matrix: CellMatrix) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the same of dense values, most of which may be other than 0: no sparse copy of them is made."""
    lines = np.asarray(piece, dtype=matrix.dtype)
    lines = lines.T if matrix.gene_by_gene else lines
    there = lines != 0
    if there.all():
        n, length = lines.shape
        return np.full(n, length), np.tile(np.arange(length, dtype=np.int32), n), lines
    return there.sum(axis=1), np.nonzero(there)[1], lines[there]
