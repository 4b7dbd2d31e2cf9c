"""Adversarial training: attack a classifier, show it its mistakes with the right labels, train it again.

Two ways. Any classifier with ``fit`` learns from *examples*: the attacked cells that it gets wrong join its training
set. The MLP can also learn inside each training step (*pgd*, Madry et al. 2018): every batch is first moved to where
the network of that moment does worst, within a small box around each cell.
"""

from __future__ import annotations

import copy
import logging
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

import anndata
import numpy as np
import pandas as pd
import scipy.sparse as sp
from anndata import AnnData

from adverscarial._matrix import layer_of, replace
from adverscarial.attacks.base import Attack, check_counts, check_run, scorer_for
from adverscarial.attacks.max_change import MaxChangeResult
from adverscarial.attacks.single_gene import SingleGeneResult
from adverscarial.classifiers.base import Classifier, Scorer
from adverscarial.classifiers.mlp import MLP, Adversary, Trainer
from adverscarial.classifiers.wrap import wrap
from adverscarial.cluster import Cluster, check_genes, cluster_labels, cluster_names
from adverscarial.datasets.sampling import split
from adverscarial.errors import ClassifierError, ParameterError
from adverscarial.statistics import GeneStatistics

logger = logging.getLogger(__name__)


def adversarial_cells(
    adata: AnnData,
    classifier: Any,
    attack: Attack,
    *,
    groupby: str,
    targets: Iterable[str] | None = None,
    layer: str | None = None,
    seed: int = 0,
    n_per_type: int | None = None,
    progress: bool | None = None,
) -> AnnData:
    """Attack every cluster and return the cells that were fooled, as new training examples (R: ``advTraining``).

    A useful example is a cell whose label moves while the truth does not: an attacked cell is kept if the classifier
    now says something else of it than before, and something else than its cluster's name. (A classifier that gives no
    label per cell: all cells of a cluster whose label flipped.) So an attack that leaves the cluster's label in place,
    as :class:`~adverscarial.attacks.MaxChange` does, still gives the cells that were outvoted.

    Of a :class:`~adverscarial.attacks.SingleGene` result, each flipping gene gives its own copies of cells, with that
    gene alone changed; the genes share `n_per_type` as evenly as they can. Every other attack gives at most one copy
    of a cell: what ``result.apply`` writes.

    Parameters
    ----------
    adata
        Cells x genes; not changed. A backed file is read into memory.
    classifier
        A classifier, or anything that :func:`adverscarial.classifiers.wrap` understands.
    attack
        For example ``adv.attacks.SingleGene("perc99")``.
    groupby
        Column of ``adata.obs`` with the true types.
    targets
        Clusters to attack; all, when left out.
    layer
        Layer to attack; ``X`` when left out. Other layers are copied as they are.
    seed
        Of the attack, and of the draw of cells.
    n_per_type
        Most cells to return per type; None: as many as the type has in `adata`.
    progress
        Progress bar; left out, on a terminal only.

    Returns
    -------
    AnnData, adversarial cells x genes, with the columns of ``adata.obs`` (so the true type is in ``obs[groupby]``) and
    ``adverscarial`` (the attack), ``adverscarial_gene`` (the gene changed alone, else empty), ``adverscarial_label``
    (what the classifier says of the cell, wrongly). Names of cells are unique. Sparse stays sparse. Without any fooled
    cell it has no rows.

    Raises
    ------
    DataError, ParameterError, ClassifierError

    Examples
    --------
    >>> import adverscarial as adv
    >>> cells = adv.datasets.embedded()
    >>> model = adv.classifiers.ScType(scaled=False)
    >>> fooled = adversarial_cells(cells, model, adv.attacks.SingleGene("perc99"), groupby="cell_type", n_per_type=20)
    >>> more = anndata.concat([cells, fooled], merge="same")
    """
    check_run(None, seed)
    _check_attack(attack)
    if n_per_type is not None:
        check_counts(n_per_type=n_per_type)
    model, adata = wrap(classifier), _in_memory(adata)
    chosen = cluster_names(cluster_labels(adata, groupby)) if targets is None else [str(name) for name in targets]
    statistics = GeneStatistics(layer_of(adata, layer))
    parts = []
    for target in chosen:
        cluster = Cluster(adata, groupby, target, layer=layer, seed=seed, statistics=statistics)
        scorer = scorer_for(model, cluster)
        result = attack.run(cluster, model, scorer, progress=progress)
        generator = np.random.default_rng([seed, zlib.crc32(target.encode())])
        limit = cluster.n_cells if n_per_type is None else n_per_type
        if isinstance(result, SingleGeneResult):
            found = _by_gene(adata, cluster, scorer, result, limit, generator)
        else:
            found = _applied(adata, cluster, model, result, limit, generator)
        parts.append(_cells(adata, cluster, found, repr(attack)))
    if not parts:
        raise ParameterError("targets= names no cluster; leave it out to attack all of them.")
    return anndata.concat(parts, merge="same")


