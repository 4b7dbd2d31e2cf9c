"""How many genes each cell needs before its label changes, for all cells of a data set."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from anndata import AnnData

from adverscarial._docs import documented
from adverscarial._progress import track
from adverscarial.attacks.minimal.movable import movable
from adverscarial.attacks.minimal.own_sets import OwnSets, own_of_nearest
from adverscarial.attacks.minimal.per_cell import UNKNOWN, PerCell, bounded, nearest_gene, numbers_of_genes, per_cell
from adverscarial.attacks.minimal.race import Race
from adverscarial.attacks.minimal.sets_of_cells import sets_of_cells
from adverscarial.attacks.start import scorer_for
from adverscarial.cells.choice import Cells, held_by, meant
from adverscarial.cells.cluster import Cluster, cluster_labels, cluster_names, masked_genes
from adverscarial.cells.matrix import CellMatrix, layer_of
from adverscarial.cells.statistics import GeneStatistics
from adverscarial.classifiers.base import Classifier
from adverscarial.classifiers.scorers.moves import Moves
from adverscarial.classifiers.scorers.relu_moves import ReluMoves
from adverscarial.classifiers.wrap import wrap
from adverscarial.errors import ClassifierError, DataError, ParameterError
from adverscarial.modifications import Modification
from adverscarial.modifications.base import parse

_CELLS = 256  # cells looked at together where there are no clusters: their values fit into memory that is used again
_BLOCK = "adverscarial_block"


@documented
def fragility(  # noqa: PLR0913
    adata: Cells,
    classifier: object,
    *,
    modification: Modification | str = "perc1",
    groupby: str | None = None,
    key_added: str = "fragility",
    mod: str | None = None,
    use_raw: bool = False,
    layer: str | None = None,
    mask_var: str | Sequence[bool] | np.ndarray | None = None,
    seed: int = 0,
    sets: bool = False,
    copy: bool = False,
    progress: bool | None = None,
) -> AnnData | None:
    """Write to ``obs`` how many genes each cell needs before its label changes.

    Each cell is looked at alone, with the genes that are best for it. The answer is an interval: fewer than the lower
    number of genes never change the label (proven), and the upper number, chosen well, does. For weighted sums (linear
    models, marker scores) both are the same, save where two labels tie so closely that rounding decides.

    Parameters
    ----------
    adata
        Cells x genes, or a MuData. Columns are added to ``obs``, of the modality; nothing else is changed.
    classifier
        A classifier, or anything that :func:`adverscarial.classifiers.wrap` understands. It must be one for which
        proofs exist: a linear or marker model, trees, a dense network with ReLU, CHETAH, SingleR, or scAnnotatR (with
        one threshold, without parents).
    modification
        What is done to the genes.
    groupby
        Column of clusters, for modifications that look at the cluster's other cells, and for classifiers that do
        (scAnnotatR): the cells of a cluster are changed together. Left out: the cells are taken as they come.
    key_added
        Start of the names of the new columns: ``_label``, ``_lower``, ``_upper``, ``_towards``, ``_gene``, ``_share``.
    %(values)s
    layer, seed
        As for an attack.
    mask_var
        Change only these genes: a column of ``adata.var`` that is True or False, or one bool per gene.
    sets
        For trees and networks: also look for a small set of genes for each cell, whose size is the upper number. This
        takes up to seconds for a cell.
    %(copy)s
    %(progress)s

    Returns
    -------
    None, or the copy. The columns: the cell's label; the proven lower number of genes (infinite: no number of genes
    changes the label); the upper one (NaN: no set was looked for, or none found); the label that needs the fewest
    genes; the gene that brings the cell nearest to it; and the share of the gap that this gene closes alone (1: it is
    enough; of trees and networks it closes at most that share). For CHETAH and SingleR the gene is empty and the share
    NaN: their proofs bound all genes at once, and single out none.

    Raises
    ------
    ClassifierError
        If nothing can be proven about this classifier.
    DataError
        If there is one cell only.
    ParameterError
        If the modification looks at all changed genes at once; or if the classifier looks at all cells, and `groupby`
        is left out.

    %(cells_example)s
    >>> adv.fragility(cells, adv.classifiers.ScType(), modification="perc99")
    >>> int(cells.obs["fragility_lower"].min())
    1
    """
    model, change = wrap(classifier), parse(modification)
    if change.joint:
        raise ParameterError(
            f"'{change}' computes new values from all changed genes at once, so nothing can be proven gene by gene. "
            "Use a modification that changes each gene on its own, such as 'perc1'."
        )
    if model.needs_all_cells and groupby is None:
        raise ParameterError(
            f"{model.name} looks at all cells at once, so what a change does to one cell depends on which cells change "
            "with it. Name groupby=: the cells of each cluster are then changed together."
        )
    held = held_by(adata, mod)
    adata = meant(adata, mod=mod, use_raw=use_raw, layer=layer)
    genes = None if mask_var is None else masked_genes(adata, mask_var)
    cells, column = (adata, groupby) if groupby is not None else (_in_blocks(adata), _BLOCK)
    statistics = GeneStatistics(CellMatrix(layer_of(cells, layer)))
    names = cluster_names(cluster_labels(cells, column))
    parts = [
        _one_cluster(
            Cluster(cells, column, name, layer=layer, seed=seed, statistics=statistics), model, change, genes, sets
        )
        for name in track(names, "Fragility", len(names), progress)
    ]
    found = pd.concat(parts).reindex(range(adata.n_obs))
    out = held.copy() if copy else held
    for name in found:
        out.obs[f"{key_added}_{name}"] = found[name].to_numpy()
    return out if copy else None


def _in_blocks(adata: AnnData) -> AnnData:
    """Return the same cells with a column that cuts them into blocks."""
    if adata.n_obs == 1:
        raise DataError("There is one cell only, and new values are taken from other cells too: give more cells.")
    size = min(_CELLS, max(1, adata.n_obs // 2))  # at least two, since an attack needs cells beside the cluster
    blocks = pd.DataFrame({_BLOCK: [f"{i // size:06d}" for i in range(adata.n_obs)]}, index=adata.obs_names)
    return AnnData(adata.X, obs=blocks, var=pd.DataFrame(index=adata.var_names), layers=dict(adata.layers))


def _one_cluster(
    cluster: Cluster, model: Classifier, change: Modification, changed: list[str] | None, sets: bool
) -> pd.DataFrame:
    scorer = scorer_for(model, cluster)
    tried = np.arange(len(cluster.genes)) if changed is None else cluster.positions(changed)
    genes, values = movable(scorer, cluster, change, tried)
    moves = scorer.moves(genes, values)
    known = scorer.needs(genes, values) if moves is None else moves
    if known is None:
        raise ClassifierError(
            f"Nothing can be proven about single cells of {model.name}: fragility works for linear and marker models, "
            "trees, dense networks with ReLU, CHETAH, SingleR, and scAnnotatR with one threshold and no parents. Ask "
            "about whole clusters with attacks.MinChange."
        )
    rivals = range(len(known.labels))
    if isinstance(known, Moves):
        if isinstance(known, ReluMoves):
            own, _ = own_of_nearest(known)
        else:
            own = OwnSets(known, Race(known.codes, np.arange(len(known.labels)), ())).own
        found = per_cell(known, rivals, own)
        found = _with_sets(known, found, own) if sets else found
        gene, share = nearest_gene(known, found.towards)
    else:
        found = bounded(known.own, rivals)
        gene, share = np.full(len(cluster.cells), -1), np.full(len(cluster.cells), np.nan)
    named = np.append(cluster.gene_names[genes], "")
    return pd.DataFrame(
        {
            "label": known.labels[known.codes],
            "lower": numbers_of_genes(found.lower),
            "upper": numbers_of_genes(found.upper),
            "towards": known.labels[found.towards],
            "gene": named[gene],
            "share": share,
        },
        index=cluster.rows,  # not the names of cells, which may occur more than once
    )


def _with_sets(moves: Moves, found: PerCell, own: np.ndarray) -> PerCell:
    """Return the same with the sizes of sets that were found, where none was looked for before."""
    upper, open_cells = found.upper.copy(), np.flatnonzero(found.upper == UNKNOWN)
    if not len(open_cells):
        return found
    some = PerCell(*(part[open_cells] for part in found))
    for place, genes in sets_of_cells(moves.part(open_cells), some, own[open_cells], range(own.shape[1])):
        upper[open_cells[place]] = len(genes)
    return found._replace(upper=upper)
