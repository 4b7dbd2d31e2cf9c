"""Training a classifier against an attack, round by round."""

from __future__ import annotations

import copy
import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import anndata
import numpy as np
import pandas as pd
from anndata import AnnData

from adverscarial._progress import bar
from adverscarial.attacks.base import Attack, check_counts, check_run
from adverscarial.classifiers.base import Classifier
from adverscarial.classifiers.mlp import MLP
from adverscarial.classifiers.wrap import wrap
from adverscarial.cluster import cluster_labels, cluster_names
from adverscarial.datasets.sampling import split
from adverscarial.errors import ClassifierError, ParameterError
from adverscarial.hardening.examples import adversarial_cells, check_attack, in_memory
from adverscarial.hardening.measure import measure
from adverscarial.hardening.outcome import Hardening
from adverscarial.hardening.pgd import projected_gradient

logger = logging.getLogger(__name__)

#: returns a fresh copy of the classifier, trained on these cells
Fit = Callable[..., Classifier]


def harden(
    classifier: Any,
    adata: AnnData,
    attack: Attack,
    *,
    groupby: str,
    rounds: int = 3,
    layer: str | None = None,
    seed: int = 0,
    test: AnnData | None = None,
    n_per_type: int | None = None,
    folds: int = 5,
    fit_options: Mapping[str, Any] | None = None,
    method: Literal["examples", "pgd"] = "examples",
    epsilon: float = 0.1,
    steps: int = 5,
    share: float = 1.0,
    progress: bool | None = None,
) -> Hardening:
    """Train a classifier against an attack, and measure on held-out cells what that brings and costs.

    Round 0 trains a fresh copy on clean cells. With *examples*, each further round looks for training cells that the
    attack fools (:func:`adversarial_cells`), adds them to the training set, and trains a fresh copy on all of it. A
    model is hard to fool on the cells it has learned, so the cells of each fold are attacked under a model that was
    trained on the other folds, and on the examples made of them so far. With *pgd*, round r trains a fresh copy on
    clean cells with a box of ``epsilon * r / rounds``, so that the table shows the price of each width. The rounds are
    evaluated by the full attack on held-out cells, which no training ever sees. The last round is not always the best
    one: read the table.

    Parameters
    ----------
    classifier
        A classifier with ``fit``, trained or not: its settings are what counts. It is not changed.
    adata
        Labelled cells x genes.
    attack
        What to harden against (*examples*), and what to measure by (both).
    groupby
        Column of ``adata.obs`` with the true types.
    rounds
        Rounds after the first.
    layer
        Layer to train on and to attack; ``X`` when left out.
    seed
        Of the split, the folds, the attacks, the draws and the start of each PGD. Training itself follows the
        classifier's own.
    test
        Held-out cells. Left out, `adata` is cut into stratified halves, and the second one is held out.
    n_per_type
        *examples* only: most adversarial cells of a type per round; None: as many as the type has.
    folds
        *examples* only: parts that the training cells are cut into, type by type; each round trains as many models
        more. 1: the cells are attacked under the model that was trained on them, all at once.
    fit_options
        More arguments of ``classifier.fit``, such as ``{"markers_layer": "X"}`` of
        :class:`~adverscarial.classifiers.ScAnnotatR`. Layers other than `layer` hold an example's clean values.
    method
        ``"examples"`` for any classifier with ``fit``; ``"pgd"`` for :class:`~adverscarial.classifiers.MLP`.
    epsilon, steps, share
        *pgd* only: how far each value of a cell may move, in the units of the data (z-scores, as a rule); gradient
        steps; the share of each batch that is moved (0.5 keeps half of it clean).
    progress
        Progress bars of the attacks; left out, on a terminal only.

    Returns
    -------
    Hardening
        Model, table, and a summary when printed. An attack that fools no training cell is no error: nothing changes,
        and the note says so.

    Raises
    ------
    ClassifierError
        If the classifier cannot be trained here.
    ParameterError
        If a setting is impossible, or *pgd* is asked of another classifier than the MLP.
    DataError

    Notes
    -----
    *pgd* maximises the cross-entropy by ``x + a * sign(gradient)``, ``a = 2.5 * epsilon / steps``, from a random start,
    clipped to the box after each step (Madry et al. 2018, *Towards Deep Learning Models Resistant to Adversarial
    Attacks*).

    Examples
    --------
    >>> import adverscarial as adv
    >>> model = adv.classifiers.Markers(n_markers=5)
    >>> attack = adv.attacks.SingleGene("positive_aberrant")
    >>> done = harden(model, adv.datasets.embedded(), attack, groupby="cell_type", rounds=1)
    >>> list(done.table["round"])
    [0, 1]
    """
    model = wrap(classifier)
    check_attack(attack)
    check_run(None, seed)
    limits = {} if n_per_type is None else {"n_per_type": n_per_type}
    check_counts(rounds=rounds, folds=folds, steps=steps, **limits)
    if type(model).fit is Classifier.fit:
        raise ClassifierError(
            f"{model.name} cannot be trained here, so it cannot be hardened. Expected a classifier with fit(), such as "
            "RandomForest; for another one, add adversarial_cells() to its training set and train it where it was made."
        )
    if method not in ("examples", "pgd"):
        raise ParameterError(f"method must be 'examples' or 'pgd', got '{method}'.")
    if method == "pgd" and not isinstance(model, MLP):
        raise ParameterError(f"method='pgd' trains by gradients, which of ours only MLP does; got {model.name}.")
    if not epsilon > 0 or not np.isfinite(epsilon) or not 0 < share <= 1:
        raise ParameterError(f"epsilon must be above 0, share above 0 and at most 1; got {epsilon!r} and {share!r}.")
    options = dict(fit_options or {})
    if "layer" in options:
        raise ParameterError(
            "fit_options names a layer. Training and attack read the same one, because an adversarial cell is changed "
            "in the attacked layer only: name it in layer=, and further layers of fit() by their own arguments."
        )
    train, held_out = split(adata, groupby, seed=seed) if test is None else (in_memory(adata), in_memory(test))

    def fit(cells: AnnData, **more: Any) -> Classifier:
        return copy.deepcopy(model).fit(cells, groupby, layer=layer, **options, **more)

    def measured(number: int, trained: _Trained) -> dict[str, float]:
        logger.info("hardening %s: round %d", model.name, number)
        found = measure(trained.model, held_out, attack, groupby, layer, seed)
        return {"round": number, "adversarial_cells": trained.cells, "epsilon": trained.epsilon, **found}

    with bar(f"Hardening {model.name}", rounds + 1, progress) as advance:
        last = before = _Trained(fit(train), 0)
        rows = [measured(0, before)]
        advance()
        if method == "pgd":
            later = _by_gradients(fit, train, rounds, epsilon, steps, share, seed)
        else:
            search = _Search(attack, groupby, layer, seed, n_per_type)
            later = _by_examples(fit, train, before.model, search, rounds, folds)
        for last in later:
            rows.append(measured(len(rows), last))
            advance()
    note = (
        "" if len(rows) > rounds else f"round {len(rows)} fooled no training cell any more, so training stopped there"
    )
    return Hardening(last.model, before.model, pd.DataFrame(rows), attack, method, note)


