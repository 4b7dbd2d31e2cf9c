"""Notes on standard error about what runs without complaint, and is most likely not what was meant."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
import scipy.sparse as sp
from anndata import AnnData

from adverscarial._matrix import layer_of
from adverscarial.classifiers import Chetah, Classifier, Markers
from adverscarial.cli.app import Preprocess, note
from adverscarial.evaluation import Survey


def note_counts(adata: AnnData, models: Iterable[Classifier], *, layer: str | None, prepare: Preprocess) -> None:
    """Note that classifiers that come ready-made get what looks like counts; CHETAH and mean-of-markers take them."""
    if layer is None and prepare is not Preprocess.none:
        return
    if all(isinstance(model, Chetah | Markers) for model in models):
        return
    X = layer_of(adata, layer)
    values = X.data if sp.issparse(X) else np.asarray(X)
    largest = values.max(initial=0)
    # one and zero alone may be anything: present or absent, say
    if not (1 < largest < np.inf) or values.min() < 0 or (values != np.rint(values)).any():
        return
    trained = "If the classifier was trained on log-normalised values,"
    if layer is None:
        note(
            f"X holds whole numbers up to {largest:,.0f}, so these look like counts, and --preprocess is none. "
            f"{trained} add --preprocess lognorm."
        )
    else:
        note(
            f"Layer '{layer}' holds whole numbers up to {largest:,.0f}, so these look like counts; --preprocess is for "
            f"X. {trained} leave out --layer, or name a layer of such values."
        )


def note_other_names(result: Survey, models: Mapping[str, Classifier]) -> None:
    """Note which clusters a classifier calls something else from the start, although it has their name for a label."""
    frame = result.to_frame()
    if "baseline" not in frame:
        return
    first = frame.dropna(subset=["baseline"]).drop_duplicates(["classifier", "cluster"])
    for name, part in first.groupby("classifier", sort=False):
        known = {_plain(label) for label in models[str(name)].labels}
        other = [
            f"{cluster}: {said}"
            for cluster, said in zip(part["cluster"], part["baseline"], strict=True)
            if _plain(cluster) in known and _plain(cluster) != _plain(said)
        ]
        if other:
            verb, whose = ("is", "its name") if len(other) == 1 else ("are", "their names")
            shown = ", ".join(other[:5]) + (f" and {len(other) - 5:,} more" if len(other) > 5 else "")
            by = f" by {name}" if len(models) > 1 else ""
            note(
                f"{len(other):,} of {len(part):,} clusters {verb} called something else than {whose}{by} before any "
                f"attack ({shown}). If the names should agree, check --preprocess and the genes."
            )


def _plain(name: str) -> str:
    return str(name).lower().replace("_", " ").strip()
