"""What is done to a gene's values in the attacked cluster.

A modification turns (cluster, genes) into new values. The short strings mean the same everywhere: in Python, on the
command line and in reports.

>>> parse("perc99")
Percentile(99)
>>> str(Decile(+5))
'decile+5'
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import Any, Literal

import numpy as np
from anndata import AnnData

from adverscarial._matrix import copy_of, layer_of, replace
from adverscarial.cluster import Cluster
from adverscarial.errors import AdverscarialError, DataError, ParameterError, did_you_mean, some


class Modification(ABC):
    """Base of all modifications."""

    #: whether the new value of one gene depends on which other genes are changed in the same step
    joint: bool = False

    @abstractmethod
    def values(self, cluster: Cluster, genes: np.ndarray) -> np.ndarray:
        """Return new values for `genes` (positions).

        Returns
        -------
        float64, shape (cells of the cluster, len(genes)), or (1, len(genes)) where every cell gets the same value.
        """

    def __repr__(self) -> str:
        return f"{type(self).__name__}({settings_text(self)})"


def settings_text(obj: Any) -> str:
    """Return a dataclass's settings as they would be typed: the first bare, the others only if not the default."""
    shown = []
    for i, field in enumerate(fields(obj)):
        value = getattr(obj, field.name)
        value = value.item() if isinstance(value, np.generic) else value  # numpy writes np.float64(3.0)
        if i == 0 and value != field.default:
            shown.append(repr(value))
        elif value != field.default:
            shown.append(f"{field.name}={value!r}")
    return ", ".join(shown)


def _check_number(what: str, value: object, low: float, high: float) -> None:
    if not isinstance(value, int | float | np.number) or not low <= value <= high:
        raise ParameterError(f"{what} must be a number from {low:g} to {high:g}, got {value!r}.")


def _exact(value: float, sign: str = "") -> str:
    """Return the shortest text that is read back as the same number."""
    value = float(value)
    whole = value.is_integer() and abs(value) < 1e16
    return f"{int(value):{sign}d}" if whole else f"{'+' if sign and value > 0 else ''}{value!r}"


@dataclass(frozen=True, repr=False)
class Percentile(Modification):
    """Every cell gets the gene's quantile over all cells of the data set (linear interpolation, zeros included).

    Parameters
    ----------
    q
        Percent, 0 to 100. The paper's perc1 switches a gene off, its perc99 switches it on.
    """

    q: float

    def __post_init__(self) -> None:
        _check_number("Percentile: q", self.q, 0, 100)

    def values(self, cluster: Cluster, genes: np.ndarray) -> np.ndarray:  # noqa: D102
        return cluster.statistics.quantile(genes, self.q / 100)[None, :]

    def __str__(self) -> str:
        return f"perc{_exact(self.q)}"


@dataclass(frozen=True, repr=False)
class Decile(Modification):
    """Every cell moves `n` tenths of the data set's cells along the gene's sorted values.

    Parameters
    ----------
    n
        Tenths, -10 to 10; ``Decile(0)`` changes nothing.
    reference
        Move one place less, as the R code does (used for the published runs).
    """

    n: float
    reference: bool = False

    def __post_init__(self) -> None:
        _check_number("Decile: n", self.n, -10, 10)

    def values(self, cluster: Cluster, genes: np.ndarray) -> np.ndarray:  # noqa: D102
        steps = int(np.rint(self.n * cluster.statistics.n_cells / 10))
        return cluster.statistics.shifted(genes, cluster.values(genes), steps, reference=self.reference)

    def __str__(self) -> str:
        return f"decile{_exact(self.n, '+')}{':reference' if self.reference else ''}"


@dataclass(frozen=True, repr=False)
class Random(Modification):
    """Every cell gets its own uniform draw between the gene's minimum and maximum.

    Parameters
    ----------
    integer
        Draw from minimum, minimum + 1, minimum + 2, ... as the R code does.
    """

    integer: bool = False

    def values(self, cluster: Cluster, genes: np.ndarray) -> np.ndarray:  # noqa: D102
        low, high = cluster.statistics.minimum(genes), cluster.statistics.maximum(genes)
        draws = np.stack([cluster.uniform(gene) for gene in genes], axis=1) if len(genes) else np.empty((1, 0))
        if self.integer:
            return low + np.floor(draws * (np.floor(high - low) + 1))
        return low + draws * (high - low)

    def __str__(self) -> str:
        return "random:integer" if self.integer else "random"


