"""Notes on standard error about values and answers that are most likely not what was meant."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from anndata import AnnData

from adverscarial.cells.kinds import COUNTS, ZSCORES, kind_of
from adverscarial.cells.matrix import layer_of
from adverscarial.classifiers import Chetah, Classifier, Markers, ScType
from adverscarial.classifiers.answers import plain_name
from adverscarial.cli.options import Preprocess
from adverscarial.cli.output import note
from adverscarial.surveys import Survey


def note_values(
    adata: AnnData,
    models: Mapping[str, Classifier],
    kinds: Collection[type[Classifier]] = (),
    *,
    layer: str | None,
    prepare: Preprocess,
) -> None:
    """Note values of another kind than classifiers expect, before any of them is trained or asked.

    Parameters
    ----------
    adata, layer
        The cells, prepared, and the layer that is asked about.
    models
        Classifiers that come ready-made, by name.
    kinds
        Families that this command will train.
    prepare
        How the cells were prepared.
    """
    if prepare is Preprocess.counts:
        note("--preprocess counts makes z-scores of counts; for log-normalised values: --preprocess lognorm.")
    X = layer_of(adata, layer)
    kind = kind_of(X)
    if kind == COUNTS:
        _note_counts(float(X.max()), models, kinds, layer)
    for name, model in models.items():
        if model.trained_on and kind and kind != model.trained_on:
            note(
                f"{name} was trained on {model.trained_on}, and is asked about {kind}: prepare the data as they were "
                "for the training, with the same --preprocess."
            )
        elif kind == ZSCORES and not model.trained_on and not isinstance(model, ScType | Markers):
            note(
                f"{name} is asked about z-scores. If it was trained on log-normalised values, use --preprocess lognorm "
                "for counts, or name a layer or adata.raw that holds such values (--layer, --raw)."
            )


def _note_counts(
    largest: float, models: Mapping[str, Classifier], kinds: Collection[type[Classifier]], layer: str | None
) -> None:
    """Note counts that some classifier is given; CHETAH and mean-of-markers take them."""
    trained = [kind for kind in kinds if not issubclass(kind, Chetah | Markers)]
    ready = [m for m in models.values() if not isinstance(m, Chetah | Markers) and m.trained_on != COUNTS]
    if not trained and not ready:
        return
    what = "X holds" if layer is None else f"Layer '{layer}' holds"
    then = (
        "The classifiers are trained on these values as they are. If that is not meant,"
        if not ready
        else "If the classifier was trained on log-normalised values,"
    )
    note(
        f"{what} whole numbers up to {largest:,.0f}, so these look like counts, and --preprocess is none. {then} add "
        "--preprocess lognorm."
    )


def note_other_names(result: Survey, models: Mapping[str, Classifier]) -> None:
    """Note which clusters a classifier calls something else from the start, although it has their name for a label."""
    frame = result.to_frame()
    if "baseline" not in frame:
        return
    first = frame.dropna(subset=["baseline"]).drop_duplicates(["classifier", "cluster"])
    for name, part in first.groupby("classifier", sort=False):
        known = {plain_name(label) for label in models[str(name)].labels}
        other = [
            f"{cluster}: {said}"
            for cluster, said in zip(part["cluster"], part["baseline"], strict=True)
            if plain_name(cluster) in known and plain_name(cluster) != plain_name(said)
        ]
        if other:
            verb, whose = ("is", "its name") if len(other) == 1 else ("are", "their names")
            shown = ", ".join(other[:5]) + (f" and {len(other) - 5:,} more" if len(other) > 5 else "")
            by = f" by {name}" if len(models) > 1 else ""
            note(
                f"{len(other):,} of {len(part):,} clusters {verb} called something else than {whose}{by} before any "
                f"attack ({shown}). If the names should agree, check --preprocess and the genes."
            )
