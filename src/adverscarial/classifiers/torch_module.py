"""Any ``torch.nn.Module`` as a classifier, and the scorer of networks that start with a linear layer.

That scorer keeps the first layer's sums for the cluster's cells. A changed gene adds one multiple of its own row of
weights to them, and only the layers above run again. scMLP (:mod:`~adverscarial.classifiers.mlp`) uses it too.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import pandas as pd
from scipy.linalg.blas import dger

from adverscarial.classifiers._dense import moved
from adverscarial.classifiers._device import CELLS, cells_at_a_time, checked_device, import_torch, in_batches
from adverscarial.classifiers.base import Answer, Answers, Ballot, Classifier, Decision, Scorer, argmax_labels
from adverscarial.cluster import Cluster
from adverscarial.errors import ClassifierError, ParameterError

_GENES = 256  # genes whose changes are written out at a time
_BATCH = 4 * 2**20  # bytes of first-layer sums per batch: a batch stays in the processor's cache
_HEAVY = 1e4  # taking a value above this out of a sum would leave rounding residue, so the sum is made anew


def check_weights(weights: np.ndarray, shape: tuple[int, int]) -> None:
    """Raise a ParameterError unless there is one weight per cell and class."""
    if np.shape(weights) != shape:
        raise ParameterError(f"gradient: weights have shape {np.shape(weights)}, expected (cells, classes) = {shape}.")


class FirstLayerScorer(Scorer):
    """State: the first layer's input sums of the cluster's cells, float64, and the genes changed so far.

    New values are first rounded to the number type of the data, as they would be in a changed data set.

    Parameters
    ----------
    cluster
        The cluster under attack.
    columns
        Where each of the classifier's genes stands in the data set.
    W, b
        First layer, shapes (classifier's genes, units) and (units,).
    classes
        Names of the classes.
    """

    def __init__(
        self, cluster: Cluster, columns: np.ndarray, W: np.ndarray, b: np.ndarray, classes: Sequence[str]
    ) -> None:
        self._X, self._columns, self._W, self._b = cluster.X, columns, W, b
        self._row = np.full(len(cluster.genes), -1, dtype=np.int64)
        self._row[columns] = np.where(W.any(axis=1), np.arange(len(columns)), -1)
        self._size = np.linalg.norm(W, axis=1)
        self._ballot = Ballot(classes)
        self._changed: dict[int, np.ndarray] = {}  # gene -> its accepted values
        sums = self._sums(np.empty(0, dtype=np.int64))
        self._settle(sums, self._scores(sums))

    @abstractmethod
    def _scores(self, sums: np.ndarray) -> np.ndarray:
        """Return the classifier's scores from the first layer's input sums; the best, first one is the label."""

    def _settle(self, sums: np.ndarray, scores: np.ndarray) -> None:
        """Make `sums` the state. Arrays of the state are replaced, never written into, so forks may share them."""
        self._A, self._now_scores = sums, scores
        self._asked: tuple[np.ndarray, np.ndarray, np.ndarray] | None = None  # last question: genes, values, scores
        self._codes = np.argmax(scores, axis=1)
        self._baseline = self._ballot.answer(self._codes, scores)

    @property
    def baseline(self) -> Answer:  # noqa: D102
        return self._baseline

    def reads(self, genes: np.ndarray) -> np.ndarray:
        """Genes that the network was not trained on, or with weights of zero only, change nothing."""
        return self._row[genes] >= 0

    def _now(self, genes: np.ndarray) -> np.ndarray:
        """Return the values of `genes` as they stand, float64, shape (cells, len(genes))."""
        now = self._X[:, genes].astype(np.float64)
        for k in np.flatnonzero([int(gene) in self._changed for gene in genes] if self._changed else []):
            now[:, k] = self._changed[int(genes[k])]
        return now

    def _rounded(self, values: np.ndarray) -> np.ndarray:
        return values.astype(self._X.dtype).astype(np.float64)

    def _sums(self, without: np.ndarray) -> np.ndarray:
        """Return the first layer's input sums from all genes but `without`, from scratch."""
        sums = np.tile(self._b, (len(self._X), 1))
        left = self._columns[self._row[self._columns] >= 0]
        left = left[~np.isin(left, without)]
        for start in range(0, len(left), _GENES):
            block = left[start : start + _GENES]
            sums += self._now(block) @ self._W[self._row[block]]
        return sums

    def _moved(self, genes: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the sums with all `genes` (each read) at `values`, and which cells that changes."""
        sums, heavy, moving = self._A, False, np.zeros(len(self._A), dtype=bool)
        for start in range(0, len(genes), _GENES):
            block = genes[start : start + _GENES]
            old = self._now(block)
            heavy = heavy or bool(np.abs(old).max() > _HEAVY)
            changes = values[:, start : start + _GENES] - old
            moving |= changes.any(axis=1)
            if len(block) == 1:  # one outer product, added in place of a copy
                sums = dger(1.0, self._W[self._row[block[0]]], changes[:, 0], a=sums.T).T
            else:
                sums = sums + changes @ self._W[self._row[block]]
        if heavy:
            sums = self._sums(genes)
            for start in range(0, len(genes), _GENES):
                sums += values[:, start : start + _GENES] @ self._W[self._row[genes[start : start + _GENES]]]
        return sums, moving

    def _outcome(self, genes: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return sums and scores with all `genes` (each read) at `values`.

        Only cells that stand neither as they do now nor as they did in the last question go through the upper layers.
        """
        sums, todo = self._moved(genes, values)
        scores = self._now_scores
        if self._asked is not None and np.array_equal(genes, self._asked[0]):
            same = (values == self._asked[1]).all(axis=1)
            scores = np.where(same[:, None], self._asked[2], scores)
            todo &= ~same
        if todo.all():
            return sums, self._scores(sums)
        scores = scores.copy()
        if todo.any():
            scores[todo] = self._scores(sums[todo])
        return sums, scores

    def _known(self, genes: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the genes that are read, and their values as the data can hold them."""
        read = self.reads(genes)
        if not read.all():
            genes, values = genes[read], values[:, read]
        return genes, self._rounded(values)

    def together(self, genes: np.ndarray, values: np.ndarray) -> Answer:  # noqa: D102
        genes, values = self._known(genes, values)
        scores = self._outcome(genes, values)[1]
        self._asked = genes, values, scores
        return self._ballot.answer(np.argmax(scores, axis=1), scores)

    def accept(self, genes: np.ndarray, values: np.ndarray) -> None:  # noqa: D102
        genes, values = self._known(genes, values)
        sums, scores = self._outcome(genes, values)
        self._changed = self._changed | {int(gene): values[:, k] for k, gene in enumerate(genes)}
        self._settle(sums, scores)

    def _unmoved(self, changes: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """Return which changes, shape (cells, genes), are proven to leave the cell's label alone."""
        return changes == 0

    def each(self, genes: np.ndarray, values: np.ndarray) -> Answers:
        """Return one answer per gene; only cells whose label may change go through the upper layers."""
        votes = np.tile(self._ballot.count(self._codes), (len(genes), 1))
        todo = np.flatnonzero(self.reads(genes))
        pairs = max(1, _BATCH // (8 * self._W.shape[1]))
        for start in range(0, len(todo), _GENES):
            block = todo[start : start + _GENES]
            rows, old = self._row[genes[block]], self._now(genes[block])
            changes = self._rounded(values[:, block]) - old
            heavy = (np.abs(old) > _HEAVY).any(axis=0)
            for k in block[heavy]:
                votes[k] = self._ballot.count(
                    np.argmax(self._scores(self._moved(genes[[k]], self._rounded(values[:, [k]]))[0]), axis=1)
                )
            which, cells = np.nonzero(~self._unmoved(changes, rows).T & ~heavy[:, None])
            for first in range(0, len(which), pairs):
                g, c = which[first : first + pairs], cells[first : first + pairs]
                sums = moved(self._A, c, self._W, rows[g], changes[c, g])
                codes = np.argmax(self._scores(sums), axis=1)
                flips = codes != self._codes[c]
                np.add.at(votes, (block[g[flips]], codes[flips]), 1)
                np.subtract.at(votes, (block[g[flips]], self._codes[c[flips]]), 1)
        label, share = self._ballot.winners(votes) if len(genes) else (np.empty(0, dtype=str), np.empty(0))
        return Answers(label, share, np.zeros(len(genes), dtype=bool))


class TorchModule(Classifier):
    """A trained torch network that maps cells x genes to one number per class.

    The network must judge each cell on its own. It is run in evaluation mode and without gradients, in batches; the
    training flag of each of its parts is put back after every call.

    Parameters
    ----------
    module
        The network.
    classes
        Cell types, in the order of its outputs.
    genes
        Genes that it reads, in its order; None when the data has exactly these genes, in this order.
    device
        Where to run, ``"cpu"``, ``"cuda"``, ``"cuda:1"``, ...: the network is moved there. ``"auto"`` leaves it where
        it is.
    batch_size
        Cells at a time. None: as many as fit into half of the free memory of a GPU, 4,096 elsewhere. A batch for which
        the GPU's memory is too small is halved until it fits.
    logits
        The network ends before the softmax, which is then applied here. False: its outputs are scores already.

    Examples
    --------
    >>> import torch
    >>> network = torch.nn.Sequential(torch.nn.Linear(3, 8), torch.nn.ReLU(), torch.nn.Linear(8, 2))
    >>> model = TorchModule(network, classes=["B", "T"], genes=["CD19", "CD3D", "LYZ"])
    >>> model.decide(np.zeros((5, 3), dtype=np.float32)).scores.shape
    (5, 2)
    """

    def __init__(
        self,
        module: Any,
        *,
        classes: Iterable[str],
        genes: Iterable[str] | None = None,
        device: str = "auto",
        batch_size: int | None = None,
        logits: bool = True,
    ) -> None:
        self._torch = import_torch("TorchModule")
        if not isinstance(module, self._torch.nn.Module):
            raise ParameterError(f"TorchModule: expected a torch.nn.Module, got {type(module).__name__}.")
        if batch_size is not None and batch_size < 1:
            raise ParameterError(f"TorchModule: batch_size must be at least 1, or None, got {batch_size}.")
        self.module = module if device == "auto" else module.to(checked_device(device, "TorchModule"))
        self.classes = tuple(str(name) for name in classes)
        if len(set(self.classes)) < max(2, len(self.classes)):
            raise ParameterError(f"TorchModule: expected two or more different classes, got {list(self.classes)}.")
        self.genes = None if genes is None else pd.Index([str(gene) for gene in genes])
        self.device, self.batch_size, self.gives_logits = device, batch_size, logits

    @property
    def name(self) -> str:
        """Name of the network's own class."""
        return type(self.module).__name__

    def __repr__(self) -> str:
        return f"TorchModule({self.name}, classes={list(self.classes)!r}, logits={self.gives_logits})"

    @contextmanager
    def _evaluating(self) -> Iterator[None]:
        """Put the network into evaluation mode, and each part back as it was."""
        before = [(part, part.training) for part in self.module.modules()]
        self.module.eval()
        try:
            yield
        finally:
            for part, training in before:
                part.training = training

    def tensor(self, X: np.ndarray) -> Any:
        """Return `X` in the network's number type, on its device."""
        like = self._like()
        return self._torch.as_tensor(np.ascontiguousarray(X), dtype=like.dtype, device=like.device)

    def _like(self) -> Any:
        """Return a tensor of the network's number type on its device."""
        return next((p for p in self.module.parameters() if p.is_floating_point()), self._torch.empty(0))

    def _cells(self, X: np.ndarray, copies: int) -> int:
        """Return how many rows of `X` to run at a time, where each value is held about `copies` times."""
        if self.batch_size is not None:
            return self.batch_size
        if len(X) <= CELLS:  # small questions are many: no look at the memory for each
            return CELLS
        like, widths = self._like(), sum(p.shape[0] for p in self.module.parameters() if p.ndim)
        return cells_at_a_time(like.device, copies * like.element_size() * (X.shape[1] + widths))

    def _array(self, values: Any) -> np.ndarray:
        """Return a tensor as a numpy array of float64 or float32."""
        return (values if values.dtype == self._torch.float64 else values.float()).cpu().numpy()

    def _call(self, module: Any, values: Any) -> Any:
        """Run `module` on a tensor, and check what it returns."""
        try:
            out = module(values)
        except self._torch.cuda.OutOfMemoryError:
            raise  # a smaller batch may fit
        except (RuntimeError, TypeError, ValueError, IndexError) as error:
            raise ClassifierError(
                f"The torch module failed on an input of shape {tuple(values.shape)}: {error}. "
                "Expected: cells x genes in, one number per class out; do classes= and genes= fit the module?"
            ) from error
        if not isinstance(out, self._torch.Tensor):
            raise ClassifierError(
                f"The torch module returned a {type(out).__name__}, expected a tensor cells x classes: wrap it in a "
                "module that returns the logits alone."
            )
        expected = (len(values), len(self.classes))
        if tuple(out.shape) != expected:
            raise ClassifierError(
                f"The torch module returned the shape {tuple(out.shape)}, expected {expected}: one column for each of "
                f"the {len(self.classes)} classes."
            )
        if not bool(self._torch.isfinite(out).all()):
            raise ClassifierError("The torch module returned NaN or infinite values; expected finite numbers.")
        return out

    def run(self, X: np.ndarray, module: Any = None) -> np.ndarray:
        """Return the outputs for `X`, shape (cells, classes); of a part of the network where one is given."""

        def ask(part: slice) -> np.ndarray:
            return self._array(self._call(self.module if module is None else module, self.tensor(X[part])))

        with self._evaluating(), self._torch.no_grad():
            parts = [outputs for _, outputs in in_batches(len(X), self._cells(X, copies=2), ask)]
        return np.concatenate(parts or [np.empty((0, len(self.classes)))])

    def probabilities(self, outputs: np.ndarray) -> np.ndarray:
        """Return the scores that outputs of the network stand for."""
        if not self.gives_logits or not len(outputs):
            return outputs
        scores = np.exp(outputs - outputs.max(axis=1, keepdims=True))
        return scores / scores.sum(axis=1, keepdims=True)

    def decide(self, X: np.ndarray) -> Decision:
        """Label cells given dense, shape (cells, classifier's genes), by the first largest score.

        Raises
        ------
        ClassifierError
            If the network fails, or returns another shape, NaN or infinite values.
        """
        scores = self.probabilities(self.run(X))
        return Decision(argmax_labels(self.classes, scores), scores)

    def logits(self, X: np.ndarray) -> np.ndarray:
        """Return the values before the softmax, shape (cells, classes); of a network of scores, their logarithms."""
        outputs = self.run(X)
        return outputs if self.gives_logits else np.log(np.maximum(outputs, np.finfo(outputs.dtype).tiny))

    def gradient(self, X: np.ndarray, weights: np.ndarray) -> np.ndarray:
        """Return the gradient of ``sum_k weights[c, k] * logit_k(c)`` with respect to each value of `X`.

        Parameters
        ----------
        X
            Cells x genes, in the network's order.
        weights
            Shape (cells, classes).

        Returns
        -------
        float32 (float64 for a network of float64), shape of `X`; by automatic differentiation. The parameters' own
        ``.grad`` stay as they are.
        """
        check_weights(weights, (len(X), len(self.classes)))
        out = np.empty(X.shape, dtype=self._array(self.tensor(X[:0])).dtype)

        def ask(part: slice) -> np.ndarray:
            values = self.tensor(X[part]).clone().requires_grad_()
            logits = self._call(self.module, values)
            if not self.gives_logits:
                logits = logits.clamp_min(self._torch.finfo(logits.dtype).tiny).log()
            total = (logits * self.tensor(weights[part])).sum()
            if not total.requires_grad:
                raise ClassifierError("The torch module's output has no gradient: it detaches or rounds its values.")
            return self._array(self._torch.autograd.grad(total, values)[0])

        with self._evaluating(), self._torch.enable_grad():
            for part, gradient in in_batches(len(X), self._cells(X, copies=4), ask):
                out[part] = gradient
        return out

    def scorer(self, cluster: Cluster) -> Scorer:
        """Return the first-layer scorer where the network starts with a linear layer, else the general one."""
        operations = self._operations(self.module)
        if not operations or type(operations[0]) is not self._torch.nn.Linear or _altered(operations[0]):
            return super().scorer(cluster)
        return TorchScorer(self, cluster, operations[0], self._torch.nn.Sequential(*operations[1:]))

    def _operations(self, module: Any) -> list[Any]:
        """Return the operations of a chain in order, without those that do nothing in evaluation."""
        nn = self._torch.nn
        if _altered(module):
            return [module]
        if type(module) in (nn.Dropout, nn.Identity):
            return []
        if type(module) is nn.Sequential:
            return [operation for part in module for operation in self._operations(part)]
        return [module]


def _altered(module: Any) -> bool:
    """Return whether hooks or a replaced ``forward`` may make a part do something else than its type says."""
    return bool(module._forward_hooks or module._forward_pre_hooks or "forward" in vars(module))


class TorchScorer(FirstLayerScorer):
    """Scorer of a :class:`TorchModule` that starts with a linear layer: its sums in float64, the rest in torch."""

    def __init__(self, model: TorchModule, cluster: Cluster, first: Any, rest: Any) -> None:
        self.model, self.rest = model, rest
        columns = model.align(cluster.genes)
        W = np.ascontiguousarray(first.weight.detach().double().cpu().numpy().T)
        if len(W) != len(columns):
            raise ClassifierError(
                f"The torch module reads {len(W):,} genes, it was given {len(columns):,}: set genes=."
            )
        b = np.zeros(W.shape[1]) if first.bias is None else first.bias.detach().double().cpu().numpy()
        super().__init__(cluster, columns, W, b, model.classes)

    def _scores(self, sums: np.ndarray) -> np.ndarray:
        return self.model.probabilities(self.model.run(sums, self.rest))
