"""Changes x classifiers x clusters x strengths, in one table."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from functools import cache
from numbers import Integral
from os import PathLike
from pathlib import Path
from typing import Literal, cast

import pandas as pd

from adverscarial._docs import documented
from adverscarial._progress import bar
from adverscarial.cells.choice import Cells, meant
from adverscarial.errors import ParameterError
from adverscarial.stresses.base import Change
from adverscarial.stresses.folder import StressFolder
from adverscarial.stresses.parts import Found, run_part
from adverscarial.stresses.plan import Asked, Part, Plan, Strengths, make_plan
from adverscarial.stresses.result import DRAWS, TABLE, StressResult
from adverscarial.surveys.interruptions import terminable


@documented
@terminable()
def stress(  # noqa: PLR0913
    adata: Cells,
    classifiers: object,
    *,
    groupby: str,
    changes: Sequence[Change | str] | Change | str | None = None,
    strengths: Strengths | None = None,
    batch: str | None = None,
    targets: Sequence[str] | None = None,
    mod: str | None = None,
    use_raw: bool = False,
    layer: str | Mapping[str, str | None] | None = None,
    counts: str | None = None,
    draws: int = 5,
    seed: int = 0,
    n_jobs: int = 1,
    out: str | PathLike[str] | None = None,
    resume: Literal["check", "trust"] = "check",
    progress: bool | None = None,
) -> StressResult:
    """Change clusters as laboratories and biology do, ever more strongly, and hear when their labels are lost.

    All changes are made to counts: shallow sequencing, dropout, ambient RNA, doublets, a measured batch shift, missing
    genes, the stress response of dissociation, swapped barcodes. Each has a strength with a unit, and whole counts come
    out; the values that the classifiers read are then made anew from them, with the library size closed again. Only
    cells of the cluster are changed.

    Parameters
    ----------
    %(adata)s
    %(classifiers)s
    groupby, targets
        Column of ``adata.obs``, and the clusters in it to change (all, when left out).
    changes
        Names such as ``"depth"``, ``"doublets:B"`` or ``"batch-shift:CTRL:STIM"``, or objects such as
        :class:`~adverscarial.stresses.Ambient`; all when left out, the batch shift only with `batch`.
    strengths
        For all changes, or a dict of change -> strengths; each change's own, when left out.
    batch
        Column of ``adata.obs`` with the batch of each cell: ambient RNA and swapped barcodes then come from the cell's
        own batch, and batch shifts are measured between two of them.
    %(values)s
    layer
        Layer that the classifiers read; ``X`` when left out. A dict names it by classifier, where they differ. Its
        values are counts, log-normalised counts, or z-scores of log-normalised counts.
    counts
        Layer with the counts. When left out: the layer ``"counts"``, where there is one, else what is read itself, or
        the counts behind it where each cell's size factor can be told from its values.
    draws
        How often each change is drawn.
    seed
        Of every random draw; the same seed gives the same table for any `n_jobs`, and for any choice of changes,
        strengths and clusters.
    n_jobs
        Processes; -1 uses all cores.
    out, resume
        Folder to write to as it goes, as in :func:`adverscarial.survey`: the same test started again continues there.
    progress
        Progress bar; left out, on a terminal only.

    Returns
    -------
    A :class:`~adverscarial.stresses.StressResult`: ``to_frame()`` by strength, ``critical()`` with the strengths at
    which labels are lost. A change that is not possible, or a classifier that fails, is named in its ``errors``.

    Raises
    ------
    DataError
        If there are no counts, and they cannot be recovered; or the values do not come out of them.
    ParameterError, GeneMismatchError
    StorageError
        If `out` belongs to another test, or cannot be written to.

    Notes
    -----
    The other cells of the data set stay as they are; z-scores keep the means and spreads of the unmodified data. So the
    numbers are those of one strange cluster among usual ones.

    Examples
    --------
    >>> import adverscarial as adv
    >>> model = adv.classifiers.ScType(scaled=False)
    >>> found = stress(adv.datasets.embedded(), model, groupby="cell_type", targets=["Dendritic"], changes="dropout",
    ...                strengths=[0.5, 0.9], draws=2)
    >>> found.to_frame()[["strength", "label"]].values.tolist()
    [[0.0, 'Dendritic cell'], [0.5, 'Dendritic cell'], [0.9, 'Progenitor']]
    """
    if resume not in ("check", "trust"):
        raise ParameterError(f"resume must be 'check' or 'trust', got {resume!r}.")
    if not isinstance(n_jobs, Integral) or (n_jobs < 1 and n_jobs != -1):
        raise ParameterError(f"n_jobs must be at least 1, or -1 for all cores, got {n_jobs!r}.")
    asked = Asked(changes, strengths, batch, targets, layer, counts, draws, seed)
    adata = meant(adata, mod=mod, use_raw=use_raw, layer=layer if isinstance(layer, str) else None)
    plan = make_plan(adata, classifiers, groupby, asked)
    folder = None if out is None else StressFolder(out)
    opened = nullcontext({}) if folder is None else folder.opened(plan, trust=resume == "trust")
    with opened as done:
        found: dict[int, Found] = dict(done)
        left = [part for part in plan.parts if part.number not in found]
        with bar("Stress", len(left), progress) as advance:
            for part, outcome in _run(plan, left, int(n_jobs)):
                found[part.number] = outcome
                if folder is not None and not outcome.errors:
                    folder.write(plan, part, outcome)
                advance()
        result = _collected(plan, [found[part.number] for part in plan.parts])
        if folder is not None:
            folder.finish(result)
    return result


def _run(plan: Plan, parts: Sequence[Part], jobs: int) -> Iterator[tuple[Part, Found]]:
    """Run the parts here or in processes, and yield each as it comes."""
    if jobs == 1 or len(parts) < 2:
        yield from ((part, run_part(plan, part)) for part in parts)
        return
    import cloudpickle
    from joblib import Parallel, delayed

    with tempfile.TemporaryDirectory(prefix="adverscarial-", ignore_cleanup_errors=True) as name:
        path = Path(name) / "plan"
        path.write_bytes(cloudpickle.dumps(plan))  # once, not with each part
        workers = Parallel(n_jobs=jobs, return_as="generator_unordered")
        yield from workers(delayed(_run_sent)(path, part) for part in parts)


def _run_sent(path: Path, part: Part) -> tuple[Part, Found]:
    return part, run_part(_received(path), part)


@cache
def _received(path: Path) -> Plan:
    import cloudpickle

    return cast("Plan", cloudpickle.loads(path.read_bytes()))


def _collected(plan: Plan, found: Sequence[Found]) -> StressResult:
    errors = {
        (str(part.change), name, part.cluster): text
        for part, one in zip(plan.parts, found, strict=True)
        for name, text in one.errors.items()
    }
    order = {name: k for k, name in enumerate(plan.models)}
    table = _stacked([one.table for one in found], TABLE, order)
    return StressResult(plan.description, table, _stacked([one.draws for one in found], DRAWS, order), errors)


def _stacked(frames: Sequence[pd.DataFrame], columns: tuple[str, ...], order: Mapping[str, int]) -> pd.DataFrame:
    """Return all rows: by change, classifier and cluster, as each of them was named."""
    full = [frame for frame in frames if len(frame)]
    if not full:
        return pd.DataFrame(columns=list(columns))
    table = pd.concat(full, ignore_index=True)
    changes = {name: k for k, name in enumerate(dict.fromkeys(table["change"]))}
    keys = table["change"].map(changes) * len(order) + table["classifier"].map(order)
    return table.iloc[keys.argsort(kind="stable")].reset_index(drop=True)
