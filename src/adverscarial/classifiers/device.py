"""Where torch computes: the device's name, how many cells fit on it at a time, and what to do when they do not.

A GPU's memory bounds a batch, a processor's cache pays for a small one. So a batch is sized by the memory that is free
on a GPU, and is a fixed number of cells elsewhere. Both are guesses: when the memory runs out all the same, the batch
is halved and the work goes on.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from adverscarial.errors import ClassifierError, MissingDependencyError, ParameterError

if TYPE_CHECKING:
    import torch

logger = logging.getLogger(__name__)

_T = TypeVar("_T")

CELLS = 4096  # at a time, where memory does not bound them
_MOST = 2**20  # cells at a time on a GPU: more do not make it faster, and the host holds their results twice
_SHARE = 0.5  # of the free memory that a batch may fill; the rest is for what the libraries keep


def import_torch(purpose: str) -> ModuleType:
    """Return torch, or say how to install it."""
    try:
        import torch
    except ImportError as error:
        raise MissingDependencyError("torch", "torch", purpose) from error
    module: ModuleType = torch
    return module


def checked_device(name: str, owner: str) -> torch.device:
    """Return the ``torch.device`` called `name`.

    Raises
    ------
    ParameterError
        If torch knows no such device, or this machine has none.
    """
    torch = import_torch(f"{owner} with device={name!r}")
    try:
        device = torch.device(name)
    except (RuntimeError, TypeError) as error:
        raise ParameterError(
            f"{owner}: device={name!r} is no device of torch; expected 'auto', 'cpu', 'cuda', 'cuda:1', ..."
        ) from error
    if device.type == "cuda":
        found = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if not found:
            raise ParameterError(f"{owner}: {name} asked for, torch sees no GPU; use device='cpu'.")
        if device.index is not None and device.index >= found:
            raise ParameterError(
                f"{owner}: {name} asked for, torch sees {found} GPU(s); expected 'cuda:0' to 'cuda:{found - 1}'."
            )
        return device
    try:
        torch.zeros(1, device=device).cpu()
    except (RuntimeError, AssertionError) as error:  # NotImplementedError is a RuntimeError
        raise ParameterError(
            f"{owner}: {name} asked for, torch cannot compute there: {error} Use device='cpu'."
        ) from error
    return device


def cells_at_a_time(device: torch.device, bytes_per_cell: int) -> int:
    """Return how many cells to compute at a time: by free memory on a GPU, a fixed number elsewhere.

    Parameters
    ----------
    device
        A ``torch.device``.
    bytes_per_cell
        Memory that one cell takes while it is computed.
    """
    if device.type != "cuda":
        return CELLS
    import torch

    free, _ = torch.cuda.mem_get_info(device)
    return int(np.clip(free * _SHARE // max(1, bytes_per_cell), 1, _MOST))


def in_batches(n_cells: int, size: int, ask: Callable[[slice], _T]) -> Iterator[tuple[slice, _T]]:
    """Yield slices that cover `n_cells`, each with ``ask(slice)``; where memory runs out, at half the size.

    Raises
    ------
    ClassifierError
        If the device has no room for a single cell.
    """
    import torch

    start = 0
    while start < n_cells:
        part = slice(start, min(start + size, n_cells))
        try:
            answer = ask(part)
        except torch.cuda.OutOfMemoryError as error:
            size = (part.stop - part.start) // 2
            if not size:
                raise ClassifierError(
                    f"The device has no memory left for a single cell: {error} Free some, or use device='cpu'."
                ) from error
        else:
            yield part, answer
            start = part.stop
            continue
        # only here is the error gone, and with it the tensors of the calls that failed
        logger.warning("The device is out of memory: going on with %s cells at a time.", f"{size:,}")
