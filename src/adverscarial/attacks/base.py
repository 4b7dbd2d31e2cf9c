"""What all attacks share: their names, counting, timing. An attack is its settings; the data come in the call."""

from __future__ import annotations

import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import ClassVar, ForwardRef, Generic, Self, TypeVar, get_args

import numpy as np
from anndata import AnnData
from threadpoolctl import ThreadpoolController

from adverscarial._docs import documented, documented_own
from adverscarial._progress import bar
from adverscarial.attacks.columns import Option
from adverscarial.attacks.recheck import Recheck
from adverscarial.attacks.result import Result
from adverscarial.attacks.run import Meter, Run
from adverscarial.attacks.settings import check_towards, labels_aimed_at, plain_towards
from adverscarial.attacks.start import check_memory, check_run, scorer_for
from adverscarial.attacks.storing import ATTACKS
from adverscarial.cells.choice import Cells, meant
from adverscarial.cells.cluster import Cluster, masked_genes
from adverscarial.cells.statistics import GeneStatistics
from adverscarial.classifiers.base import Classifier
from adverscarial.classifiers.scorers.base import Scorer
from adverscarial.classifiers.wrap import wrap
from adverscarial.errors import ParameterError
from adverscarial.modifications import Modification
from adverscarial.modifications.base import parse, settings_text

R = TypeVar("R", bound=Result, covariant=True)

_EXAMPLE = "adverscarial attack cells.h5ad --groupby cell_type --target B"
_CHECKS = 2  # queries with which a run ends: are the first and the last answer given again?


