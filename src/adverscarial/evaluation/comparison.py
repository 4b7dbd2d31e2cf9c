"""Which of several classifiers withstands the same attacks best?"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Literal

import numpy as np
import pandas as pd

from adverscarial.attacks.start import check_run
from adverscarial.errors import DataError, ParameterError, did_you_mean, some
from adverscarial.evaluation.intervals import check_n_boot, percentiles
from adverscarial.evaluation.null import beyond_chance
from adverscarial.evaluation.recognition import accuracy
from adverscarial.surveys.table import Survey

Values = Literal["possible", "impossible"]

_FEWEST = 6  # clusters, below which no rank test can reach 5%, and a bootstrap of them is far too narrow
_COLUMNS = (
    "classifier", "rank", "mean", "pairs", "clusters", "difference", "difference_low", "difference_high", "p_value",
    "carried_by", "difference_without", "accuracy",
)  # fmt: skip


def compare(
    survey: Survey,
    *,
    measure: str = "flipped",
    values: Values = "possible",
    clusters: Collection[str] | None = None,
    n_boot: int = 200,
    seed: int = 0,
    null: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """Compare the classifiers of a survey under the same attacks.

    Parameters
    ----------
    survey
        Of at least two classifiers.
    measure
        What is counted per attack, fewer being better: a column of ``survey.to_frame()``, such as ``"flipped"`` (genes
        that flip the label, of SingleGene) or ``"modifiable"`` (of MaxChange).
    values
        Which attacks count: ``"possible"``, those whose values cells can have (all that are not impossible by design);
        or ``"impossible"``, the others, such as ``positive_aberrant``. The two answer different questions, and are
        never counted together.
    clusters
        Compare by these clusters; by all, when left out. The report leaves out those of few cells, and those without a
        majority.
    n_boot, seed
        Samples and seed of the bootstrap; 0 samples for no intervals (NaN).
    null
        What :func:`adverscarial.evaluation.null_flips` returned of this survey: the table then says, too, how often a
        classifier's flips are more or fewer than chance.

    Returns
    -------
    DataFrame, one row per classifier, the best first: ``classifier``; ``rank``, 1 the best, equals share the better
    one; ``mean``, of the measure over the pairs; ``pairs`` (cluster and attack) and ``clusters`` behind it;
    ``difference`` of the mean to the best classifier's; ``difference_low`` and ``difference_high``, its 95% bootstrap
    interval; ``p_value``, Wilcoxon's signed-rank test against the best, two-sided, NaN for the best itself. Below 6
    clusters, interval and p-value are NaN. ``carried_by``: the fewest clusters that make up half of the difference or
    more, and ``difference_without``, what is left of it without them. ``accuracy``: share of the cells of these
    clusters that get their cluster's name before any attack; NaN where the classifier uses other names. With `null`,
    for each of its kinds: ``expected_KIND``, the mean of flips by chance, and ``more_than_chance_KIND`` and
    ``fewer_than_chance_KIND``, the pairs of cluster and modification with an adjusted p-value below 5%.

    Raises
    ------
    DataError
        If there is one classifier only, or no attack that all of them finished.
    ParameterError

    Notes
    -----
    Only pairs that every classifier finished are counted. Attacks on one cluster resemble each other, so the bootstrap
    draws whole clusters, and the test looks at one mean difference per cluster. The two ask different questions. The
    interval is about the *mean*: how it would vary if other clusters like these had been attacked. One cluster with a
    huge difference moves it, and may keep it above 0 alone. The p-value is about the *direction*: whether the clusters
    differ in the same direction more often than by chance, however much each of them does. Where they disagree, the
    difference is that of a few clusters: see ``carried_by``. The best is chosen on the same data: p-values are not
    corrected for that, nor for their number. And a classifier that calls all cells by one name cannot be flipped: see
    ``accuracy``.

    Examples
    --------
    >>> import adverscarial as adv
    >>> models = {
    ...     "one": adv.classifiers.Markers({"B": ["CD79A"], "T": ["CD3D"]}),
    ...     "two": adv.classifiers.Markers({"B": ["CD79A", "MS4A1"], "T": ["CD3D", "CD3E"]}),
    ... }
    >>> attack = adv.attacks.SingleGene("perc99")
    >>> found = adv.survey(adv.datasets.embedded(), models, attacks=attack, groupby="cell_type")
    >>> compare(found)["classifier"].to_list()
    ['two', 'one']
    """
    check_run(None, seed)
    check_n_boot(n_boot)
    wide = _pairs(survey, measure, values, clusters)
    per_cluster = wide.groupby(level="cluster", sort=True).agg(["sum", "size"])
    names = per_cluster.index.astype(str).to_list()
    sizes = per_cluster[wide.columns[0]]["size"].to_numpy(dtype=float)
    means = wide.mean().sort_values(kind="stable")
    right = accuracy(survey, names)
    best = str(means.index[0])
    rng = np.random.default_rng([seed, 2])
    draws = [rng.integers(len(sizes), size=len(sizes)) for _ in range(n_boot if len(sizes) >= _FEWEST else 0)]
    rows = []
    for name, rank in zip(means.index, means.rank(method="min").astype(int), strict=True):
        sums = (per_cluster[name]["sum"] - per_cluster[best]["sum"]).to_numpy(dtype=float)
        samples = [float(sums[draw].sum() / sizes[draw].sum()) for draw in draws]
        p = float("nan") if name == best else _signed_rank(sums / sizes)
        carriers = _carriers(sums)
        left = np.delete(sums, carriers).sum() / max(1.0, np.delete(sizes, carriers).sum())
        carried = ", ".join(names[k] for k in carriers), left
        difference = means[name] - means[best], *percentiles(samples), p
        rows.append((name, rank, means[name], len(wide), len(sizes), *difference, *carried, right.get(str(name))))
    table = pd.DataFrame(rows, columns=list(_COLUMNS)).astype({"accuracy": float})
    return table if null is None else _beside_chance(table, null[_same_kind(survey, null, values)], names)


def _same_kind(survey: Survey, null: pd.DataFrame, values: Values) -> pd.Series:
    """Return which rows of `null` are of attacks with such values."""
    odd = {task.attack.changes_text for task in survey.tasks if task.attack.impossible}
    return null["modification"].isin(odd) == (values == "impossible")


def _beside_chance(table: pd.DataFrame, null: pd.DataFrame, clusters: list[str]) -> pd.DataFrame:
    """Return the table with what `null` says of the same clusters."""
    part = null[null["cluster"].isin(clusters)]
    for kind, summed in beyond_chance(part).groupby("kind", sort=False):
        columns = ["expected", "more_than_chance", "fewer_than_chance"]
        named = summed.set_index("classifier")[columns].rename(columns=lambda name, kind=kind: f"{name}_{kind}")
        table = table.join(named, on="classifier")
    return table


def _carriers(sums: np.ndarray) -> Sequence[int]:
    """Return the fewest clusters whose differences make up half of the whole difference or more, the largest first."""
    total = sums.sum()
    if not total:
        return []
    order = np.argsort(-sums * np.sign(total), kind="stable")
    enough = int(np.argmax(np.cumsum(sums[order]) * np.sign(total) >= abs(total) / 2))
    return [int(k) for k in order[: enough + 1]]


def _pairs(survey: Survey, measure: str, values: Values, clusters: Collection[str] | None) -> pd.DataFrame:
    """Return the measure, one row per (cluster, attack) that all classifiers finished, one column per classifier."""
    if values not in ("possible", "impossible"):
        raise ParameterError(f"values must be 'possible' or 'impossible', got {values!r}.")
    frame = survey.to_frame()
    numbers = [name for name in frame.columns if pd.api.types.is_numeric_dtype(frame[name])]
    if measure not in numbers:
        raise ParameterError(
            f"This survey has no number '{measure}' to compare by.{did_you_mean(measure, numbers)} "
            f"There are: {some(numbers, 20)}."
        )
    frame["attack"] = [repr(task.attack) for task in survey.tasks]  # all its settings, unlike the table's column
    names = list(dict.fromkeys(frame["classifier"]))
    if len(names) < 2:
        raise DataError(f"A comparison needs at least two classifiers; this survey has {some(names)} only.")
    odd = np.array([task.attack.impossible for task in survey.tasks], dtype=bool)
    asked = odd == (values == "impossible")
    if clusters is not None:
        asked &= frame["cluster"].isin(list(clusters)).to_numpy()
    finished = frame[frame["complete"].fillna(False).astype(bool) & asked]
    wide = finished.pivot(index=["cluster", "attack"], columns="classifier", values=measure)
    wide = wide.reindex(columns=names).dropna().astype(float)
    if not len(wide):
        other = "impossible" if values == "possible" else "possible"
        only = "" if asked.any() else f" All its attacks write {other} values: see values='{other}'."
        raise DataError(
            f"There is no attack with {values} values that all {len(names)} classifiers finished with a '{measure}'."
            f"{only or ' See the column error of survey.to_frame().'}"
        )
    return wide


def _signed_rank(differences: np.ndarray) -> float:
    from scipy.stats import wilcoxon

    if len(differences) < _FEWEST:
        return float("nan")
    if not differences.any():
        return 1.0  # no difference anywhere; scipy has no answer to that
    return float(wilcoxon(differences).pvalue)
