"""Any ``torch.nn.Module`` as a classifier."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from adverscarial.cells.cluster import Cluster
from adverscarial.classifiers.adapters.torch_layers import DenseLayer, dense_chain, ends_in_softmax
from adverscarial.classifiers.answers import Decision, argmax_labels
from adverscarial.classifiers.base import Classifier
from adverscarial.classifiers.device import CELLS, cells_at_a_time, checked_device, import_torch, in_batches
from adverscarial.classifiers.plain import PlainNetwork
from adverscarial.classifiers.scorers.base import Scorer
from adverscarial.classifiers.scorers.dense_layers import Upper
from adverscarial.classifiers.scorers.networks import FirstLayerScorer, check_weights
from adverscarial.errors import ClassifierError, ParameterError

if TYPE_CHECKING:
    import torch


class TorchModule(Classifier, wraps=40):
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
        module: torch.nn.Module,
        *,
        classes: Iterable[str] | None = None,
        genes: Iterable[str] | None = None,
        device: str = "auto",
        batch_size: int | None = None,
        logits: bool = True,
    ) -> None:
        if classes is None:
            raise ParameterError(
                "A torch module does not know its classes: name its outputs with wrap(module, classes=[...])."
            )
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

    @classmethod
    def recognises(cls, obj: object) -> bool:
        """Return whether an object has what a ``torch.nn.Module`` has, without importing torch."""
        return hasattr(obj, "forward") and hasattr(obj, "state_dict")

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

    def tensor(self, X: np.ndarray) -> torch.Tensor:
        """Return `X` in the network's number type, on its device."""
        like = self._like()
        return self._torch.as_tensor(np.ascontiguousarray(X), dtype=like.dtype, device=like.device)

    def _like(self) -> torch.Tensor:
        """Return a tensor of the network's number type on its device."""
        return next((p for p in self.module.parameters() if p.is_floating_point()), self._torch.empty(0))

    def _cells(self, X: np.ndarray, copies: int) -> int:
        """Return how many rows of `X` to run at a time, where each value is held about `copies` times."""
        if self.batch_size is not None:
            return self.batch_size
        if len(X) <= CELLS:  # small queries are many: no look at the memory for each
            return CELLS
        like, widths = self._like(), sum(p.shape[0] for p in self.module.parameters() if p.ndim)
        return cells_at_a_time(like.device, copies * like.element_size() * (X.shape[1] + widths))

    def _array(self, values: torch.Tensor) -> np.ndarray:
        """Return a tensor as a numpy array of float64 or float32."""
        array: np.ndarray = (values if values.dtype == self._torch.float64 else values.float()).cpu().numpy()
        return array

    def _call(self, module: torch.nn.Module, values: torch.Tensor) -> torch.Tensor:
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

    def run(self, X: np.ndarray, module: torch.nn.Module | None = None) -> np.ndarray:
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
        scores: np.ndarray = np.exp(outputs - outputs.max(axis=1, keepdims=True))
        scores /= scores.sum(axis=1, keepdims=True)
        return scores

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

    def plain(self, cluster: Cluster) -> PlainNetwork | None:  # noqa: D102
        layers, columns = self.dense_layers(), self.align(cluster.genes)
        if layers is None or len(layers) < 2 or self.normalised or len(layers[0].kernel) != len(columns):
            return None
        names = [str(name) for name in cluster.gene_names[columns]]
        return PlainNetwork(names, list(self.classes), [(layer.kernel, layer.bias) for layer in layers], single=True)

    def dense_layers(self) -> list[DenseLayer] | None:
        """Return the linear layers with ReLU between them, float64, up to the values whose order is the label's.

        Batch normalisation is taken into them, and a softmax at the end is left out. None for any other network.
        """
        operations = self._operations(self.module)
        if any(map(_altered, operations)):
            return None
        if operations and ends_in_softmax(operations[-1], self.gives_logits):
            operations = operations[:-1]
        return dense_chain(operations)

    @property
    def normalised(self) -> bool:
        """Whether there is batch normalisation somewhere."""
        return any(type(part) is self._torch.nn.BatchNorm1d for part in self.module.modules())

    def _operations(self, module: torch.nn.Module) -> list[torch.nn.Module]:
        """Return the operations of a chain in order, without those that do nothing in evaluation."""
        nn = self._torch.nn
        if _altered(module):
            return [module]
        if type(module) in (nn.Dropout, nn.Identity):
            return []
        if type(module) is nn.Sequential:
            return [operation for part in module for operation in self._operations(part)]
        return [module]


def _altered(module: torch.nn.Module) -> bool:
    """Return whether hooks or a replaced ``forward`` may make a part do something else than its type says."""
    return bool(module._forward_hooks or module._forward_pre_hooks or "forward" in vars(module))


class TorchScorer(FirstLayerScorer):
    """Scorer of a :class:`TorchModule` that starts with a linear layer: its sums in float64, the rest in torch."""

    def __init__(self, model: TorchModule, cluster: Cluster, first: torch.nn.Linear, rest: torch.nn.Sequential) -> None:
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

    def _upper_layers(self) -> Upper | None:
        layers = self.model.dense_layers()
        if layers is None:
            return None
        first, *above = layers
        upper = Upper([(layer.kernel, layer.bias) for layer in above], 1e-5, 1e-6)  # they are added up in float32
        if above and not self.model.normalised:
            return upper
        # where sums are stretched, or are the outputs themselves, what cancelled in them counts
        return upper._replace(bend=first.bend, terms=[layer.terms for layer in above])
