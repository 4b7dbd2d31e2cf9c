"""A multilayer perceptron on scaled expression (the article's scMLP), and its scorer.

The network is plain numpy: prediction needs torch on a GPU only, training always. Changing one gene of a cell adds one
multiple of that gene's row of weights to the first layer, which holds 99 % of the work; only the small upper layers run
again.
"""

from __future__ import annotations

import itertools
import logging
import math
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pandas as pd

from adverscarial._docs import documented
from adverscarial._progress import track
from adverscarial.cells.choice import Cells, meant
from adverscarial.cells.cluster import Cluster
from adverscarial.classifiers.answers import Decision, argmax_labels
from adverscarial.classifiers.base import Classifier
from adverscarial.classifiers.device import checked_device, import_torch
from adverscarial.classifiers.families.mlp_trainer import Adversary, Trainer, split
from adverscarial.classifiers.families.training import training_matrix
from adverscarial.classifiers.plain import PlainNetwork
from adverscarial.classifiers.registry import CommandLine
from adverscarial.classifiers.scorers.alike import Alike
from adverscarial.classifiers.scorers.base import Scorer
from adverscarial.classifiers.scorers.dense_layers import Upper, above, backward, forward, run
from adverscarial.classifiers.scorers.linear_sums import stretches
from adverscarial.classifiers.scorers.networks import FirstLayerScorer, check_weights
from adverscarial.errors import ClassifierError, MissingDependencyError, ParameterError

if TYPE_CHECKING:
    import torch

logger = logging.getLogger(__name__)

_CELLS = 256  # cells turned into float64 at a time on the processor


