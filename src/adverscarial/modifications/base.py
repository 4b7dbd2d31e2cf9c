"""What is done to a gene's values in the attacked cluster.

A modification turns (cluster, genes) into new values. The short strings mean the same everywhere: in Python, on the
command line and in reports. Each kind of modification has a file of its own beside this one.

>>> parse("perc99")
Percentile(99)
>>> str(parse("decile+5"))
'decile+5'
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import Field, fields
from inspect import getdoc
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol, Self, overload

import numpy as np
from anndata import AnnData

from adverscarial._docs import documented
from adverscarial._registry import Registry
from adverscarial._types import Matrix
from adverscarial.cells.choice import Cells, held_by, meant
from adverscarial.cells.cluster import Cluster
from adverscarial.cells.matrix import copy_of, copy_with, layer_of, on_disk, replace
from adverscarial.errors import ParameterError, did_you_mean
from adverscarial.modifications.effect import Effects, Intent

#: all kinds of modifications by their names; those of other packages come in through entry points
MODIFICATIONS: Registry[type[Modification]] = Registry("adverscarial.modifications")

#: a number in a pattern, as one group
NUMBER = r"([-+]?\d*\.?\d+(?:e[-+]?\d+)?)"

_BLOCK = 512  # genes whose values are compared at a time


class _Settings(Protocol):
    """Any dataclass."""

    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]


class Modification(ABC):
    """Base of all modifications; subclasses are frozen dataclasses that hold settings only.

    A subclass gives its name, and writes one method::

        @dataclass(frozen=True, repr=False)
        class Scale(Modification, name="scale"):
            \"\"\"Every value is multiplied by a factor.\"\"\"

            factor: float

            def values(self, cluster, genes):
                return self.factor * cluster.values(genes)

    It is registered where it is defined: ``"scale:2"`` then means ``Scale(2.0)`` everywhere. To be found when its
    module has not been imported, a package names it as an entry point of the group ``adverscarial.modifications``.

    Attributes
    ----------
    name
        In lists, and where its short strings begin; empty for a class that has no short strings.
    pattern
        Regular expression of all its short strings, whose groups are given to :meth:`parsed`. Left out, it is the name,
        a colon and a number.
    examples
        Some of its short strings, each with what it does; for lists, and for the message about an unknown string. Left
        out beside the usual pattern, it is the name with the number 1, and the docstring's first line.
    place
        Where lists show it: the smaller, the earlier.
    possible
        Whether the values it writes are values that cells can have; None where that depends on the settings
        (:meth:`in_range` compares them with the data).
    random
        Whether it draws the values by chance.
    joint
        Whether the new value of one gene depends on which other genes are changed in the same step.
    """

    if TYPE_CHECKING:  # written by the decorator of each subclass
        __dataclass_fields__: ClassVar[dict[str, Field[Any]]]

    name: ClassVar[str] = ""
    pattern: ClassVar[str] = ""
    examples: ClassVar[Mapping[str, str]] = {}
    place: ClassVar[int] = 100
    possible: ClassVar[bool | None] = None
    random: ClassVar[bool] = False
    joint: bool = False

    def __init_subclass__(cls, *, name: str = "", **other: object) -> None:
        super().__init_subclass__(**other)
        cls.name = name or str(vars(cls).get("name", ""))  # there already where a decorator makes the class anew
        if cls.name:
            own = dict(vars(cls))
            usual = {} if "pattern" in own else {f"{cls.name}:1": (getdoc(cls) or cls.name).splitlines()[0]}
            cls.pattern = own.get("pattern", f"{re.escape(cls.name)}:{NUMBER}")
            cls.examples = own.get("examples", usual)
            if strange := [text for text in cls.examples if not re.fullmatch(cls.pattern, text)]:
                raise ParameterError(
                    f"{cls.__name__}: its example '{strange[0]}' does not fit its pattern '{cls.pattern}'. Correct one "
                    "of the two."
                )
            MODIFICATIONS.add(cls.name, cls)

    @abstractmethod
    def values(self, cluster: Cluster, genes: np.ndarray) -> np.ndarray:
        """Return new values for `genes` (positions).

        Returns
        -------
        float64, shape (cells of the cluster, len(genes)), or (1, len(genes)) where every cell gets the same value.
        """

    def new_values(self, cluster: Cluster, genes: np.ndarray) -> np.ndarray:
        """Return :meth:`values` as they are written: of counts, those of :attr:`possible` modifications are made whole.

        They are rounded to the nearest whole number, and none is below 0. Impossible values, fixed ones and those of
        your own function are written as they are.

        Examples
        --------
        >>> import adverscarial as adv
        >>> cells = adv.datasets.embedded()
        >>> cells.X = np.rint(cells.X.toarray() * 9)
        >>> cluster = adv.cells.Cluster(cells, "cell_type", "Dendritic")
        >>> genes = cluster.positions(["CD79A"])
        >>> on = adv.Percentile(99)
        >>> exact, whole = on.values(cluster, genes).item(), on.new_values(cluster, genes).item()
        >>> round(exact, 2), whole
        (34.02, 34.0)
        """
        values = self.values(cluster, genes)
        if not self.possible or not cluster.counts:
            return values
        whole: np.ndarray = np.maximum(np.rint(values), 0.0)
        return whole

    @classmethod
    def parsed(cls, match: re.Match[str]) -> Self:
        """Return the modification that a short string means, from the match of its pattern.

        Left out, the groups of the pattern are numbers, and the settings in their order.
        """
        return cls(*(float(group) for group in match.groups()))

    @property
    def intent(self) -> Intent | None:
        """What it is meant to do to a gene: ``"raise"`` or ``"lower"`` it; None where it is meant to do neither."""
        return None

    def effects(self, cluster: Cluster, genes: np.ndarray) -> Effects:
        """Return what it does to `genes` (positions) of a cluster, each changed alone.

        Examples
        --------
        >>> import adverscarial as adv
        >>> cluster = adv.cells.Cluster(adv.datasets.embedded(), "cell_type", "Dendritic")
        >>> adv.Percentile(99).effects(cluster, cluster.positions(["CD3D", "CST3"])).direction.tolist()
        ['raised', 'raised']
        """
        parts = [
            Effects.of(cluster.gene_names[some], cluster.values(some), self.new_values(cluster, some), self.intent)
            for some in self._alone(genes)
        ]
        arrays = {
            name: np.concatenate([getattr(part, name) for part in parts])
            for name in ("gene", "raised", "lowered", "change")
        }
        return Effects(**arrays, n_cells=cluster.n_cells, intent=self.intent)

    def in_range(self, cluster: Cluster, genes: np.ndarray) -> np.ndarray:
        """Return for each of `genes` (positions) whether its new values lie between its extremes in the data.

        For modifications that do not say themselves whether their values are :attr:`possible`.
        """
        inside = []
        for some in self._alone(genes):
            new = self.new_values(cluster, some)
            low, high = cluster.statistics.minimum(some), cluster.statistics.maximum(some)
            inside.append(((new >= low) & (new <= high)).all(axis=0))
        return np.concatenate(inside)

    def _alone(self, genes: np.ndarray) -> list[np.ndarray]:
        """Return `genes` in parts whose new values are those of each gene changed alone."""
        step = 1 if self.joint else _BLOCK
        return [genes[start : start + step] for start in range(0, max(1, len(genes)), step)]

    @property
    def meaning(self) -> str:
        """What it does to each cell of the cluster, in one sentence, for reports."""
        return (getdoc(type(self)) or str(self)).splitlines()[0]

    @property
    def brief(self) -> str:
        """What its values are, in a few words, for lists in reports."""
        return str(self)

    def __str__(self) -> str:
        if not self.name:
            return repr(self)
        return ":".join([self.name, *(exact(getattr(self, field.name)) for field in fields(self))])

    def __repr__(self) -> str:
        return f"{type(self).__name__}({settings_text(self)})"


def settings_text(obj: _Settings) -> str:
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


def check_number(what: str, value: object, low: float, high: float) -> None:
    """Raise a ParameterError unless `value` is a number from `low` to `high`."""
    if not isinstance(value, int | float | np.number) or not low <= value <= high:
        raise ParameterError(f"{what} must be a number from {low:g} to {high:g}, got {value!r}.")


def exact(value: float, sign: str = "") -> str:
    """Return the shortest text that is read back as the same number.

    >>> exact(3.0), exact(0.5), exact(5, "+")
    ('3', '0.5', '+5')
    """
    value = float(value)
    whole = value.is_integer() and abs(value) < 1e16
    return f"{int(value):{sign}d}" if whole else f"{'+' if sign and value > 0 else ''}{value!r}"


def number(text: str) -> float:
    """Return the number that a text means, an integer where it is whole."""
    value = float(text)
    return int(value) if value.is_integer() else value


def kinds() -> dict[str, type[Modification]]:
    """Return all kinds of modifications by name, those of other packages included, in the order of lists."""
    return dict(sorted(MODIFICATIONS.all().items(), key=lambda named: (named[1].place, named[0])))


def examples() -> dict[str, str]:
    """Return examples of all short strings, each with what it does.

    >>> examples()["perc1"]
    'switch the gene off: its 1st percentile'
    """
    return {text: does for kind in kinds().values() for text, does in kind.examples.items()}


@documented
def parse(modification: Modification | str) -> Modification:
    """Return the modification that a short string means; a Modification is returned as it is.

    ``:reference`` behind a decile or an aberrant value asks for the R code's variant, ``random:integer`` likewise.

    %(errors_of_text)s
    """
    if isinstance(modification, Modification):
        return modification
    text = str(modification).strip()
    # other packages are loaded only for a text that is none of ours
    for names in (MODIFICATIONS.known, lambda: list(MODIFICATIONS)):
        for name in names():
            kind = MODIFICATIONS.find(name)
            if kind is not None and (match := re.fullmatch(kind.pattern, text)):
                return kind.parsed(match)
    known = list(examples())
    raise ParameterError(
        f"'{text}' is no modification.{did_you_mean(text, known)} Examples: {', '.join(known)}; "
        "or pass an object such as Percentile(99) or Custom(function)."
    )


@overload
def modify(
    adata: Cells, genes: Sequence[str], modification: Modification | str, *, groupby: str, target: str,
    mod: str | None = None, use_raw: bool = False, layer: str | None = None, seed: int = 0, whole: bool = False,
    inplace: Literal[False] = False,
) -> AnnData: ...  # fmt: skip
@overload
def modify(
    adata: Cells, genes: Sequence[str], modification: Modification | str, *, groupby: str, target: str,
    mod: str | None = None, use_raw: bool = False, layer: str | None = None, seed: int = 0, whole: bool = False,
    inplace: Literal[True],
) -> None: ...  # fmt: skip


@documented
def modify(  # noqa: PLR0913
    adata: Cells,
    genes: Sequence[str],
    modification: Modification | str,
    *,
    groupby: str,
    target: str,
    mod: str | None = None,
    use_raw: bool = False,
    layer: str | None = None,
    seed: int = 0,
    whole: bool = False,
    inplace: bool = False,
) -> AnnData | None:
    """Return a copy of `adata` with `genes` modified in one cluster (R: ``advModifications``).

    Parameters
    ----------
    %(adata)s
    genes
        Names of the genes to change.
    modification
        A short string such as ``"perc99"``, or a :class:`Modification`.
    %(groupby)s
    %(values)s
    layer
        Layer to change; ``X`` when left out.
    seed
        For modifications that draw.
    whole
        Of counts, write whole numbers, none below 0, as all attacks do: :meth:`Modification.new_values`. Left out, a
        percentile that lies between two counts is written as it is, as the R package does.
    inplace
        Change `adata` itself, or its modality, and return None; not for data in a file, nor for ``raw``.

    Returns
    -------
    A new AnnData, in memory, of the modality or of raw where that was chosen; sparse stays sparse, and integers stay
    integers while every new value is whole.

    Raises
    ------
    DataError, ParameterError

    Examples
    --------
    >>> import adverscarial as adv
    >>> adata = adv.datasets.embedded()
    >>> changed = modify(adata, ["CD3D"], "perc1", groupby="cell_type", target="CD4+/CD25 T Reg")
    """
    modification, held = parse(modification), held_by(adata, mod)
    adata = meant(adata, mod=mod, use_raw=use_raw, layer=layer)
    cluster = Cluster(adata, groupby, target, layer=layer, seed=seed)
    positions = cluster.positions(genes)
    values = (modification.new_values if whole else modification.values)(cluster, positions)
    if not inplace:
        return with_values(adata, cluster.rows, positions, values, layer=layer)
    if use_raw:
        raise ParameterError("inplace=True cannot change raw, which is kept as it is. Leave it out to get a copy.")
    if held.isbacked:
        raise ParameterError("inplace=True would write into the file of backed data. Leave it out to get a copy.")
    if held.is_view:
        raise ParameterError(
            "inplace=True would write into the data that this view is of. Change a copy: adata.copy()."
        )
    _put(held, _replaced(held, cluster.rows, positions, values, layer), layer)
    return None


def with_values(
    adata: AnnData, rows: np.ndarray, genes: np.ndarray, values: np.ndarray, *, layer: str | None = None
) -> AnnData:
    """Return a copy of `adata` with `values` at `rows` x `genes` (positions) of a layer."""
    X = _replaced(adata, rows, genes, values, layer)
    if adata.is_view or on_disk(adata):
        changed = copy_of(adata)
        _put(changed, X, layer)
        return changed
    return copy_with(adata, X, layer)


def _replaced(adata: AnnData, rows: np.ndarray, genes: np.ndarray, values: np.ndarray, layer: str | None) -> Matrix:
    block = np.broadcast_to(values, (len(rows), len(genes)))
    return replace(layer_of(adata, layer), rows, genes, block)


def _put(adata: AnnData, X: Matrix, layer: str | None) -> None:
    if layer is None:
        adata.X = X
    else:
        adata.layers[layer] = X
