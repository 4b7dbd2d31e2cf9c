"""``adverscarial attack``: one cluster, one attack."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from anndata import AnnData

from adverscarial import _store
from adverscarial.attacks import Result
from adverscarial.cli.data import write_data
from adverscarial.cli.gates import Outcome, judge, limits_of
from adverscarial.cli.models import setting
from adverscarial.cli.options import (
    AsJson,
    Budget,
    ClassifierSpec,
    DataFile,
    FailOver,
    Groupby,
    GuardOption,
    MaskVar,
    Panel,
    Reading,
    Seed,
    TrainFile,
)
from adverscarial.cli.output import notes, print_json, say
from adverscarial.cli.settings import attacks_of
from adverscarial.errors import ParameterError


def attack(
    data: DataFile,
    groupby: Groupby,
    target: Annotated[str, Panel.DATA.option(help="Cluster to attack.")],
    *,
    classifier: ClassifierSpec = "random-forest",
    attack: Annotated[
        str, Panel.ATTACK.option(help="single-gene, max-change, cgd, ...; see: adverscarial list.")
    ] = "single-gene",
    modification: Annotated[
        list[str],
        Panel.ATTACK.option(help="What is done to a gene; see: adverscarial list. Repeat for grid and random-walk."),
    ] = ["perc99"],  # noqa: B006
    train: TrainFile = None,
    guard: GuardOption = None,
    reading: Reading,
    mask_var: MaskVar = None,
    seed: Seed = 0,
    budget: Budget = None,
    out: Annotated[
        Path | None, Panel.OUTPUT.option(help="Write the result: .csv (table), .npz (whole), .h5ad (attacked cells).")
    ] = None,
    json: AsJson = False,
    fail_over: FailOver = None,
    **settings: object,
) -> None:
    """Attack one cluster.

    Example:  adverscarial attack pbmc3k.h5ad --preprocess counts --groupby cell_type --target B --modification perc99
    """
    if out is not None and out.suffix not in (".csv", ".npz", ".h5ad"):
        raise ParameterError(f"--out ends in '{out.suffix}'; it must end in .csv, .npz or .h5ad.")
    attacks = attacks_of([attack], modification, settings)
    if len(attacks) != 1:
        raise ParameterError(
            f"attack runs one attack, --modification asks for {len(attacks)}; use: adverscarial survey."
        )
    limits = limits_of(fail_over or [], attacks)
    adata, models = setting(
        [classifier], data, train, reading, groupby=groupby, seed=seed, guard=guard, targets=[target]
    )
    model = next(iter(models.values()))
    result = attacks[0](
        adata, model, groupby=groupby, target=target, layer=reading.asked, mask_var=mask_var, seed=seed, budget=budget
    )
    if json:
        print_json({"classifier": result.classifier, "cluster": result.target, **result.row(), "genes": result.genes})
    else:
        say(str(result))
    if out is not None:
        write(out, result, adata)
    judge(limits, [Outcome(attacks[0], f"cluster '{target}'", result)])


def write(path: Path, result: Result, adata: AnnData) -> None:
    """Write a result as the ending of the file says."""
    if path.suffix == ".csv":
        _store.write_text(path, result.to_frame().to_csv(index=False))
    elif path.suffix == ".npz":
        result.save(path)
    else:
        write_data(path, result.apply(adata))
    notes.print(f"Written: {path}")
