"""Which classifier a specification on the command line means: one to train, one that comes ready-made, or a file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from anndata import AnnData
from rich.markup import escape

from adverscarial import datasets
from adverscarial.classifiers import MLP, Chetah, Classifier, Markers, RandomForest, ScAnnotatR, ScType, SingleR, load
from adverscarial.classifiers.loading import files_beside
from adverscarial.cli.app import Preprocess, notes, read
from adverscarial.cli.hints import note_counts
from adverscarial.cluster import cluster_labels, cluster_names
from adverscarial.errors import ParameterError, did_you_mean, some


class Trainable(NamedTuple):
    """A classifier that is trained on labelled cells, and the values that its authors train it on."""

    make: Callable[[int], Classifier]  # seed -> classifier
    unsuited: tuple[Preprocess, ...] = ()  # preparations that spoil its values
    note: str = ""


_SCALED = (Preprocess.scale, Preprocess.counts)
TRAINED = {
    "random-forest": Trainable(lambda seed: RandomForest(seed=seed)),
    "markers": Trainable(lambda seed: Markers()),
    "mlp": Trainable(lambda seed: MLP(seed=seed)),
    "chetah": Trainable(
        lambda seed: Chetah(cap_genes=True),
        (*_SCALED, Preprocess.lognorm),
        "CHETAH is meant for raw counts: use data that hold counts, with --preprocess none.",
    ),
    "scannotatr": Trainable(
        lambda seed: ScAnnotatR(seed=seed),
        _SCALED,
        "scAnnotatR takes z-scores itself: give it log-normalised values (of counts: --preprocess lognorm).",
    ),
    "singler": Trainable(
        lambda seed: SingleR(seed=seed),
        _SCALED,
        "SingleR compares genes within a cell, which z-scores spoil: give it log-normalised values "
        "(of counts: --preprocess lognorm).",
    ),
}


def trained(
    kind: str, labelled: AnnData, groupby: str, *, layer: str | None, seed: int, prepare: Preprocess
) -> Classifier:
    """Train a classifier of :data:`TRAINED`; what a user may not expect is noted."""
    entry = TRAINED[kind]
    if layer is None and prepare in entry.unsuited:
        notes.print(f"[yellow]Note:[/] {entry.note}")
    notes.print(f"Training {kind} on {labelled.n_obs:,} cells x {labelled.n_vars:,} genes ...")
    model = entry.make(seed).fit(labelled, groupby, layer=layer)
    never = [name for name in cluster_names(cluster_labels(labelled, groupby)) if name not in model.labels]
    if never:
        notes.print(f"[yellow]Note:[/] {kind} has no such label and never gives it: {escape(some(never))}.")
    return model


def ready_made(spec: str, *, prepare: Preprocess, tissue: str | None, trust: bool) -> Classifier:
    """Return a classifier that needs no training: scType, or one read from a file."""
    kind, _, argument = spec.partition(":")
    if kind == "sctype":
        return ScType(argument or None, tissue=tissue, scaled=prepare in _SCALED)
    if Path(spec).exists():
        return load(spec, trust=trust)
    known = [*TRAINED, "sctype"]
    near = did_you_mean(Path(kind).name, [*known, *files_beside(Path(kind))])
    raise ParameterError(f"'{spec}' is neither a classifier nor a file.{near} Classifiers: {', '.join(known)}.")


def setting(
    specs: list[str], adata: AnnData, train: Path | None, prepare: Preprocess, *, groupby: str, layer: str | None,
    seed: int, tissue: str | None, trust: bool = False,
) -> tuple[AnnData, dict[str, Classifier]]:  # fmt: skip
    """Return the cells to attack, and the classifiers that specifications mean, trained where they need to be.

    Classifiers are named by their specification, those from a file by its name, or its path where names repeat.
    Without a file to train on, one half of the cells is trained on and all classifiers are asked about the other.
    """
    # first what can be refused at once: training may take minutes
    models: dict[str, Classifier] = {
        spec: ready_made(spec, prepare=prepare, tissue=tissue, trust=trust) for spec in specs if spec not in TRAINED
    }
    note_counts(adata, models.values(), layer=layer, prepare=prepare)
    labelled = adata
    if any(spec in TRAINED for spec in specs):
        if train is not None:
            labelled = read(train, prepare)
        else:
            labelled, adata = datasets.split(adata, groupby, seed=seed)
            notes.print(
                f"Trained on one half of the cells ({labelled.n_obs:,}); the other half ({adata.n_obs:,}) is attacked."
            )
    for spec in specs:
        if spec in TRAINED:
            models[spec] = trained(spec, labelled, groupby, layer=layer, seed=seed, prepare=prepare)
    names = {spec: Path(spec).name if Path(spec).is_file() else spec for spec in specs}
    repeated = len(set(names.values())) < len(names)
    return adata, {spec if repeated else names[spec]: models[spec] for spec in specs}
