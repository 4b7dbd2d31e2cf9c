"""Which classifier a specification on the command line means: one to train, one that comes ready-made, or a file."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from anndata import AnnData
from rich.markup import escape

from adverscarial import datasets
from adverscarial.classifiers import (
    MLP,
    Boosted,
    Chetah,
    Classifier,
    Markers,
    RandomForest,
    ScAnnotatR,
    ScType,
    SingleR,
    load,
)
from adverscarial.classifiers.loading import files_beside
from adverscarial.cli.app import Preprocess, note, notes, read, working
from adverscarial.cli.hints import note_counts
from adverscarial.cluster import cluster_labels, cluster_names
from adverscarial.errors import DataError, ParameterError, did_you_mean, some


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
    with working(f"Training {kind} ..."):
        model = entry.make(seed).fit(labelled, groupby, layer=layer)
    never = [name for name in cluster_names(cluster_labels(labelled, groupby)) if name not in model.labels]
    if never:
        notes.print(f"[yellow]Note:[/] {kind} has no such label and never gives it: {escape(some(never))}.")
    return model


class Names(NamedTuple):
    """Names of classes and genes, for classifier files that hold none."""

    classes: list[str] | None = None
    genes: list[str] | None = None


NAMELESS = Names()


def names_of(classes: Path | None, genes: Path | None, *, for_: Sequence[str]) -> Names:
    """Read the files of ``--classes`` and ``--genes``, one name a line; `for_` are the classifiers that were named."""
    if (classes or genes) and not any(_takes_names(spec) for spec in for_):
        raise ParameterError(
            "--classes and --genes are for classifier files that do not name them (XGBoost, LightGBM, scikit-learn); "
            f"leave them out for {some(for_)}."
        )
    if genes is not None and not genes.exists():
        raise ParameterError(
            f"There is no file '{genes}'. --genes names a text file with the columns of the classifier, one a line; "
            f"to attack one gene only: --gene {genes}."
        )
    return Names(*(None if path is None else _lines(path) for path in (classes, genes)))


def _takes_names(spec: str) -> bool:
    return Path(spec).is_file() and Path(spec).suffix.lower() != ".npz"  # what we wrote ourselves is complete


def _lines(path: Path) -> list[str]:
    try:
        lines = [line.strip() for line in path.read_text(encoding="utf-8-sig").splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"'{path}' cannot be read as a text file ({type(error).__name__}: {error}).") from error
    return [line for line in lines if line]


def ready_made(
    spec: str, *, prepare: Preprocess, tissue: str | None, trust: bool, names: Names = NAMELESS
) -> Classifier:
    """Return a classifier that needs no training: scType, or one read from a file."""
    kind, _, argument = spec.partition(":")
    if kind == "sctype":
        return ScType(argument or None, tissue=tissue, scaled=prepare in _SCALED)
    if _takes_names(spec):
        model = load(spec, trust=trust, **names._asdict())
        if names.classes is None and isinstance(model, Boosted) and all(name.isdigit() for name in model.classes):
            note(f"{spec} does not name its classes, so they are called {some(model.classes, 3)}: see --classes.")
        return model
    if Path(spec).exists():
        return load(spec, trust=trust)
    known = [*TRAINED, "sctype"]
    near = did_you_mean(Path(kind).name, [*known, *files_beside(Path(kind))])
    raise ParameterError(f"'{spec}' is neither a classifier nor a file.{near} Classifiers: {', '.join(known)}.")


def setting(
    specs: list[str], adata: AnnData, train: Path | None, prepare: Preprocess, *, groupby: str, layer: str | None,
    seed: int, tissue: str | None, trust: bool = False, names: Names = NAMELESS,
) -> tuple[AnnData, dict[str, Classifier]]:  # fmt: skip
    """Return the cells to attack, and the classifiers that specifications mean, trained where they need to be.

    Classifiers are named by their specification, those from a file by its name, or its path where names repeat.
    Without a file to train on, one half of the cells is trained on and all classifiers are asked about the other.
    """
    # first what can be refused at once: training may take minutes
    models: dict[str, Classifier] = {
        spec: ready_made(spec, prepare=prepare, tissue=tissue, trust=trust, names=names)
        for spec in specs
        if spec not in TRAINED
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
    short = {spec: Path(spec).name if Path(spec).is_file() else spec for spec in specs}
    repeated = len(set(short.values())) < len(short)
    return adata, {spec if repeated else short[spec]: models[spec] for spec in specs}
