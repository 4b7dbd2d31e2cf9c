"""``adverscarial train``: a classifier from labelled cells, in a file that the other commands read."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from rich import box
from rich.table import Table

from adverscarial import datasets
from adverscarial.cli.data import read
from adverscarial.cli.hints import note_values
from adverscarial.cli.looks import note_labels
from adverscarial.cli.models import check_column, trainable, trained, training_of
from adverscarial.cli.options import AsJson, DataFile, Groupby, Layer, Mod, Panel, Prepare, Preprocess, Raw, Seed
from adverscarial.cli.output import console, notes, print_json, working
from adverscarial.errors import ParameterError, did_you_mean


def train(
    data: DataFile,
    groupby: Groupby,
    out: Annotated[Path, Panel.OUTPUT.option(help="File for the classifier, .npz: numbers and text only.")],
    classifier: Annotated[
        str, Panel.CLASSIFIER.option(help="What to train; see: adverscarial list.")
    ] = "random-forest",
    all_: Annotated[
        bool,
        Panel.CLASSIFIER.option(
            "--all", help="Train on all cells; its accuracy is then that on its own training cells."
        ),
    ] = False,
    preprocess: Prepare = Preprocess.none,
    mod: Mod = None,
    layer: Layer = None,
    raw: Raw = False,
    seed: Seed = 0,
    json: AsJson = False,
) -> None:
    """Train a classifier on one half of the cells, show its accuracy on the other, and save it.

    Example:  adverscarial train pbmc3k.h5ad --preprocess lognorm --groupby cell_type --classifier mlp --out mlp.npz
    """
    known, kind = list(trainable()), training_of(classifier)
    if kind is None:
        raise ParameterError(
            f"There is no classifier '{classifier}' to train.{did_you_mean(classifier, known)} "
            f"There are: {', '.join(known)}."
        )
    if out.suffix != ".npz":
        raise ParameterError(f"--out ends in '{out.suffix}'; classifiers are saved as .npz.")
    adata = read(data, preprocess, raw=raw, layer=layer, mod=mod)
    layer = layer if preprocess is Preprocess.none else None
    note_values(adata, {}, [trainable()[kind]], layer=layer, prepare=preprocess)
    check_column(adata, groupby)
    note_labels(adata, groupby, halves=not all_)
    labelled, held_out = (adata, adata) if all_ else datasets.split(adata, groupby, seed=seed)
    model = trained(classifier, labelled, groupby, layer=layer, seed=seed, prepare=preprocess)
    named = held_out[held_out.obs[groupby].notna()]  # a cell without a type is neither right nor wrong
    with working(f"Classifying {named.n_obs:,} cells ..."):
        summary = model.summary(named, groupby, layer=layer)
    model.save(out)
    cells, correct = int(summary["cells"].sum()), int(summary["correct"].sum())
    overall = correct / max(cells, 1)
    if json:
        print_json(
            {
                "classifier": model.name,
                "trained_on": labelled.n_obs,
                "held_out": not all_,
                "accuracy": overall,
                "types": summary.to_dict(orient="records"),
                "out": str(out),
            }
        )
        return
    where = "its own training cells (too good to be true elsewhere)" if all_ else "the held-out half"
    table = Table(title=f"{model.name} · accuracy on {where}", title_justify="left", box=box.SIMPLE_HEAD)
    for column in ("cell type", "cells", "correct", "accuracy", "most confused with"):
        table.add_column(column, justify="left" if column in ("cell type", "most confused with") else "right")
    for name, n, right, accuracy, confused in summary.itertuples(index=False):
        table.add_row(str(name), f"{n:,}", f"{right:,}", f"{accuracy:.1%}", confused)
    table.add_section()
    table.add_row("all", f"{cells:,}", f"{correct:,}", f"{overall:.1%}", "")
    console.print(table)
    notes.print(f"Written: {out}")
