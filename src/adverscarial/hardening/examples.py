"""The cells that an attack fools, as new training examples."""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from dataclasses import dataclass

import anndata
import numpy as np
import pandas as pd
import scipy.sparse as sp
from anndata import AnnData

from adverscarial._docs import documented
from adverscarial._progress import track
from adverscarial._types import Ints, Matrix
from adverscarial.attacks.base import Attack
from adverscarial.attacks.result import Result
from adverscarial.attacks.settings import check_counts
from adverscarial.attacks.start import check_run, scorer_for
from adverscarial.cells.choice import Cells, meant
from adverscarial.cells.cluster import Cluster, check_genes, cluster_labels, cluster_names
from adverscarial.cells.matrix import layer_of, layers_of, replace
from adverscarial.cells.statistics import GeneStatistics
from adverscarial.classifiers.base import Classifier
from adverscarial.classifiers.prediction import answer_after
from adverscarial.classifiers.scorers.base import Scorer
from adverscarial.classifiers.wrap import wrap
from adverscarial.errors import ParameterError
from adverscarial.hardening.measure import attacked


@documented
def adversarial_cells(  # noqa: PLR0913
    adata: Cells,
    classifier: object,
    attack: Attack[Result],
    *,
    groupby: str,
    targets: Iterable[str] | None = None,
    mod: str | None = None, use_raw: bool = False, layer: str | None = None,
    seed: int = 0,
    n_per_type: int | None = None,
    progress: bool | None = None,
) -> AnnData:  # fmt: skip
    """Attack every cluster and return the cells that were fooled, as new training examples (R: ``advTraining``).

    A useful example is a cell whose label changes although its true type does not. An attacked cell is kept if the
    classifier now gives it another label than before, and one that is not its cluster's name. Of a classifier that
    gives no label per cell, all cells of a cluster whose label flipped are kept. An attack that leaves the cluster's
    label in place, such as :class:`~adverscarial.attacks.MaxChange`, still gives the single cells whose label changed.

    Of a :class:`~adverscarial.attacks.SingleGene` result, each flipping gene gives its own copies of cells, with that
    gene alone changed; the genes share `n_per_type` as evenly as they can. Every other attack gives at most one copy
    of a cell: what ``result.apply`` writes.

    Parameters
    ----------
    adata
        Cells x genes, or a MuData; not changed. A backed file is read into memory.
    %(classifier)s
    attack
        For example ``adv.attacks.SingleGene("perc99")``.
    groupby
        Column of ``adata.obs`` with the true types.
    targets
        Clusters to attack; all, when left out.
    %(values)s
    layer
        Layer to attack; ``X`` when left out. Other layers are copied as they are.
    seed
        Of the attack, and of the draw of cells.
    n_per_type
        Most cells to return per type; None: as many as the type has in `adata`.
    %(progress)s

    Returns
    -------
    AnnData, adversarial cells x genes, with the columns of ``adata.obs`` (so the true type is in ``obs[groupby]``) and
    ``adverscarial`` (the attack), ``adverscarial_gene`` (the gene changed alone, else empty), ``adverscarial_label``
    (the wrong label that the classifier gives the cell). Names of cells are unique. Sparse data stay sparse. If no
    cell is fooled, there are no rows.

    Raises
    ------
    DataError
        If the data have no such column, cluster or layer.
    ParameterError
        If `attack` is none, or a number is out of its range.
    ClassifierError
        If the classifier fails.

    %(cells_example)s
    >>> model = adv.classifiers.ScType(scaled=False)
    >>> fooled = adversarial_cells(cells, model, adv.attacks.SingleGene("perc99"), groupby="cell_type", n_per_type=20)
    >>> more = anndata.concat([cells, fooled], merge="same")
    """
    check_run(None, seed)
    check_attack(attack)
    if n_per_type is not None:
        check_counts(n_per_type=n_per_type)
    model, adata = wrap(classifier), in_memory(meant(adata, mod=mod, use_raw=use_raw, layer=layer))
    names = cluster_names(cluster_labels(adata, groupby)) if targets is None else [str(name) for name in targets]
    statistics = GeneStatistics(layer_of(adata, layer))
    parts = []
    for target in track(names, "Adversarial cells", len(names), progress):
        cluster = Cluster(adata, groupby, target, layer=layer, seed=seed, statistics=statistics)
        scorer = scorer_for(model, cluster)
        result = attack.run(cluster, model, scorer)
        generator = np.random.default_rng([seed, zlib.crc32(target.encode())])
        limit = cluster.n_cells if n_per_type is None else n_per_type
        if result.flips() is None:
            found = _applied(adata, cluster, model, result, limit, generator)
        else:
            found = _by_gene(adata, cluster, scorer, result, limit, generator)
        parts.append(_cells(adata, cluster, found, repr(attack)))
    if not parts:
        raise ParameterError("targets= names no cluster; leave it out to attack all of them.")
    return anndata.concat(parts, merge="same")


