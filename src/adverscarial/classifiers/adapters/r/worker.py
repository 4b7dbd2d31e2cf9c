"""An R process that holds a user's program and some matrices; and one of them for each process and thread of Python."""

from __future__ import annotations

import logging
import threading
import weakref
from collections import Counter
from collections.abc import Sequence
from itertools import count
from typing import Any, NamedTuple

import numpy as np

from adverscarial.classifiers.adapters.r.failures import ended, failure
from adverscarial.classifiers.adapters.r.process import Ended, Late, RProcess
from adverscarial.classifiers.adapters.r.program import Program
from adverscarial.classifiers.adapters.r.protocol import Field, Operation, Reply, Status, request
from adverscarial.classifiers.adapters.r.slot import Slot, one_based
from adverscarial.errors import ClassifierError

logger = logging.getLogger(__name__)

_NOTHING = np.empty(0, dtype=np.int64), np.empty((1, 0))


class About(NamedTuple):
    """What R said of the program when it was read.

    Attributes
    ----------
    version
        Of R.
    packages
        Attached packages with their versions.
    form
        ``"cells"`` or ``"cluster"``.
    genes, classes
        Of a stored model that knows them.
    """

    version: str
    packages: tuple[str, ...]
    form: str
    genes: tuple[str, ...]
    classes: tuple[str, ...]


