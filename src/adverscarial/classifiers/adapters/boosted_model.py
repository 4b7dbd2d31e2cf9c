"""What the adapters of XGBoost's and LightGBM's models share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np

from adverscarial.classifiers.scorers.tree_ensemble import TreeEnsemble
from adverscarial.errors import DataError, MissingDependencyError, ParameterError

if TYPE_CHECKING:
    import scipy.sparse as sp

Package = Literal["xgboost", "lightgbm"]
PACKAGES: tuple[Package, ...] = ("xgboost", "lightgbm")

#: how many rounds of trees to use: those up to the best that early stopping found, all, or a number
Rounds = Literal["best", "all"] | int


class NotExact(Exception):
    """The trees have no exact form here; the message says why."""


class BoostedModel(ABC):
    """What :class:`~adverscarial.classifiers.Boosted` needs of a model of either package.

    Attributes
    ----------
    objectives
        Those that label cells.
    trees, obstacle
        The trees as arrays; or None, and what stands in the way.
    """

    package: ClassVar[Package]
    name: ClassVar[str]
    objectives: ClassVar[tuple[str, ...]]
    refuses_overflow: ClassVar[bool]

    missing: float
    objective: str
    n_classes: int
    n_features: int
    feature_names: list[str] | None
    trees: TreeEnsemble | None
    obstacle: str

    @abstractmethod
    def probabilities(self, X: np.ndarray | sp.csr_matrix) -> np.ndarray:
        """Return the package's own prediction for cells x genes, an array or a scipy.sparse matrix."""

    @abstractmethod
    def link(self, sums: np.ndarray) -> np.ndarray:
        """Return the probabilities that belong to summed leaves."""

    @abstractmethod
    def dump(self) -> bytes:
        """Return the package's own model text."""

    @classmethod
    @abstractmethod
    def read(cls, text: bytes) -> object:
        """Return the Booster that :meth:`dump` wrote.

        Raises
        ------
        StorageError
            If the text is damaged.
        """

    @classmethod
    def library(cls) -> ModuleType:
        """Return the package itself; MissingDependencyError where it is not installed."""
        return imported(cls.package)

    def take_trees(self, read: Callable[[], TreeEnsemble]) -> None:
        """Keep the trees that are read; or what stands in the way."""
        try:
            self.trees, self.obstacle = read(), ""
        except (NotExact, DataError) as obstacle:
            self.trees, self.obstacle = None, str(obstacle)

    def check_objective(self) -> None:
        """Raise a ParameterError for a model that does not label cells."""
        if self.objective not in self.objectives:
            *known, last = self.objectives
            raise ParameterError(
                f"The {self.name} model has the objective '{self.objective}'; expected {', '.join(known)} or {last}. "
                "For another one, pass wrap a function of cells x genes that returns labels or scores."
            )


def chosen_rounds(rounds: Rounds | None, best: int | None, total: int) -> int:
    """Return how many rounds to use; `best` is what early stopping found, if anything.

    Raises
    ------
    ParameterError
        If `rounds` is neither a word that is known nor a number of rounds that the model has.
    """
    if rounds in (None, "all"):
        return total
    if rounds == "best":
        return total if best is None else min(best, total)
    if isinstance(rounds, bool) or not isinstance(rounds, int | np.integer) or not 1 <= rounds <= total:
        raise ParameterError(f"rounds must be 'best', 'all' or a number from 1 to {total:,}, got {rounds!r}.")
    return int(rounds)


def per_class(scores: np.ndarray) -> np.ndarray:
    """Return the second class's probability, where there is just that one, as a column for each of the two."""
    if scores.ndim == 2 and scores.shape[1] > 1:
        return scores
    second = scores.reshape(-1)
    return np.column_stack([1 - second, second])


def imported(package: Package) -> ModuleType:
    """Return the package; MissingDependencyError where it is not installed."""
    try:
        return import_module(package)
    except ImportError as error:
        raise MissingDependencyError(package, "boosting", "A boosted classifier") from error
