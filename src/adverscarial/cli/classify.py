"""``adverscarial classify``: the label of every cell, and of every cluster."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import pandas as pd
import typer
from rich import box
from rich.markup import escape
from rich.table import Table

from adverscarial import _store
from adverscarial.classifiers.base import vote
from adverscarial.cli.app import (
    AsJson,
    Classes,
    DataFile,
    Genes,
    Layer,
    Prepare,
    Preprocess,
    Tissue,
    Trust,
    console,
    notes,
    print_json,
    read,
    working,
)
from adverscarial.cli.hints import note_counts
from adverscarial.cli.models import TRAINED, names_of, ready_made
from adverscarial.cluster import cluster_labels, cluster_names
from adverscarial.errors import ParameterError


def classify(
    data: DataFile,
    classifier: Annotated[
        str,
        typer.Option(
            help="sctype, sctype:MARKERS.tsv, or a file: .npz (of train), .skops (scikit-learn), .json or .ubj "
            "(XGBoost), .txt (LightGBM), .pkl, .pickle or .joblib (CellTypist, scikit-learn; needs --trust)."
        ),
    ],
    groupby: Annotated[str | None, typer.Option(help="Column of obs: show the label of each of its clusters.")] = None,
    out: Annotated[Path | None, typer.Option(help="Write cell, label and best score, .csv.")] = None,
    tissue: Tissue = None,
    classes: Classes = None,
    genes: Genes = None,
    trust: Trust = False,
    preprocess: Prepare = Preprocess.none,
    layer: Layer = None,
    json: AsJson = False,
) -> None:
    """Label every cell with a classifier that needs no training any more.

    Example:  adverscarial classify pbmc3k.h5ad --preprocess lognorm --classifier mlp.npz --out labels.csv
    """
    if classifier in TRAINED:
        raise ParameterError(
            f"'{classifier}' must be trained first: adverscarial train LABELLED.h5ad --groupby COLUMN --classifier "
            f"{classifier} --out model.npz; then classify with --classifier model.npz."
        )
    if out is not None and out.suffix != ".csv":
        raise ParameterError(f"--out ends in '{out.suffix}'; labels are written as .csv.")
    names = names_of(classes, genes, for_=[classifier])
    model = ready_made(classifier, prepare=preprocess, tissue=tissue, trust=trust, names=names)
    adata = read(data, preprocess)
    note_counts(adata, [model], layer=layer, prepare=preprocess)
    clusters = None if groupby is None else cluster_labels(adata, groupby)
    with working(f"Classifying {adata.n_obs:,} cells ..."):
        labels = model.predict(adata, layer=layer).astype(str)
        table = pd.DataFrame({"cell": adata.obs_names.astype(str), "label": labels.to_numpy()})
        if model.gives_scores:
            table["score"] = model.scores(adata, layer=layer).max(axis=1).to_numpy()
    if out is not None:
        _store.write_text(out, table.to_csv(index=False, lineterminator="\n"))
    counts = table["label"].value_counts()
    called: list[tuple[str, int, str, float]] = []
    for name in [] if clusters is None else cluster_names(clusters):
        said = table["label"].to_numpy()[clusters == name]
        called.append((name, len(said), *vote(said)[:2]))
    if json:
        value: dict[str, Any] = {"cells": len(table), "labels": {name: int(n) for name, n in counts.items()}}
        if clusters is not None:
            value["clusters"] = [dict(zip(("cluster", "cells", "label", "share"), row, strict=True)) for row in called]
        print_json(value | ({"out": str(out)} if out is not None else {}))
        return
    if clusters is None:
        shown = Table(title=f"{model.name} · labels of {len(table):,} cells", title_justify="left", box=box.SIMPLE_HEAD)
        shown.add_column("label")
        shown.add_column("cells", justify="right")
        for name, n in counts.items():
            shown.add_row(escape(str(name)), f"{n:,}")
    else:
        shown = Table(title=f"{model.name} · label of each cluster", title_justify="left", box=box.SIMPLE_HEAD)
        for column in ("cluster", "cells", "label", "share"):
            shown.add_column(column, justify="right" if column in ("cells", "share") else "left")
        for name, n, label, share in called:
            shown.add_row(escape(name), f"{n:,}", escape(label), f"{share:.0%}")
    console.print(shown)
    if out is not None:
        notes.print(f"Written: {out}", markup=False)
