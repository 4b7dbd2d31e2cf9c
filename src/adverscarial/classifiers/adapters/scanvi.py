"""A trained scvi-tools SCANVI model as a classifier: raw counts in, probabilities of the cell types out."""

from __future__ import annotations

import warnings
from copy import deepcopy
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from adverscarial.classifiers.adapters.functions import call, check_scores
from adverscarial.classifiers.answers import Decision, argmax_labels
from adverscarial.classifiers.base import Classifier
from adverscarial.errors import ClassifierError, InputRejected, ParameterError, did_you_mean, some

if TYPE_CHECKING:
    from scvi.model import SCANVI

#: cells per forward pass, scvi's own default. Every pass has exactly this many rows, filled up with empty cells: matrix
#: products of one shape round alike, so a cell's probabilities do not depend on which cells are asked about beside it
_ROWS = 128


class Scanvi(Classifier, wraps=30):
    """A trained ``scvi.model.SCANVI``; answers as ``model.predict(adata, soft=True)`` does.

    Probabilities are those at the posterior mean, so the same cell always gets the same answer. The model's weights are
    copied as they are now; neither the model nor any AnnData is written to.

    Parameters
    ----------
    model
        A trained model, fresh or from ``SCANVI.load(folder, adata)``.
    batch
        The batch that all cells are taken to come from, one of those the model was set up with. It must be given for
        models made with ``encode_covariates=True`` that know several batches; others ignore the batch when they label.

    Raises
    ------
    ParameterError
        If the model is none, is not trained, has no such batch, labels by further covariates, or labels by the batch
        and none is given.

    Notes
    -----
    Input must be raw counts of the genes that the model was set up with: attack the layer that holds them
    (``layer="counts"``). Negative, NaN and infinite values are refused (outcome *rejected*). Numbers that are not whole
    are answered, with a ``UserWarning``, as scvi does; a quantile or a random modification makes such numbers.

    Examples
    --------
    >>> import adverscarial as adv
    >>> import scvi  # doctest: +SKIP
    >>> model = scvi.model.SCANVI.load("model/", adata)  # doctest: +SKIP
    >>> attack = adv.attacks.SingleGene("perc99")  # doctest: +SKIP
    >>> attack(adata, Scanvi(model), groupby="cell_type", target="B", layer="counts")  # doctest: +SKIP
    """

    def __init__(self, model: SCANVI, *, batch: object = None) -> None:
        if not self.recognises(model):
            raise ParameterError(f"Scanvi needs a scvi.model.SCANVI, got a {type(model).__name__}.")
        if not model.is_trained_:
            raise ParameterError("This SCANVI model is not trained yet: call model.train() first.")
        module = model.module
        if module.encode_covariates and (further := _further_covariates(model)):
            raise ParameterError(
                f"This SCANVI model labels cells by the covariates {some(further)} too, which an expression matrix "
                "does not hold. Train it without them, or with encode_covariates=False."
            )
        self._batch_code, self.batch = _find_batch(model, batch, needed=bool(module.encode_covariates))
        self._module = deepcopy(module).eval()
        labels = model.get_state_registry("labels").categorical_mapping
        self.classes = tuple(str(name) for name in labels[: module.n_labels])  # behind them: the unlabelled category
        self.genes = pd.Index([str(gene) for gene in model.get_state_registry("X").column_names])

    @classmethod
    def recognises(cls, obj: object) -> bool:
        """Return whether `obj` is a scvi-tools SCANVI model, without importing the package."""
        return any(kind.__name__ == "SCANVI" and kind.__module__.startswith("scvi.") for kind in type(obj).__mro__)

    @property
    def name(self) -> str:  # noqa: D102
        return "SCANVI"

    def __repr__(self) -> str:
        return f"Scanvi(..., batch={self.batch!r})"

    def decide(self, X: np.ndarray) -> Decision:
        """Label cells.

        Parameters
        ----------
        X
            Raw counts, shape (cells, the model's genes).

        Returns
        -------
        Labels, and probabilities of shape (cells, classes).

        Raises
        ------
        InputRejected
            If a value is negative, NaN, or infinite (also once it is a 32-bit number, which is what the model reads).
        """
        with np.errstate(over="ignore"):
            counts = np.asarray(X, dtype=np.float32)
        _refuse_no_counts(counts)
        scores = call(self.name, self._probabilities, counts) if len(counts) else np.empty((0, len(self.classes)))
        scores = check_scores(self.name, np.asarray(scores, dtype=np.float64), self.classes)
        return Decision(argmax_labels(self.classes, scores), scores)

    def _probabilities(self, counts: np.ndarray) -> np.ndarray:
        import torch

        module = self._module
        batch = torch.full((_ROWS, 1), self._batch_code, dtype=torch.int64)
        parts = []
        # the encoder also draws a sample that is not used: keep that from moving the caller's random state
        devices = [module.device] if module.device.type == "cuda" else []
        with torch.no_grad(), torch.random.fork_rng(devices=devices):
            for start in range(0, len(counts), _ROWS):
                cells = counts[start : start + _ROWS]
                rows = np.zeros((_ROWS, counts.shape[1]), dtype=np.float32)
                rows[: len(cells)] = cells
                answer = module.classify(torch.from_numpy(rows), batch_index=batch, use_posterior_mean=True)
                if module.classifier.logits:  # models of scvi-tools before 1.1 give probabilities
                    answer = torch.nn.functional.softmax(answer, dim=-1)
                parts.append(answer[: len(cells)].cpu().numpy())
        return np.concatenate(parts)


def _refuse_no_counts(counts: np.ndarray) -> None:
    if not np.isfinite(counts).all():
        bad = int(counts.size - np.isfinite(counts).sum())
        raise InputRejected(f"SCANVI reads counts; {bad:,} of {counts.size:,} values are NaN or infinite.")
    if counts.min(initial=0) < 0:
        bad = int((counts < 0).sum())
        raise InputRejected(
            f"SCANVI reads raw counts; {bad:,} of {counts.size:,} values are negative, the least is {counts.min():g}. "
            "Name the layer of raw counts with layer=."
        )
    if not np.array_equal(counts, np.rint(counts)):
        warnings.warn(
            "SCANVI was given values that are not whole numbers. It reads raw counts: name their layer with layer=. "
            "(Modified values need not be whole; they are answered as they are.)",
            UserWarning,
            stacklevel=3,
        )


def _further_covariates(model: SCANVI) -> list[str]:
    """Return the columns beside the batch that the model was set up with."""
    setup = model.registry_["setup_args"]
    keys = (setup.get("categorical_covariate_keys"), setup.get("continuous_covariate_keys"))
    return [str(column) for columns in keys for column in columns or ()]


def _find_batch(model: SCANVI, batch: object, *, needed: bool) -> tuple[int, object]:
    """Return the code and the name of a batch; for None the first one, where it makes no difference."""
    known = list(model.get_state_registry("batch").categorical_mapping)
    if not known:
        raise ClassifierError("This SCANVI model knows no batch at all; it was not set up by SCANVI.setup_anndata.")
    if batch is None and needed and len(known) > 1:
        raise ParameterError(
            "This SCANVI model labels a cell by its batch too (encode_covariates=True). It knows the batches "
            f"{some(known, 10)}. Say which one the cells are taken to come from: wrap(model, batch='{known[0]}')."
        )
    if batch is None:
        return 0, known[0]
    found = [code for code, name in enumerate(known) if str(name) == str(batch)]
    if not found:
        raise ParameterError(
            f"Scanvi: the model knows no batch '{batch}'.{did_you_mean(batch, known)} It knows {some(known, 10)}."
        )
    return found[0], known[found[0]]