class MLP(
    Classifier,
    family="mlp",
    command_line=CommandLine(
        "mlp", "Neural network with the paper's settings (scMLP); needs torch.", place=30, needs=("torch", "torch")
    ),
):
    """Dense layers with ReLU and dropout, softmax on top; scMLP of the paper with its defaults.

    Parameters
    ----------
    hidden
        Units of the hidden layers.
    dropout
        Share of hidden units left out in each training step.
    epochs, batch_size, learning_rate
        Of training; Adam with Keras's defaults, the last epoch's weights are kept.
    validation
        Share of the training rows that are only watched. 0 trains on all.
    faithful
        Take the *last* rows for validation before any shuffling, as the original does. The rows are stacked class by
        class, so its last class is never trained. The default is a seeded split that keeps every class's share.
    balance
        Rows per class of the training set, see :func:`adverscarial.datasets.balance`; None trains on all cells.
    float32_output
        Round probabilities to float32, as Keras gives them. A saturated cell then answers exactly 1, and changes
        below that resolution become exactly 0.
    seed
        Start of every random draw. Training on a CPU gives the same weights for the same seed.
    device
        ``"cpu"``, ``"cuda"``, ``"cuda:1"``, ... for training and prediction; ``"auto"`` trains on a GPU where there is
        one, and predicts on the processor. May be set later. A model loaded where its device is not gets ``"auto"``.
    %(progress_trained)s

    Attributes
    ----------
    layers
        ``(kernel, bias)`` of each layer, float64; kernels have the shape (inputs, units). Empty before training.
    history
        One row per epoch: ``loss``, ``accuracy``, and with validation ``val_loss``, ``val_accuracy``.

    Notes
    -----
    Genes are matched by name. (The original goes by column position.) All arithmetic of a prediction is
    float64, on every device; devices add in other orders, so their scores agree to about 1e-12.

    Examples
    --------
    >>> import adverscarial as adv
    >>> adata = adv.datasets.embedded()
    >>> model = MLP(epochs=2, seed=0).fit(adata, "cell_type")
    >>> labels = model.predict(adata)
    """

    def __init__(  # noqa: PLR0913
        self,
        hidden: Sequence[int] = (128, 64),
        *,
        dropout: float = 0.5,
        epochs: int = 20,
        batch_size: int = 32,
        learning_rate: float = 1e-3,
        validation: float = 0.2,
        faithful: bool = False,
        balance: int | None = 100,
        float32_output: bool = False,
        seed: int = 0,
        device: str = "auto",
        progress: bool | None = None,
    ) -> None:
        self.hidden = hidden
        self.dropout, self.epochs, self.batch_size, self.learning_rate = dropout, epochs, batch_size, learning_rate
        self.validation, self.faithful, self.balance = validation, faithful, balance
        self.float32_output, self.seed, self.device, self.progress = float32_output, seed, device, progress
        self.classes: tuple[str, ...] = ()
        self.genes: pd.Index | None = None
        self.layers: list[tuple[np.ndarray, np.ndarray]] = []
        self.history = pd.DataFrame()

    def _check_settings(self) -> None:
        for name, good, expected in (
            ("hidden", len(self.hidden) > 0 and min(self.hidden) > 0, "one or more positive numbers of units"),
            ("dropout", 0 <= self.dropout < 1, "a share from 0 to below 1"),
            ("epochs", self.epochs >= 1, "at least 1"),
            ("batch_size", self.batch_size >= 1, "at least 1"),
            ("learning_rate", self.learning_rate > 0, "a positive number"),
            ("validation", 0 <= self.validation < 1, "a share from 0 to below 1"),
            ("balance", self.balance is None or self.balance >= 1, "at least 1 row per class, or None for all cells"),
        ):
            if not good:
                raise ParameterError(f"MLP: {name} must be {expected}, got {getattr(self, name)!r}.")
        self._gpu()  # a device that does not exist

    def _settings(self) -> dict[str, object]:
        """Return the settings that differ from their defaults."""
        settings = {**self.get_params(), "hidden": tuple(int(units) for units in self.hidden)}
        default = MLP().get_params()
        return {name: value for name, value in settings.items() if value != default[name]}

    def __repr__(self) -> str:
        return f"MLP({', '.join(f'{name}={value!r}' for name, value in self._settings().items())})"

    @classmethod
    def from_weights(
        cls, arrays: Mapping[str, np.ndarray], classes: Iterable[str], genes: Iterable[str], **settings: Any
    ) -> Self:
        """Make a trained network from its weights.

        Parameters
        ----------
        arrays
            ``W1, b1, W2, b2, ...``: kernels of shape (inputs, units), and biases, from the first layer to the last.
        classes
            Cell types, in the order of the last layer's units.
        genes
            Gene names, in the order of the rows of ``W1``.
        settings
            As for :class:`MLP`; ``hidden`` comes from the weights.

        Raises
        ------
        ParameterError
            If a layer is missing, or the shapes do not fit each other.
        """
        names, index = tuple(str(name) for name in classes), pd.Index([str(gene) for gene in genes])
        depth = sum(name.startswith("W") for name in arrays)
        layers, width = [], len(index)
        for i in range(1, depth + 1):
            if f"W{i}" not in arrays or f"b{i}" not in arrays:
                raise ParameterError(f"MLP: layer {i} of {depth} is missing; expected arrays W{i} and b{i}.")
            W = np.ascontiguousarray(arrays[f"W{i}"], dtype=np.float64)
            b = np.asarray(arrays[f"b{i}"], dtype=np.float64)
            if W.ndim != 2 or W.shape[0] != width or b.shape != W.shape[1:]:
                raise ParameterError(
                    f"MLP: W{i} has shape {W.shape} and b{i} {b.shape}; expected ({width}, units) and (units,)."
                )
            layers.append((W, b))
            width = len(b)
        if depth < 2 or width != len(names):
            raise ParameterError(
                f"MLP: the {depth} layers end in {width} units; expected at least 2 layers, and one unit for each of "
                f"the {len(names)} classes."
            )
        if not index.is_unique:
            raise ParameterError("MLP: gene names occur more than once; one row of W1 belongs to one gene.")
        model = cls([len(b) for _, b in layers[:-1]], **settings)
        model._check_settings()
        model.layers, model.classes, model.genes = layers, names, index
        return model

    @documented
    def fit(
        self, adata: Cells, groupby: str, *, mod: str | None = None, use_raw: bool = False, layer: str | None = None,
        adversary: Adversary | None = None,
    ) -> Self:  # fmt: skip
        """Train on labelled cells; cells without a label are left out.

        Parameters
        ----------
        adata
            Cells x genes, scaled values (z-scores) as a rule.
        %(groupby_types)s
        %(values)s
        %(layer_trained)s
        adversary
            Function of (:class:`Trainer`, cells x genes, class numbers) that returns the cells to take the step on in
            place of each batch: float32, same shape. :attr:`history` then tells of those cells.

        Returns
        -------
        The classifier itself.

        Raises
        ------
        DataError
            If the column is missing or names fewer than two types, or a value is NaN or infinite.
        ClassifierError
            If the loss grows beyond all bounds.
        MissingDependencyError
            If torch is not installed.
        """
        self._check_settings()
        import_torch("Training MLP")
        adata = meant(adata, mod=mod, use_raw=use_raw, layer=layer)
        X, labels, genes = training_matrix(adata, groupby, layer, self.balance, self.seed)
        classes, codes = np.unique(labels.astype(str), return_inverse=True)
        weights, rows = _train(self, X.astype(np.float32), codes, len(classes), adversary)
        arrays = {f"{'Wb'[i % 2]}{i // 2 + 1}": array for i, array in enumerate(weights)}
        fitted = MLP.from_weights(arrays, classes, genes)
        self.layers, self.classes, self.genes = fitted.layers, fitted.classes, fitted.genes
        self.history = pd.DataFrame(rows, index=pd.RangeIndex(1, len(rows) + 1, name="epoch"))
        return self

    def _gpu(self) -> torch.device | None:
        """Return the ``torch.device`` to predict on; None for numpy on the processor."""
        return None if self.device in ("auto", "cpu") else checked_device(self.device, "MLP")

    def _checked(self, X: np.ndarray) -> np.ndarray:
        if not self.layers:
            raise ClassifierError("This MLP is not trained: call fit(adata, groupby), or load a stored one.")
        if X.ndim != 2 or X.shape[1] != len(self.layers[0][0]):
            raise ClassifierError(
                f"MLP got cells of shape {X.shape}; expected {len(self.layers[0][0]):,} genes, those of .genes."
            )
        return X

    def _finite(self, logits: np.ndarray) -> np.ndarray:
        if not np.isfinite(logits).all():
            raise ClassifierError("The MLP's output is not finite: a value is too large for float64 arithmetic.")
        return logits

    def upper(self, sums: np.ndarray) -> np.ndarray:
        """Return the logits that follow from the first layer's input sums, shape (cells, units of layer 1)."""
        return self._finite(run(above, self.layers[1:], [sums], self._gpu(), cells=max(1, len(sums))))

    def probabilities(self, logits: np.ndarray) -> np.ndarray:
        """Return the softmax of `logits`, in float32 where the setting says so."""
        scores: np.ndarray = np.exp(logits - logits.max(axis=1, keepdims=True))
        scores /= scores.sum(axis=1, keepdims=True)
        return scores.astype(np.float32) if self.float32_output else scores

    def logits(self, X: np.ndarray) -> np.ndarray:
        """Return the values before the softmax, for cells x :attr:`genes`: float64, shape (cells, classes)."""
        return self._finite(run(forward, self.layers, [self._checked(X)], self._gpu(), cells=_CELLS))

    def decide(self, X: np.ndarray) -> Decision:
        """Label cells given dense, shape (cells, classifier's genes), by the first largest probability."""
        logits = self.logits(X)
        scores = self.probabilities(logits) if len(logits) else logits
        return Decision(argmax_labels(self.classes, scores), scores)

    @documented
    def gradient(self, X: np.ndarray, weights: np.ndarray) -> np.ndarray:
        """Return the exact gradient of ``sum_k weights[c, k] * logit_k(c)`` with respect to each value of `X`.

        Parameters
        ----------
        %(gradient)s

        Returns
        -------
        float64, shape of `X`. At the kink of a ReLU its left slope, 0, is taken, as torch does.
        """
        check_weights(weights, (len(X), len(self.classes)))
        return run(backward, self.layers, [self._checked(X), weights], self._gpu(), cells=_CELLS)

    def scorer(self, cluster: Cluster) -> Scorer:
        """Return the incremental scorer."""
        return MLPScorer(self, cluster)

    def plain(self, cluster: Cluster) -> PlainNetwork:
        """Return the layers."""
        names = cluster.gene_names[self.align(cluster.genes)]
        return PlainNetwork([str(name) for name in names], list(self.classes), list(self.layers), single=False)

    def state(self) -> tuple[Mapping[str, object], Mapping[str, np.ndarray]]:
        """Return what must be stored."""
        if not self.layers or self.genes is None:
            raise ClassifierError("This MLP is not trained, there is nothing to store: call fit(adata, groupby) first.")
        arrays = {
            f"{kind}{i}": array
            for i, layer in enumerate(self.layers, 1)
            for kind, array in zip("Wb", layer, strict=True)
        }
        arrays["genes"] = np.array(list(self.genes), dtype=str)
        history = self.history.to_dict("list")
        return {"settings": self._settings(), "classes": list(self.classes), "history": history}, arrays

    @classmethod
    def from_state(cls, meta: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Self:
        """Rebuild from what :meth:`state` returned."""
        weights = {name: array for name, array in arrays.items() if name != "genes"}
        settings = {name: value for name, value in meta["settings"].items() if name != "hidden"}
        device = settings.pop("device", "auto")
        model = cls.from_weights(weights, meta["classes"], arrays["genes"], **settings)
        model.device = device
        try:
            model._gpu()
        except (ParameterError, MissingDependencyError) as error:  # it comes from another machine
            logger.warning("%s The loaded model predicts on the processor.", error)
            model.device = "auto"
        history = pd.DataFrame(meta["history"])
        model.history = history.set_index(pd.RangeIndex(1, len(history) + 1, name="epoch")) if len(history) else history
        return model


def _train(
    model: MLP, X: np.ndarray, codes: np.ndarray, n_classes: int, adversary: Adversary | None
) -> tuple[list[np.ndarray], list[dict[str, float]]]:
    """Return trained weights ``W1, b1, ...`` and one row of history per epoch."""
    torch = import_torch("Training MLP")
    generator = torch.Generator().manual_seed(model.seed)
    device = model.device
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    weights = []
    sizes = (X.shape[1], *model.hidden, n_classes)
    for inputs, units in itertools.pairwise(sizes):  # Glorot uniform kernels, zero biases
        uniform = torch.rand((inputs, units), generator=generator).numpy()
        weights += [(2 * uniform - 1) * np.float32(math.sqrt(6 / (inputs + units))), np.zeros(units, np.float32)]
    trainer = Trainer(weights, model.learning_rate, model.dropout, generator, device)
    trained, watched = split(codes, model.validation, model.faithful, model.seed)
    missed = np.setdiff1d(codes, codes[trained])
    if len(missed):
        logger.warning("%d class(es) have no training row: faithful=True holds back the last rows.", len(missed))
    history = []

    def cells_of(batch: np.ndarray) -> np.ndarray:
        return X[batch] if adversary is None else adversary(trainer, X[batch], codes[batch])

    for epoch in track(range(model.epochs), "Training MLP", model.epochs, model.progress):
        order = trained[torch.randperm(len(trained), generator=generator).numpy()]
        batches = [order[i : i + model.batch_size] for i in range(0, len(order), model.batch_size)]
        results = np.array([trainer.step(cells_of(batch), codes[batch]) for batch in batches])
        loss, accuracy = np.average(results, axis=0, weights=[len(batch) for batch in batches])
        if not np.isfinite(loss):
            raise ClassifierError(f"Training diverged in epoch {epoch + 1}: scale the data, or lower learning_rate.")
        history.append({"loss": float(loss), "accuracy": float(accuracy)})
        if len(watched):
            with torch.no_grad():
                val_loss, val_accuracy = trainer.losses(X[watched], codes[watched])
            history[-1] |= {"val_loss": float(val_loss), "val_accuracy": val_accuracy}
    return [w.detach().cpu().numpy() for w in trainer.tensors], history


@documented
class MLPScorer(FirstLayerScorer):
    """Scorer of :class:`MLP`, which also proves for most cells that a small change cannot flip them.

    ReLU never stretches a distance. So a change ``d`` of gene g moves the difference of two logits, y and k, by at most
    ``|d| * |W1[g]| * |W2| * ... * |w_y - w_k|`` (lengths of rows, largest singular values of middle layers, and the
    distance of two columns of the last layer). The last ReLU hands on a share from 0 to 1 of each unit's difference:
    half of it, and at most half of it more or less. So with the layer W below, the last two factors are no more than
    ``(|W (w_y - w_k)| + |W| * |w_y - w_k|) / 2``. Each cell has a radius: how large ``|d| * |W1[g]|`` may be before its
    label, y, can lose to any k. The radius allows for rounding: the error of a logit is below 1e-9 times the same
    sum with all terms positive (true for layers up to a million units), and 1e-6 is kept for ties in float32 softmax.

    Parameters
    ----------
    model
        A trained network.
    %(cluster)s
    skip
        Use the proof; the answers are the same without it.
    """

    def __init__(self, model: MLP, cluster: Cluster, *, skip: bool = True) -> None:
        columns = model.align(cluster.genes)
        if not model.layers:
            raise ClassifierError("This MLP is not trained: call fit(adata, groupby), or load a stored one.")
        self.model, self.skip = model, skip
        super().__init__(cluster, columns, *model.layers[0], model.classes)

    def _scores(self, sums: np.ndarray) -> np.ndarray:
        return self.model.probabilities(self.model.upper(sums))

    def _upper_layers(self) -> Upper | None:
        # a tie of probabilities in float32 may hide a difference of logits
        return Upper(self.model.layers[1:], 2e-9, 1e-6) if len(self.model.layers) > 1 else None

    def _settle(self, sums: np.ndarray, scores: np.ndarray) -> None:
        super()._settle(sums, scores)
        self._radius: np.ndarray | None = None  # computed when first asked for
        self._centre: tuple[np.ndarray, float, float] | None = None  # middle of all cells, how far they lie, its radius

    def _radii(self, sums: np.ndarray, codes: np.ndarray) -> np.ndarray:
        """Return the radius of each row of first-layer sums, given its label, see above."""
        logits, size = self.model.upper(sums), np.abs(sums)
        for W, b in self.model.layers[1:]:
            size = size @ np.abs(W) + np.abs(b)
        cells = np.arange(len(logits))
        margin = logits[cells, codes][:, None] - logits
        margin -= 1e-6 + 2e-9 * size.max(axis=1, keepdims=True)
        radius = margin / self._growth[codes]
        radius[cells, codes] = np.inf
        smallest: np.ndarray = radius.min(axis=1)
        return smallest

    @cached_property
    def _growth(self) -> np.ndarray:
        """How much a margin can grow for a step of length 1 of the sums, rounding included, shape (labels, labels)."""
        last = self.model.layers[-1][0]
        middle = [W for W, _ in self.model.layers[1:-1]]
        rounding = math.prod(np.linalg.norm(np.abs(W), 2) for W in middle) * np.linalg.norm(last, axis=0).max()
        weights = last[:, :, None] - last[:, None, :]
        apart = np.linalg.norm(weights, axis=0)
        for W in middle[-1:]:
            apart = (np.linalg.norm(np.tensordot(W, weights, 1), axis=0) + np.linalg.norm(W, 2) * apart) / 2
        stretch = math.prod(np.linalg.norm(W, 2) for W in middle[:-1])
        growth: np.ndarray = 1.000001 * stretch * apart + 2e-9 * rounding + 1e-300
        return growth

    def _unmoved(self, changes: np.ndarray, rows: np.ndarray, cells: slice = slice(None)) -> np.ndarray:
        unmoved: np.ndarray = changes == 0
        if not self.skip:
            return unmoved
        if self._radius is None:
            parts = [self._radii(self._A[some], self._codes[some]) for some in stretches(len(self._A))]
            self._radius = np.concatenate(parts)
        unmoved |= np.abs(changes) * self._size[rows] < self._radius[cells, None]
        return unmoved

    def alike(self, genes: np.ndarray, values: np.ndarray) -> Alike | None:  # noqa: D102
        if not self.skip:
            return None
        middle, apart, mass = np.zeros(len(self._row)), np.zeros(len(self._row)), np.linalg.norm(self._b)
        genes, values = self._known(genes, values)
        for start in range(0, len(genes), _CELLS):
            block = genes[start : start + _CELLS]
            new = self._read(block, values[:, start : start + _CELLS])
            old, size = self._now(block), self._size[self._row[block]]
            low, high = (new - old).min(axis=0), (new - old).max(axis=0)
            with np.errstate(over="ignore", invalid="ignore"):  # what is no number proves nothing
                middle[block], apart[block] = (low + high) / 2, (high - low) / 2 * size
            mass += (np.abs(old).max(axis=0) + np.abs(new).max(axis=0)) @ size
        others = np.setdiff1d(self._columns[self._row[self._columns] >= 0], genes)
        for start in range(0, len(others), _CELLS):
            block = others[start : start + _CELLS]
            mass += np.abs(self._now(block)).max(axis=0) @ self._size[self._row[block]]
        found = Alike(
            self._ballot.labels, self._row, middle, apart, float(mass), self._W, self.model.layers[1:], self._growth,
            (1e-6, 2e-9),
        )  # fmt: skip
        self.centre(found)
        return found

    def centre(self, alike: Alike) -> None:  # noqa: D102
        alike.centre(self._A)

    def _alike(self, changes: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """Compare the cells with one point amid them, whose radius may reach all: an aberrant value outweighs the rest.

        A cell lies no farther from it than it lay from the middle, and its change lies from the middle one, together.
        """
        if not self.skip or not len(rows):
            return super()._alike(changes, rows)
        if self._centre is None:
            middle = self._A.mean(axis=0)
            most = self._radii(middle[None], np.argmax(self.model.upper(middle[None]), axis=1))[0]
            self._centre = middle, float(np.linalg.norm(self._A - middle, axis=1).max()), float(most)
        middle, apart, most = self._centre
        low, high = changes.min(axis=0), changes.max(axis=0)
        steps, reach = (low + high) / 2, 1.000001 * (apart + (high - low) / 2 * self._size[rows])
        # a radius grows by no more than the step; where that is too little for all cells, nothing need be tried
        able = np.flatnonzero(most + 1.000001 * np.abs(steps) * self._size[rows] > reach)
        sums = middle + steps[able, None] * self._W[rows[able]]
        codes, found = np.argmax(self.model.upper(sums), axis=1), np.full(len(rows), -1)
        found[able] = np.where(self._radii(sums, codes) > reach[able], codes, -1)
        return found
