"""Which classifier a specification on the command line means: one to train, one that comes ready-made, or a file."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple, cast

import numpy as np
from anndata import AnnData

from adverscarial import datasets
from adverscarial.cells.cluster import cluster_labels, cluster_names
from adverscarial.cells.kinds import ZSCORES, kind_of
from adverscarial.cells.matrix import CellMatrix, layer_of
from adverscarial.classifiers import Boosted, Choice, Classifier, CommandLine, Guard, load, match_genes
from adverscarial.classifiers.files.formats import files_beside
from adverscarial.classifiers.registry import offered
from adverscarial.cli.data import read_as
from adverscarial.cli.hints import note_values
from adverscarial.cli.looks import note_labels, note_species
from adverscarial.cli.options import GuardAction, MissingGenes, Preprocess, Reading
from adverscarial.cli.output import note, notes, working
from adverscarial.cli.r import check_r, is_r, r_classifier
from adverscarial.errors import DataError, ParameterError, did_you_mean, some
from adverscarial.surveys.plan import clusters_of


def trainable() -> dict[str, type[Classifier]]:
    """Return the families that are trained on labelled cells, by the name that a user types."""
    return {name: family for name, family in offered().items() if _row(family).trained}


def training_of(spec: str) -> str | None:
    """Return the family of :func:`trainable` that a specification names, with or without an argument behind a colon.

    Raises
    ------
    ParameterError
        If the family takes no argument and one is given.
    """
    kind, colon, argument = spec.partition(":")
    family = trainable().get(kind)
    if family is None or (colon and Path(spec).exists()):
        return None
    asked = _Heard(argument=argument)
    family.from_command_line(asked)
    if colon and not asked.heard:
        raise ParameterError(f"--classifier {spec}: {kind} takes nothing behind a colon. Write --classifier {kind}.")
    return kind


class _Heard(Choice):
    """A choice that remembers whether the family looked at its argument."""

    heard = False

    def __getattribute__(self, name: str) -> object:
        if name == "argument":
            object.__setattr__(self, "heard", True)
        return object.__getattribute__(self, name)


def _row(family: type[Classifier]) -> CommandLine:
    assert family.command_line is not None
    return family.command_line


def trained(
    spec: str, labelled: AnnData, groupby: str, *, layer: str | None, seed: int, prepare: Preprocess
) -> Classifier:
    """Train a classifier of :func:`trainable`; what a user may not expect is noted."""
    kind, _, argument = spec.partition(":")
    family = trainable()[kind]
    row = _row(family)
    values = kind_of(layer_of(labelled, layer))
    if (layer is None and prepare.value in row.unsuited) or (values == ZSCORES and "scale" in row.unsuited):
        note(row.note)
    notes.print(f"Training {kind} on {labelled.n_obs:,} cells x {labelled.n_vars:,} genes ...")
    with working(f"Training {kind} ..."):
        choice = Choice(seed=seed, argument=argument, preprocess=prepare.value)
        model = family.from_command_line(choice).fit(labelled, groupby, layer=layer)
    model.trained_on = values
    never = [name for name in cluster_names(cluster_labels(labelled, groupby)) if name not in model.labels]
    if never:
        note(f"{kind} has no such label and never gives it: {some(never)}.")
    return model


class Names(NamedTuple):
    """What classifier files do not say themselves: names, what is missing to XGBoost, and how many rounds to use."""

    classes: list[str] | None = None
    genes: list[str] | None = None
    missing: float | None = None
    sparse: str | None = None
    rounds: str | int | None = None


def names_of(reading: Reading, *, for_: Sequence[str]) -> Names:
    """Read the files of ``--classes`` and ``--genes``, one name a line; `for_` are the classifiers that were named."""
    genes, rounds = reading.genes, reading.rounds
    said = [reading.classes, genes, reading.missing, reading.sparse, rounds]
    if any(value is not None for value in said) and not any(_takes_names(spec) for spec in for_):
        raise ParameterError(
            "--classes, --genes, --missing, --sparse and --rounds are for classifier files that do not say this "
            f"themselves (XGBoost, LightGBM, scikit-learn); leave them out for {some(for_)}."
        )
    check_r(reading, for_)
    if genes is not None and not genes.exists():
        raise ParameterError(
            f"There is no file '{genes}'. --genes names a text file with the columns of the classifier, one a line; "
            f"to attack one gene only: --gene {genes}."
        )
    named = [None if path is None else _lines(path) for path in (reading.classes, genes)]
    chosen = int(rounds) if rounds is not None and rounds.isdigit() else rounds
    return Names(named[0], named[1], reading.missing, reading.sparse, chosen)


def _takes_names(spec: str) -> bool:
    return is_r(spec) or (
        Path(spec).is_file() and Path(spec).suffix.lower() != ".npz"
    )  # what we wrote ourselves is complete


def _lines(path: Path) -> list[str]:
    try:
        lines = [line.strip() for line in path.read_text(encoding="utf-8-sig").splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"'{path}' cannot be read as a text file ({type(error).__name__}: {error}).") from error
    return [line for line in lines if line]


def ready_made(spec: str, reading: Reading, names: Names) -> Classifier:
    """Return a classifier that needs no training: a family that comes ready-made, or one read from a file."""
    if is_r(spec):
        return r_classifier(spec, reading, classes=names.classes, genes=names.genes)
    kind, _, argument = spec.partition(":")
    family = offered().get(kind)
    if family is not None and not _row(family).trained:
        return family.from_command_line(
            Choice(argument=argument, tissue=reading.tissue, preprocess=reading.preprocess.value)
        )
    if _takes_names(spec):
        settings: dict[str, Any] = {name: value for name, value in names._asdict().items() if value is not None}
        model = load(spec, trust=reading.trust, **settings)
        if names.classes is None and isinstance(model, Boosted) and all(name.isdigit() for name in model.classes):
            note(f"{spec} does not name its classes, so they are called {some(model.classes, 3)}: see --classes.")
        return model
    if Path(spec).exists():
        return load(spec, trust=reading.trust)
    known = list(offered())
    near = did_you_mean(Path(kind).name, [*known, *files_beside(Path(kind))])
    raise ParameterError(f"'{spec}' is neither a classifier nor a file.{near} Classifiers: {', '.join(known)}.")


def short_name(spec: str) -> str:
    """Return what a classifier is called in tables: without the folders of its file.

    >>> short_name("sctype:tables/liver.tsv"), short_name("random-forest")
    ('sctype:liver.tsv', 'random-forest')
    """
    kind, colon, argument = spec.partition(":")
    if colon and kind in offered():
        return f"{kind}:{Path(argument).name}"
    return Path(spec).name if Path(spec).is_file() or is_r(spec) else spec


def check_column(adata: AnnData, groupby: str) -> None:
    """Raise a DataError, in the words of the shell, when there is no such column of clusters."""
    try:
        cluster_labels(adata, groupby)
    except DataError as error:
        raise DataError(f"--groupby {groupby}: {error}") from error


def with_genes(adata: AnnData, models: Iterable[Classifier], reading: Reading) -> AnnData:
    """Return the data with the genes that classifiers need, if that was asked for; how many matched is noted first."""
    if reading.missing_genes is MissingGenes.error:
        return adata
    for model in models:
        missing = cast("Literal['zero', 'mean']", reading.missing_genes.value)
        adata = match_genes(adata, model, missing=missing, layer=reading.asked)
        told = adata.uns["matched_genes"]
        note(f"{told['classifier']}: {told['matched']:,} of {told['needed']:,} genes are in the data.")
    return adata


def added_genes(adata: AnnData, reading: Reading) -> dict[str, float]:
    """Return the genes that :func:`with_genes` added, and the one value that each has in all cells."""
    if "matched_genes" not in adata.uns:
        return {}
    added = adata[0, ~adata.var["matched"].to_numpy()]
    values = CellMatrix(layer_of(added, reading.asked)).columns(np.arange(added.n_vars))[0]
    return dict(zip(map(str, added.var_names), map(float, values), strict=True))


def setting(
    specs: list[str],
    data: Path,
    train: Path | None,
    reading: Reading,
    *,
    groupby: str,
    seed: int,
    guard: GuardAction | None = None,
    targets: Sequence[str] | None = None,
) -> tuple[AnnData, dict[str, Classifier]]:
    """Return the cells to attack, and the classifiers that specifications mean, trained where they need to be.

    Classifiers are named by their specification, those from a file by its name, or its path where names repeat.
    Without a file to train on, one half of the cells is trained on and all classifiers are asked about the other.
    All that can be refused is refused, and all notes are made, before anything is trained.
    With a guard, each stands behind one that has learnt from the training cells.

    Raises
    ------
    ParameterError
        If there are no training cells for a guard to learn from.
    """
    prepare, layer, kinds = reading.preprocess, reading.asked, trainable()
    adata = read_as(data, reading)
    check_column(adata, groupby)
    # first what can be refused at once: training may take minutes
    of_spec = {spec: training_of(spec) for spec in specs}
    if guard is not None and train is None and not any(of_spec.values()):
        raise ParameterError(
            f"--guard {guard} learns from the cells that the classifier was trained on: name their file with --train."
        )
    names = names_of(reading, for_=specs)
    models = {spec: ready_made(spec, reading, names) for spec in specs if of_spec[spec] is None}
    training = [kinds[kind] for kind in of_spec.values() if kind is not None]
    note_values(adata, models, training, layer=layer, prepare=prepare)
    note_species(adata, {short_name(spec): model for spec, model in models.items()})
    note_labels(adata, groupby, halves=bool(training) and train is None)
    clusters_of(adata, groupby, targets)
    if in_r := [spec for spec in specs if is_r(spec)]:
        note(
            f"{some(in_r)}: each query is a call of R, in single-gene attacks one for each of {adata.n_vars:,} genes; "
            "--gene, --search bisect or --budget make it fewer."
        )
    labelled = adata
    if guard is not None or training:
        if train is not None:
            labelled = read_as(train, reading, train=True)
            check_column(labelled, groupby)
        else:
            labelled, adata = datasets.split(adata, groupby, seed=seed)
            notes.print(
                f"Trained on one half of the cells ({labelled.n_obs:,}); the other half ({adata.n_obs:,}) is attacked."
            )
            clusters_of(adata, groupby, targets)
    for spec in specs:
        if of_spec[spec] is not None:
            models[spec] = trained(spec, labelled, groupby, layer=layer, seed=seed, prepare=prepare)
    if guard is not None:
        labelled = with_genes(labelled, models.values(), reading)
        models = {spec: Guard(model, guard.value).fit(labelled, layer=layer) for spec, model in models.items()}
    short = {spec: short_name(spec) for spec in specs}
    repeated = len(set(short.values())) < len(short)
    adata = with_genes(adata, models.values(), reading)
    return adata, {spec if repeated else short[spec]: models[spec] for spec in specs}
