"""What do attacks find that statistics do not, and how much of it is the same everywhere? The paper's section 4."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

from adverscarial._docs import documented
from adverscarial.attacks.result import GeneSet, Result
from adverscarial.cells.choice import Cells, meant
from adverscarial.errors import DataError, ParameterError, some
from adverscarial.evaluation.expression import ExpressionTests, possible_results
from adverscarial.evaluation.overlap import overlaps_of
from adverscarial.surveys.table import Survey

COLUMNS = (
    "dataset", "classifier", "cluster", "attack", "modification", "gene", "label", "against", "log_fold_change",
    "p_adjusted", "significant",
)  # fmt: skip
#: what a gene can be found in several of, and the column that counts it
_REPEATED = {"cluster": "clusters", "classifier": "classifiers", "dataset": "datasets"}


@dataclass(frozen=True, repr=False)
class Discovery:
    """What :func:`discover` found.

    Attributes
    ----------
    genes
        One row per gene that an attack singled out.
    overlaps
        One row per pair of gene sets that were compared.
    """

    genes: pd.DataFrame
    overlaps: pd.DataFrame

    @property
    def missed(self) -> pd.DataFrame:
        """The rows of :attr:`genes` that attacks find and statistics miss, those found in most places first."""
        part = self.genes[~self.genes["significant"] & self.genes["p_adjusted"].notna()]
        order = [*_REPEATED.values()][::-1]
        return part.sort_values(order, ascending=False, kind="stable", ignore_index=True)

    def summary(self) -> pd.DataFrame:
        """Return one row per data set, classifier and attack: ``genes`` found, ``missed`` by statistics, ``share``."""
        keys = ["dataset", "classifier", "attack"]
        known = self.genes[self.genes["p_adjusted"].notna()]
        counted = known.assign(missed=~known["significant"].astype(bool)).groupby(keys, sort=False)["missed"]
        table = counted.agg(genes="size", missed="sum").reset_index()
        return table.assign(share=table["missed"] / table["genes"])

    def __repr__(self) -> str:
        return f"<Discovery: {len(self.genes):,} genes singled out, {len(self.overlaps):,} pairs of sets>"

    def __str__(self) -> str:
        names = list(dict.fromkeys(self.missed["gene"]))
        found = f"{len(self.missed):,} of {len(self.genes):,} genes that attacks single out are missed by statistics"
        alike = int((self.overlaps["q_value"] < 0.05).sum())
        pairs = f"{alike:,} of {len(self.overlaps):,} pairs of gene sets share more genes than by chance (FDR 5%)"
        return f"{found}{f': {some(names, 8)}' if names else ''}\n{pairs}"


@documented
def discover(
    found: Survey | Result | Mapping[str, Survey],
    adata: Cells | Mapping[str, Cells],
    *,
    types: Mapping[str, str] | None = None,
    mod: str | None = None,
    use_raw: bool = False,
    layer: str | None = None,
    alpha: float = 0.05,
) -> Discovery:
    """List the genes that attacks single out, which of them statistics miss, and where the same ones come up again.

    Parameters
    ----------
    found
        A survey or one result; or surveys by the name of their data set. Genes that flip the label alone, signatures,
        genes that a descent moved, and smallest sets count; impossible values do not.
    adata
        The cells that were attacked, or all of the data set: cells x genes, log-normalised. By the same names, where
        there are several.
    %(expression_tests)s

    Returns
    -------
    A :class:`Discovery`. Its ``genes`` has one row per gene that one attack singled out: ``dataset``, ``classifier``,
    ``cluster``, ``attack`` (kind of set), ``modification``, ``gene``; the new ``label`` ("" for a signature, which
    leads to none of its own); ``against``, the cluster of that name, or all other cells; ``log_fold_change`` (base 2),
    ``p_adjusted``, ``significant``, as in :func:`differential`; and in how many ``clusters``, ``classifiers`` and
    ``datasets`` this kind of attack singled the gene out. Its ``overlaps`` has one row per pair of sets that differ in
    one thing alone: ``across`` ("clusters", "classifiers" or "datasets"), ``attack``, ``modification``, ``one`` and
    ``other``, ``size_one``, ``size_other``, ``shared``, ``jaccard``, ``universe`` (genes that could be shared),
    ``p_value`` (hypergeometric, of at least so many) and ``q_value`` (Benjamini and Hochberg over all pairs).

    Raises
    ------
    DataError
        If the cells of a data set are missing, or have no such column or cluster.
    ParameterError

    Notes
    -----
    Across clusters and classifiers two sets are those of one attack with one modification; across data sets they are
    the unions over clusters of one classifier, and names of genes are compared in capitals, so that mouse and human
    meet. The universe of two clusters is the genes that were attacked, without those that the classifier is proven
    not to read; otherwise all genes of the data. Sets without genes are not compared. Cells count as independent.

    Examples
    --------
    >>> import adverscarial as adv
    >>> cells, model = adv.datasets.embedded(), adv.classifiers.ScType(scaled=False)
    >>> attack = adv.attacks.SingleGene("perc99")
    >>> survey = adv.survey(cells, model, attacks=attack, groupby="cell_type", targets=["Dendritic", "CD19+ B"])
    >>> discover(survey, cells).genes[["cluster", "gene", "significant"]].values.tolist()
    [['Dendritic', 'CD79A', True]]
    """
    if not 0 < alpha < 1:
        raise ParameterError(f"alpha must lie between 0 and 1, got {alpha!r}.")
    surveys = dict(found) if isinstance(found, Mapping) else {"": found}
    given = dict(adata) if isinstance(adata, Mapping) else dict.fromkeys(surveys, adata)
    cells = {name: meant(data, mod=mod, use_raw=use_raw, layer=layer) for name, data in given.items()}
    if lacking := [name for name in surveys if name not in cells]:
        raise DataError(f"There are no cells of {some(lacking)}; adata= has those of {some(cells)}.")
    parts = [
        _Set(name, classifier, result, genes)
        for name, survey in surveys.items()
        for classifier, result in possible_results(survey, "discover needs surveys or a result of an attack")
        if (genes := result.singled_out()) is not None
    ]
    tests = {name: ExpressionTests(data, layer, types) for name, data in cells.items()}
    frames = [block for part in parts for block in part.frames(tests[part.dataset], alpha)]
    table = pd.concat(frames, ignore_index=True) if frames else _nothing()
    for one, many in _REPEATED.items():
        table[many] = table.groupby(["attack", "gene"], sort=False)[one].transform("nunique").astype(int)
    sizes = {name: data.var_names.astype(str) for name, data in cells.items()}
    return Discovery(table, overlaps_of(table, sizes, _sharable(parts, sizes)))


@dataclass(frozen=True)
class _Set:
    """What one attack singled out."""

    dataset: str
    classifier: str
    result: Result
    found: GeneSet

    def frames(self, tests: ExpressionTests, alpha: float) -> list[pd.DataFrame]:
        """Return one row per gene, with its statistics; one table for each new label."""
        labels, blocks = self.found.labels.astype(str), []
        for label in dict.fromkeys(labels):
            genes = self.found.genes[labels == label].astype(str)
            against, statistics = tests.of(self.result, label)
            p = statistics["p_adjusted"].reindex(genes).to_numpy(dtype=float)
            block = {
                "dataset": self.dataset, "classifier": self.classifier, "cluster": self.result.target,
                "attack": self.found.kind, "modification": self.result.attack.changes_text, "gene": genes,
                "label": label, "against": against,
                "log_fold_change": statistics["log_fold_change"].reindex(genes).to_numpy(dtype=float),
                "p_adjusted": p, "significant": p < alpha,
            }  # fmt: skip
            blocks.append(pd.DataFrame(block, columns=list(COLUMNS)))
        return blocks


def _nothing() -> pd.DataFrame:
    """Return the table without a row."""
    numbers = {"log_fold_change": float, "p_adjusted": float, "significant": bool}
    return pd.DataFrame({name: pd.Series(dtype=numbers.get(name, object)) for name in COLUMNS})


def _sharable(parts: list[_Set], genes: Mapping[str, pd.Index]) -> dict[tuple[str, str], int]:
    """Return by data set and classifier how many genes were attacked that it is not proven to leave out."""
    room: dict[tuple[str, str], list[int]] = {}
    for part in parts:
        named, left_out = (getattr(part.result.attack, name, None) for name in ("genes", "exclude"))
        asked = set(genes[part.dataset]) if named is None else {named} if isinstance(named, str) else set(named)
        asked -= {left_out} if isinstance(left_out, str) else set(left_out or ())
        room.setdefault((part.dataset, part.classifier), []).append(len(asked) - part.result.proven)
    return {key: max(numbers) for key, numbers in room.items()}
