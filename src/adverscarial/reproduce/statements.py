"""Every statement of the paper's sections 3 and 4 that states a fact, judged on one data set, in one table."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from os import PathLike
from pathlib import Path
from typing import Unpack

import pandas as pd
from anndata import AnnData

from adverscarial._docs import documented
from adverscarial.reproduce.discovery import discovery
from adverscarial.reproduce.fig1 import fig1
from adverscarial.reproduce.fig2 import fig2
from adverscarial.reproduce.fig3 import fig3
from adverscarial.reproduce.fig4 import fig4
from adverscarial.reproduce.findings import OPEN, Finding
from adverscarial.reproduce.numbers import beside_published
from adverscarial.reproduce.protocol import Executed, Execution, Markers, Setting
from adverscarial.reproduce.sctype import Published, sctype
from adverscarial.reproduce.table1 import table1
from adverscarial.reproduce.writing import Outcome, write

_CELLS = "It is about cells that are not public in this form."
_CLOCK = "It is about the authors' computers; Table 1 has the times here."
#: statements that no data set here can judge: claim, reason, place
ELSEWHERE = (
    ("On AXILLA10k the signature has 793 genes on CHETAH and 4,506 on scRF", _CELLS, "section 3.3.2"),
    ("On KIDNEY10k a descent with alpha = epsilon = 0.5 modifies 15 genes on scAnnotatR", _CELLS, "section 3.3.2"),
    ("On KIDNEY10k a descent with alpha = epsilon = 1 modifies 1 gene on scType, 577 on scMLP", _CELLS,
     "section 3.3.2, Fig. 3E"),
    ("To classify once takes scMLP 120 s and scAnnotatR 540 s with 8 GB, 60 s and 300 s with 64 GB", _CLOCK,
     "section 3.4"),
    ("To modify one gene takes 9 s with 8 GB and 1 s with 64 GB", _CLOCK, "section 3.4"),
)  # fmt: skip


@documented
def statements(  # noqa: PLR0913
    setting: Setting, adata: AnnData, *, markers: Markers = None, tissue: str | None = None,
    clusters: pd.Series | None = None, published: Published | None = None, out: str | PathLike[str] | None = None,
    numbers: pd.DataFrame | None = None, restarts: int | None = None, quick: bool = False, n_jobs: int = 1,
    **execution: Unpack[Executed],
) -> Outcome:  # fmt: skip
    """Make every figure and table, and judge each statement of the paper by them.

    Parameters
    ----------
    setting
        Cells and classifiers, of :func:`~adverscarial.reproduce.setting`.
    adata, markers, tissue, clusters, published
        For the published gene sets: see :func:`~adverscarial.reproduce.sctype`.
    out
        Folder; each figure is written into a folder of its own in it, and attacks are not made twice.
    numbers
        Published numbers, of :func:`~adverscarial.reproduce.read_numbers`: ours then stand beside them in a table.
    restarts
        Random orders of each max-change attack; left out, 10 for the published gene sets and 1 elsewhere.
    quick
        As for the figures.
    n_jobs
        Processes; -1 for all cores.
    %(execution)s

    Returns
    -------
    The table ``statements``: ``where`` in the paper, ``claim``, ``verdict``, ``because``, ``judged_in`` (the figure or
    table that judged, empty where nothing here can); and these as findings.
    """
    how, orders = Execution(**execution), 1 if restarts is None else restarts
    folders = {name: None if out is None else Path(out) / name for name in ("fig2", "sctype", "discovery")}
    parts: dict[str, Callable[[], Outcome]] = {
        "sctype": lambda: sctype(
            adata, groupby=setting.groupby, name=setting.name, markers=markers, tissue=tissue, clusters=clusters,
            published=published, out=folders["sctype"], restarts=restarts or 10, n_jobs=n_jobs,
            **how._asdict(),
        ),
        "fig1": lambda: fig1(setting, restarts=orders, quick=quick, **how._asdict()),
        "fig2": lambda: fig2(setting, out=folders["fig2"], restarts=orders, n_jobs=n_jobs, **how._asdict()),
        "fig3": lambda: fig3(setting, restarts=orders, quick=quick, **how._asdict()),
        "fig4": lambda: fig4(setting, quick=quick, **how._asdict()),
        "table1": lambda: table1(setting, restarts=orders, **how._asdict()),
        "discovery": lambda: discovery(
            setting, out=folders["discovery"], restarts=orders, quick=quick, n_jobs=n_jobs, **how._asdict()
        ),
    }  # fmt: skip
    rows: list[tuple[str, Finding]] = []
    tables: dict[str, Mapping[str, pd.DataFrame]] = {}
    for name, make in parts.items():
        how.say(f"== {name}")
        outcome = make()
        if out is not None:
            write(outcome, Path(out) / name)
        tables[name] = outcome.tables
        rows += [(name, finding) for finding in outcome.findings if finding.where]
    rows += [("", Finding(claim, OPEN, why, where)) for claim, why, where in ELSEWHERE]
    rows.sort(key=lambda row: row[1].where)
    beside_them = None if numbers is None else beside_published(numbers, tables, setting, how)
    return _outcome(setting, rows, beside_them)


def _outcome(setting: Setting, rows: list[tuple[str, Finding]], numbers: pd.DataFrame | None) -> Outcome:
    table = pd.DataFrame(
        [(one.where, one.claim, one.verdict, one.because, name) for name, one in rows],
        columns=["where", "claim", "verdict", "because", "judged_in"],
    )
    counted = table["verdict"].value_counts()
    return Outcome(
        title=f"The paper's statements on {setting.name}",
        tables={"statements": table} | ({} if numbers is None else {"paper_numbers": numbers}),
        beside=pd.DataFrame(columns=["what", "here", "paper", "dataset", "where"]),
        findings=[one for _, one in rows],
        figures={},
        notes=[
            *setting.all_notes(),
            ", ".join(f"{n} {verdict}" for verdict, n in counted.items()) + f", of {len(table)} statements.",
        ],
    )
