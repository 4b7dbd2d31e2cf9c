"""How strong must a gradient descent be? The same attack at many alphas and epsilons (the paper's Fig. 4A-B)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import numpy as np
import pandas as pd

from adverscarial._docs import documented
from adverscarial._progress import track
from adverscarial.attacks.cgd import ClusterGradientDescent
from adverscarial.attacks.run import Meter, Run
from adverscarial.attacks.start import check_run, scorer_for
from adverscarial.cells.choice import Cells, meant
from adverscarial.cells.cluster import Cluster
from adverscarial.cells.statistics import GeneStatistics
from adverscarial.classifiers.base import Classifier
from adverscarial.classifiers.scorers.base import Scorer
from adverscarial.classifiers.wrap import wrap
from adverscarial.errors import ParameterError, some

#: how a strength s is split into (alpha, epsilon)
KINDS = {"alpha": (1, 0), "epsilon": (0, 1), "both": (1, 1)}
#: the 21 strengths of the paper: 0, 0.1, ..., 2
STRENGTHS = tuple(round(0.1 * k, 1) for k in range(21))
_GENES = 500  # of the ranking, as in the paper


@documented
def sweep(  # noqa: PLR0913
    adata: Cells,
    classifier: object,
    *,
    groupby: str,
    target: str,
    genes: Sequence[str] | None = None,
    strengths: Sequence[float] = STRENGTHS,
    kinds: Sequence[Literal["alpha", "epsilon", "both"]] = ("alpha", "epsilon", "both"),
    attack: ClusterGradientDescent | None = None,
    mod: str | None = None, use_raw: bool = False, layer: str | None = None,
    seed: int = 0,
    progress: bool | None = None,
    statistics: GeneStatistics | None = None,
) -> pd.DataFrame:  # fmt: skip
    """Attack one cluster by gradient descent at many strengths, with alpha alone, epsilon alone, and both equal.

    Parameters
    ----------
    %(adata)s
    classifier
        A classifier with scores, or anything that :func:`adverscarial.classifiers.wrap` understands.
    %(groupby)s
    genes
        Names, in the order in which they are moved. Left out: those of `attack`, else the first 500 of its ranking,
        which is computed once.
    strengths
        Values of alpha, epsilon, or both; the paper's 0, 0.1, ..., 2 when left out. At 0 nothing is changed.
    kinds
        Which of the three to try.
    attack
        A :class:`~adverscarial.attacks.ClusterGradientDescent` whose other settings are taken.
    %(values)s
    %(layer_attacked)s
    seed
        Of the ranking, where it is random.
    %(progress)s
    %(statistics)s

    Returns
    -------
    DataFrame, one row per kind and strength: ``classifier``, ``cluster``, ``kind``, ``strength``, ``alpha``,
    ``epsilon``; ``available``, genes there were to test; ``tested`` until the label switched, all of them where it did
    not; ``modified`` in at least one cell; ``ratio``, tested per modified gene, NaN where none moved; ``success``;
    ``baseline``; and the ``label`` at the end with its ``share``. At strength 0, nothing is tested. Tables of several
    classifiers can be put below each other with :func:`pandas.concat`.

    %(attack_errors_and_example)s
    >>> model = adv.classifiers.ScType(scaled=False)
    >>> table = sweep(adv.datasets.embedded(), model, groupby="cell_type", target="CD19+ B",
    ...               genes=["CD79A", "CD79B", "MS4A1"], strengths=[0, 2], kinds=["both"])
    >>> table[["alpha", "epsilon", "tested", "success"]].values.tolist()
    [[0.0, 0.0, 0, False], [2.0, 2.0, 2, True]]
    """
    check_run(None, seed)
    pairs = _pairs(strengths, kinds)
    model = wrap(classifier)
    adata = meant(adata, mod=mod, use_raw=use_raw, layer=layer)
    cluster = Cluster(adata, groupby, target, layer=layer, seed=seed, statistics=statistics)
    scorer = scorer_for(model, cluster)
    attack = _with_genes(attack or ClusterGradientDescent(max_genes=_GENES), genes, cluster, scorer, model)
    available = len(attack.genes or ())
    rows = []
    for kind, strength, alpha, epsilon in track(pairs, f"Sweep · {cluster.target}", len(pairs), progress):
        row = {"kind": kind, "strength": strength, "alpha": alpha, "epsilon": epsilon, "available": available}
        if alpha == epsilon == 0:
            found = {"tested": 0, "modified": 0, "success": False}
            label, share = scorer.baseline.label, scorer.baseline.share
        else:
            end = replace(attack, alpha=alpha, epsilon=epsilon).run(cluster, model, scorer)
            found = {"tested": len(end.gene), "modified": len(end.modified_genes), "success": end.success}
            label, share = end.label, end.share
        ratio = found["tested"] / found["modified"] if found["modified"] else np.nan
        labels = {"baseline": scorer.baseline.label, "label": label, "share": share}
        rows.append({"classifier": model.name, "cluster": cluster.target, **row, **found, "ratio": ratio, **labels})
    return pd.DataFrame(rows)


def _pairs(strengths: Sequence[float], kinds: Sequence[str]) -> list[tuple[str, float, float, float]]:
    """Return kind, strength, alpha and epsilon of each run."""
    if strange := [kind for kind in kinds if kind not in KINDS]:
        raise ParameterError(f"kinds may be {some(KINDS)}, got {strange[0]!r}.")
    values = np.asarray(strengths, dtype=np.float64)
    if values.ndim != 1 or not len(values) or not len(kinds) or not np.isfinite(values).all() or (values < 0).any():
        raise ParameterError(
            "A sweep needs at least one kind, and strengths that are finite and not negative, such as [0, 0.5, 1]; got "
            f"kinds={list(kinds)!r}, strengths={strengths!r}."
        )
    return [(kind, s, s * KINDS[kind][0], s * KINDS[kind][1]) for kind in kinds for s in values.tolist()]


def _with_genes(
    attack: ClusterGradientDescent, genes: Sequence[str] | None, cluster: Cluster, scorer: Scorer, model: Classifier
) -> ClusterGradientDescent:
    """Return the attack with its genes by name, so that no run has to rank them again."""
    if genes is not None:
        attack = replace(attack, genes=genes)
    run = Run(cluster, scorer, model, Meter())
    return replace(attack, genes=tuple(cluster.genes[attack.ordered_genes(run)]))
