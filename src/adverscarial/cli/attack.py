"""``adverscarial attack``: one cluster, one attack."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from adverscarial import _store
from adverscarial.attacks import Result, SingleGeneResult
from adverscarial.attacks.registry import build
from adverscarial.cli.app import (
    AsJson,
    Classes,
    ClassifierSpec,
    Confirm,
    DataFile,
    FailOver,
    Genes,
    Groupby,
    Layer,
    Prepare,
    Preprocess,
    Seed,
    Tissue,
    TrainFile,
    Trust,
    fail_over,
    notes,
    print_json,
    read,
    write_data,
)
from adverscarial.cli.models import names_of, setting
from adverscarial.errors import ParameterError


def attack(
    data: DataFile,
    groupby: Groupby,
    target: Annotated[str, typer.Option(help="Cluster to attack.")],
    classifier: ClassifierSpec = "random-forest",
    attack: Annotated[
        str, typer.Option(help="single-gene, max-change, cgd, ...; see: adverscarial list.")
    ] = "single-gene",
    modification: Annotated[
        list[str], typer.Option(help="What is done to a gene; see: adverscarial list. Repeat for grid and random-walk.")
    ] = ["perc99"],  # noqa: B006
    gene: Annotated[list[str] | None, typer.Option(help="Attack only this gene; repeat for several.")] = None,
    alpha: Annotated[float | None, typer.Option(help="Relative step, for cgd.")] = None,
    epsilon: Annotated[
        float | None, typer.Option(help="Absolute step, for cgd; largest change, for fgsm and pgd.")
    ] = None,
    confirm: Confirm = False,
    train: TrainFile = None,
    tissue: Tissue = None,
    classes: Classes = None,
    genes: Genes = None,
    trust: Trust = False,
    preprocess: Prepare = Preprocess.none,
    layer: Layer = None,
    seed: Seed = 0,
    budget: Annotated[int | None, typer.Option(help="Most questions to ask the classifier.")] = None,
    out: Annotated[
        Path | None, typer.Option(help="Write the result: .csv (table), .npz (whole), .h5ad (attacked cells).")
    ] = None,
    json: AsJson = False,
    fail_over_: FailOver = None,
) -> None:
    """Attack one cluster.

    Example:  adverscarial attack pbmc3k.h5ad --preprocess counts --groupby cell_type --target B --modification perc99
    """
    if out is not None and out.suffix not in (".csv", ".npz", ".h5ad"):
        raise ParameterError(f"--out ends in '{out.suffix}'; it must end in .csv, .npz or .h5ad.")
    attacks = build(attack, modification, genes=gene, alpha=alpha, epsilon=epsilon, confirm=confirm or None)
    if len(attacks) != 1:
        raise ParameterError(
            f"attack runs one attack, --modification asks for {len(attacks)}; use: adverscarial survey."
        )
    adata = read(data, preprocess)
    adata, models = setting(
        [classifier],
        adata,
        train,
        preprocess,
        groupby=groupby,
        layer=layer,
        seed=seed,
        tissue=tissue,
        trust=trust,
        names=names_of(classes, genes, for_=[classifier]),
    )
    result: Result = attacks[0](
        adata, next(iter(models.values())), groupby=groupby, target=target, layer=layer, seed=seed, budget=budget
    )
    if json:
        print_json({"classifier": result.classifier, "cluster": result.target, **result.row(), "genes": result.genes})
    else:
        typer.echo(str(result))
    if out is not None:
        if out.suffix == ".csv":
            _store.write_text(out, result.to_frame().to_csv(index=False))
        elif out.suffix == ".npz":
            result.save(out)
        else:
            write_data(out, result.apply(adata))
        notes.print(f"Written: {out}")
    if isinstance(result, SingleGeneResult):
        fail_over(fail_over_, len(result.genes), f"cluster '{target}'")
