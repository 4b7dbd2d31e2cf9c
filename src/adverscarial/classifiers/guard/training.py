"""The classifier behind a guard: as it was given, or a fresh copy of it, trained."""

from __future__ import annotations

from anndata import AnnData

from adverscarial.classifiers.base import Classifier
from adverscarial.classifiers.wrap import wrap


def trained(classifier: object, adata: AnnData, groupby: str | None, layer: str | None) -> Classifier:
    """Return the classifier as it is where no column is named, else a fresh copy that is trained on the cells."""
    model = wrap(classifier)
    if groupby is None:
        return model
    from sklearn.base import clone  # here and not above: importing the package stays quick

    fresh: Classifier = clone(model, safe=False)
    return fresh.fit(adata, groupby, layer=layer)  # and no more arguments: another package's fit need not know them
