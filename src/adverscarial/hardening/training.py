"""Training a classifier against an attack, round by round."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

import anndata
import numpy as np
import pandas as pd
from anndata import AnnData

from adverscarial._progress import bar
from adverscarial._types import Ints
from adverscarial.attacks.base import Attack
from adverscarial.attacks.result import Result
from adverscarial.attacks.settings import check_counts
from adverscarial.attacks.start import check_run
from adverscarial.cells.choice import Cells, meant
from adverscarial.cells.cluster import cluster_labels, cluster_names
from adverscarial.classifiers.base import Classifier
from adverscarial.classifiers.families.mlp import MLP
from adverscarial.classifiers.wrap import wrap
from adverscarial.datasets.sampling import split
from adverscarial.errors import ClassifierError, ParameterError
from adverscarial.hardening.examples import adversarial_cells, check_attack, in_memory
from adverscarial.hardening.measure import measure
from adverscarial.hardening.outcome import Hardening
from adverscarial.hardening.pgd import projected_gradient

logger = logging.getLogger(__name__)


def harden(  # noqa: PLR0913
    adata: Cells,
    classifier: object,
    attack: Attack[Result],
    *,
    groupby: str,
    rounds: int = 3,
    mod: str | None = None, use_raw: bool = False, layer: str | None = None,
    seed: int = 0,
    test: Cells | None = None,
    n_per_type: int | None = None,
    folds: int = 5,
    fit_options: Mapping[str, object] | None = None,
    method: Literal["examples", "pgd"] = "examples",
    epsilon: float = 0.1,
    steps: int = 5,
    share: float = 1.0,
    progress: bool | None = None,
) -> Hardening:  # fmt: skip
    """Train a classifier against an attack, and measure on held-out cells what that brings and costs.

    Round 0 trains a fresh copy on clean cells. With *examples*, each further round looks for training cells that the
    attack fools (:func:`adversarial_cells`), adds them to the training set, and trains a fresh copy on all of it. A
    model is hard to fool on the cells that it was trained on. Therefore the training cells are cut into folds, and the
    cells of each fold are attacked under a model that was trained on the other folds and on the examples made of them
    so far. With *pgd*, round r trains a fresh copy on clean cells with a box of ``epsilon * r / rounds``, so that the
    table shows what each width costs. Every round is measured by the full attack on held-out cells, which are never
    trained on. The last round is not always the best one: read the table.

    Parameters
    ----------
    adata
        Labelled cells x genes, or a MuData; not changed.
    classifier
        A classifier with ``fit``, trained or not. Only its settings are used, and it is not changed.
    attack
        What to harden against (*examples*), and what to measure by (both).
    groupby
        Column of ``adata.obs`` with the true types.
    rounds
        Rounds after the first.
    mod, use_raw
        Of a MuData: the modality, ``rna`` when left out. And whether to take the values and the genes of ``raw``; of
        `test`, too.
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
    >>> done = harden(adv.datasets.embedded(), model, attack, groupby="cell_type", rounds=1)
    >>> list(done.table["round"])
    [0, 1]
    """
    if isinstance(classifier, AnnData):
        _warn_of_the_old_order()
        adata, classifier = classifier, adata
    check_attack(attack)
    check_run(None, seed)
    check_counts(rounds=rounds, folds=folds, steps=steps, n_per_type=1 if n_per_type is None else n_per_type)
    task = _Task(wrap(classifier), attack, groupby, layer, seed, n_per_type, dict(fit_options or {}))
    _check_task(task, method)
    box = _Box(epsilon, steps, share)
    cells = meant(adata, mod=mod, use_raw=use_raw, layer=layer)
    held = None if test is None else in_memory(meant(test, mod=mod, use_raw=use_raw, layer=layer))
    train, held_out = split(cells, groupby, seed=seed) if held is None else (in_memory(cells), held)
    train = _without_raw(train)
    with bar(f"Hardening {task.model.name}", rounds + 1, progress) as advance:
        last = before = _Trained(task.fit(train), 0)
        rows = [_row(0, before, task, held_out)]
        advance()
        by_examples = _by_examples(task, train, before.model, rounds, folds)
        for last in by_examples if method == "examples" else _by_gradients(task, train, rounds, box):
            rows.append(_row(len(rows), last, task, held_out))
            advance()
    done = len(rows) > rounds
    note = "" if done else f"round {len(rows)} fooled no training cell any more, so training stopped there"
    return Hardening(last.model, before.model, pd.DataFrame(rows), attack, method, note)


def _warn_of_the_old_order() -> None:
    warnings.warn(
        "harden() takes the cells first, as every other function does: harden(adata, classifier, attack, ...). It was "
        "called with the classifier first. This still works, and will be an error in a later version.",
        FutureWarning,
        stacklevel=3,
    )


@dataclass(frozen=True)
class _Task:
    """What is trained, and against what."""

    model: Classifier
    attack: Attack[Result]
    groupby: str
    layer: str | None
    seed: int
    n_per_type: int | None
    options: Mapping[str, object]

    def fit(self, cells: AnnData, **more: object) -> Classifier:
        """Return a new classifier of the same settings, trained on these cells."""
        from sklearn.base import clone  # here and not above: importing the package stays quick

        # a classifier without get_params is copied as it is
        fresh = clone(self.model, safe=False)
        trained: Classifier = fresh.fit(cells, self.groupby, layer=self.layer, **self.options, **more)
        return trained

    def fooled(self, cells: AnnData, model: Classifier, number: int, limit: int | None) -> AnnData:
        """Return the cells that a model falls for, named after their round."""
        found = adversarial_cells(
            cells, model, self.attack, groupby=self.groupby, layer=self.layer, seed=self.seed + number,
            n_per_type=limit,
        )  # fmt: skip
        found.obs_names = [f"{name}|round {number}" for name in found.obs_names]
        return found


def _check_task(task: _Task, method: str) -> None:
    """Raise an error for a classifier or settings that no training can work with."""
    model = task.model
    if not model.is_trained_here():
        raise ClassifierError(
            f"{model.name} cannot be trained here, so it cannot be hardened. Expected a classifier with fit(), such as "
            "RandomForest; for another one, add adversarial_cells() to its training set and train it where it was made."
        )
    if method not in ("examples", "pgd"):
        raise ParameterError(f"method must be 'examples' or 'pgd', got '{method}'.")
    if method == "pgd" and not isinstance(model, MLP):
        raise ParameterError(f"method='pgd' trains by gradients, which of ours only MLP does; got {model.name}.")
    if "layer" in task.options:
        raise ParameterError(
            "fit_options names a layer. Training and attack read the same one, because an adversarial cell is changed "
            "in the attacked layer only: name it in layer=, and further layers of fit() by their own arguments."
        )


@dataclass(frozen=True)
class _Box:
    """How far each value of a cell may move in PGD training, in how many steps, and for which share of a batch."""

    epsilon: float
    steps: int
    share: float

    def __post_init__(self) -> None:
        if not self.epsilon > 0 or not np.isfinite(self.epsilon) or not 0 < self.share <= 1:
            raise ParameterError(
                f"epsilon must be above 0, share above 0 and at most 1; got {self.epsilon!r} and {self.share!r}."
            )


class _Trained(NamedTuple):
    """The model of one round, and what it was trained with."""

    model: Classifier
    cells: int
    epsilon: float = np.nan


def _row(number: int, trained: _Trained, task: _Task, held_out: AnnData) -> dict[str, float]:
    """Return the row of the table for one round."""
    logger.info("hardening %s: round %d", task.model.name, number)
    found = measure(trained.model, held_out, task.attack, task.groupby, task.layer, task.seed)
    return {"round": number, "adversarial_cells": trained.cells, "epsilon": trained.epsilon, **found}


def _by_gradients(task: _Task, train: AnnData, rounds: int, box: _Box) -> Iterator[_Trained]:
    """Yield networks trained in wider and wider boxes."""
    for number in range(1, rounds + 1):
        width = box.epsilon * number / rounds
        adversary = projected_gradient(width, box.steps, share=box.share, seed=task.seed)
        yield _Trained(task.fit(train, adversary=adversary), round(box.share * train.n_obs), width)


def _by_examples(task: _Task, train: AnnData, current: Classifier, rounds: int, folds: int) -> Iterator[_Trained]:
    """Yield models trained on more and more adversarial cells, until none is found."""
    part = _parts(cluster_labels(train, task.groupby), folds, task.seed)
    examples: list[tuple[int, AnnData]] = []  # with the fold that their cells are of
    for number in range(1, rounds + 1):
        new = []
        for fold in range(folds):
            # a type's share of n_per_type, as even as whole numbers allow
            limit = None if task.n_per_type is None else len(range(fold, task.n_per_type, folds))
            cells = train[part == fold].copy()
            if not cells.n_obs or limit == 0:
                continue
            if folds > 1:
                of_other_folds = [fooled for other, fooled in examples if other != fold]
                current = task.fit(_joined(train[part != fold], of_other_folds))
            new.append((fold, task.fooled(cells, current, number, limit)))
        if not any(fooled.n_obs for _, fooled in new):
            return
        examples += new
        joined = [fooled for _, fooled in examples]
        current = task.fit(_joined(train, joined))
        yield _Trained(current, sum(fooled.n_obs for fooled in joined))


def _joined(cells: AnnData, fooled: list[AnnData]) -> AnnData:
    """Return cells with adversarial ones below, and what `uns` says of their values, such as the base of logarithms."""
    return anndata.concat([cells, *fooled], merge="same", uns_merge="first")


def _without_raw(cells: AnnData) -> AnnData:
    """Return cells without `raw`: adversarial ones have none, so cells and examples cannot be joined with it."""
    if cells.raw is None:
        return cells
    cells = cells.copy()
    del cells.raw
    return cells


def _parts(types: np.ndarray, folds: int, seed: int) -> Ints:
    """Return each cell's fold, 0 to folds - 1, the cells of a type spread evenly; -1 for cells without a type."""
    generator = np.random.default_rng(seed)
    part = np.full(len(types), -1)
    for name in cluster_names(types):
        rows = np.flatnonzero(types == name)
        part[generator.permutation(rows)] = (np.arange(len(rows)) + generator.integers(folds)) % folds
    return part
