"""Classifiers x clusters x attacks, in one table; interrupted and started again, it goes on where it was."""

from __future__ import annotations

from collections.abc import Sequence
from multiprocessing import current_process
from numbers import Integral
from os import PathLike
from typing import Literal

import numpy as np

from adverscarial._docs import documented
from adverscarial._progress import bar
from adverscarial.attacks.base import Attack
from adverscarial.attacks.result import Result
from adverscarial.attacks.start import check_run
from adverscarial.cells.choice import Cells, meant
from adverscarial.cells.cluster import masked_genes
from adverscarial.errors import ParameterError
from adverscarial.surveys.dask_workers import current_client
from adverscarial.surveys.folder import RunFolder
from adverscarial.surveys.interruptions import terminable
from adverscarial.surveys.plan import make_plan
from adverscarial.surveys.several import Asked, Workers, run_all
from adverscarial.surveys.table import Survey


@documented
@terminable()
def survey(  # noqa: PLR0913
    adata: Cells,
    classifiers: object,
    *,
    attacks: Sequence[Attack[Result]] | Attack[Result],
    groupby: str,
    targets: Sequence[str] | None = None,
    mod: str | None = None,
    use_raw: bool = False,
    layer: str | None = None,
    mask_var: str | Sequence[bool] | np.ndarray | None = None,
    seed: int = 0,
    n_jobs: int = 1,
    backend: str | None = None,
    out: str | PathLike[str] | None = None,
    resume: Literal["check", "trust"] = "check",
    budget: int | None = None,
    time_limit: float | None = None,
    progress: bool | None = None,
) -> Survey:
    """Attack every cluster of every classifier with every attack (R: ``singleGeneOverview``, ``maxChangeOverview``).

    Parameters
    ----------
    %(adata)s
    %(classifiers)s
    attacks
        One attack or several.
    groupby, targets
        Column of ``adata.obs``, and the clusters in it to attack (all, when left out).
    %(values)s
    %(layer_attacked)s
    %(mask_var)s
    seed
        Of every random draw; the same seed gives the same table for any `n_jobs`.
    n_jobs
        Processes; -1 uses all cores.
    backend
        ``"loky"`` (processes, the default) or ``"threading"``. Or ``"dask"``: the workers of the dask client
        of this process, on any number of machines; `n_jobs` is not used then.
    out
        Folder to write to as it goes. The same survey started again on the same folder continues there. One of more,
        fewer or other classifiers, clusters or attacks takes the results that are there and computes what is new; the
        rest is kept for when it is asked for again. Other data or settings are refused. What counts as the same is
        decided by content, never by a name.
    resume
        What happens when it cannot be told whether the survey in `out` is the same, because a classifier or a function
        has a content that cannot be read, such as an open connection. ``"check"``: the survey is refused.
        ``"trust"``: you know that it is the same, and it continues. What can be read is compared either way.
    budget
        Most queries per attack.
    time_limit
        Seconds that the classifier may take for one query; an attack in which it takes longer fails in its row, and
        the others go on. The attacks then run in processes of their own, which are ended when they hang, also in
        compiled code, and started anew; :mod:`adverscarial.surveys.timeouts` says what is not watched. For classifiers
        that might hang: a service, a library under test.
    progress
        Progress bar, with that of each attack below where they run in this process; left out, on a terminal only.

    Returns
    -------
    A :class:`Survey`. Where a classifier fails, or a process ends in which it was asked, its row says so and the others
    are complete.

    Raises
    ------
    DataError, ParameterError
    GeneMismatchError
        If no classifier can read data with these genes. Where only some cannot, their rows say so.
    MemoryLimitError
        If the largest clusters do not fit into memory, `n_jobs` at a time.
    StorageError
        If `out` belongs to another survey, another survey is writing to it, or it cannot be written to.

    Examples
    --------
    >>> import adverscarial as adv
    >>> model = adv.classifiers.ScType(scaled=False)
    >>> attack = adv.attacks.SingleGene("perc99")
    >>> result = survey(adv.datasets.embedded(), model, attacks=attack, groupby="cell_type", targets=["Dendritic"])
    >>> result.to_frame()[["cluster", "baseline", "flipped"]].values.tolist()
    [['Dendritic', 'Dendritic cell', 1]]
    """
    check_run(budget, seed)
    if resume not in ("check", "trust"):
        raise ParameterError(f"resume must be 'check' or 'trust', got {resume!r}.")
    how = workers(n_jobs, backend, time_limit)
    adata = meant(adata, mod=mod, use_raw=use_raw, layer=layer)
    if mask_var is not None:
        genes = masked_genes(adata, mask_var)
        attacks = [attack.within(genes) for attack in ([attacks] if isinstance(attacks, Attack) else attacks)]
    plan = make_plan(
        adata, classifiers, attacks, groupby=groupby, targets=targets, layer=layer, seed=seed, budget=budget
    )
    asked = Asked(plan, None if out is None else RunFolder(out), trust=resume == "trust")
    with bar("Survey", len(plan.tasks), progress) as advance:
        return run_all([asked], how, advance)[0]


def workers(n_jobs: int, backend: str | None = None, time_limit: float | None = None) -> Workers:
    """Return where the attacks are to run, once that is known to make sense."""
    from joblib import cpu_count

    if time_limit is not None and not 0 < time_limit < 1e6:
        raise ParameterError(f"time_limit must be seconds per query, above 0, got {time_limit!r}.")
    if backend not in (None, "loky", "threading", "dask"):
        raise ParameterError(f"backend must be 'loky' (processes), 'threading' or 'dask', got {backend!r}.")
    if backend == "dask":
        current_client()
        if time_limit is not None:
            raise ParameterError("time_limit= watches processes of this machine, not dask's workers: leave one out.")
        return Workers(1, backend, None)
    if not isinstance(n_jobs, Integral) or (n_jobs < 1 and n_jobs != -1):
        raise ParameterError(f"n_jobs must be at least 1, or -1 for all cores, got {n_jobs!r}.")
    if current_process().daemon and backend != "threading" and (n_jobs != 1 or time_limit is not None):
        raise ParameterError(
            "n_jobs= and time_limit= start processes, and this process, a worker of multiprocessing.Pool for example, "
            "is not allowed to start any. Use backend='threading' or n_jobs=1, both without time_limit, or run the "
            "survey in a worker that may start processes: those of joblib and concurrent.futures may."
        )
    return Workers(int(cpu_count() if n_jobs == -1 else n_jobs), backend, time_limit)