class _Trained(NamedTuple):
    """The model of one round, and what it was trained with."""

    model: Classifier
    cells: int
    epsilon: float = np.nan


def _by_gradients(
    fit: Fit, train: AnnData, rounds: int, epsilon: float, steps: int, share: float, seed: int
) -> Iterator[_Trained]:
    """Yield networks trained in wider and wider boxes."""
    for number in range(1, rounds + 1):
        width = epsilon * number / rounds
        adversary = projected_gradient(width, steps, share=share, seed=seed)
        yield _Trained(fit(train, adversary=adversary), round(share * train.n_obs), width)


@dataclass(frozen=True)
class _Search:
    """How adversarial cells are looked for."""

    attack: Attack
    groupby: str
    layer: str | None
    seed: int
    n_per_type: int | None

    def fooled(self, cells: AnnData, model: Classifier, number: int, limit: int | None) -> AnnData:
        """Return the cells that a model falls for, named after their round."""
        found = adversarial_cells(
            cells, model, self.attack, groupby=self.groupby, layer=self.layer, seed=self.seed + number,
            n_per_type=limit,
        )  # fmt: skip
        found.obs_names = [f"{name}|round {number}" for name in found.obs_names]
        return found


def _by_examples(
    fit: Fit, train: AnnData, current: Classifier, search: _Search, rounds: int, folds: int
) -> Iterator[_Trained]:
    """Yield models trained on more and more adversarial cells, until none is found."""
    part = _parts(cluster_labels(train, search.groupby), folds, search.seed)
    examples: list[tuple[int, AnnData]] = []  # with the fold that their cells are of
    for number in range(1, rounds + 1):
        new = []
        for fold in range(folds):
            # a type's share of n_per_type, as even as whole numbers allow
            limit = None if search.n_per_type is None else len(range(fold, search.n_per_type, folds))
            cells = train[part == fold].copy()
            if not cells.n_obs or limit == 0:
                continue
            if folds > 1:
                others = [fooled for other, fooled in examples if other != fold]
                current = fit(anndata.concat([train[part != fold], *others], merge="same"))
            new.append((fold, search.fooled(cells, current, number, limit)))
        if not any(fooled.n_obs for _, fooled in new):
            return
        examples += new
        joined = [fooled for _, fooled in examples]
        current = fit(anndata.concat([train, *joined], merge="same"))
        yield _Trained(current, sum(fooled.n_obs for fooled in joined))


def _parts(types: np.ndarray, folds: int, seed: int) -> np.ndarray:
    """Return each cell's fold, 0 to folds - 1, the cells of a type spread evenly; -1 for cells without a type."""
    generator = np.random.default_rng(seed)
    part = np.full(len(types), -1)
    for name in cluster_names(types):
        rows = np.flatnonzero(types == name)
        part[generator.permutation(rows)] = (np.arange(len(rows)) + generator.integers(folds)) % folds
    return part