class Worker:
    """An R process with the user's program in it.

    Parameters
    ----------
    program
        What it runs.
    warnings
        Counts warnings of R by their text.

    Raises
    ------
    ClassifierError, ParameterError, MissingDependencyError
        If R cannot be started, or the program cannot be read.
    """

    def __init__(self, program: Program, warnings: Counter[str]) -> None:
        self._program, self._warnings = program, warnings
        self._requests, self._keys = count(1), count(1)
        self._held: dict[int, weakref.ref[Slot]] = {}  # by their keys in R
        program.check_model()
        try:
            self._process = RProcess(program.program(), program.options, program.kind, program.timeout)
        except Ended as end:
            raise ended(end, program, asked=False) from None
        setup: list[Field] = [program.texts, list(program.packages), np.array([program.timeout])]
        answer = self._call(Operation.SETUP, setup)
        (version, *_), packages, (form, *_), genes, classes = (answer.texts(place) for place in range(5))
        self.about = About(version, tuple(packages), form, tuple(genes), tuple(classes))

    @property
    def alive(self) -> bool:
        """Whether it can be asked."""
        return self._process.alive

    @property
    def pid(self) -> int:
        """Number of the R process."""
        return self._process.pid

    def end(self) -> None:
        """End the R process."""
        self._process.end()

    def ask(self, slot: Slot, genes: np.ndarray, values: np.ndarray, seed: int) -> Reply:
        """Return what the user's function says of a matrix with some genes changed.

        Parameters
        ----------
        slot
            The matrix; sent where R does not hold it yet.
        genes
            Positions in it.
        values
            Shape (1, genes), or (rows of the slot, genes).
        seed
            Of R's random numbers.

        Raises
        ------
        ClassifierError
            If it fails; InputRejected if it refuses the matrix.
        """
        key = self._key_of(slot)
        head = [np.array([key], dtype=np.int32), np.array([seed], dtype=np.int32)]
        return self._call(Operation.ASK, [*head, one_based(genes), np.asarray(values, dtype=np.float64)])

    def accept(self, old: Slot, new: Slot, genes: np.ndarray, values: np.ndarray, *, move: bool) -> None:
        """Let R hold a changed slot beside the old one, or in its place.

        Parameters
        ----------
        old, new
            The slot, and the same with `genes` changed to `values`; nothing is done where R does not hold the old one.
        genes, values
            As in :meth:`ask`.
        move
            Whether nobody needs the old one any more: R then changes it in place.
        """
        self._drop()
        key = self._find(old)
        if key is None:
            return
        taken = next(self._keys)
        keys = [np.array([key], dtype=np.int32), np.array([taken], dtype=np.int32), np.array([move], dtype=np.int32)]
        self._call(Operation.ACCEPT, [*keys, one_based(genes), np.asarray(values, dtype=np.float64)])
        if move:
            self._held.pop(key, None)
        self._held[taken] = weakref.ref(new)

    def nodes(self) -> Reply:
        """Return the nodes of a stored randomForest."""
        return self._call(Operation.NODES, [])

    def _find(self, slot: Slot) -> int | None:
        return next((key for key, held in self._held.items() if held() is slot), None)

    def _drop(self) -> None:
        """Let R forget the slots that nobody has any more."""
        for gone in [key for key, held in self._held.items() if held() is None]:
            del self._held[gone]
            self._call(Operation.DROP, [np.array([gone], dtype=np.int32)])

    def _key_of(self, slot: Slot) -> int:
        """Return the key under which R holds a slot; it is sent where R does not."""
        self._drop()
        if (key := self._find(slot)) is not None:
            return key
        key = next(self._keys)
        self._call(Operation.LOAD, [np.array([key], dtype=np.int32), *slot.fields()])
        if slot.changes:
            genes, values = slot.delta()
            keys = [np.array([key], dtype=np.int32), np.array([key], dtype=np.int32), np.array([1], dtype=np.int32)]
            self._call(Operation.ACCEPT, [*keys, one_based(genes), values])
        self._held[key] = weakref.ref(slot)
        return key

    def _call(self, operation: Operation, fields: Sequence[Field]) -> Reply:
        number = next(self._requests)
        try:
            answer = self._process.ask(request(operation, number, fields), self._program.timeout)
        except Late:
            raise self._late() from None
        except Ended as end:
            self.end()
            raise ended(end, self._program, asked=operation is Operation.ASK) from None
        except BaseException:  # Ctrl-C, or no answer at all: the next one would be read for this one
            self.end()
            raise
        if answer.request != number:
            self.end()
            raise ClassifierError(
                f"{self._program.what} was asked by two threads at once: copy the classifier for each."
            )
        self._note(answer)
        if answer.status is not Status.ANSWERED:
            raise failure(answer, self._program)
        return answer

    def _late(self) -> ClassifierError:
        """Stop R, and return what to say: its model stays loaded if it hears an interrupt."""
        self._held.clear()  # an interrupted change may be half made
        answer = self._process.interrupt()
        if answer is None or answer.status is Status.ANSWERED or answer.texts(0)[0] != "interrupt":
            self.end()
        return ClassifierError(
            f"{self._program.what} gave no answer within {self._program.timeout:g} s (timeout=), and was stopped."
        )

    def _note(self, answer: Reply) -> None:
        for text, n in answer.warnings.items():
            if not self._warnings[text]:
                logger.warning("%s warns in R: %s", self._program.what, text)
            self._warnings[text] += n


class Workers:
    """One worker for each process and thread that asks; started when it is asked first.

    Pickling keeps the program alone: a copy starts its own.

    Parameters
    ----------
    program
        What they run.
    """

    def __init__(self, program: Program) -> None:
        self.program = program
        self.warnings: Counter[str] = Counter()
        self._local = threading.local()
        self._all: weakref.WeakSet[Worker] = weakref.WeakSet()

    def __getstate__(self) -> dict[str, Any]:
        return {"program": self.program}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(state["program"])  # type: ignore[misc]

    def mine(self) -> Worker:
        """Return the worker of this thread."""
        found: Worker | None = getattr(self._local, "worker", None)
        if found is None or not found.alive:
            found = Worker(self.program, self.warnings)
            self._local.worker = found  # let go when the thread ends, and R with it
            self._all.add(found)
        return found

    def pids(self) -> list[int]:
        """Return the numbers of the R processes of this process that live."""
        return [worker.pid for worker in self._all if worker.alive]

    def end(self) -> None:
        """End the R processes of all threads; the next query starts a new one."""
        for worker in list(self._all):
            worker.end()
        self._all.clear()
        self._local = threading.local()