@dataclass(frozen=True, repr=False)
class Aberrant(Modification):
    """Every cell gets an impossible value.

    Parameters
    ----------
    sign
        +1 or -1.
    factor
        How many times the maximum.
    scope
        Maximum of the whole ``"dataset"`` (the paper) or of the ``"gene"`` (the R code, with ``factor=1e4``).
    """

    sign: int
    factor: float = 1e5
    scope: Literal["dataset", "gene"] = "dataset"

    def __post_init__(self) -> None:
        if self.sign not in (1, -1):
            raise ParameterError(f"Aberrant: sign must be +1 or -1, got {self.sign}.")
        if self.scope not in ("dataset", "gene"):
            raise ParameterError(f"Aberrant: scope must be 'dataset' or 'gene', got '{self.scope}'.")
        if not isinstance(self.factor, int | float | np.number) or not np.isfinite(float(self.factor)):
            raise ParameterError(f"Aberrant: factor must be a finite number, got {self.factor!r}.")

    def values(self, cluster: Cluster, genes: np.ndarray) -> np.ndarray:  # noqa: D102
        statistics = cluster.statistics
        if self.scope == "gene":
            largest = statistics.maximum(genes)
        else:
            largest = np.full(len(genes), statistics.maximum_of_all())
        return (self.sign * self.factor * largest)[None, :]

    def __str__(self) -> str:
        name = "positive_aberrant" if self.sign > 0 else "negative_aberrant"
        if (self.factor, self.scope) == (1e5, "dataset"):
            return name
        if (self.factor, self.scope) == (1e4, "gene"):
            return f"{name}:reference"
        return f"{name}:{_exact(self.factor)}:{self.scope}"


@dataclass(frozen=True, repr=False)
class Fixed(Modification):
    """Every cell gets the value `v`."""

    v: float

    def __post_init__(self) -> None:
        if not isinstance(self.v, int | float | np.number) or not np.isfinite(float(self.v)):
            raise ParameterError(f"Fixed: the value must be a finite number, got {self.v!r}.")

    def values(self, cluster: Cluster, genes: np.ndarray) -> np.ndarray:  # noqa: D102
        return np.full((1, len(genes)), float(self.v))

    def __str__(self) -> str:
        return f"fixed:{_exact(self.v)}"


@dataclass(frozen=True, repr=False)
class Dropout(Modification):
    """Every cell loses the gene (value 0) with probability `rate`, as when a transcript is not captured."""

    rate: float

    def __post_init__(self) -> None:
        _check_number("Dropout: rate", self.rate, 0, 1)

    def values(self, cluster: Cluster, genes: np.ndarray) -> np.ndarray:  # noqa: D102
        kept = np.stack([cluster.uniform(gene) >= self.rate for gene in genes], axis=1) if len(genes) else True
        return np.where(kept, cluster.values(genes), 0).astype(np.float64)

    def __str__(self) -> str:
        return f"dropout:{_exact(self.rate)}"


@dataclass(frozen=True, repr=False)
class Thinning(Modification):
    """Every cell's counts as sequencing to a share `depth` gives them: a count k becomes Binomial(k, depth).

    Each molecule is kept or lost by itself; integer data stay integer.

    Parameters
    ----------
    depth
        Share of the molecules that is kept, 0 to 1.

    Notes
    -----
    Needs raw counts: a DataError says what was found where a value is negative or not whole.
    """

    depth: float

    def __post_init__(self) -> None:
        _check_number("Thinning: depth", self.depth, 0, 1)

    def values(self, cluster: Cluster, genes: np.ndarray) -> np.ndarray:  # noqa: D102
        from scipy.stats import binom

        counts = cluster.values(genes).astype(np.float64)
        bad = (counts < 0) | (counts != np.rint(counts))
        if bad.any():
            raise DataError(
                f"Thinning needs raw counts, whole and not negative: {int(bad.sum()):,} of {bad.size:,} values of "
                f"{some(cluster.genes[genes[bad.any(axis=0)]], 3)} are not, such as {counts[bad][0]:g}. "
                "Name the layer of counts with layer=."
            )
        out = np.zeros(counts.shape)
        for k, gene in enumerate(genes):
            full = counts[:, k] > 0
            # the draw's quantile, not numpy's binomial: a cell then keeps its draw whatever the other cells hold
            kept = binom.ppf(cluster.uniform(gene)[full], counts[full, k], self.depth)
            out[full, k] = np.maximum(kept, 0)  # scipy's quantile 0 is -1
        return out

    def __str__(self) -> str:
        return f"thinning:{_exact(self.depth)}"


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


Scope = Literal["gene", "cluster_gene", "block", "cluster_block"]


