"""A first look at an expensive classifier: few queries, coarse answers."""

from __future__ import annotations

from collections.abc import Iterable

from adverscarial.attacks.base import Attack
from adverscarial.attacks.max_change import MaxChange
from adverscarial.attacks.result import Result
from adverscarial.attacks.single_gene import SingleGene
from adverscarial.modifications import Modification


def overview(
    modifications: Iterable[Modification | str] = ("perc1", "perc99"), *, bins: int = 20, max_split_size: int = 100
) -> list[Attack[Result]]:
    """Return the attacks of a first look at an expensive classifier, for a survey.

    R: ``singleGeneOverview``, ``maxChangeOverview``. Both searches stop halving at groups of `max_split_size` genes, so
    a cluster that nothing moves costs `bins` queries and one, whatever the number of genes.

    Parameters
    ----------
    modifications
        What is done to the genes; two attacks for each.
    bins
        First groups of the single-gene search; the paper has 20, the R code 100.
    max_split_size
        Groups of at most this many genes are reported, or dropped, as a whole.

    Returns
    -------
    For each modification a :class:`SingleGene`, whose result counts *groups* that flip the label (column ``groups`` of
    the survey) and the genes in them (``flipped``), and a :class:`MaxChange`, whose ``modifiable`` is a lower bound.

    Raises
    ------
    ParameterError

    Examples
    --------
    >>> import adverscarial as adv
    >>> model, attacks = adv.classifiers.ScType(scaled=False), overview(["perc99"], max_split_size=20)
    >>> found = adv.survey(adv.datasets.embedded(), model, attacks=attacks, groupby="cell_type", targets=["Dendritic"])
    >>> found.to_frame()[["attack", "queries"]].values.tolist()
    [['SingleGene', 22], ['MaxChange', 3]]
    """
    return [
        attack
        for modification in ([modifications] if isinstance(modifications, str | Modification) else modifications)
        for attack in (
            SingleGene(modification, search="bisect", bins=bins, max_split_size=max_split_size),
            MaxChange(modification, restarts=1, max_split_size=max_split_size, maximal=False),
        )
    ]
