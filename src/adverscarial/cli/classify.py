"""``adverscarial classify``: the label of every cell, and of every cluster."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import pandas as pd
from rich import box
from rich.table import Table

from adverscarial import _store
from adverscarial.cells.cluster import cluster_labels, cluster_names
from adverscarial.classifiers.answers import vote
from adverscarial.cli.data import read_as
from adverscarial.cli.hints import note_values
from adverscarial.cli.looks import note_species
from adverscarial.cli.models import names_of, ready_made, short_name, training_of, with_genes
from adverscarial.cli.options import AsJson, DataFile, Panel, Reading
from adverscarial.cli.output import console, notes, print_json, working
from adverscarial.errors import ParameterError


def classify(
    data: DataFile,
    classifier: Annotated[
        str,
        Panel.CLASSIFIER.option(
            help="sctype, sctype:MARKERS.tsv, or a file: .npz (of train), .skops (scikit-learn), .json or .ubj "
            "(XGBoost), .txt (LightGBM), .pkl, .pickle or .joblib (CellTypist, scikit-learn; needs --trust), .R or "
            ".R:FUNCTION (your own function in R), .rds (a model of R; needs --trust)."
        ),
    ],
    *,
    groupby: Annotated[
        str | None, Panel.DATA.option(help="Column of obs: show the label of each of its clusters.")
    ] = None,
    out: Annotated[Path | None, Panel.OUTPUT.option(help="Write cell, label and best score, .csv.")] = None,
    reading: Reading,
    json: AsJson = False,
) -> None:
    """Label every cell with a classifier that needs no training any more.

    Example:  adverscarial classify pbmc3k.h5ad --preprocess lognorm --classifier mlp.npz --out labels.csv
    """
    if training_of(classifier) is not None:
        raise ParameterError(
            f"'{classifier}' must be trained first: adverscarial train LABELLED.h5ad --groupby COLUMN --classifier "
            f"{classifier} --out model.npz; then classify with --classifier model.npz."
        )
    if out is not None and out.suffix != ".csv":
        raise ParameterError(f"--out ends in '{out.suffix}'; labels are written as .csv.")
    model = ready_made(classifier, reading, names_of(reading, for_=[classifier]))
    adata = with_genes(read_as(data, reading), [model], reading)
    layer = reading.asked
    note_values(adata, {classifier: model}, layer=layer, prepare=reading.preprocess)
    note_species(adata, {short_name(classifier): model})
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
        value: dict[str, object] = {"cells": len(table), "labels": {name: int(n) for name, n in counts.items()}}
        if clusters is not None:
            value["clusters"] = [dict(zip(("cluster", "cells", "label", "share"), row, strict=True)) for row in called]
        print_json(value | ({"out": str(out)} if out is not None else {}))
        return
    if clusters is None:
        shown = Table(title=f"{model.name} · labels of {len(table):,} cells", title_justify="left", box=box.SIMPLE_HEAD)
        shown.add_column("label")
        shown.add_column("cells", justify="right")
        for name, n in counts.items():
            shown.add_row(str(name), f"{n:,}")
    else:
        shown = Table(title=f"{model.name} · label of each cluster", title_justify="left", box=box.SIMPLE_HEAD)
        for column in ("cluster", "cells", "label", "share"):
            shown.add_column(column, justify="right" if column in ("cells", "share") else "left")
        for name, n, label, share in called:
            shown.add_row(name, f"{n:,}", label, f"{share:.0%}")
    console.print(shown)
    if out is not None:
        notes.print(f"Written: {out}")
