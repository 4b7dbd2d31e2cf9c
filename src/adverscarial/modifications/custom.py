"""New values from a function of the user's own."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib import import_module
from typing import Literal

import numpy as np

from adverscarial.cells.cluster import Cluster
from adverscarial.errors import AdverscarialError, ParameterError, did_you_mean, some
from adverscarial.modifications.base import Modification

Scope = Literal["gene", "cluster_gene", "block", "cluster_block"]


@dataclass(frozen=True, repr=False)
class Custom(Modification):  # without a name: no short string means a function
    """New values from your own function.

    Parameters
    ----------
    function
        What it is given, and what it must return, depends on `scope`:

        - ``"cluster_gene"``: the gene's values in the cluster, shape (cells,) -> the same shape
        - ``"gene"``: the gene's values in all cells, and a mask of the cluster -> values of the cluster's cells
        - ``"cluster_block"``: all changed genes in the cluster, shape (cells, genes) -> the same shape
        - ``"block"``: all changed genes in all cells, and a mask of the cluster -> shape (cluster's cells, genes)
    scope
        See above.
    source
        Where the function comes from, as ``"module:function"``, where a command line named it so.

    Examples
    --------
    >>> half = Custom(lambda values: values / 2)
    """

    function: Callable[..., np.ndarray]
    scope: Scope = "cluster_gene"
    source: str | None = None

    def __post_init__(self) -> None:
        if self.scope not in ("gene", "cluster_gene", "block", "cluster_block"):
            raise ParameterError(
                f"Custom: scope must be 'gene', 'cluster_gene', 'block' or 'cluster_block', got '{self.scope}'."
            )

    @property
    def joint(self) -> bool:  # type: ignore[override]
        """Block functions see all the genes that are changed together."""
        return self.scope in ("block", "cluster_block")

    def values(self, cluster: Cluster, genes: np.ndarray) -> np.ndarray:  # noqa: D102
        inside = cluster.values(genes).astype(np.float64)
        if not len(genes):
            return inside
        if self.scope == "cluster_block":
            new = _call(self.function, inside)
        elif self.scope == "cluster_gene":
            new = self._by_gene([(inside[:, k],) for k in range(len(genes))], inside)
        else:
            whole = cluster.statistics.columns(genes).astype(np.float64)
            mask = np.zeros(len(whole), dtype=bool)
            mask[cluster.rows] = True
            if self.scope == "block":
                new = _call(self.function, whole, mask)
            else:
                new = self._by_gene([(whole[:, k], mask) for k in range(len(genes))], inside)
        if new.shape != inside.shape:
            raise ParameterError(f"Custom: the function returned shape {new.shape}, expected {inside.shape}.")
        if not np.isfinite(new).all():
            bad = int(new.size - np.isfinite(new).sum())
            raise ParameterError(
                f"Custom: {bad:,} of the {new.size:,} returned values are NaN or infinite; return numbers."
            )
        return new

    def _by_gene(self, arguments: list[tuple[np.ndarray, ...]], like: np.ndarray) -> np.ndarray:
        new = np.empty_like(like)
        for k, given in enumerate(arguments):
            answer = _call(self.function, *given)
            if answer.shape not in ((like.shape[0],), ()):
                raise ParameterError(
                    f"Custom: the function returned shape {answer.shape}, expected ({like.shape[0]},): "
                    "one value per cell of the cluster."
                )
            new[:, k] = answer
        return new

    @property
    def meaning(self) -> str:  # noqa: D102
        return f"A function of the user’s own: {self}."

    def __str__(self) -> str:
        return f"custom:{self.source or getattr(self.function, '__name__', type(self.function).__name__)}"


def _call(function: Callable[..., object], *arguments: np.ndarray) -> np.ndarray:
    try:
        answer = function(*arguments)
    except AdverscarialError:
        raise
    except Exception as error:
        raise ParameterError(f"Custom: the function failed with {type(error).__name__}: {error}") from error
    try:
        return np.asarray(answer, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ParameterError(
            f"Custom: the function returned a {type(answer).__name__} that is no array of numbers: {error}"
        ) from error


def imported(text: str) -> Modification:
    """Return the modification that ``custom:module:function`` names; the module is imported, so its code runs.

    Only for what a user has typed, never for a text that was read from a file. The function may also be a
    :class:`Modification`, such as a :class:`Custom` of another scope.

    Raises
    ------
    ParameterError
        If the text is not of this form, or the module or the function is not there.

    Examples
    --------
    >>> str(imported("custom:numpy:sqrt"))
    'custom:numpy:sqrt'
    """
    match = re.fullmatch(r"custom:([\w.]+):(\w+)", text.strip())
    if not match:
        raise ParameterError(
            f"'{text}' names no function. Write custom:module:function, for example custom:my_changes:halve for the "
            "function 'halve' in the file my_changes.py of this folder."
        )
    module, name = match.groups()
    try:
        found = import_module(module)
    except Exception as error:
        raise ParameterError(
            f"'{text}': the module '{module}' cannot be imported ({type(error).__name__}: {error}). It must be a file "
            f"{module}.py in this folder, or an installed package."
        ) from error
    function = getattr(found, name, None)
    if isinstance(function, Custom):
        return replace(function, source=f"{module}:{name}")
    if isinstance(function, Modification):
        return function
    if not callable(function):
        functions = [key for key, value in vars(found).items() if callable(value) and not key.startswith("_")]
        raise ParameterError(
            f"'{text}': the module '{module}' has no function '{name}'.{did_you_mean(name, functions)} "
            f"Its functions: {some(functions) or 'none'}."
        )
    return Custom(function, source=f"{module}:{name}")