@dataclass(frozen=True)
class _Fooled:
    """Some fooled cells of one cluster: their positions in the cluster, new values, changed genes and new labels."""

    cells: Ints
    X: Matrix
    genes: list[str]
    labels: list[str]


def _by_gene(
    adata: AnnData,
    cluster: Cluster,
    scorer: Scorer,
    result: Result,
    limit: int,
    generator: np.random.Generator,
) -> _Fooled:
    """Return cells with one flipping gene changed each."""
    before = _values(adata, cluster.layer, cluster.rows)
    positions = cluster.positions(result.genes)
    share = -(-limit // max(1, len(positions)))
    cells, parts, genes, labels = np.empty(0, dtype=np.int64), [before[:0]], [], []
    for gene in generator.permutation(positions):
        values = result.changed_values(cluster, np.array([gene]))
        answer = scorer.together(np.array([gene]), values)
        fooled = _fooled(scorer.baseline.labels, answer.labels, cluster)
        picked = _draw(fooled, min(share, limit - len(cells)), generator)
        block = np.broadcast_to(values, (cluster.n_cells, 1))[picked]
        parts.append(replace(before[picked], np.arange(len(picked)), np.array([gene]), block))
        cells = np.concatenate([cells, picked])
        genes += [str(cluster.genes[gene])] * len(picked)
        labels += _new_labels(answer.label, answer.labels, picked)
        if len(cells) == limit:
            break
    return _Fooled(
        cells, sp.vstack(parts, format="csr") if sp.issparse(before) else np.concatenate(parts), genes, labels
    )


def _applied(
    adata: AnnData, cluster: Cluster, model: Classifier, result: Result, limit: int, generator: np.random.Generator
) -> _Fooled:
    """Return cells as the attack leaves them."""
    changed = attacked(adata, result)
    before = model.predict_cluster(adata, cluster.rows, cluster.target, cluster.labels, cluster.layer)
    after = answer_after(changed, model, cluster)
    fooled = _fooled(before.labels, after.labels, cluster)
    if after.rejected or (after.labels is None and after.label == before.label):
        fooled = fooled[:0]
    picked = _draw(fooled, limit, generator)
    X = _values(changed, cluster.layer, cluster.rows[picked])
    return _Fooled(picked, X, [""] * len(picked), _new_labels(after.label, after.labels, picked))


def _fooled(before: np.ndarray | None, after: np.ndarray | None, cluster: Cluster) -> Ints:
    """Return the positions of the cells that are called something new, and wrong; all, where no cell has a label."""
    if before is None or after is None:
        return np.arange(cluster.n_cells)
    return np.flatnonzero((after != before) & (after != cluster.target))


def _new_labels(label: str, labels: np.ndarray | None, picked: np.ndarray) -> list[str]:
    return [label] * len(picked) if labels is None else [str(name) for name in labels[picked]]


def _draw(positions: Ints, n: int, generator: np.random.Generator) -> Ints:
    """Return at most `n` of these, in order."""
    return np.sort(generator.permutation(positions)[:n])


def in_memory(adata: AnnData) -> AnnData:
    """Return the data; a file is read once, so that it is not opened for every cluster."""
    check_genes(adata)
    return adata.to_memory() if adata.isbacked else adata


def _values(adata: AnnData, layer: str | None, rows: np.ndarray) -> Matrix:
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
    layers = {name: _values(adata, name, rows) for name in layers_of(adata) if name != cluster.layer}
    X = found.X
    if cluster.layer is not None:
        layers[cluster.layer] = found.X
        X = None if adata.X is None else _values(adata, None, rows)
    return AnnData(X, obs=obs, var=adata.var.copy(), layers=layers)


def check_attack(attack: object) -> None:
    """Raise a ParameterError for anything but an attack."""
    if not isinstance(attack, Attack):
        raise ParameterError(f"attack must be an attack such as adv.attacks.SingleGene('perc99'), got {attack!r}.")