@dataclass(frozen=True, repr=False)
class Attack(ABC, Generic[R]):
    """Base of all attacks; subclasses are frozen dataclasses that hold settings only.

    A subclass names the type of its result, and its own name on the command line, and writes one method::

        @dataclass(frozen=True, repr=False)
        class MyAttack(Attack[MyResult], name="my-attack"):
            question = "What does it answer?"
            cost = "one query per gene"

            def perform(self, run): ...

    It is registered where it is defined. To be found when its module has not been imported, a package names it as an
    entry point of the group ``adverscarial.attacks``.

    Attributes
    ----------
    name
        On the command line, in lists and in stored results; empty for a base class of several attacks.
    question, cost, example
        For lists: the question that it answers, what it costs, and how it is called from a shell. The example is made
        from the name, and from `example_settings`, which are written as on the command line.
    options
        The settings that the command line offers.
    place
        Where lists and tables show it: the smaller, the earlier.
    blas_threads
        Threads of BLAS while it runs, None for all. Queries are small, and threads cost more than they give.
    """

    name: ClassVar[str] = ""
    question: ClassVar[str] = ""
    cost: ClassVar[str] = ""
    example: ClassVar[str] = ""
    example_settings: ClassVar[str] = ""
    options: ClassVar[tuple[Option, ...]] = ()
    place: ClassVar[int] = 100
    blas_threads: ClassVar[int | None] = 1

    def __init_subclass__(cls, *, name: str = "", **other: object) -> None:
        super().__init_subclass__(**other)
        documented_own(cls)
        cls.name = name
        if name:
            if "example" not in vars(cls):
                call = f"{_EXAMPLE} --attack {name} {cls.example_settings}"
                cls.example = call.rstrip()
            ATTACKS.add(name, cls)

    def __post_init__(self) -> None:
        """Turn a short string ``modification`` into the modification that it means, and check ``towards``."""
        given = getattr(self, "modification", None)
        if given is not None:
            object.__setattr__(self, "modification", parse(given))
        if hasattr(self, "towards"):
            object.__setattr__(self, "towards", plain_towards(self.towards))
        for name, value in vars(self).items():
            if isinstance(value, np.generic):  # a number of numpy's could not be stored
                object.__setattr__(self, name, value.item())
        for name in ("genes", "exclude"):  # arrays, indexes and sets of names too
            given = getattr(self, name, None)
            if given is not None and not isinstance(given, list | tuple | str):
                names = sorted(map(str, given)) if isinstance(given, set | frozenset) else [str(gene) for gene in given]
                object.__setattr__(self, name, names)

    @classmethod
    def result_type(cls) -> type[Result]:
        """Return the type of this attack's results, as its base class names it."""
        for kind in cls.__mro__:
            for base in vars(kind).get("__orig_bases__", ()):
                for found in get_args(base):
                    if isinstance(found, ForwardRef):  # written as text, since it is defined further below
                        found = vars(sys.modules[kind.__module__]).get(found.__forward_arg__)
                    if isinstance(found, type) and issubclass(found, Result):
                        return found
        return Result

    @abstractmethod
    def perform(self, run: Run) -> R:
        """Ask the queries, and return the result; the one method that an attack must have.

        Parameters
        ----------
        run
            Gives the cluster, answers queries, and counts them. ``run.shared(...)`` returns the fields that all results
            have.
        """

    @property
    def changes(self) -> tuple[Modification, ...]:
        """The modifications that it uses; empty for an attack that chooses new values itself."""
        one, several = getattr(self, "modification", None), getattr(self, "modifications", ())
        return tuple(parse(change) for change in (*([] if one is None else [one]), *several))

    @property
    def changes_text(self) -> str:
        """The modifications as tables show them."""
        return ", ".join(str(change) for change in self.changes)

    @property
    def aim(self) -> tuple[str, ...]:
        """The labels that count as a flip, as the setting ``towards`` or ``new_target`` says; none: any other one."""
        return labels_aimed_at(getattr(self, "towards", None) or getattr(self, "new_target", None))

    @property
    def aim_text(self) -> str:
        """The labels that count as a flip, as sentences and tables show them; empty where any other one does."""
        return " or ".join(self.aim)

    @property
    def impossible(self) -> bool:
        """Whether it writes values that no cell can have; what those do is never counted with what possible ones do."""
        return any(change.possible is False for change in self.changes)

    def also_reads(self, adata: AnnData, layer: str | None) -> list[object]:
        """Return what it reads of a data set beside the attacked layer and the clusters.

        Tables and matrices; a survey is known by their content, too.
        """
        return []

    def within(self, genes: Sequence[str]) -> Self:
        """Return the attack with only those of its genes that are among `genes`.

        Raises
        ------
        ParameterError
            If it has no setting ``genes``, or none is left.
        """
        own = getattr(self, "genes", ())
        if isinstance(own, tuple) and not own:
            raise ParameterError(f"{type(self).__name__} has no setting genes, so mask_var cannot limit it.")
        named = None if own is None else [own] if isinstance(own, str) else list(own)
        kept = list(genes) if named is None else [gene for gene in named if gene in set(genes)]
        if not kept:
            raise ParameterError("No gene is left to attack: mask_var keeps none of those in genes=.")
        return replace(self, **{"genes": kept})

    def length(self, run: Run) -> float:
        """Return the length of the progress bar, which :attr:`Run.advance` moves."""
        return 1.0

    @documented
    def __call__(  # noqa: PLR0913
        self,
        adata: Cells,
        classifier: object,
        *,
        groupby: str,
        target: str,
        mod: str | None = None,
        use_raw: bool = False,
        layer: str | None = None,
        mask_var: str | Sequence[bool] | np.ndarray | None = None,
        seed: int = 0,
        budget: int | None = None,
        progress: bool | None = None,
        statistics: GeneStatistics | None = None,
    ) -> R:
        """Attack one cluster.

        Parameters
        ----------
        %(classifier_and_cluster)s
        %(layer_attacked)s
        %(mask_var)s
        seed
            Of every random draw; the same seed gives the same result.
        budget
            Most queries to ask; the result says whether it was enough.
        %(progress)s
        statistics
            Statistics of the same layer, to share between several attacks on one data set.

        Returns
        -------
        A :class:`~adverscarial.attacks.result.Result`.

        Raises
        ------
        DataError, ParameterError, ClassifierError
        MemoryLimitError
            If the cluster does not fit into memory.
        """
        check_run(budget, seed)
        adata = meant(adata, mod=mod, use_raw=use_raw, layer=layer)
        if mask_var is not None:
            return self.within(masked_genes(adata, mask_var))(
                adata, classifier, groupby=groupby, target=target, layer=layer, seed=seed, budget=budget,
                progress=progress, statistics=statistics,
            )  # fmt: skip
        model = wrap(classifier)
        check_memory(adata, [model], groupby=groupby, targets=[target], layer=layer)
        cluster = Cluster(adata, groupby, target, layer=layer, seed=seed, statistics=statistics)
        return self.run(cluster, model, scorer_for(model, cluster, in_company=False), budget=budget, progress=progress)

    def run(
        self,
        cluster: Cluster,
        model: Classifier,
        scorer: Scorer,
        *,
        budget: int | None = None,
        progress: bool | None = None,
    ) -> R:
        """Attack a cluster whose scorer is at hand; the scorer's state is left as it was.

        Raises
        ------
        ClassifierError
            If the classifier fails, or answers the same query differently when asked again at the end.
        """
        meter = Meter(budget, started=time.perf_counter())
        if not scorer.incremental:
            meter.ask(1, cluster.n_cells)  # the unmodified cluster, about which the scorer has asked
            large = budget is None or budget > 2 * _CHECKS
            if scorer.company is not None and large:
                meter.count(1, scorer.company())
            scorer = Recheck(scorer)
            meter.reserve = _CHECKS if budget is not None and large else 0
        run = Run(cluster, scorer, model, meter, self)
        if hasattr(self, "towards"):
            known = [str(label) for label in getattr(model, "labels", ())]
            check_towards(self.aim, run.baseline.label, model.name, known)
        title = f"{type(self).__name__} · {cluster.target}"
        with (
            _blas().limit(limits=self.blas_threads, user_api="blas"),
            bar(title, self.length(run), progress) as meter.advance,
        ):
            result = self.perform(run)
            if isinstance(scorer, Recheck):
                meter.reserve = 0
                scorer.confirm(model.name, cluster.target, lambda: meter.can_ask(cluster.n_cells))
                result = replace(result, queries=meter.queries, cells_rescored=meter.cells, seconds=meter.seconds)
        return result

    def __repr__(self) -> str:
        return f"{type(self).__name__}({settings_text(self)})"


@cache
def _blas() -> ThreadpoolController:
    """Return the controller of the BLAS libraries; finding them takes milliseconds, so it is kept."""
    return ThreadpoolController()
