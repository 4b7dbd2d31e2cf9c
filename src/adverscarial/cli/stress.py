"""``adverscarial stress``: technical and biological change of all clusters, and when their labels are lost."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import pandas as pd
from rich import box
from rich.table import Table

from adverscarial.cli.exits import NotDecided
from adverscarial.cli.models import setting
from adverscarial.cli.options import (
    AsJson,
    ClassifierSpecs,
    DataFile,
    Groupby,
    Jobs,
    Panel,
    Reading,
    Seed,
    TrainFile,
)
from adverscarial.cli.output import console, notes, print_json
from adverscarial.stresses import StressResult
from adverscarial.stresses import stress as run_stress

Kinds = Annotated[
    list[str] | None,
    Panel.CHANGE.option(
        help="depth, dropout, ambient, doublets[:CLUSTER], batch-shift[:FROM:TO], missing-genes[:GENE,...], "
        "dissociation[:GENE,...], swapping. Repeat for several; all when left out."
    ),
]
Strengths = Annotated[
    list[float] | None,
    Panel.CHANGE.option(help="Repeat for several; each change's own when left out, such as 0.1 to 0.95 of the counts."),
]
Batch = Annotated[
    str | None,
    Panel.CHANGE.option(
        help="Column of obs with the batch of each cell: batch shifts are measured between two of them."
    ),
]
Draws = Annotated[int, Panel.CHANGE.option(help="How often each change is drawn.")]
Counts = Annotated[
    str | None,
    Panel.DATA.option(
        help='Layer with the counts; when left out, "counts", or the values themselves, from which counts are '
        "recovered where they can be."
    ),
]


@dataclass(frozen=True, kw_only=True)
class Changes:
    """What is done to the counts, how often, and which counts these are."""

    change: Kinds = None
    strength: Strengths = None
    batch: Batch = None
    draws: Draws = 5
    counts: Counts = None


def stress(
    data: DataFile,
    groupby: Groupby,
    *,
    classifier: ClassifierSpecs = ["random-forest"],  # noqa: B006
    asked: Changes,
    target: Annotated[
        list[str] | None, Panel.DATA.option(help="Cluster to change; repeat for several, all when left out.")
    ] = None,
    train: TrainFile = None,
    reading: Reading,
    seed: Seed = 0,
    jobs: Jobs = 1,
    out: Annotated[
        Path, Panel.OUTPUT.option(help="Folder for the results, tables and figures; run again to continue.")
    ] = Path("adverscarial-stress"),
    json: AsJson = False,
) -> None:
    """Change all clusters as laboratories do, ever more strongly, and say when their labels are lost.

    Example:  adverscarial stress pbmc3k.h5ad --preprocess counts --groupby cell_type --change ambient --out run/
    """
    cells, models = setting(classifier, data, train, reading, groupby=groupby, seed=seed, targets=target)
    found = run_stress(
        cells, models, groupby=groupby, changes=asked.change or None, strengths=asked.strength or None,
        batch=asked.batch, targets=target, layer=reading.asked, counts=asked.counts, draws=asked.draws, seed=seed,
        n_jobs=jobs, out=out,
    )  # fmt: skip
    critical = found.critical()
    if json:
        errors = [{"change": c, "classifier": m, "cluster": t, "error": e} for (c, m, t), e in found.errors.items()]
        print_json({"critical": rows(critical), "rows": rows(found.to_frame()), "errors": errors})
    else:
        show(critical)
        notes.print(f"Tables: {out / 'critical.csv'}, {out / 'table.csv'}", soft_wrap=True)
        if len(critical):
            notes.print(f"Figure: {draw(found, out / 'critical.png')}", soft_wrap=True)
    if found.errors:
        first = next(iter(found.errors.values()))
        notes.print(f"{len(found.errors):,} combinations were not measured. The first: {first}", soft_wrap=True)
        raise NotDecided


def rows(table: pd.DataFrame) -> list[dict[str, object]]:
    """Return a table as JSON values; a strength that was never reached is left out."""
    return [
        {str(key): value for key, value in row.items() if not (isinstance(value, float) and np.isinf(value))}
        for row in table.astype(object).to_dict(orient="records")
    ]


def show(critical: pd.DataFrame) -> None:
    """Print one table per classifier: clusters down, changes across."""
    for name, part in critical.groupby("classifier", sort=False):
        console.print(f"{name} · strength at which half of the cells lose their label", style="italic", soft_wrap=True)
        table = Table(box=box.SIMPLE_HEAD, padding=(0, 1))
        table.add_column("cluster")
        changes = list(dict.fromkeys(part["change"]))
        for one in changes:
            table.add_column(str(one), justify="right")
        for cluster, own in part.groupby("cluster", sort=False):
            values = dict(zip(own["change"], own["cells"], strict=True))
            table.add_row(str(cluster), *(_text(values.get(one)) for one in changes))
        console.print(table)
    for change, unit in critical.drop_duplicates("change")[["change", "unit"]].itertuples(index=False):
        console.print(f"  {change}: {unit}", soft_wrap=True)


def _text(value: float | None) -> str:
    return "-" if value is None else "held" if np.isinf(value) else f"{value:.2f}"


def draw(found: StressResult, path: Path) -> Path:
    """Write the heat map of critical strengths as a PNG, and return its path."""
    import matplotlib.pyplot as plt

    from adverscarial import _store, pl

    picture = pl.critical(found).get_figure(root=True)
    assert picture is not None
    _store.write_atomically(path, lambda file: picture.savefig(file, dpi=200, format="png"))
    plt.close(picture)
    return path
