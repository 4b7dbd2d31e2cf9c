"""What does a guard stop, what does it cost, and what does an attacker who knows it still reach?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from anndata import AnnData

from adverscarial._docs import documented
from adverscarial._names import numbered
from adverscarial._progress import track
from adverscarial._types import Untyped
from adverscarial.attacks.base import Attack
from adverscarial.attacks.result import Result
from adverscarial.attacks.single_gene import SingleGene
from adverscarial.attacks.start import scorer_for
from adverscarial.cells.choice import Cells, meant
from adverscarial.cells.cluster import Cluster, cluster_labels, cluster_names
from adverscarial.cells.columns import positions_among
from adverscarial.cells.matrix import CellMatrix, layer_of
from adverscarial.cells.statistics import GeneStatistics
from adverscarial.classifiers.base import Classifier
from adverscarial.classifiers.guard.guard import Guard
from adverscarial.classifiers.guard.outliers import detector_trained
from adverscarial.classifiers.guard.scorers import UNSURE
from adverscarial.errors import ParameterError
from adverscarial.evaluation.at_limit import AtLimit
from adverscarial.evaluation.guarded_changes import Found, under_changes

#: share of real cells for which an alarm is allowed
_FALSE_ALARMS = 0.01
_JUDGED = 500  # most attacked cells whose neighbours are looked for


@documented
def guarding(  # noqa: PLR0913
    adata: Cells,
    guard: Guard,
    *,
    groupby: str,
    attacks: Sequence[Attack[Result]] | Mapping[str, Attack[Result]],
    informed: bool = True,
    changes: Mapping[str, float] | None = None,
    train: Cells | None = None,
    mod: str | None = None,
    use_raw: bool = False,
    layer: str | None = None,
    seed: int = 0,
    progress: bool | None = None,
) -> pd.DataFrame:
    """Attack a classifier without its guard and with it.

    Parameters
    ----------
    adata
        Labelled cells that neither the classifier nor the guard has seen; not changed.
    guard
        A guard that has learnt.
    groupby
        Column of ``adata.obs`` with the true types; each of its clusters is attacked.
    attacks
        What to try; a mapping names them.
    informed
        Also let an attacker who knows the guard set each gene, alone, to the largest and to the smallest value that the
        guard lets pass.
    changes
        Technical and biological changes, and how strong each is, as for :func:`adverscarial.stress`:
        ``{"ambient": 0.4}``. Needs counts, or values from which they can be recovered.
    train
        The cells that the guard learnt from: a local outlier factor is trained on them, for ``far``.
    %(values)s
    %(layer_attacked)s
    seed
        Of every random draw of the attacks.
    %(progress)s

    Returns
    -------
    DataFrame, one row per attack, then one per change:

    ``attack``
        Its name.
    ``flips``, ``flips_guarded``
        Attacks that flip a cluster, without and with the guard: each gene that flips its cluster alone, or each cluster
        that an attack of another kind, or a change, flips. With ``"unsure"``, a flip to "unknown" is counted in
        ``unsure``, not here.
    ``stopped``
        Share of the flips that the guard takes away; NaN without any.
    ``rejected``, ``unsure``
        Changes that the guard refused, clusters for technical ones; flips to "unknown".
    ``detected``, ``far``
        Share of the attacked cells, those that the attacks without guard leave, that are told from real ones, with a
        threshold that calls 1 percent of the real held-out cells strange: by the guard's own measure
        (:meth:`Guard.strangeness`), and by the local outlier factor. NaN where no attack flips anything; of technical
        changes all changed cells count, whether they flip or not;
        ``far`` is that of at most 500 cells.
    ``accuracy``, ``accuracy_guarded``
        Balanced accuracy on the cells as they are; a refused cell counts as wrong.
    ``impossible``
        Share of the cells as they are that the guard finds impossible. Where it refuses, these are left out of the
        attacks.

    %(attack_errors_and_example)s
    >>> train, test = adv.datasets.split(adv.datasets.embedded(), "cell_type", seed=0)
    >>> guard = adv.classifiers.Guard(adv.classifiers.Markers(n_markers=5)).fit(train, "cell_type")
    >>> table = guarding(test, guard, groupby="cell_type", attacks=[adv.attacks.SingleGene("positive_aberrant")])
    >>> table["flips_guarded"].iloc[0]
    np.int64(0)
    """
    if not isinstance(guard, Guard):
        raise ParameterError(f"guard= must be a Guard that has learnt, got a {type(guard).__name__}.")
    adata = meant(adata, mod=mod, use_raw=use_raw, layer=layer)
    learnt_from = None if train is None else meant(train, mod=mod, use_raw=use_raw, layer=layer)
    named = _named(attacks)
    if informed:
        named |= {f"knows the guard: {AtLimit(guard, sign)}": SingleGene(AtLimit(guard, sign)) for sign in (1, -1)}
    clean = guard.possible(adata, layer=layer).to_numpy()
    detect = _Detection.of(guard, adata, learnt_from, layer)
    shared = {**_accuracies(guard, adata, groupby, layer, clean), "impossible": float((~clean).mean())}
    cells = adata[clean].copy() if guard.action == "refuse" and not clean.all() else adata
    statistics = GeneStatistics(layer_of(cells, layer))
    clusters = [
        Cluster(cells, groupby, target, layer=layer, seed=seed, statistics=statistics)
        for target in cluster_names(cluster_labels(cells, groupby))
    ]
    rows = [
        _row(name, _found(clusters, guard.inner, attack, guard), _found(clusters, guard, attack, guard), detect)
        for name, attack in track(named.items(), "Guarding", len(named), progress)
    ]
    for change, free, held in under_changes(cells, guard, changes or {}, groupby, layer, seed):
        rows.append(_row(change, free, held, detect))
    return pd.DataFrame([{**row, **shared} for row in rows])


def _row(name: str, free: Found, held: Found, detect: _Detection) -> dict[str, object]:
    """Return what one attack does without the guard and with it."""
    return {
        "attack": name, "flips": free.flips, "flips_guarded": held.flips,
        "stopped": 1 - held.flips / free.flips if free.flips else np.nan, "rejected": held.rejected,
        "unsure": held.unsure, **detect.rates(free.attacked),
    }  # fmt: skip


def _named(attacks: Sequence[Attack[Result]] | Mapping[str, Attack[Result]]) -> dict[str, Attack[Result]]:
    """Return attacks by name: the key given, else attack and modification, numbered where they repeat."""
    if isinstance(attacks, Mapping):
        return {str(name): attack for name, attack in attacks.items()}
    names = numbered(f"{type(attack).__name__} {attack.changes_text}".strip() for attack in attacks)
    return dict(zip(names, attacks, strict=True))


def _found(clusters: Sequence[Cluster], model: Classifier, attack: Attack[Result], guard: Guard) -> Found:
    """Attack every cluster."""
    flips = unsure = rejected = 0
    attacked = []
    for cluster in clusters:
        result = attack.run(cluster, model, scorer_for(model, cluster, in_company=False), progress=False)
        alone = result.flips()
        flipped = result.success and result.label != result.baseline  # a signature, for example, keeps the label
        labels = [result.label] * flipped if alone is None else alone.labels.tolist()
        new = sum(label == UNSURE and label not in guard.inner.labels for label in labels)
        flips, unsure, rejected = flips + len(labels) - new, unsure + new, rejected + result.n_rejected
        if model is guard.inner and labels:
            attacked.append(_after(cluster, result, guard))
    return Found(flips, unsure, rejected, attacked)


def _after(cluster: Cluster, result: Result, guard: Guard) -> np.ndarray:
    """Return the cluster as an attack leaves it, cells x watched genes."""
    columns, genes = guard.align(cluster.genes), cluster.positions(result.changed_genes)
    X, own = cluster.values(columns), positions_among(columns, len(cluster.genes))[genes]
    values = np.broadcast_to(result.changed_values(cluster, genes), (len(X), len(genes)))
    with np.errstate(over="ignore"):
        X[:, own[own >= 0]] = values[:, own >= 0]
    return X


def _accuracies(guard: Guard, adata: AnnData, groupby: str, layer: str | None, clean: np.ndarray) -> dict[str, float]:
    truth = cluster_labels(adata, groupby)
    free = guard.inner.predict(adata, layer=layer).astype(str).to_numpy()
    held = np.where(clean, free, "") if guard.action == "refuse" else guard.predict(adata, layer=layer).astype(str)

    def balanced(labels: np.ndarray) -> float:
        shares = [float((labels[truth == name] == name).mean()) for name in cluster_names(truth)]
        return float(np.mean(shares))

    return {"accuracy": balanced(free), "accuracy_guarded": balanced(np.asarray(held))}


@dataclass(frozen=True)
class _Detection:
    """Thresholds that call 1 percent of the real cells strange."""

    guard: Guard
    threshold: float
    detector: Untyped
    farthest: float

    @classmethod
    def of(cls, guard: Guard, adata: AnnData, train: AnnData | None, layer: str | None) -> _Detection:
        strange = guard.strangeness(adata, layer=layer).to_numpy()
        detector, farthest = None, np.nan
        if train is not None:
            detector = detector_trained("lof", _watched(guard, train, layer))
            farthest = float(_quantile(-detector.score_samples(_watched(guard, adata, layer))))
        return cls(guard, float(_quantile(strange)), detector, farthest)

    def rates(self, attacked: list[np.ndarray]) -> dict[str, float]:
        """Return the shares of attacked cells that are detected."""
        if not attacked:
            return {"detected": np.nan, "far": np.nan}
        X = np.concatenate(attacked)
        far = np.nan
        if self.detector is not None:
            some = np.unique(np.linspace(0, len(X) - 1, min(_JUDGED, len(X))).astype(np.int64))
            far = float((-self.detector.score_samples(X[some]) > self.farthest).mean())
        return {"detected": float((self.guard.limits.beyond(X) > self.threshold).mean()), "far": far}


def _quantile(values: np.ndarray) -> float:
    """Return a threshold that at most 1 percent of the values exceed."""
    return float(np.quantile(values, 1 - _FALSE_ALARMS, method="higher"))


def _watched(guard: Guard, adata: AnnData, layer: str | None) -> np.ndarray:
    matrix = CellMatrix(layer_of(adata, layer))
    return matrix.rows(np.arange(adata.n_obs))[:, guard.align(pd.Index(adata.var_names.astype(str)))]