@dataclass(frozen=True)
class _Fooled:
    """Some fooled cells of one cluster: places in the cluster, their new values, genes and labels."""

    cells: np.ndarray
    X: Any
    genes: list[str]
    labels: list[str]


def _by_gene(
    adata: AnnData,
    cluster: Cluster,
    scorer: Scorer,
    result: SingleGeneResult,
    limit: int,
    generator: np.random.Generator,
) -> _Fooled:
    """Return cells with one flipping gene changed each."""
    before = _values(adata, cluster.layer, cluster.rows)
    positions = cluster.positions(result.genes)
    share = -(-limit // max(1, len(positions)))
    cells, parts, genes, labels = np.empty(0, dtype=np.int64), [before[:0]], [], []
    for gene in generator.permutation(positions):
        values = result.attack.modification.values(cluster, np.array([gene]))
        answer = scorer.together(np.array([gene]), values)
        fooled = _fooled(scorer.baseline.labels, answer.labels, cluster)
        picked = _draw(fooled, min(share, limit - len(cells)), generator)
        block = np.broadcast_to(values, (cluster.n_cells, 1))[picked]
        parts.append(replace(before[picked], np.arange(len(picked)), np.array([gene]), block))
        cells = np.concatenate([cells, picked])
        genes += [str(cluster.genes[gene])] * len(picked)
        labels += _said(answer.label, answer.labels, picked)
        if len(cells) == limit:
            break
    return _Fooled(
        cells, sp.vstack(parts, format="csr") if sp.issparse(before) else np.concatenate(parts), genes, labels
    )


def _applied(
    adata: AnnData, cluster: Cluster, model: Classifier, result: Any, limit: int, generator: np.random.Generator
) -> _Fooled:
    """Return cells as the attack leaves them."""
    changed = _attacked(adata, result)
    ask = (cluster.rows, cluster.target, cluster.labels, cluster.layer)
    before, after = model.predict_cluster(adata, *ask), model.predict_cluster(changed, *ask)
    fooled = _fooled(before.labels, after.labels, cluster)
    if after.labels is None and after.label == before.label:
        fooled = fooled[:0]
    picked = _draw(fooled, limit, generator)
    X = _values(changed, cluster.layer, cluster.rows[picked])
    return _Fooled(picked, X, [""] * len(picked), _said(after.label, after.labels, picked))


def _attacked(adata: AnnData, result: Any) -> AnnData:
    """Return the cells as the attack leaves them: `adata` itself where it found nothing, or was refused."""
    if not result.genes or getattr(result, "rejected", False):
        return adata
    return result.apply(adata)


def _fooled(before: np.ndarray | None, after: np.ndarray | None, cluster: Cluster) -> np.ndarray:
    """Return the places of the cells that are called something new, and wrong; all, where no cell has a label."""
    if before is None or after is None:
        return np.arange(cluster.n_cells)
    return np.flatnonzero((after != before) & (after != cluster.target))


def _said(label: str, labels: np.ndarray | None, picked: np.ndarray) -> list[str]:
    return [label] * len(picked) if labels is None else [str(name) for name in labels[picked]]


def _draw(places: np.ndarray, n: int, generator: np.random.Generator) -> np.ndarray:
    """Return at most `n` of these, in order."""
    return np.sort(generator.permutation(places)[:n])


def _in_memory(adata: AnnData) -> AnnData:
    """Return the data; a file is read once, so that it is not opened for every cluster."""
    check_genes(adata)
    return adata.to_memory() if adata.isbacked else adata


def _values(adata: AnnData, layer: str | None, rows: np.ndarray) -> Any:
    """Return the values of some cells as they are stored, sparse by rows or dense."""
    block = layer_of(adata, layer)[rows]
    block = block.compute() if hasattr(block, "compute") else block
    return block.tocsr() if sp.issparse(block) else np.asarray(block)


def _cells(adata: AnnData, cluster: Cluster, found: _Fooled, attack: str) -> AnnData:
    """Return the fooled cells as an AnnData; what else described the cells, such as a UMAP, is left out."""
    rows = cluster.rows[found.cells]
    obs = adata.obs.iloc[rows].copy()
    kind = attack.partition("(")[0]
    names = [gene or kind for gene in found.genes]
    obs.index = pd.Index([f"{cell}|{name}" for cell, name in zip(cluster.cells[found.cells], names, strict=True)])
    obs["adverscarial"] = attack
    obs["adverscarial_gene"] = np.array(found.genes, dtype=object)
    obs["adverscarial_label"] = np.array(found.labels, dtype=object)
    layers = {name: _values(adata, name, rows) for name in adata.layers if name != cluster.layer}
    X = found.X
    if cluster.layer is not None:
        layers[cluster.layer] = found.X
        X = None if adata.X is None else _values(adata, None, rows)
    return AnnData(X, obs=obs, var=adata.var.copy(), layers=layers)


@dataclass(frozen=True, eq=False)
class Hardening:
    """A hardened classifier, and what hardening did.

    Attributes
    ----------
    classifier
        The model of the last round.
    before
        The model of round 0: the same settings, trained on the same clean cells, without any attack.
    table
        One row per round, all but the first two columns measured on held-out cells:

        ``round``
            0 is before.
        ``adversarial_cells``
            Cells added to the training set so far (*examples*); of *pgd*, clean cells replaced in each epoch.
        ``epsilon``
            Half the width of the box of *pgd*; NaN otherwise.
        ``clean_accuracy``
            Balanced accuracy (mean over types of the share of their cells named right).
        ``attacked_accuracy``
            The same after the attack: each cluster as ``result.apply`` leaves it, clean where the attack found nothing.
        ``clusters``, ``flipped``, ``success``
            Attacked clusters, those whose label the attack flips, and their share.
        ``flipping_genes``
            Genes that flip their cluster's label alone, over all clusters (SingleGene; NaN otherwise).
        ``genes_needed``
            Median over the clusters: genes that a successful attack changes; of MaxChange, the signature's length.
    note
        What a reader should know, such as a round that found nothing to train on.
    """

    classifier: Classifier
    before: Classifier
    table: pd.DataFrame
    attack: Attack
    method: str
    note: str = ""

    def __str__(self) -> str:
        first, last = self.table.iloc[0], self.table.iloc[-1]
        lines = [f"{self.attack!r} on {self.classifier.name}, hardened by {self.method}, {int(last['round'])} round(s)"]

        def line(name: str, column: str, form: str, of: str = "") -> None:
            if not np.isnan(first[column]) or not np.isnan(last[column]):
                lines.append(f"  {name:<20}{_text(first[column], form)} -> {_text(last[column], form)}{of}")

        line("clusters flipped", "flipped", ".0f", f" of {int(last['clusters'])}")
        line("flipping genes", "flipping_genes", ",.0f")
        line("genes needed", "genes_needed", ",.1f")
        line("accuracy, clean", "clean_accuracy", ".3f", " (balanced, held-out cells)")
        line("accuracy, attacked", "attacked_accuracy", ".3f")
        return "\n".join([*lines, *([f"  note  {self.note}"] if self.note else [])])


def _text(value: float, form: str) -> str:
    return "none" if np.isnan(value) else format(value, form)


def harden(
    classifier: Any,
    adata: AnnData,
    attack: Attack,
    *,
    groupby: str,
    rounds: int = 3,
    layer: str | None = None,
    seed: int = 0,
    test: AnnData | None = None,
    n_per_type: int | None = None,
    method: Literal["examples", "pgd"] = "examples",
    epsilon: float = 0.1,
    steps: int = 5,
    share: float = 1.0,
    progress: bool | None = None,
) -> Hardening:
    """Train a classifier against an attack, and measure on held-out cells what that brings and costs.

    Round 0 trains a fresh copy on clean cells. With *examples*, each further round attacks the model of the round
    before on the training cells, adds the fooled ones (:func:`adversarial_cells`) to the training set, and trains a
    fresh copy on all of it. With *pgd*, round r trains a fresh copy on clean cells with a box of ``epsilon * r /
    rounds``, so that the table shows the price of each width. The rounds are evaluated by the full attack on held-out
    cells, which no training ever sees. The last round is not always the best one: read the table.

    Parameters
    ----------
    classifier
        A classifier with ``fit``, trained or not: its settings are what counts. It is not changed.
    adata
        Labelled cells x genes.
    attack
        What to harden against (*examples*), and what to measure by (both).
    groupby
        Column of ``adata.obs`` with the true types.
    rounds
        Rounds after the first.
    layer
        Layer to train on and to attack; ``X`` when left out.
    seed
        Of the split, the attacks, the draws and the start of each PGD. Training itself follows the classifier's own.
    test
        Held-out cells. Left out, `adata` is cut into stratified halves, and the second one is held out.
    n_per_type
        Most adversarial cells of a type per round; None: as many as the type has.
    method
        ``"examples"`` for any classifier with ``fit``; ``"pgd"`` for :class:`~adverscarial.classifiers.MLP`.
    epsilon, steps, share
        *pgd* only: how far each value of a cell may move, in the units of the data (z-scores, as a rule); gradient
        steps; the share of each batch that is moved (0.5 keeps half of it clean).
    progress
        Progress bars of the attacks; left out, on a terminal only.

    Returns
    -------
    Hardening
        Model, table, and a summary when printed. An attack that fools no training cell is no error: nothing changes,
        and the note says so.

    Raises
    ------
    ClassifierError
        If the classifier cannot be trained here.
    ParameterError
        If a setting is impossible, or *pgd* is asked of another classifier than the MLP.
    DataError

    Notes
    -----
    *pgd* maximises the cross-entropy by ``x + a * sign(gradient)``, ``a = 2.5 * epsilon / steps``, from a random start,
    clipped to the box after each step (Madry et al. 2018, *Towards Deep Learning Models Resistant to Adversarial
    Attacks*).

    Examples
    --------
    >>> import adverscarial as adv
    >>> model = adv.classifiers.Markers(n_markers=5)
    >>> attack = adv.attacks.SingleGene("positive_aberrant")
    >>> done = harden(model, adv.datasets.embedded(), attack, groupby="cell_type", rounds=1)
    >>> list(done.table["round"])
    [0, 1]
    """
    model = wrap(classifier)
    _check_attack(attack)
    check_run(None, seed)
    check_counts(rounds=rounds, steps=steps, **({} if n_per_type is None else {"n_per_type": n_per_type}))
    if type(model).fit is Classifier.fit:
        raise ClassifierError(
            f"{model.name} cannot be trained here, so it cannot be hardened. Expected a classifier with fit(), such as "
            "RandomForest; for another one, add adversarial_cells() to its training set and train it where it was made."
        )
    if method not in ("examples", "pgd"):
        raise ParameterError(f"method must be 'examples' or 'pgd', got '{method}'.")
    if method == "pgd" and not isinstance(model, MLP):
        raise ParameterError(f"method='pgd' trains by gradients, which of ours only MLP does; got {model.name}.")
    if not epsilon > 0 or not np.isfinite(epsilon) or not 0 < share <= 1:
        raise ParameterError(f"epsilon must be above 0, share above 0 and at most 1; got {epsilon!r} and {share!r}.")
    train, held_out = split(adata, groupby, seed=seed) if test is None else (_in_memory(adata), _in_memory(test))

    def measured(number: int, fitted: Classifier, cells: int, width: float = np.nan) -> dict[str, float]:
        logger.info("hardening %s: round %d", model.name, number)
        found = _measure(fitted, held_out, attack, groupby, layer, seed, progress)
        return {"round": number, "adversarial_cells": cells, "epsilon": width, **found}

    current = before = copy.deepcopy(model).fit(train, groupby, layer=layer)
    rows = [measured(0, before, 0)]
    training, added, note = train, 0, ""
    for number in range(1, rounds + 1):
        if method == "pgd":
            assert isinstance(model, MLP)
            width = epsilon * number / rounds
            adversary = projected_gradient(width, steps, share=share, seed=seed)
            current = copy.deepcopy(model).fit(train, groupby, layer=layer, adversary=adversary)
            rows.append(measured(number, current, round(share * train.n_obs), width))
            continue
        fooled = adversarial_cells(
            train, current, attack, groupby=groupby, layer=layer, seed=seed + number, n_per_type=n_per_type,
            progress=progress,
        )  # fmt: skip
        if not fooled.n_obs:
            note = f"round {number} fooled no training cell any more, so training stopped there"
            break
        fooled.obs_names = [f"{name}|round {number}" for name in fooled.obs_names]
        training = anndata.concat([training, fooled], merge="same")
        added += fooled.n_obs
        current = copy.deepcopy(model).fit(training, groupby, layer=layer)
        rows.append(measured(number, current, added))
    return Hardening(current, before, pd.DataFrame(rows), attack, method, note)


def _measure(
    model: Classifier,
    cells: AnnData,
    attack: Attack,
    groupby: str,
    layer: str | None,
    seed: int,
    progress: bool | None,
) -> dict[str, float]:
    """Attack every cluster of held-out cells; every accuracy is a full prediction, without any scorer."""
    truth = cluster_labels(cells, groupby)
    said = model.predict(cells, layer=layer).astype(str).to_numpy()
    statistics = GeneStatistics(layer_of(cells, layer))
    clean, attacked, flipped, genes, needed = [], [], [], [], []
    for target in cluster_names(truth):
        cluster = Cluster(cells, groupby, target, layer=layer, seed=seed, statistics=statistics)
        result = attack.run(cluster, model, scorer_for(model, cluster), progress=progress)
        success = bool(getattr(result, "success", result.label != result.baseline))
        after = said[cluster.rows]
        clean.append(np.mean(after == target))
        changed = _attacked(cells, result)
        if changed is not cells:
            answer = model.predict_cluster(changed, cluster.rows, target, truth, layer)
            after = np.full(cluster.n_cells, answer.label) if answer.labels is None else answer.labels
        attacked.append(np.mean(after == target))
        flipped.append(success)
        genes.append(len(result.genes) if isinstance(result, SingleGeneResult) else np.nan)
        needed.append(_genes_needed(result, success))
    known = [number for number in needed if not np.isnan(number)]
    return {
        "clean_accuracy": float(np.mean(clean)), "attacked_accuracy": float(np.mean(attacked)),
        "clusters": len(flipped), "flipped": sum(flipped), "success": float(np.mean(flipped)),
        "flipping_genes": float(np.sum(genes)), "genes_needed": float(np.median(known)) if known else np.nan,
    }  # fmt: skip


def _genes_needed(result: Any, success: bool) -> float:
    if isinstance(result, MaxChangeResult):
        return len(result.signature)
    if not success:
        return np.nan
    return 1 if isinstance(result, SingleGeneResult) else len(result.genes)


def projected_gradient(epsilon: float, steps: int, *, share: float = 1.0, seed: int = 0) -> Adversary:
    """Return the inner loop of PGD training, for ``MLP.fit(..., adversary=)``.

    Parameters
    ----------
    epsilon
        How far each value may move from the cell's own.
    steps
        Gradient steps, each of ``2.5 * epsilon / steps``.
    share
        Share of each batch that is moved: its first rows, which are random ones.
    seed
        Of the random starts; the same seed gives the same training on a CPU.
    """
    generator = np.random.default_rng(seed)
    radius, size = np.float32(epsilon), np.float32(2.5 * epsilon / steps)

    def moved(trainer: Trainer, X: np.ndarray, codes: np.ndarray) -> np.ndarray:
        n = -int(-share * len(X) // 1)
        cells = X[:n] + radius * (2 * generator.random(X[:n].shape, dtype=np.float32) - 1)
        for _ in range(steps):
            cells += size * np.sign(trainer.gradient(cells, codes[:n]))
            np.clip(cells, X[:n] - radius, X[:n] + radius, out=cells)
        return np.concatenate([cells, X[n:]])

    return moved


def _check_attack(attack: object) -> None:
    if not isinstance(attack, Attack):
        raise ParameterError(f"attack must be an attack such as adv.attacks.SingleGene('perc99'), got {attack!r}.")