@dataclass(frozen=True, repr=False)
class Custom(Modification):
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

    Examples
    --------
    >>> half = Custom(lambda values: values / 2)
    """

    function: Callable[..., np.ndarray]
    scope: Scope = "cluster_gene"

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

    def __str__(self) -> str:
        return f"custom:{getattr(self.function, '__name__', type(self.function).__name__)}"


#: example of every short string, with what it does
SHORT_STRINGS = {
    "perc1": "switch the gene off: its 1st percentile",
    "perc99": "switch the gene on: its 99th percentile",
    "decile+5": "move each cell five deciles up (or down: decile-5)",
    "random": "draw each cell between the gene's minimum and maximum",
    "positive_aberrant": "100,000 times the data set's maximum",
    "negative_aberrant": "100,000 times the data set's maximum, negative",
    "dropout:0.5": "set half of the cells to zero",
    "thinning:0.5": "keep each counted molecule with probability one half (raw counts only)",
    "fixed:3": "set every cell to 3",
}

_NUMBER = r"([-+]?\d*\.?\d+(?:e[-+]?\d+)?)"


def parse(modification: Modification | str) -> Modification:
    """Return the modification that a short string means; a Modification is returned as it is.

    ``:reference`` behind a decile or an aberrant value asks for the R code's variant, ``random:integer`` likewise.

    Raises
    ------
    ParameterError
        If the string means nothing.
    """
    if isinstance(modification, Modification):
        return modification
    text = str(modification).strip()
    name, _, option = text.partition(":")
    reference = option == "reference"
    if match := re.fullmatch(rf"perc{_NUMBER}", text):
        return Percentile(_number(match[1]))
    if (match := re.fullmatch(rf"decile{_NUMBER}", name)) and option in ("", "reference"):
        return Decile(_number(match[1]), reference)
    if name == "random" and option in ("", "integer", "reference"):
        return Random(integer=option != "")
    if name in ("positive_aberrant", "negative_aberrant"):
        sign = 1 if name == "positive_aberrant" else -1
        if option in ("", "reference"):
            return Aberrant(sign, 1e4, "gene") if reference else Aberrant(sign)
        if match := re.fullmatch(rf"{_NUMBER}:(gene|dataset)", option):
            return Aberrant(sign, float(match[1]), "gene" if match[2] == "gene" else "dataset")
    if match := re.fullmatch(rf"fixed:{_NUMBER}", text):
        return Fixed(_number(match[1]))
    if match := re.fullmatch(rf"dropout:{_NUMBER}", text):
        return Dropout(float(match[1]))
    if match := re.fullmatch(rf"thinning:{_NUMBER}", text):
        return Thinning(float(match[1]))
    known = list(SHORT_STRINGS)
    raise ParameterError(
        f"'{text}' is no modification.{did_you_mean(text, known)} Examples: {', '.join(known)}; "
        "or pass an object such as Percentile(99) or Custom(function)."
    )


def _number(text: str) -> float:
    value = float(text)
    return int(value) if value.is_integer() else value


def modify(
    adata: AnnData,
    genes: Sequence[str],
    modification: Modification | str,
    *,
    groupby: str,
    target: str,
    layer: str | None = None,
    seed: int = 0,
) -> AnnData:
    """Return a copy of `adata` with `genes` modified in one cluster (R: ``advModifications``).

    Parameters
    ----------
    adata
        Cells x genes; not changed.
    genes
        Names of the genes to change.
    modification
        A short string such as ``"perc99"``, or a :class:`Modification`.
    groupby, target
        Column of ``adata.obs``, and the cluster in it.
    layer
        Layer to change; ``X`` when left out.
    seed
        For modifications that draw.

    Returns
    -------
    A new AnnData, in memory; sparse stays sparse, and integers stay integers while every new value is whole.

    Raises
    ------
    DataError, ParameterError

    Examples
    --------
    >>> import adverscarial as adv
    >>> adata = adv.datasets.embedded()
    >>> changed = modify(adata, ["CD3D"], "perc1", groupby="cell_type", target="CD4+/CD25 T Reg")
    """
    modification = parse(modification)
    cluster = Cluster(adata, groupby, target, layer=layer, seed=seed)
    positions = cluster.positions(genes)
    return with_values(adata, cluster.rows, positions, modification.values(cluster, positions), layer=layer)


def with_values(
    adata: AnnData, rows: np.ndarray, genes: np.ndarray, values: np.ndarray, *, layer: str | None = None
) -> AnnData:
    """Return a copy of `adata` with `values` at `rows` x `genes` (positions) of a layer."""
    block = np.broadcast_to(values, (len(rows), len(genes)))
    X = replace(layer_of(adata, layer), rows, genes, block)
    changed = copy_of(adata)
    if layer is None:
        changed.X = X
    else:
        changed.layers[layer] = X
    return changed
