"""Which of several classifiers withstands the same attacks best?"""

from __future__ import annotations

import numpy as np
import pandas as pd

from adverscarial.attacks.base import check_run
from adverscarial.errors import DataError, ParameterError, did_you_mean, some
from adverscarial.evaluation.intervals import check_n_boot, percentiles
from adverscarial.evaluation.survey import Survey

_FEWEST = 6  # clusters, below which no rank test can reach 5%, and a bootstrap of them is far too narrow


def compare(survey: Survey, *, measure: str = "flipped", n_boot: int = 200, seed: int = 0) -> pd.DataFrame:
    """Compare the classifiers of a survey under the same attacks.

    Parameters
    ----------
    survey
        Of at least two classifiers.
    measure
        What is counted per attack, fewer being better: a column of ``survey.to_frame()``, such as ``"flipped"`` (genes
        that flip the label, of SingleGene) or ``"modifiable"`` (of MaxChange).
    n_boot, seed
        Samples and seed of the bootstrap; 0 samples for no intervals (NaN).

    Returns
    -------
    DataFrame, one row per classifier, the best first: ``classifier``; ``rank``, 1 the best, equals share the better
    one; ``mean``, of the measure over the pairs; ``pairs`` (cluster and attack) and ``clusters`` behind it;
    ``difference`` of the mean to the best classifier's; ``difference_low`` and ``difference_high``, its 95% bootstrap
    interval; ``p_value``, Wilcoxon's signed-rank test against the best, two-sided, NaN for the best itself. Below 6
    clusters, interval and p-value are NaN.

    Raises
    ------
    DataError
        If there is one classifier only, or no attack that all of them finished.
    ParameterError

    Notes
    -----
    Only pairs that every classifier finished are counted. Attacks on one cluster resemble each other, so the bootstrap
    draws whole clusters, and the test looks at one mean difference per cluster. The best is chosen on the same data:
    p-values are not corrected for that, nor for their number.

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
    wide = _pairs(survey, measure)
    per_cluster = wide.groupby(level="cluster", sort=True).agg(["sum", "size"])
    sizes = per_cluster[wide.columns[0]]["size"].to_numpy(dtype=float)
    means = wide.mean().sort_values(kind="stable")
    best = str(means.index[0])
    rng = np.random.default_rng([seed, 2])
    draws = [rng.integers(len(sizes), size=len(sizes)) for _ in range(n_boot if len(sizes) >= _FEWEST else 0)]
    rows = []
    for name in means.index:
        sums = (per_cluster[name]["sum"] - per_cluster[best]["sum"]).to_numpy(dtype=float)
        samples = [float(sums[draw].sum() / sizes[draw].sum()) for draw in draws]
        p = float("nan") if name == best else _signed_rank(sums / sizes)
        rows.append((name, means[name], len(wide), len(sizes), means[name] - means[best], *percentiles(samples), p))
    columns = ["classifier", "mean", "pairs", "clusters", "difference", "difference_low", "difference_high", "p_value"]
    table = pd.DataFrame(rows, columns=columns)
    table.insert(1, "rank", table["mean"].rank(method="min").astype(int))
    return table


def _pairs(survey: Survey, measure: str) -> pd.DataFrame:
    """Return the measure, one row per (cluster, attack) that all classifiers finished, one column per classifier."""
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
    finished = frame[frame["complete"].fillna(False).astype(bool)]
    wide = finished.pivot(index=["cluster", "attack"], columns="classifier", values=measure)
    wide = wide.reindex(columns=names).dropna().astype(float)
    if not len(wide):
        raise DataError(
            f"There is no attack that all {len(names)} classifiers finished with a '{measure}'. "
            "See the column 'error' of survey.to_frame()."
        )
    return wide


def _signed_rank(differences: np.ndarray) -> float:
    from scipy.stats import wilcoxon

    if len(differences) < _FEWEST:
        return float("nan")
    if not differences.any():
        return 1.0  # no difference anywhere; scipy has no answer to that
    return float(wilcoxon(differences).pvalue)
